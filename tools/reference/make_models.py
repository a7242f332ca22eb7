#!/usr/bin/env python3
"""Write the tiny random BERT models of testdata/models/.

Nothing here has been trained. The weights are drawn much larger than an initialiser would draw them, every bias is
non-zero and every LayerNorm scales and shifts, so that a forgotten bias, a swapped axis or a wrong activation changes
the outputs by far more than any tolerance.

    python tools/reference/make_models.py
"""

import argparse
import collections
import pickle
import shutil

import torch
from common import (
    MODELS,
    SEED,
    relative,
    rng,
    setup_torch,
    versions,
    write_json,
)
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """
a the i it is was not and but of to in on this that you we he she very so too never no more an with for
film movie story plot actor scene book good bad great awful boring touching funny love hate like loved watch watched
really quite almost perfect dull warm cold long short first last best worst time day cat dog house don t s
un over play work unhappy cafe naive
The A I Film Paris
""".split()
PIECES = """
##s ##ed ##ing ##ly ##er ##est ##ness ##able ##ful ##n ##t ##a ##e ##i ##o ##u ##r ##l ##d ##y ##c ##m ##h ##p
##play ##work ##happy ##film ##1 ##2 ##0
""".split()
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1) if chr(c) not in WORDS] + ["é", "ü", "ß", "א", "ש", "я"]
DIGITS = list("0123456789")
PUNCTUATION = list(".,!?'\"-:;()/@#&$%") + ["。", "！", "，", "“", "”", "…"]
CHINESE = list("我喜欢电影")
VOCABULARY = SPECIAL + WORDS + PIECES + LETTERS + DIGITS + PUNCTUATION + CHINESE

# Shapes differ between models so that a test cannot pass by mixing up two dimensions.
BASE = dict(
    vocab_size=len(VOCABULARY),
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=32,
    max_position_embeddings=40,
    type_vocab_size=2,
    pad_token_id=0,
)
LABELS3 = ["negative", "neutral", "positive"]
MODEL_CONFIGS = {
    "bert-cls": dict(hidden_act="gelu", labels=LABELS3),
    "bert-regression": dict(hidden_act="gelu_new", labels=["score"], problem_type="regression",
                            hidden_size=24, num_attention_heads=3),
    "bert-multilabel": dict(hidden_act="relu", labels=["funny", "sad", "long", "scary"], num_attention_heads=2,
                            problem_type="multi_label_classification"),
    "bert-silu": dict(hidden_act="silu", labels=["no", "yes"]),
    "bert-gelu-tanh": dict(hidden_act="gelu_pytorch_tanh", labels=["no", "yes"], layer_norm_eps=1e-5),
}


def config_of(name):
    options = dict(BASE, **MODEL_CONFIGS[name])
    labels = options.pop("labels")
    return BertConfig(
        **options,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )


def fill_weights(model, name):
    """Replace every parameter by a seeded draw, one generator per parameter."""
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            draw = torch.from_numpy(rng(name, parameter_name).standard_normal(tuple(parameter.shape)))
            if parameter_name.endswith("LayerNorm.weight"):
                draw = 1 + 0.3 * draw
            elif parameter_name.endswith("LayerNorm.bias"):
                draw = 0.3 * draw
            elif parameter_name.endswith("word_embeddings.weight"):
                draw = 0.6 * draw
            elif "embeddings" in parameter_name:
                draw = 0.3 * draw
            elif parameter_name.endswith("bias"):
                draw = 0.2 * draw
            elif ".query." in parameter_name or ".key." in parameter_name:
                draw = 0.4 * draw  # attention far from uniform
            else:
                draw = 0.3 * draw
            parameter.copy_(draw)


def make_model(name):
    model = BertForSequenceClassification(config_of(name))
    fill_weights(model, name)
    return model.eval()


def write_vocab(directory):
    (directory / "vocab.txt").write_text("".join(token + "\n" for token in VOCABULARY), encoding="utf-8")


def write_old_tokenizer(directory):
    """The two files of the years before tokenizer.json."""
    write_vocab(directory)
    write_json(directory / "tokenizer_config.json", {"do_lower_case": True})


def bin_state(model):
    """A state dict as pytorch_model.bin files of the wild hold it: with the position_ids buffer that transformers
    exported until version 4.31 and that a loader must skip."""
    state = collections.OrderedDict()
    state["bert.embeddings.position_ids"] = torch.arange(model.config.max_position_embeddings).expand((1, -1)).clone()
    for name, tensor in model.state_dict().items():
        state[name] = tensor.detach().clone()
    # torch keeps module versions in this attribute; real files carry it and the unpickler must accept it
    state._metadata = model.state_dict()._metadata
    return state


def save_legacy(state, path):
    """The file format of torch < 1.6, byte for byte as torch.save(..., _use_new_zipfile_serialization=False) lays it
    out, except for one thing: torch names the storages after their memory address, which changes with each run. Here
    they get fixed numbers that look like addresses."""
    storages = {}

    def persistent_id(value):
        if not isinstance(value, torch.storage.TypedStorage):
            return None
        untyped = value._untyped_storage
        key = next((k for k, s in storages.items() if s[0]._cdata == untyped._cdata), None)
        if key is None:
            key = str(94000000000000 + 64 * len(storages))
            storages[key] = (untyped, value.dtype)
        kind = getattr(torch, value._pickle_storage_type())
        return ("storage", kind, key, "cpu", value._size(), None)

    system = dict(protocol_version=1001, little_endian=True, type_sizes=dict(short=2, int=4, long=4))
    with open(path, "wb") as file:
        pickle.dump(torch.serialization.MAGIC_NUMBER, file, protocol=2)
        pickle.dump(torch.serialization.PROTOCOL_VERSION, file, protocol=2)
        pickle.dump(system, file, protocol=2)
        pickler = pickle.Pickler(file, protocol=2)
        pickler.persistent_id = persistent_id
        pickler.dump(state)
        pickle.dump(sorted(storages), file, protocol=2)
        file.flush()
        for key in sorted(storages):
            untyped, dtype = storages[key]
            untyped._write_file(file, False, True, torch._utils._element_size(dtype))


def old_names(state):
    """LayerNorm.gamma / LayerNorm.beta, as the first conversions from TensorFlow had them."""
    renamed = collections.OrderedDict()
    for name, tensor in state.items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        renamed[name] = tensor
    renamed._metadata = state._metadata
    return renamed


def old_config():
    """A config.json as of 2019: no dtype, no problem_type, no version; labels as they were."""
    options = dict(BASE, hidden_act="gelu")
    return {
        "architectures": ["BertForSequenceClassification"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": options["hidden_size"],
        "id2label": {str(i): label for i, label in enumerate(LABELS3)},
        "initializer_range": 0.02,
        "intermediate_size": options["intermediate_size"],
        "label2id": {label: i for i, label in enumerate(LABELS3)},
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": options["max_position_embeddings"],
        "model_type": "bert",
        "num_attention_heads": options["num_attention_heads"],
        "num_hidden_layers": options["num_hidden_layers"],
        "pad_token_id": 0,
        "type_vocab_size": options["type_vocab_size"],
        "vocab_size": options["vocab_size"],
    }


def fresh(name):
    """An empty directory for one model: what an earlier version of this script wrote must not linger."""
    directory = MODELS / name
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    return directory


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    setup_torch()
    if len(set(VOCABULARY)) != len(VOCABULARY):
        raise SystemExit("the vocabulary repeats an entry")
    notes = {}

    main_model = make_model("bert-cls")

    # The main model: the files that transformers itself writes today.
    directory = fresh("bert-cls")
    main_model.save_pretrained(directory)
    vocabulary = {token: i for i, token in enumerate(VOCABULARY)}
    BertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=40).save_pretrained(directory)
    notes["bert-cls"] = "main model: 3 labels, gelu, f32 safetensors, tokenizer.json"

    directory = fresh("bert-vocab-txt")
    main_model.save_pretrained(directory)
    write_old_tokenizer(directory)
    notes["bert-vocab-txt"] = "weights of bert-cls; vocab.txt instead of tokenizer.json"

    for name in list(MODEL_CONFIGS)[1:]:
        directory = fresh(name)
        make_model(name).save_pretrained(directory)
        write_old_tokenizer(directory)
        options = MODEL_CONFIGS[name]
        notes[name] = f"own weights: {len(options['labels'])} label(s), {options['hidden_act']}"

    for name, dtype in [("bert-f16", torch.float16), ("bert-bf16", torch.bfloat16)]:
        directory = fresh(name)
        make_model("bert-cls").to(dtype).save_pretrained(directory)
        write_old_tokenizer(directory)
        notes[name] = f"weights of bert-cls rounded to {str(dtype).removeprefix('torch.')}"

    directory = fresh("bert-sharded")
    main_model.save_pretrained(directory, max_shard_size="16KB")
    write_old_tokenizer(directory)
    shards = len(list(directory.glob("model-*.safetensors")))
    notes["bert-sharded"] = f"weights of bert-cls in {shards} shards with an index"

    state = bin_state(main_model)
    directory = fresh("bert-bin")
    main_model.config.save_pretrained(directory)
    torch.save(state, directory / "pytorch_model.bin")
    write_old_tokenizer(directory)
    notes["bert-bin"] = "weights of bert-cls as a zip pickle, plus the position_ids buffer"

    directory = fresh("bert-bin-legacy")
    write_json(directory / "config.json", old_config())
    save_legacy(old_names(state), directory / "pytorch_model.bin")
    write_old_tokenizer(directory)
    notes["bert-bin-legacy"] = "weights of bert-cls in the format of torch < 1.6, LayerNorm.gamma/beta, config of 2019"

    half = make_model("bert-cls").half()
    directory = fresh("bert-bin-f16")
    config = half.config
    config.dtype = torch.float16
    config.save_pretrained(directory)
    torch.save(bin_state(half), directory / "pytorch_model.bin")
    write_old_tokenizer(directory)
    notes["bert-bin-f16"] = "weights of bert-f16 as a zip pickle"

    write_json(MODELS / "generator.json", {
        "generator": "tools/reference/make_models.py",
        "command": "python tools/reference/make_models.py",
        "seed": SEED,
        "versions": versions(),
        "vocabulary": len(VOCABULARY),
        "models": {name: notes[name] for name in sorted(notes)},
    })
    for directory in sorted(p for p in MODELS.iterdir() if p.is_dir()):
        size = sum(f.stat().st_size for f in directory.iterdir())
        print(f"{relative(directory):34} {size:8} bytes  {', '.join(sorted(f.name for f in directory.iterdir()))}")
    print("total", sum(f.stat().st_size for f in MODELS.rglob("*") if f.is_file()))


if __name__ == "__main__":
    main()
