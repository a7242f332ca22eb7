#!/usr/bin/env python3
"""The worker of `cargo xtask bench peers` for PyTorch and Captum.

Reads one command a line, writes one line for each: milliseconds, then one score a token.

    gradient TOKENS
    ig50 TOKENS INTERNAL_BATCH      0: Captum's default, all steps at once
"""

import argparse
import sys
import time

import torch
from peer import Peer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    peer = Peer(arguments.model, arguments.attention)
    print("ready", flush=True)
    for line in sys.stdin:
        name, tokens, *rest = line.split()
        ids = peer.encode(" ".join(f"w{1000 + 7 * i}" for i in range(int(tokens) - 2)))
        assert ids.shape == (1, int(tokens))
        start = time.perf_counter()
        if name == "gradient":
            scores = peer.gradient(ids)
        else:
            scores = peer.ig50(ids, int(rest[0]) or None)
        milliseconds = (time.perf_counter() - start) * 1e3
        print(f"{milliseconds:.4f}", *(f"{score:.9e}" for score in scores), flush=True)


if __name__ == "__main__":
    main()
