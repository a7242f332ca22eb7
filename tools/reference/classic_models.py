"""The models over words and characters of the Python reference: configurations, random weights, tokenizers.

A model is a `config.json` of the family `glossator` and a dictionary of tensors; `classic_golden.py` computes with them.
Nothing here has been trained.
"""

import json

import torch
from common import MODELS, rng, write_json, write_tensors

WORDS = (
    "the cat was good and we loved film a bad in it is not dog . , John lives New York Paris said that very who where "
    "does man slept plot"
).split()
CHARACTERS = list("abcdefghijklmnopqrstuvwxyz .,\n我喜欢吃苹果")
ALPHABET = "abcdefghijklmnopqrstuvwxyzJNYP.,"
SPECIAL = {"none": ["[PAD]", "[UNK]"], "decoder": ["[PAD]", "[UNK]", "[BOS]", "[EOS]"]}
TAGS = ["O", "B-PER", "B-LOC", "I-LOC"]

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def tokenizer(unit, marks):
    """A word-level tokenizer.json, and its vocabulary."""
    special = SPECIAL[marks]
    tokens = special + (WORDS if unit == "word" else CHARACTERS)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    splitter = {"type": "WhitespaceSplit"}
    if unit == "character":
        splitter = {"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": name, **flags} for i, name in enumerate(special)],
        "normalizer": None,
        "pre_tokenizer": splitter,
        "post_processor": None,
        "decoder": {"type": "Fuse"} if unit == "character" else None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }, vocabulary


def labels(names):
    return {"id2label": {str(i): name for i, name in enumerate(names)}}


def recurrent(kind, size, both=False):
    return {"kind": kind, "size": size, "bidirectional": both}


PLAIN = {"words": {"size": 6}}
SENTIMENT = labels(["negative", "neutral", "positive"])
INFERENCE = labels(["entailment", "neutral", "contradiction"])
BILSTM = [recurrent("lstm", 5, True)]


def attention(score, **more):
    return {
        "architectures": ["TextClassifier"],
        **SENTIMENT,
        "embedding": PLAIN,
        "encoder": BILSTM,
        "pooling": {"kind": "attention", "score": score, **more},
    }


def language(encoder, size=6, **more):
    return {"architectures": ["CausalLm"], "embedding": {"words": {"size": size}, **more}, "encoder": encoder}


START = {"decoder_start_token_id": 2, "eos_token_id": 3}

# name: (configuration, unit, special tokens)
CONFIGS = {
    "classic-lstm-additive": (attention("additive", size=4), "word", "none"),
    "classic-lstm-dot": (attention("dot"), "word", "none"),
    "classic-lstm-scaled": (attention("scaled"), "word", "none"),
    "classic-cnn": (
        {
            "architectures": ["TextClassifier"],
            **SENTIMENT,
            "embedding": PLAIN,
            "encoder": [{"kind": "cnn", "filters": 4, "widths": [2, 3], "activation": "relu"}],
            "pooling": {"kind": "max"},
            "head": {"sizes": [5], "activation": "relu"},
        },
        "word",
        "none",
    ),
    "classic-tagger": (
        {
            "architectures": ["TokenClassifier"],
            **labels(TAGS),
            "embedding": {
                "words": {"size": 6},
                "characters": {"kind": "cnn", "size": 4, "filters": 3, "widths": [3], "alphabet": ALPHABET},
                "casing": {"size": 2},
            },
            "encoder": [recurrent("lstm", 4, True)],
        },
        "word",
        "none",
    ),
    "classic-tagger-crf": (
        {
            "architectures": ["TokenClassifier"],
            **labels(TAGS),
            "embedding": {
                "words": {"size": 6},
                "characters": {
                    "kind": "lstm", "size": 4, "hidden": 3, "bidirectional": True, "alphabet": ALPHABET,
                },
            },
            "encoder": [recurrent("lstm", 4, True)],
            "crf": True,
        },
        "word",
        "none",
    ),
    "classic-decomposable": (
        {
            "architectures": ["PairClassifier"],
            **INFERENCE,
            "embedding": PLAIN,
            "encoder": [{"kind": "linear", "size": 5, "bias": False}],
            "pair": {"kind": "decomposable-attention", "attend": [6, 4], "compare": [7, 5]},
            "head": {"sizes": [6, 5]},
        },
        "word",
        "none",
    ),
    "classic-esim": (
        {
            "architectures": ["PairClassifier"],
            **INFERENCE,
            "embedding": PLAIN,
            "encoder": [recurrent("lstm", 4, True)],
            "pair": {"kind": "esim", "projection": 5, "composition": [recurrent("lstm", 3, True)]},
            "head": {"sizes": [4], "activation": "tanh"},
        },
        "word",
        "none",
    ),
    "classic-bidaf": (
        {
            "architectures": ["QuestionAnswering"],
            "embedding": {
                "words": {"size": 6},
                "characters": {"kind": "cnn", "size": 4, "filters": 3, "widths": [5], "alphabet": ALPHABET},
            },
            "encoder": [{"kind": "highway"}, {"kind": "highway"}, recurrent("lstm", 3, True)],
            "reader": {
                "kind": "bidaf",
                "modeling": [recurrent("lstm", 3, True), recurrent("lstm", 3, True)],
                "end": [recurrent("lstm", 2, True)],
            },
        },
        "word",
        "none",
    ),
    "classic-lm-rnn": (language([recurrent("rnn", 5), recurrent("rnn", 4)]), "word", "none"),
    "classic-lm-gru": (language([recurrent("gru", 5), recurrent("gru", 4)]), "word", "none"),
    "classic-lm-lstm": (language([recurrent("lstm", 5), recurrent("lstm", 4)]), "character", "none"),
    "classic-lm-concatenated": (
        {
            **language([recurrent("lstm", 5), recurrent("lstm", 4)]),
            "concatenate_layers": True,
            "pooling": {"kind": "attention", "score": "dot"},
        },
        "character",
        "none",
    ),
    "classic-lm-window": (
        {
            **language([recurrent("lstm", 4), {"kind": "linear", "size": 3}]),
            "concatenate_layers": True,
            "pooling": {"kind": "attention", "score": "additive", "size": 3},
            "window": {"tokens": 5, "fill": 2},
        },
        "word",
        "none",
    ),
    "classic-window": (
        {
            "architectures": ["TextClassifier"],
            **SENTIMENT,
            "embedding": {**PLAIN, "positions": {"kind": "learned", "count": 6}},
            "encoder": BILSTM,
            "pooling": {"kind": "max"},
            # Some texts are longer, some shorter, and some of them have unknown words.
            "window": {"tokens": 6, "fill": 0, "skip": [1]},
        },
        "word",
        "none",
    ),
    "classic-lm-gated-cnn": (
        language([
            {"kind": "gated-cnn", "size": 5, "width": 3},
            {"kind": "gated-cnn", "size": 5, "width": 2, "residual": True},
        ]),
        "word",
        "none",
    ),
    "classic-lm-transformer": (
        language(
            [
                {"kind": "transformer", "heads": 2, "hidden": 8, "activation": "gelu"},
                {"kind": "transformer", "heads": 3, "hidden": 7, "activation": "relu"},
                {"kind": "layer-norm"},
            ],
            positions={"kind": "learned", "count": 24},
        ),
        "word",
        "none",
    ),
    "classic-seq2seq-rnn": (
        {
            "architectures": ["Seq2SeqLm"],
            "embedding": PLAIN,
            "encoder": [recurrent("gru", 4, True)],
            "decoder": {"kind": "gru", "size": 5, "score": "additive", "attention": 3},
            **START,
        },
        "word",
        "decoder",
    ),
    "classic-seq2seq-cnn": (
        {
            "architectures": ["Seq2SeqLm"],
            "embedding": {**PLAIN, "positions": {"kind": "learned", "count": 24}},
            "encoder": [
                {"kind": "cnn", "filters": 6, "widths": [3], "activation": "tanh"},
                {"kind": "gated-cnn", "size": 6, "width": 3, "residual": True},
            ],
            "decoder": {"kind": "lstm", "size": 5, "layers": 2, "score": "general", "combine": 4},
            **START,
        },
        "word",
        "decoder",
    ),
}


class Store:
    """Random tensors, made as they are asked for: one generator for each name."""

    def __init__(self, model):
        self.model = model
        self.tensors = {}

    def __call__(self, name, *shape, scale=None):
        if name not in self.tensors:
            draw = torch.from_numpy(rng(self.model, name).standard_normal(shape)).float()
            if scale is None:
                # A norm scales around 1.
                norm = "norm" in name or (name.startswith("encoder.2.") and "transformer" in self.model)
                if norm and name.endswith("weight"):
                    draw = 1.0 + 0.3 * draw
                else:
                    draw = 0.6 * draw
            else:
                draw = scale * draw
            self.tensors[name] = draw
        return self.tensors[name].double()


def write(name, store):
    """The directory of a model whose tensors have all been asked for."""
    config, unit, marks = CONFIGS[name]
    described, vocabulary = tokenizer(unit, marks)
    directory = MODELS / name
    write_json(directory / "config.json", {"model_type": "glossator", "vocab_size": len(vocabulary), **config})
    text = json.dumps(described, ensure_ascii=False, separators=(",", ":")) + "\n"
    (directory / "tokenizer.json").write_text(text, encoding="utf-8")
    write_tensors(directory / "model.safetensors", store.tensors)
