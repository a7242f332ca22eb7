#!/usr/bin/env python3
"""Golden numbers of the BERT classifiers in testdata/models/: outputs, hidden states, attention, exact gradients.

Each case is computed twice, in f64 and in f32, from the same f32 weights (the f64 model is the f32 model cast up).
The gradient is taken at the word embeddings: they enter as `inputs_embeds`, and positions and segments are added
after them. Nothing here is computed by hand; transformers and torch autograd give every number.

    python tools/reference/bert_golden.py
"""

import argparse

import torch
from common import GOLDEN, SEED, load_model, load_tokenizer, relative, setup_torch, torch_settings, versions
from common import write_json, write_tensors

ONE = ["A touching film, and it was not too long!"]
FOUR = [
    "the plot was almost perfect",
    "boring",
    "I really loved the funny actor, but the story of the movie was very dull and cold.",
    "我喜欢电影",
]
THREE = ["the plot was almost perfect", "boring", "我喜欢电影"]  # short: these cases differ in the model only
PAIRS = [
    ("the cat watched a dog", "no dog was in the house"),
    ("so so good", "it played on and on, and we loved the unhappy actor in the last scene"),
    ("a film", "bad"),
]

# `targets` are label indices, one for each row: the decision whose logit is differentiated. They are neither always
# the predicted label nor always the same one.
CASES = {
    "single": dict(model="bert-cls", texts=ONE, targets=[2]),
    "padded": dict(model="bert-cls", texts=FOUR, targets=[0, 1, 2, 1], weights=True),
    "pair": dict(model="bert-cls", texts=PAIRS, targets=[2, 0, 1]),
    "regression": dict(model="bert-regression", texts=THREE, targets=[0, 0, 0]),
    "multilabel": dict(model="bert-multilabel", texts=THREE, targets=[3, 0, 2]),
    "silu": dict(model="bert-silu", texts=THREE, targets=[0, 1, 1]),
    "gelu-tanh": dict(model="bert-gelu-tanh", texts=THREE, targets=[0, 1, 1]),
    # the rounded weights, computed in f64 / f32: what a loader must give that converts f16 or bf16 up exactly
    "f16": dict(model="bert-f16", texts=THREE, targets=[0, 1, 2]),
    "bf16": dict(model="bert-bf16", texts=THREE, targets=[0, 1, 2]),
}

# A handful, one of each kind, for the day weights are trained.
WEIGHTS = [
    "bert.embeddings.word_embeddings.weight",
    "bert.embeddings.LayerNorm.weight",
    "bert.embeddings.LayerNorm.bias",
    "bert.encoder.layer.0.attention.self.query.weight",
    "bert.encoder.layer.0.attention.self.query.bias",
    "bert.encoder.layer.1.attention.output.LayerNorm.weight",
    "bert.encoder.layer.1.attention.output.LayerNorm.bias",
    "bert.encoder.layer.1.intermediate.dense.weight",
    "bert.encoder.layer.1.intermediate.dense.bias",
    "bert.pooler.dense.weight",
    "classifier.weight",
]


def encode(tokenizer, texts):
    if isinstance(texts[0], tuple):
        first, second = zip(*texts)
        return tokenizer(list(first), list(second), padding=True, return_tensors="pt")
    return tokenizer(texts, padding=True, return_tensors="pt")


def selected(logits, targets):
    """Sum over rows of logits[row, target]: rows do not meet in the model, so one backward pass serves all of them."""
    return logits.gather(1, targets[:, None]).sum()


def run(model, batch, targets):
    """Every number of one case at the precision of `model`."""
    embeddings = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
    output = model(
        inputs_embeds=embeddings,
        attention_mask=batch["attention_mask"],
        token_type_ids=batch["token_type_ids"],
        output_hidden_states=True,
        output_attentions=True,
    )
    (gradient,) = torch.autograd.grad(selected(output.logits, targets), embeddings)
    found = {"embeddings": embeddings, "logits": output.logits, "grad.embeddings": gradient}
    for i, hidden in enumerate(output.hidden_states):
        found[f"hidden.{i}"] = hidden
    for i, attention in enumerate(output.attentions):
        found[f"attention.{i}"] = attention
    # the ordinary way in, by ids, must give the very same logits
    with torch.no_grad():
        direct = model(**batch).logits
    assert torch.equal(direct, output.logits)
    return found


def weight_gradients(model, batch, targets):
    parameters = dict(model.named_parameters())
    chosen = [parameters[name].requires_grad_() for name in WEIGHTS]
    # by ids, so that the word embedding matrix takes part; note that torch gives the [PAD] row no gradient
    # (nn.Embedding's padding_idx), which is also its true value here because padding is masked
    loss = selected(model(**batch).logits, targets)
    gradients = torch.autograd.grad(loss, chosen)
    return {f"grad.weight.{name}": g for name, g in zip(WEIGHTS, gradients)}


def check(name, batch, wide, narrow):
    """Sanity of the golden itself; a number that fails here must not become a yardstick."""
    padding = batch["attention_mask"] == 0
    for found in (wide, narrow):
        assert found["grad.embeddings"][padding].abs().sum() == 0, "padding takes part"
        for key, value in found.items():
            if key.startswith("attention."):
                assert value.transpose(1, 3)[padding].abs().sum() == 0, "padding is attended to"
    worst = 0.0
    for key, value in wide.items():
        scale = value.abs().max().item()
        worst = max(worst, (value - narrow[key].double()).abs().max().item() / scale)
    assert worst < 2e-5, (name, worst)
    return worst


def write_case(name, case, tokenizer):
    batch = dict(encode(tokenizer, case["texts"]))
    targets = torch.tensor(case["targets"])
    wide_model = load_model(case["model"], torch.float64)
    wide = run(wide_model, batch, targets)
    narrow = run(load_model(case["model"], torch.float32), batch, targets)
    worst = check(name, batch, wide, narrow)

    tensors = {key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids")}
    tensors["targets"] = targets
    tensors.update({f"f64.{key}": value for key, value in wide.items()})
    tensors.update({f"f32.{key}": value for key, value in narrow.items()})
    if case.get("weights"):
        tensors.update({f"f64.{k}": v for k, v in weight_gradients(wide_model, batch, targets).items()})
    path = GOLDEN / "bert" / f"{name}.safetensors"
    write_tensors(path, tensors)

    labels = wide_model.config.id2label
    # files seldom name the most usual one; it is what transformers takes for more than one label
    problem = wide_model.config.problem_type or "single_label_classification"
    write_json(path.with_suffix(".json"), {
        "generator": "tools/reference/bert_golden.py",
        "command": "python tools/reference/bert_golden.py",
        "model": f"testdata/models/{case['model']}",
        "texts": [list(t) if isinstance(t, tuple) else t for t in case["texts"]],
        "tokens": [tokenizer.convert_ids_to_tokens(row) for row in batch["input_ids"].tolist()],
        "targets": case["targets"],
        "target_labels": [labels[t] for t in case["targets"]],
        "problem_type": problem,
        "predicted": wide["logits"].argmax(-1).tolist() if problem == "single_label_classification" else None,
        "f32_error": worst,
        "f32_error_meaning": "largest |f64 - f32| of any tensor, divided by that tensor's largest |f64|",
        "seed": SEED,
        "torch": torch_settings(),
        "versions": versions(),
    })
    shape = tuple(wide["embeddings"].shape)
    print(f"{relative(path)} {path.stat().st_size} bytes, {shape}, f32 error {worst:.1e}")
    print("   logits", [[round(v, 3) for v in row] for row in wide["logits"].tolist()])
    print(f"   largest gradient {wide['grad.embeddings'].abs().max():.3f}, "
          f"largest attention {wide['attention.1'].max():.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="cases to write (default: all of them)")
    arguments = parser.parse_args()
    unknown = set(arguments.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    setup_torch()
    tokenizer = load_tokenizer()
    for name in arguments.cases or CASES:
        write_case(name, CASES[name], tokenizer)


if __name__ == "__main__":
    main()
