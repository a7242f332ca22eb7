#!/usr/bin/env python3
"""The same fine-tuning with PyTorch, and the data for both contenders of `cargo xtask bench train`.

    peer_train.py data DIRECTORY EXAMPLES      writes train.csv and dev.csv
    peer_train.py train MODEL DIRECTORY SEED THREADS EPOCHS BATCH RATE

`train` prints one JSON object: seconds of training, tokens, and accuracy on dev.csv. The loop is what the documentation of
PyTorch and transformers has: AdamW without decay of biases and norms, a linear schedule with warm-up, clipping to norm 1, batches
of like length padded to the longest. Attention probabilities do not drop out, as they do not in Glossator.
"""

import csv
import json
import os
import random
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

WARMUP, DECAY, CLIP = 0.06, 0.01, 1.0
GOOD = "touching funny wise fresh moving brilliant charming warm gripping elegant".split()
BAD = "dull boring clumsy flat tired awful shallow cold tedious predictable".split()
THINGS = "film plot story acting script cast music ending dialogue direction pacing camera".split()
FRAMES = ["the {t} is {a}", "i found the {t} {a}", "its {t} seems {a}", "a {a} {t}", "you will call the {t} {a}"]
FILLERS = ["from the first scene to the last", "as far as i can tell", "in a summer of sequels", "on a small budget",
           "after two long hours", "for once", "with friends on a rainy evening in the city"]


def sentence(chance):
    """Some opinions, each of which may be negated, with words in between that mean nothing; the balance is the label."""
    while True:
        balance, parts = 0, []
        for _ in range(chance.choice([1, 1, 2, 3, 3, 5])):
            good, negated = chance.random() < 0.5, chance.random() < 0.3
            word = chance.choice(GOOD if good else BAD)
            word = f"not {word}" if negated else word
            balance += 1 if good != negated else -1
            parts.append(chance.choice(FRAMES).format(t=chance.choice(THINGS), a=word))
            if chance.random() < 0.4:
                parts.append(chance.choice(FILLERS))
        if balance:
            return " , ".join(parts), "positive" if balance > 0 else "negative"


def write_data(directory, examples):
    chance = random.Random(20260)
    seen = set()
    directory.mkdir(parents=True, exist_ok=True)
    for name, count in [("dev.csv", 500), ("train.csv", examples)]:
        with open(directory / name, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            while count:
                text, label = sentence(chance)
                if text not in seen:
                    seen.add(text)
                    writer.writerow([text, label])
                    count -= 1


def read(path):
    with open(path, newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def batches(lengths, size, chance):
    order = list(range(len(lengths)))
    chance.shuffle(order)
    window = 64 * size
    order = [i for at in range(0, len(order), window) for i in sorted(order[at : at + window], key=lengths.__getitem__)]
    made = [order[at : at + size] for at in range(0, len(order), size)]
    chance.shuffle(made)
    return made


def train(model_directory, directory, seed, threads, epochs, size, rate):
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    labels = ["negative", "positive"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_directory)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        model_directory, num_labels=2, dtype=torch.float32, attention_probs_dropout_prob=0.0)
    parts = {}
    for name in ["train", "dev"]:
        rows = read(directory / f"{name}.csv")
        ids = [tokenizer(text)["input_ids"] for text, _ in rows]
        parts[name] = ids, [labels.index(label) for _, label in rows]

    def batch(ids, right, rows):
        longest = max(len(ids[i]) for i in rows)
        pad = tokenizer.pad_token_id
        tokens = torch.tensor([ids[i] + [pad] * (longest - len(ids[i])) for i in rows])
        return {"input_ids": tokens, "attention_mask": (tokens != pad).long(), "labels": torch.tensor([right[i] for i in rows])}

    vectors = [p for p in model.parameters() if p.ndim < 2]
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    ids, right = parts["train"]
    lengths = [len(row) for row in ids]
    total = epochs * -(-len(ids) // size)
    warmup = round(WARMUP * total)

    def factor(done):
        step = done + 1
        return step / (warmup + 1) if step <= warmup else 1 - (step - warmup - 1) / (total - warmup)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    chance = random.Random(seed)
    model.train()
    seconds = 0.0
    for _ in range(epochs):
        for rows in batches(lengths, size, chance):
            inputs = batch(ids, right, rows)
            start = time.perf_counter()
            loss = model(**inputs).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            seconds += time.perf_counter() - start
    model.eval()
    ids, right = parts["dev"]
    hits = 0
    with torch.no_grad():
        for at in range(0, len(ids), 50):
            rows = list(range(at, min(at + 50, len(ids))))
            inputs = batch(ids, right, rows)
            hits += int((model(**inputs).logits.argmax(-1) == inputs["labels"]).sum())
    print(json.dumps({"seconds": seconds, "tokens": epochs * sum(lengths), "accuracy": hits / len(ids),
                      "versions": f"torch {torch.__version__}, transformers {transformers.__version__}"}))


def main():
    command, *rest = sys.argv[1:]
    if command == "data":
        write_data(Path(rest[0]), int(rest[1]))
    else:
        model, directory, seed, threads, epochs, size, rate = rest
        train(model, Path(directory), int(seed), int(threads), int(epochs), int(size), float(rate))


if __name__ == "__main__":
    main()
