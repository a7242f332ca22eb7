#!/usr/bin/env python3
"""Optimisers and clipping of PyTorch on a small logistic regression, in f64.

    python tools/reference/optimizer_golden.py

writes testdata/golden/optimizers.json: the data, and the weights after each of 20 steps. The weights are two tensors, of
which the second has no weight decay, as biases do not. Gradients are the exact ones of the mean logistic loss.
"""

import json
from pathlib import Path

import torch

SEED, STEPS, ITEMS, WIDTH, RATE, DECAY = 20260, 20, 12, 5, 0.1, 0.05
ROOT = Path(__file__).resolve().parents[2]

CASES = {
    "adamw": (lambda groups: torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), eps=1e-8), None, None),
    "sgd": (lambda groups: torch.optim.SGD(groups, lr=RATE), None, None),
    "sgd-momentum": (lambda groups: torch.optim.SGD(groups, lr=RATE, momentum=0.9), None, None),
    "rmsprop": (lambda groups: torch.optim.RMSprop(groups, lr=RATE, alpha=0.95, eps=1e-6), None, None),
    "rmsprop-momentum": (
        lambda groups: torch.optim.RMSprop(groups, lr=RATE, alpha=0.95, eps=1e-6, momentum=0.5), None, None),
    "sgd-clip-norm": (lambda groups: torch.optim.SGD(groups, lr=RATE, momentum=0.9), 0.05, None),
    "sgd-clip-value": (lambda groups: torch.optim.SGD(groups, lr=RATE, momentum=0.9), None, 0.02),
}


def run(make, norm, value, x, y, start):
    weight, bias = (t.clone().requires_grad_() for t in start)
    groups = [{"params": [weight], "weight_decay": DECAY}, {"params": [bias], "weight_decay": 0.0}]
    optimizer = make(groups)
    trace = []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(x @ weight + bias, y)
        loss.backward()
        if norm is not None:
            torch.nn.utils.clip_grad_norm_([weight, bias], norm)
        if value is not None:
            torch.nn.utils.clip_grad_value_([weight, bias], value)
        optimizer.step()
        trace.append(weight.tolist() + bias.tolist())
    return trace


def main():
    torch.manual_seed(SEED)
    torch.set_default_dtype(torch.float64)
    x = 3 * torch.randn(ITEMS, WIDTH)
    y = (torch.rand(ITEMS) < 0.5).double()
    start = torch.randn(WIDTH), torch.randn(1)
    golden = {
        "generator": "tools/reference/optimizer_golden.py",
        "torch": torch.__version__,
        "seed": SEED,
        "rate": RATE,
        "decay": DECAY,
        "x": x.tolist(),
        "y": y.tolist(),
        "start": start[0].tolist() + start[1].tolist(),
        "cases": {name: run(*case, x, y, start) for name, case in CASES.items()},
    }
    path = ROOT / "testdata/golden/optimizers.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
