#!/usr/bin/env python3
"""Golden numbers of the models that make_family_models.py writes: outputs, hidden states, exact gradients, generated
ids, tokenisation.

Everything is computed in f64 from the stored bf16 weights, by transformers and torch autograd. Where transformers
would compute a step in f32 whatever the type of the model, it is made to use f64 (families.everything_f64), so that
an implementation in f64 agrees to all digits.

    python tools/reference/family_golden.py [model ...]
"""

import argparse
import json

import tiny_tokenizers
import torch
from common import GOLDEN, SEED, relative, rng, setup_torch, torch_settings, versions, write_json, write_tensors
from common import MODELS as DIRECTORY
from families import MODELS, NoF32, everything_f64, load
from tokenizer_golden import byte_offsets
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

NEW_TOKENS = 8
# A row alone against the padded batch: only the order of sums differs.
TOLERANCE = 1e-10

EMBEDDINGS = {
    "gemma2": "inside: get_input_embeddings() multiplies by sqrt(hidden_size); inputs_embeds are used as they are",
    "gemma3_text": "inside: get_input_embeddings() multiplies by sqrt(hidden_size); inputs_embeds are used as they are",
    "bart": "inside: get_input_embeddings() multiplies by embed_scale (1 unless scale_embedding)",
    "marian": "encoder: inside, inputs_embeds already hold the factor sqrt(d_model); decoder: outside, the decoder "
              "multiplies decoder_inputs_embeds by it",
}


# --- tokenizer --------------------------------------------------------------------------------------------------------

def tokenizer_examples(name, tokenizer):
    """What the tokenizer makes of a few texts, in UTF-8 byte offsets."""
    raw = Tokenizer.from_file(str(DIRECTORY / name / "tokenizer.json"))

    def example(first, second=None):
        found = tokenizer([first], None if second is None else [second], return_offsets_mapping=True,
                          return_special_tokens_mask=True)
        encoding = found[0]
        same = raw.encode(first, second)
        ids = found["input_ids"][0]
        assert (ids, encoding.offsets) == (same.ids, same.offsets), (name, first)
        offsets = []
        for span, sequence in zip(encoding.offsets, encoding.sequence_ids):
            text = "" if sequence is None else (first, second)[sequence]
            offsets += byte_offsets(text, [span])
        return {
            "text": first,
            **({} if second is None else {"pair": second}),
            "ids": ids,
            "tokens": tokenizer.convert_ids_to_tokens(ids),
            "type_ids": encoding.type_ids,
            "special": encoding.special_tokens_mask,
            "field": encoding.sequence_ids,
            "offsets": offsets,
        }

    # a pair has a template if it is more than the two texts one after the other
    pairs = tiny_tokenizers.PAIRS if raw.num_special_tokens_to_add(is_pair=True) else []
    return [example(text) for text in tiny_tokenizers.EXAMPLES] + [example(*pair) for pair in pairs]


# --- inputs -----------------------------------------------------------------------------------------------------------

def around(tokenizer):
    """The special tokens before and after a text."""
    found = tokenizer("the", return_special_tokens_mask=True)
    mask = found["special_tokens_mask"]
    first, last = mask.index(0), len(mask) - mask[::-1].index(0)
    return found["input_ids"][:first], found["input_ids"][last:]


def draw_rows(name, tokenizer, lengths, before, after, what):
    content = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    source = rng(name, what)
    rows = []
    for length in lengths:
        inner = source.choice(content, size=length - len(before) - len(after))
        rows.append([*before, *(int(i) for i in inner), *after])
    return rows


def pad(rows, fill):
    width = max(map(len, rows))
    ids = torch.tensor([row + [fill] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def fill_id(tokenizer, config):
    for found in (config.pad_token_id, tokenizer.eos_token_id):
        if found is not None:
            return found
    return 0


def make_batch(name, spec, model, tokenizer):
    config = model.config
    before, after = around(tokenizer)
    rows = draw_rows(name, tokenizer, spec.lengths, before, after, "input_ids")
    if spec.kind.endswith("ForMaskedLM"):
        for row in rows:
            row[len(row) // 2] = tokenizer.mask_token_id
    fill = fill_id(tokenizer, config)
    batch = dict(zip(("input_ids", "attention_mask"), pad(rows, fill)))
    # segments: the second half of each row; RoBERTa has one segment only, DeBERTa-v2 none
    if getattr(config, "type_vocab_size", 0) > 1:
        segments = [[int(2 * i >= len(row)) for i in range(len(row))] for row in rows]
        batch["token_type_ids"] = pad(segments, 0)[0]
    if spec.encoder_decoder:
        start = [config.decoder_start_token_id]
        rows = draw_rows(name, tokenizer, spec.decoder_lengths, start, [], "decoder_input_ids")
        ids, mask = pad(rows, fill)
        batch.update(decoder_input_ids=ids, decoder_attention_mask=mask)
    return batch


def single_row(batch, i):
    """Row `i` of the batch, without its padding."""
    row = {}
    for key, value in batch.items():
        mask = batch["decoder_attention_mask" if key.startswith("decoder") else "attention_mask"][i]
        row[key] = value[i:i + 1, :int(mask.sum())]
    return row


# --- numbers ----------------------------------------------------------------------------------------------------------

def outputs_of(spec, output, mask):
    if spec.question_answering:
        return {"start_logits": output.start_logits, "end_logits": output.end_logits}
    if spec.kind == "BertModel":
        kept = mask[:, :, None].double()
        mean = (output.last_hidden_state * kept).sum(1) / kept.sum(1).clamp(min=1e-9)
        return {"sentence_embedding": torch.nn.functional.normalize(mean, dim=1)}
    return {"logits": output.logits}


def real_part(spec, batch, value, i):
    """Row `i` of an output, without what it says about padding."""
    mask = batch.get("decoder_attention_mask", batch["attention_mask"])
    if not spec.kind.endswith(("ForSequenceClassification", "BertModel")):
        return value[i, :int(mask[i].sum())]
    return value[i]


def cotangents(name, spec, batch, outputs):
    """A fixed direction for each output, rounded to bf16, zero where only padding speaks."""
    found = {}
    for key, value in outputs.items():
        draw = torch.from_numpy(rng(name, "cotangent", key).standard_normal(tuple(value.shape)))
        draw = draw.to(torch.bfloat16).double()
        kept = torch.zeros_like(draw)
        for i in range(draw.shape[0]):
            part = real_part(spec, batch, draw, i)
            real_part(spec, batch, kept, i).copy_(part)
        found[key] = kept
    return found


def hidden_states(output):
    """All that transformers gives; for encoder-decoders, both sides."""
    if "encoder_hidden_states" in output:
        sides = {"hidden": output.encoder_hidden_states, "decoder_hidden": output.decoder_hidden_states}
    else:
        sides = {"hidden": output.hidden_states}
    return {f"{side}.{i}": h for side, states in sides.items() for i, h in enumerate(states)}


def embed(model, batch):
    """What to pass as inputs_embeds (and decoder_inputs_embeds) in place of the ids."""
    table = model.get_input_embeddings()
    embeddings = table(batch["input_ids"])
    if model.config.model_type == "marian":
        embeddings = embeddings * model.model.encoder.embed_scale
    found = {"embeddings": embeddings}
    if "decoder_input_ids" in batch:
        found["decoder_embeddings"] = table(batch["decoder_input_ids"])
    return {key: value.detach().requires_grad_() for key, value in found.items()}


def run(model, batch, embeddings):
    """The model on embeddings."""
    inputs = {key: value for key, value in batch.items() if not key.endswith("input_ids")}
    if model.__class__.__name__ in ("GPT2ForSequenceClassification", "LlamaForSequenceClassification"):
        # with inputs_embeds they would take the last position, padding or not
        table = model.get_input_embeddings()
        handle = table.register_forward_hook(lambda module, args, output: embeddings["embeddings"])
        try:
            return model(input_ids=batch["input_ids"], output_hidden_states=True, use_cache=False, **inputs)
        finally:
            handle.remove()
    inputs["inputs_embeds"] = embeddings["embeddings"]
    if "decoder_embeddings" in embeddings:
        inputs["decoder_inputs_embeds"] = embeddings["decoder_embeddings"]
    return model(output_hidden_states=True, **inputs)


def check_rows(name, spec, model, batch, outputs):
    """The ordinary way in, by ids, gives the same: batched, and each row alone."""
    worst = 0.0
    with torch.no_grad():
        direct = outputs_of(spec, model(**batch), batch["attention_mask"])
        for i in range(len(spec.lengths)):
            row = single_row(batch, i)
            alone = outputs_of(spec, model(**row), row["attention_mask"])
            for key, value in outputs.items():
                want = real_part(spec, batch, value, i)
                for got in (real_part(spec, batch, direct[key], i), real_part(spec, row, alone[key], 0)):
                    worst = max(worst, (got - want).abs().max().item())
    assert worst < TOLERANCE, (name, worst)
    return worst


# --- generation -------------------------------------------------------------------------------------------------------

def generate(name, spec, model, batch):
    """Greedy continuations of each unpadded row: the most likely token, 8 times, whatever it is."""
    found = []
    for i in range(len(spec.lengths)):
        row = single_row(batch, i)
        prompt = row["input_ids"]
        config = model.config
        if spec.encoder_decoder:
            ids = torch.tensor([[config.decoder_start_token_id]])
        else:
            ids = prompt
        start = ids.shape[1]
        margin = float("inf")
        with torch.no_grad():
            for _ in range(NEW_TOKENS):
                if spec.encoder_decoder:
                    logits = model(input_ids=prompt, decoder_input_ids=ids).logits[0, -1]
                else:
                    logits = model(input_ids=ids).logits[0, -1]
                best = logits.topk(2)
                margin = min(margin, (best.values[0] - best.values[1]).item())
                ids = torch.cat([ids, best.indices[None, :1]], 1)
            # transformers' own loop, with its cache, agrees
            settings = GenerationConfig(
                do_sample=False, num_beams=1, max_new_tokens=NEW_TOKENS, pad_token_id=0,
                decoder_start_token_id=getattr(config, "decoder_start_token_id", None),
            )
            model.generation_config = settings
            theirs = model.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=settings)
            assert theirs[0].tolist() == ids[0].tolist(), (name, theirs, ids)
        found.append({"prompt": prompt[0].tolist(), "new": ids[0, start:].tolist(), "margin": margin})
    return found


# --- files ------------------------------------------------------------------------------------------------------------

def write_golden(name):
    spec = MODELS[name]
    files = spec.base or name
    tokenizer = AutoTokenizer.from_pretrained(DIRECTORY / files)
    examples = tokenizer_examples(files, tokenizer)
    with everything_f64(), NoF32():
        model = load(name)
        batch = make_batch(name, spec, model, tokenizer)
        embeddings = embed(model, batch)
        output = run(model, batch, embeddings)
        outputs = outputs_of(spec, output, batch["attention_mask"])
        directions = cotangents(name, spec, batch, outputs)
        score = sum((directions[key] * outputs[key]).sum() for key in outputs)
        gradients = torch.autograd.grad(score, list(embeddings.values()))
        unpadded = check_rows(name, spec, model, batch, outputs)
        generated = generate(name, spec, model, batch) if spec.causal or spec.encoder_decoder else None
    # how much transformers' own f32 steps would have changed: shows that they are gone, and what they cost
    with torch.no_grad():
        ordinary = outputs_of(spec, load(name)(**batch), batch["attention_mask"])
    mixed = max((real_part(spec, batch, ordinary[key], i) - real_part(spec, batch, value, i)).abs().max().item()
                for key, value in outputs.items() for i in range(len(spec.lengths)))

    tensors = dict(batch)
    tensors.update(embeddings)
    tensors.update(outputs)
    for key, value in directions.items():
        tensors["cotangent" if key == "logits" else f"cotangent.{key}"] = value.to(torch.bfloat16)
    for key, gradient in zip(embeddings, gradients):
        mask = batch["decoder_attention_mask" if key.startswith("decoder") else "attention_mask"]
        assert gradient[mask == 0].abs().sum() == 0, (name, "padding takes part")
        assert (gradient[mask == 1].abs().amax(-1) > 0).all(), (name, "a token without effect")
        tensors[f"grad.{key}"] = gradient
    tensors.update(hidden_states(output))
    path = GOLDEN / "families" / f"{name}.safetensors"
    for key, value in tensors.items():
        assert value.dtype in (torch.float64, torch.int64) or key.startswith("cotangent"), (name, key, value.dtype)
    write_tensors(path, tensors)

    description = {
        "generator": "tools/reference/family_golden.py",
        "command": "python tools/reference/family_golden.py",
        "model": f"testdata/models/{name}",
        "architecture": spec.kind,
        "note": spec.note,
        "lengths": list(spec.lengths),
        **({"decoder_lengths": list(spec.decoder_lengths)} if spec.encoder_decoder else {}),
        "embedding_factor": EMBEDDINGS.get(model.config.model_type, "none"),
        "tolerance": 1e-10,
        "unpadded": {"rows": len(spec.lengths), "largest_difference": unpadded},
        "f32_steps_of_transformers": mixed,
        **({"generated": generated} if generated else {}),
        **({"config_new_format": new_config(name)} if name in ("gemma3", "t5-gated") else {}),
        "tokenizer_examples": examples,
        "seed": SEED,
        "torch": torch_settings(),
        "versions": versions(),
    }
    write_json(path.with_suffix(".json"), description, compact=True)
    size = path.stat().st_size + path.with_suffix(".json").stat().st_size
    largest = max(value.abs().max().item() for value in outputs.values())
    attention = largest_attention(name, batch)
    print(f"{name:34} {size:7} bytes, unpadded {unpadded:.0e}, f32 steps {mixed:.0e}, largest output {largest:.2f}, "
          f"gradient {gradients[0].abs().max():.2f}, attention {attention}"
          + (f", margin {min(g['margin'] for g in generated):.3f}" if generated else ""))
    return size


def largest_attention(name, batch):
    """The mean over queries with three keys or more of the largest probability, for each layer; a look at the draws."""
    with torch.no_grad():
        output = load(name)(**batch, output_attentions=True)
    layers = output.get("encoder_attentions") or output.get("attentions")
    if not layers:
        return "?"
    length = int(batch["attention_mask"][0].sum())
    return [round(layer[0, :, 2:length].max(-1).values.mean().item(), 2) for layer in layers]


def new_config(name):
    """What transformers writes today for a model whose config.json is an older one."""
    config = json.loads(AutoConfig.from_pretrained(DIRECTORY / name).to_json_string(use_diff=False))
    del config["_name_or_path"]  # of this machine
    return config


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="models to compute (default: all of them)")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    setup_torch()
    total = sum(write_golden(name) for name in arguments.models or MODELS)
    print(f"{relative(GOLDEN / 'families')}: {total} bytes")


if __name__ == "__main__":
    main()
