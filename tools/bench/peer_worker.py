#!/usr/bin/env python3
"""The worker of `cargo xtask bench peers` for PyTorch and Captum.

Reads one command a line, writes one line for each: milliseconds, then one score a token.

    gradient 0 TEXT
    ig50 INTERNAL_BATCH TEXT        0: Captum's default, all steps at once
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
        name, batch, text = line.rstrip("\n").split(" ", 2)
        ids = peer.encode(text)
        start = time.perf_counter()
        if name == "gradient":
            scores = peer.gradient(ids)
        else:
            scores = peer.ig50(ids, int(batch) or None)
        milliseconds = (time.perf_counter() - start) * 1e3
        print(f"{milliseconds:.4f}", *(f"{score:.9e}" for score in scores), flush=True)


if __name__ == "__main__":
    main()
