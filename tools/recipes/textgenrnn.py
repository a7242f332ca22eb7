#!/usr/bin/env python3
"""Recipe of a language model of characters with skip connections and attention, out of a published package.

    target/python/bin/python tools/recipes/textgenrnn.py --out textgenrnn --check target/release/glossator
    glossator explain --model textgenrnn "The best way to learn" --generate 8

It is not trained here: the weights are those of `textgenrnn` 2.0.0 (PyPI, MIT), trained on titles of posts on Reddit and
Facebook. Needs h5py.

How the package reads a text, and what becomes of it here:

- Characters have ids; any other one, and what fills up, is row 0 of the embeddings. `<s>` begins a text and ends it.
- 40 characters are read, the last ones, `<s>` included while it is one of them. Before fewer there are zeros, *without a mask*
  (the attention layer knows masks, but the embedding makes none). So each next character is computed from a text of 40, and
  40 texts stand behind 40 next characters. The setting `window` does the same. Without it, a character of the texts below would
  cost 7.9 nats instead of 1.1: the model knows what fills up, and expects it.
- Two LSTM layers. What they put out and the embedding stand side by side (`concatenate_layers`); attention with one learned
  vector makes of 40 such columns one (`pooling`); a linear map makes scores of 465 characters of it.
- The weights were written by the layer for graphics cards. There a gate's kernels lie transposed, and there are two biases a
  gate, which are added.
- The package's attention adds 1e-7 to the sum of exponentials that it divides by, where the largest is 1. Here nothing is
  added: columns are at most a ten-millionth larger.

The printed numbers are computed by numpy from the package's own tensors.
"""

import argparse
import json
import tarfile
import tempfile
from pathlib import Path

import h5py
import numpy as np
from keras_weights import agree, fetch, lstm, lstm_tensors, predictions, softmax, special_tokens, write_model

PACKAGE = ("textgenrnn", "2.0.0", "c2b6f1c201c76d5a6021079e95a8db499bbe15d9f3448d33cb51c0cd496c86f8")
FILE = "textgenrnn-2.0.0.tar.gz"
FOLDER = "textgenrnn-2.0.0/textgenrnn"
CHARACTERS = 40
START = "<s>"
OTHER = "[UNK]"
EPSILON = 1e-7
PROMPT = "The best way to learn"
TEXTS = [
    PROMPT,
    "W",
    "What is the",
    "My dog ",
    "TIL that the first ",
    "[Serious] What do you think about ",
    "I just found out that my ",
    "Why does the sun ",
    "New study shows that people who ",
    "Apple announces ",
    "Reddit, what is your fav",
    "How do I get rid of th",
    "(OC) A pictu",
    "Trump say",
    "the the the the",
    "I'm 24 and I've never seen Star War",
    "漢字 are unknown, as is Ж",
    # Exactly 40 characters with <s>, 41, and more.
    "The quick brown fox jumps over the lazy",
    "The quick brown fox jumps over the lazy ",
    "This is a much longer title than the forty characters that are read, and it goes on and o",
]


def per_gate(kernel, turn):
    return np.hstack([turn(part) for part in np.hsplit(kernel, 4)])


def read(archive):
    """The vocabulary and the arrays, those of recurrent layers as `keras_weights.lstm` takes them."""
    with tarfile.open(archive) as tar:
        vocabulary = json.loads(tar.extractfile(f"{FOLDER}/textgenrnn_vocab.json").read())
        with h5py.File(tar.extractfile(f"{FOLDER}/textgenrnn_weights.hdf5")) as weights:
            def array(layer, name):
                return weights[f"{layer}/{layer}/{name}:0"][()]

            arrays = {
                "embedding": array("embedding", "embeddings"),
                "attention": array("attention", "attention_W"),
                "output": [array("output", "kernel"), array("output", "bias")],
            }
            for layer in ("rnn_1", "rnn_2"):
                kernel, recurrent, biases = (
                    array(layer, name) for name in ("kernel", "recurrent_kernel", "bias")
                )
                units = recurrent.shape[0]
                if biases.shape != (8 * units,):
                    raise SystemExit(f"{layer}: expected {8 * units} biases, got {biases.shape}")
                arrays[layer] = [
                    # In memory, a gate's kernel is [units, in], whatever its shape says.
                    per_gate(kernel, lambda part: np.ascontiguousarray(part).reshape(units, -1).T),
                    per_gate(recurrent, np.transpose),
                    biases.reshape(2, -1).sum(0),
                ]
    return vocabulary, arrays


def convert(vocabulary, arrays):
    rows, size = arrays["embedding"].shape
    units = arrays["rnn_1"][1].shape[0]
    layer = {"kind": "lstm", "size": units}
    config = {
        "model_type": "glossator",
        "architectures": ["CausalLm"],
        "vocab_size": rows,
        "eos_token_id": vocabulary[START],
        "window": {"tokens": CHARACTERS, "fill": 0},
        "embedding": {"words": {"size": size}},
        "encoder": [layer, layer],
        "concatenate_layers": True,
        "pooling": {"kind": "attention", "score": "dot"},
    }
    tensors = {
        "embedding.words.weight": arrays["embedding"],
        **lstm_tensors("encoder.0.forward", *arrays["rnn_1"]),
        **lstm_tensors("encoder.1.forward", *arrays["rnn_2"]),
        "pooling.query.weight": arrays["attention"].T,
        "output.weight": arrays["output"][0].T,
        "output.bias": arrays["output"][1],
    }
    return config, tensors


def tokenizer(vocabulary):
    start = vocabulary[START]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special_tokens({OTHER: 0, START: start}),
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": "[\\s\\S]"},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": START, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {START: {"id": START, "ids": [start], "tokens": [START]}},
        },
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": {OTHER: 0, **vocabulary}, "unk_token": OTHER},
    }


def keras(vocabulary, arrays, text):
    """The probabilities of the next character, as the package computes them."""
    ids = [vocabulary.get(token, 0) for token in [START, *text]][-CHARACTERS:]
    def in_f64(name):
        return [a.astype(np.float64) for a in arrays[name]]

    embedded = arrays["embedding"][[0] * (CHARACTERS - len(ids)) + ids].astype(np.float64)
    first = lstm(embedded, *in_f64("rnn_1"))
    second = lstm(first, *in_f64("rnn_2"))
    columns = np.concatenate([embedded, first, second], 1)
    scores = (columns @ arrays["attention"].astype(np.float64))[:, 0]
    shares = np.exp(scores - scores.max())
    shares /= shares.sum() + EPSILON
    kernel, bias = in_f64("output")
    return softmax(shares @ columns @ kernel + bias)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the model's directory")
    parser.add_argument("--work", type=Path, help="where the package is kept; default: a temporary directory")
    parser.add_argument("--check", metavar="GLOSSATOR", help="the program, whose predictions are then compared")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        vocabulary, arrays = read(fetch(work, PACKAGE, FILE))
    config, tensors = convert(vocabulary, arrays)
    write_model(arguments.out, config, tokenizer(vocabulary), tensors)
    characters = {i: character for character, i in vocabulary.items()}
    text = PROMPT
    while len(text) < 2 * CHARACTERS:
        best = characters.get(int(keras(vocabulary, arrays, text).argmax()), START)
        if best == START:
            break
        text += best
    print(f"the likeliest continuation: {PROMPT}|{text[len(PROMPT):]}")
    # Gates in another order, or kernels that are turned otherwise, would make this several times as much.
    chances = [keras(vocabulary, arrays, PROMPT[:n])[vocabulary[PROMPT[n]]] for n in range(len(PROMPT))]
    print(f"a character of it costs {-np.log(chances).mean():.2f} nats; {np.log(len(vocabulary)):.2f} by chance")
    if arguments.check:
        worst, compared = 0.0, 0
        # As many candidates as make nearly all of the probability.
        for text, prediction in zip(TEXTS, predictions(arguments.check, arguments.out, TEXTS, "--top", "50")):
            want = keras(vocabulary, arrays, text)
            for candidate in prediction["next"][0]["candidates"]:
                compared += 1
                worst = max(worst, abs(candidate["probability"] - want[vocabulary.get(candidate["token"], 0)]))
        # f32 on one side, f64 on the other; 40 steps of two LSTMs; the epsilon.
        agree(f"numpy and Glossator, {len(TEXTS)} texts, {compared} probabilities", worst, 1e-5)


if __name__ == "__main__":
    main()
