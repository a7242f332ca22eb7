#!/usr/bin/env python3
"""Write the small random models of the families other than BERT's classifiers to testdata/models/.

Nothing here has been trained. As in make_models.py, weights are drawn large, every bias is non-zero and every norm
scales and shifts. The draws are rounded to bfloat16 and stored so.

    python tools/reference/make_family_models.py [model ...]
"""

import argparse
import json
import re

import torch
from common import MODELS as DIRECTORY
from common import SEED, relative, rng, setup_torch, versions, write_json, write_tensors
from families import MODELS
from make_models import fresh
from transformers import AutoConfig, AutoTokenizer
import tiny_tokenizers

NORM = re.compile(r"(norm|ln_\d|ln_f)[^.]*\.(weight|bias)$", re.IGNORECASE)
POSITION = re.compile(r"position|wpe|token_type")
QUERY_KEY = re.compile(
    r"\.(query|key|q_proj|k_proj|q_lin|k_lin|query_proj|key_proj|pos_key_proj|pos_query_proj|c_attn|query_key_value|"
    r"Wqkv|q|k)\.weight$"
)


def scale_of(name, module, config):
    """The standard deviation of a weight's draw."""
    if NORM.search(name):
        return 0.3
    if "relative_attention_bias" in name:
        return 1.0
    if "rel_embeddings" in name:
        return 0.8
    if POSITION.search(name):
        return 0.3
    if isinstance(module, torch.nn.Embedding):
        return 0.6
    if name.endswith("bias"):
        return 0.2
    if QUERY_KEY.search(name):
        # attention far from uniform; T5 does not divide by the square root of the head's width
        return 0.3 if config.model_type == "t5" else 0.4
    return 0.3


def fill_weights(model, name):
    """Replace every parameter by a seeded draw, one generator per parameter."""
    # Gemma's norms scale by 1 + weight
    around = 0.0 if model.config.model_type.startswith("gemma") else 1.0
    modules = dict(model.named_modules())
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "embed_positions" in parameter_name and model.config.model_type == "marian":
                continue  # sines: computed, not stored
            module = modules[parameter_name.rpartition(".")[0]]
            draw = torch.from_numpy(rng(name, parameter_name).standard_normal(tuple(parameter.shape)))
            draw = draw * scale_of(parameter_name, module, model.config)
            if NORM.search(parameter_name) and parameter_name.endswith("weight"):
                draw = around + draw
            parameter.copy_(draw)
        bias = getattr(model, "final_logits_bias", None)
        if bias is not None:
            bias.copy_(0.5 * torch.from_numpy(rng(name, "final_logits_bias").standard_normal(tuple(bias.shape))))


def special_ids(tokenizer, spec):
    """The ids of special tokens, as the configuration repeats them."""
    ids = {}
    for role in ("bos", "eos", "pad", "cls", "sep"):
        known = hasattr(spec.config(), f"{role}_token_id") or role in ("bos", "eos", "pad")
        if known:
            ids[f"{role}_token_id"] = getattr(tokenizer, f"{role}_token_id")
    return ids


def make(name):
    spec = MODELS[name]
    directory = fresh(name)
    if spec.lora:
        make_adapter(name, spec, directory)
        return
    size = tiny_tokenizers.write(spec.tokenizer, directory).get_vocab_size()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    assert len(tokenizer) == size, (name, len(tokenizer), size)
    options = dict(spec.options, vocab_size=size + spec.extra_rows, **special_ids(tokenizer, spec))
    if spec.labels:
        options.update(num_labels=len(spec.labels), id2label=dict(enumerate(spec.labels)),
                       label2id={label: i for i, label in enumerate(spec.labels)})
    for key, role in spec.attributes.items():
        options[key] = getattr(tokenizer, role)
    model = spec.model_class(spec.config(**options))
    if model.config.model_type == "t5" and options.get("tie_word_embeddings") is False:
        # it ties them all the same
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    fill_weights(model, name)
    model.to(torch.bfloat16).save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    (directory / "model.safetensors").chmod(0o644)
    if spec.old_config:
        rewrite_config(name, spec, directory)
    if spec.kind == "BertModel":
        make_sentence_model(directory)


def make_adapter(name, spec, directory):
    """The two files of a LoRA adapter, with the names that peft gives."""
    base = MODELS[spec.base].model_class.from_pretrained(DIRECTORY / spec.base)
    tensors = {}
    for key, weight in base.named_parameters():
        if key.split(".")[-2] not in spec.lora["target_modules"]:
            continue
        out, width = weight.shape
        stem = f"base_model.model.{key.removesuffix('.weight')}"
        for part, form in (("lora_A", (spec.lora["r"], width)), ("lora_B", (out, spec.lora["r"]))):
            draw = 0.3 * torch.from_numpy(rng(name, stem, part).standard_normal(form))
            tensors[f"{stem}.{part}.weight"] = draw.to(torch.bfloat16)
    write_tensors(directory / "adapter_model.safetensors", tensors)
    write_json(directory / "adapter_config.json", dict(sorted(dict(
        spec.lora, base_model_name_or_path=f"../{spec.base}", peft_type="LORA", task_type="CAUSAL_LM", bias="none",
        fan_in_fan_out=False, inference_mode=True, init_lora_weights=True, lora_dropout=0.0, modules_to_save=None,
        layers_to_transform=None, layers_pattern=None, rank_pattern={}, alpha_pattern={}, use_dora=False, revision=None,
        auto_mapping=None,
    ).items())))


def make_sentence_model(directory):
    """The files around the model, as sentence-transformers writes them. The directory of a step without settings is
    empty, so that version control does not keep it."""
    kinds = ["Transformer", "Pooling", "Normalize"]
    paths = ["", "1_Pooling", "2_Normalize"]
    write_json(directory / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths))
    ])
    write_json(directory / "sentence_bert_config.json", {"max_seq_length": 24, "do_lower_case": False})
    write_json(directory / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    write_json(directory / "1_Pooling" / "config.json", {
        "word_embedding_dimension": 16,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    })


def rewrite_config(name, spec, directory):
    """The same configuration with older keys; transformers must understand it as the same."""
    # patterns that became lists of layers linger as attributes without effect
    unimportant = ("transformers_version", "_name_or_path", "sliding_window_pattern", "_sliding_window_pattern",
                   "global_attn_every_n_layers", "rope_local_base_freq")

    def meaning():
        config = AutoConfig.from_pretrained(directory).to_dict()
        return {k: v for k, v in config.items() if k not in unimportant}

    before = meaning()
    path = directory / "config.json"
    content = json.loads(path.read_text())
    spec.old_config(content)
    write_json(path, dict(sorted(content.items())))
    after = meaning()
    assert before == after, (name, {k: (before.get(k), after.get(k)) for k in before | after
                                    if before.get(k) != after.get(k)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="models to write (default: all of them)")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    setup_torch()
    total = 0
    for name in arguments.models or MODELS:
        make(name)
        size = sum(f.stat().st_size for f in (DIRECTORY / name).rglob("*") if f.is_file())
        total += size
        print(f"{relative(DIRECTORY / name):50} {size:7} bytes")
    write_json(DIRECTORY / "families.json", {
        "generator": "tools/reference/make_family_models.py",
        "command": "python tools/reference/make_family_models.py",
        "seed": SEED,
        "versions": versions(),
        "models": {name: spec.note for name, spec in sorted(MODELS.items())},
    })
    print("total", total)


if __name__ == "__main__":
    main()
