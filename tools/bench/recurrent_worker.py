#!/usr/bin/env python3
"""The contender of `cargo xtask bench recurrent`: AllenNLP's way through a stacked BiLSTM classifier, in PyTorch.

    python tools/bench/recurrent_worker.py make DIRECTORY       writes the model that both sides open
    python tools/bench/recurrent_worker.py work DIRECTORY THREADS

A worker reads one command a line and writes one line for each: milliseconds, then one score a token.

    gradient 0 TEXT     the norm of the predicted logit's gradient, which shows that both sides have the same model
    ig10 0 TEXT         integrated gradients of the loss as AllenNLP Interpret computed them: ten steps, one by one, each
                        a forward and a backward pass of one text, with gradients of all weights
"""

import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn.utils.rnn import pack_padded_sequence

SEED = 20261128
VOCABULARY, WIDTH, HIDDEN, LAYERS, LABELS = 20_000, 300, 512, 2, 2
STEPS = 10
SPECIAL = ["[PAD]", "[UNK]"]
LSTM = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Classifier(torch.nn.Module):
    """Words, two layers of LSTM both ways, and the states that they leave at the ends."""

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.encoder = torch.nn.LSTM(WIDTH, HIDDEN, LAYERS, bidirectional=True, batch_first=True)
        self.output = torch.nn.Linear(2 * HIDDEN, LABELS)

    def after(self, embeddings):
        lengths = torch.tensor([embeddings.shape[1]])
        _, (states, _) = self.encoder(pack_padded_sequence(embeddings, lengths, batch_first=True))
        return self.output(torch.cat([states[-2], states[-1]], dim=-1))

    def forward(self, ids):
        return self.after(self.words(ids))


def names():
    """Names of a tensor there (in the model's directory) and here."""
    yield "embedding.words.weight", "words.weight"
    for layer in range(LAYERS):
        for way, suffix in (("forward", ""), ("backward", "_reverse")):
            for part in LSTM:
                yield f"encoder.{layer}.{way}.{part}", f"encoder.{part}_l{layer}{suffix}"
    yield "output.weight", "output.weight"
    yield "output.bias", "output.bias"


def make(directory):
    torch.manual_seed(SEED)
    state = Classifier().state_dict()
    directory.mkdir(parents=True, exist_ok=True)
    layer = {"kind": "lstm", "size": HIDDEN, "bidirectional": True}
    config = {
        "model_type": "glossator",
        "architectures": ["TextClassifier"],
        "vocab_size": VOCABULARY,
        "id2label": {str(i): f"label {i}" for i in range(LABELS)},
        "embedding": {"words": {"size": WIDTH}},
        "encoder": [layer] * LAYERS,
        "pooling": {"kind": "last"},
    }
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    words = SPECIAL + [f"w{i}" for i in range(len(SPECIAL), VOCABULARY)]
    special = [
        {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for i, token in enumerate(SPECIAL)
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": "[UNK]"},
    }
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    # Last: a directory with weights is complete.
    save_file({there: state[here].contiguous() for there, here in names()}, directory / "model.safetensors")


def read(directory):
    model = Classifier()
    state = load_file(directory / "model.safetensors")
    model.load_state_dict({here: state[there] for there, here in names()})
    # AllenNLP switches gradients of every weight on for each call.
    return model.eval().requires_grad_()


def gradient(model, ids):
    embeddings = model.words(ids).detach().requires_grad_()
    (at,) = torch.autograd.grad(model.after(embeddings)[0].max(), embeddings)
    return at[0].norm(dim=-1)


def ig10(model, ids):
    label = model(ids).argmax(dim=-1).detach()
    kept = {}

    def keep(_module, _inputs, output):
        kept["embeddings"] = output.detach()
        scaled = output * kept["alpha"]
        scaled.register_hook(lambda at: kept.update(gradient=at))
        return scaled

    hook = model.words.register_forward_hook(keep)
    total = 0.0
    for step in range(STEPS):
        kept["alpha"] = step / STEPS
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(ids), label).backward()
        total = total + kept["gradient"]
    hook.remove()
    return (total / STEPS * kept["embeddings"])[0].sum(dim=-1)


def work(directory, threads):
    torch.set_num_threads(threads)
    model = read(directory)
    print("ready", flush=True)
    for line in sys.stdin:
        name, _, text = line.rstrip("\n").split(" ", 2)
        ids = torch.tensor([[int(word[1:]) for word in text.split()]])
        start = time.perf_counter()
        scores = {"gradient": gradient, "ig10": ig10}[name](model, ids)
        milliseconds = (time.perf_counter() - start) * 1e3
        print(f"{milliseconds:.4f}", *(f"{score:.9e}" for score in scores.tolist()), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        work(Path(sys.argv[2]), int(sys.argv[3]))
