#!/usr/bin/env python3
"""Write testdata/golden/recurrent.json: what the operations of classic architectures and of training give in PyTorch.

Recurrent layers over a padded batch (`pack_padded_sequence`), convolutions over tokens and the cross-entropy, all in
f64, with the gradients of sum(cotangent * output) with respect to everything.

    python tools/reference/recurrent_golden.py
"""

import torch
from common import GOLDEN, SEED, rng, setup_torch, versions, write_json
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

BATCH, TOKENS, WIDTH, HIDDEN, LAYERS = 3, 4, 2, 3, 2
LENGTHS = [3, 4, 1]
CELLS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


def draw(numbers, *shape):
    return torch.tensor(numbers.normal(size=shape), dtype=torch.float64, requires_grad=True)


def recurrent(cell, bidirectional):
    numbers = rng("recurrent", cell, bidirectional)
    model = CELLS[cell](WIDTH, HIDDEN, LAYERS, batch_first=True, bidirectional=bidirectional, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.tensor(numbers.normal(size=parameter.shape) * 0.7))
    directions = 2 if bidirectional else 1
    x = draw(numbers, BATCH, TOKENS, WIDTH)
    state = [draw(numbers, LAYERS * directions, BATCH, HIDDEN) for _ in range(2 if cell == "lstm" else 1)]
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    output, last = model(packed, tuple(state) if cell == "lstm" else state[0])
    output, _ = pad_packed_sequence(output, batch_first=True, total_length=TOKENS)
    results = [output, *(last if cell == "lstm" else [last])]
    cotangents = [draw(numbers, *result.shape).detach() for result in results]
    sum((cotangent * result).sum() for cotangent, result in zip(cotangents, results)).backward()
    parameters = dict(model.named_parameters())
    return {
        "cell": cell,
        "bidirectional": bidirectional,
        "input": x.tolist(),
        "initial": [s.tolist() for s in state],
        "parameters": {name: parameter.tolist() for name, parameter in parameters.items()},
        "results": [result.tolist() for result in results],
        "cotangents": [cotangent.tolist() for cotangent in cotangents],
        "gradients": {
            "input": x.grad.tolist(),
            "initial": [s.grad.tolist() for s in state],
            "parameters": {name: parameter.grad.tolist() for name, parameter in parameters.items()},
        },
    }


def convolution(padding, kernel):
    numbers = rng("conv1d", padding, kernel)
    x, weight, bias = draw(numbers, 2, 5, 3), draw(numbers, 4, 3, kernel), draw(numbers, 4)
    sides = {"valid": (0, 0), "causal": (kernel - 1, 0), "explicit": (2, 1)}
    channels = x.transpose(1, 2)
    if padding == "same":
        y = torch.nn.functional.conv1d(channels, weight, bias, padding="same")
    else:
        y = torch.nn.functional.conv1d(torch.nn.functional.pad(channels, sides[padding]), weight, bias)
    y = y.transpose(1, 2)
    cotangent = draw(numbers, *y.shape).detach()
    (cotangent * y).sum().backward()
    return {
        "padding": padding,
        "inputs": [x.tolist(), weight.tolist(), bias.tolist()],
        "output": y.tolist(),
        "cotangent": cotangent.tolist(),
        "gradients": [x.grad.tolist(), weight.grad.tolist(), bias.grad.tolist()],
    }


def cross_entropy(ignore, weighted, smoothing):
    numbers = rng("cross_entropy", ignore, weighted, smoothing)
    logits = (draw(numbers, 5, 4) * 2.0).detach().requires_grad_()
    targets = torch.tensor([2, 0, 3, 3, 1])
    weights = torch.tensor([0.5, 1.0, 2.0, 0.25], dtype=torch.float64) if weighted else None
    loss = torch.nn.functional.cross_entropy(
        logits, targets, weight=weights, ignore_index=-100 if ignore is None else ignore, label_smoothing=smoothing
    )
    loss.backward()
    return {
        "logits": logits.tolist(),
        "targets": targets.tolist(),
        "ignore": ignore,
        "class_weights": None if weights is None else weights.tolist(),
        "label_smoothing": smoothing,
        "loss": loss.item(),
        "gradient": logits.grad.tolist(),
    }


def main():
    setup_torch()
    golden = {
        "generator": "tools/reference/recurrent_golden.py",
        "seed": SEED,
        "versions": versions(),
        "lengths": LENGTHS,
        "recurrent": [recurrent(cell, both) for cell in CELLS for both in (False, True)],
        "conv1d": [convolution(*case) for case in
                   [("valid", 2), ("same", 3), ("same", 4), ("causal", 3), ("explicit", 2)]],
        "cross_entropy": [cross_entropy(*case) for case in
                          [(None, False, 0.0), (3, False, 0.0), (None, True, 0.0), (3, True, 0.1), (None, True, 0.3)]],
    }
    path = GOLDEN / "recurrent.json"
    write_json(path, golden, compact=True)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
