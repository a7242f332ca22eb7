#!/usr/bin/env python3
"""Recipe of a BiLSTM that finds six kinds of toxic comments, out of a published package.

    target/python/bin/python tools/recipes/toxicity_bilstm.py --out toxicity-bilstm --check target/release/glossator
    glossator explain --model toxicity-bilstm "You are so dumb and stupid!"

It is not trained here: the weights are those of `toxic-comment-classifier` 0.3.0 (PyPI, MIT), trained on Wikipedia talk pages
(Jigsaw 2018). Needs h5py.

How the package reads a text, and what becomes of it here:

- Keras' tokenizer: lower case, split at 33 characters, the 20,000 most frequent words. Words that it does not know it leaves
  out. Here they are tokens, but the model's window skips them: their scores are 0.
- 100 words are read, the last ones; before fewer words there are zeros, *without a mask*. So a text of five words is 95 times
  row 0 of the embeddings and five words, and the maximum over states is taken over all 100. The setting `window` does the same.
  Without it, probabilities of the texts below would differ by up to 0.33, and for 4 of 20 texts other labels would be predicted.
- An LSTM both ways, one bias a gate, `sigmoid` for gates; the maximum; 50 hidden units with ReLU; one sigmoid a label.
- A text without any word has a prediction there (that of 100 zeros). Here it is an error: there is nothing to explain.

The printed numbers are computed by numpy from the package's own tensors, and compared with those that its README has.
"""

import argparse
import collections
import pickle
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
from keras_weights import agree, fetch, lstm, lstm_tensors, predictions, sigmoid, special_tokens, write_model

PACKAGE = (
    "toxic-comment-classifier",
    "0.3.0",
    "e5af0f052dbb0493d585b5b486dd9b61ec13d54c0e3e2ad93c519114bb404948",
)
FILE = "toxic_comment_classifier-0.3.0-py3-none-any.whl"
FOLDER = "toxic_classifier/model"
LABELS = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
WORDS = 100
FILTERS = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n"

# The README's example.
PUBLISHED = (
    "You are so dumb and stupid!",
    [0.9889402985572815, 0.07256772369146347, 0.620429277420044, 0.01934845559298992, 0.8664075136184692, 0.04072948172688484],
)
TEXTS = [
    PUBLISHED[0],
    "I hate you so much!",
    "This is wonderful news.",
    "You're disgusting!",
    "Absolutely love your energy!",
    "You're the worst person ever!",
    "Have a nice day :)",
    "Shut up, you idiot.",
    "What a load of crap, nobody asked for your stupid opinion.",
    "I will find you and I will kill you",
    "Thanks for the edits; I have added two sources to the article.",
    "Please do not remove content from pages without a reason, as you did here.",
    "Go to hell",
    "The cat sat on the mat",
    "moron",
    "He is a liar, a thief and a coward, and everybody here knows it.",
    "zzyzzxq",
    "Ich bin nicht deiner Meinung, du Idiot",
    "UPPER CASE\tAND\nlines; semi-colons, and (brackets) [too]",
    # More than the 100 words that are read.
    "this article is a mess and you are an idiot . " * 12,
]


class Tokenizer:
    """Stands for Keras' class, of which only what it holds is wanted."""


class Unpickler(pickle.Unpickler):
    """Reads the tokenizer without Keras, and runs nothing else that a pickle may name."""

    def find_class(self, module, name):
        known = {
            ("keras.src.legacy.preprocessing.text", "Tokenizer"): Tokenizer,
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("collections", "defaultdict"): collections.defaultdict,
            ("builtins", "int"): int,
        }
        if (module, name) not in known:
            raise SystemExit(f"tokenizer.pickle: {module}.{name} does not belong into a tokenizer")
        return known[module, name]


def read(wheel):
    """The tokenizer's settings and the arrays of the weights."""
    with zipfile.ZipFile(wheel) as archive:
        with archive.open(f"{FOLDER}/tokenizer.pickle") as file:
            settings = vars(Unpickler(file).load())
        with archive.open(f"{FOLDER}/model.weights.h5") as file, h5py.File(file) as weights:
            layers = weights["layers"]
            def array(name, n):
                return layers[f"{name}/vars/{n}"][()]

            def unit(way):
                return [array(f"bidirectional/{way}_layer/cell", n) for n in range(3)]

            arrays = {
                "words": array("embedding", 0),
                "forward": unit("forward"),
                "backward": unit("backward"),
                "hidden": [array("dense", n) for n in range(2)],
                "output": [array("dense_1", n) for n in range(2)],
            }
    expected = {"lower": True, "filters": FILTERS, "split": " ", "char_level": False, "oov_token": None}
    for key, value in expected.items():
        if settings[key] != value:
            raise SystemExit(f"tokenizer.pickle: {key} is {settings[key]!r}; expected {value!r}")
    return settings, arrays


def convert(arrays):
    rows, size = arrays["words"].shape
    units = arrays["forward"][1].shape[0]
    config = {
        "model_type": "glossator",
        "architectures": ["TextClassifier"],
        "problem_type": "multi_label_classification",
        "id2label": {str(i): label for i, label in enumerate(LABELS)},
        "vocab_size": rows + 1,
        "window": {"tokens": WORDS, "fill": 0, "skip": [rows]},
        "embedding": {"words": {"size": size}},
        "encoder": [{"kind": "lstm", "size": units, "bidirectional": True}],
        "pooling": {"kind": "max"},
        "head": {"sizes": [len(arrays["hidden"][1])], "activation": "relu"},
    }
    tensors = {
        # The last row is that of unknown words, which are skipped.
        "embedding.words.weight": np.concatenate([arrays["words"], np.zeros((1, size), np.float32)]),
        **lstm_tensors("encoder.0.forward", *arrays["forward"]),
        **lstm_tensors("encoder.0.backward", *arrays["backward"]),
        "head.0.weight": arrays["hidden"][0].T,
        "head.0.bias": arrays["hidden"][1],
        "output.weight": arrays["output"][0].T,
        "output.bias": arrays["output"][1],
    }
    return config, tensors


def tokenizer(settings, rows):
    words = {word: i for word, i in settings["word_index"].items() if i < min(settings["num_words"], rows)}
    escaped = "".join(f"\\{c}" if c.isprintable() else c for c in FILTERS)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special_tokens({"[PAD]": 0, "[UNK]": rows}),
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": f"[{escaped} ]+"},
            "behavior": "Removed",
            "invert": False,
        },
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"[PAD]": 0, **words, "[UNK]": rows}, "unk_token": "[UNK]"},
    }


def keras(settings, arrays, text):
    """The probabilities of the labels, as the package computes them."""
    text = text.lower().translate(str.maketrans(FILTERS, " " * len(FILTERS)))
    ids = [settings["word_index"].get(word) for word in text.split(" ") if word]
    ids = [i for i in ids if i is not None and i < settings["num_words"]][-WORDS:]
    x = arrays["words"][[0] * (WORDS - len(ids)) + ids].astype(np.float64)
    def in_f64(name):
        return [a.astype(np.float64) for a in arrays[name]]

    forward = lstm(x, *in_f64("forward"))
    backward = lstm(x[::-1], *in_f64("backward"))[::-1]
    pooled = np.concatenate([forward, backward], 1).max(0)
    (kernel, bias), (last, last_bias) = in_f64("hidden"), in_f64("output")
    return sigmoid(np.maximum(pooled @ kernel + bias, 0) @ last + last_bias)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the model's directory")
    parser.add_argument("--work", type=Path, help="where the package is kept; default: a temporary directory")
    parser.add_argument("--check", metavar="GLOSSATOR", help="the program, whose predictions are then compared")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        settings, arrays = read(fetch(work, PACKAGE, FILE))
    config, tensors = convert(arrays)
    write_model(arguments.out, config, tokenizer(settings, len(arrays["words"])), tensors)
    want = [keras(settings, arrays, text) for text in TEXTS]
    print("label          " + PUBLISHED[0])
    for label, probability in zip(LABELS, want[0]):
        print(f"{label:14} {probability:.6f}")
    # The package computes in f32.
    agree("numpy and the package's README", np.abs(want[0] - PUBLISHED[1]).max(), 1e-5)
    if arguments.check:
        worst = 0.0
        for numbers, prediction in zip(want, predictions(arguments.check, arguments.out, TEXTS), strict=True):
            got = {entry["label"]: entry["probability"] for entry in prediction["labels"]}
            worst = max(worst, max(abs(got[label] - p) for label, p in zip(LABELS, numbers)))
        # f32 on one side, f64 on the other; 100 steps of an LSTM.
        agree(f"numpy and Glossator, {len(TEXTS)} texts, {len(LABELS)} probabilities each", worst, 1e-5)


if __name__ == "__main__":
    main()
