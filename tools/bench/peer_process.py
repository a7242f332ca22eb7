#!/usr/bin/env python3
"""From a cold start to the answer with PyTorch, transformers and Captum: what one command line explanation costs.

    python tools/bench/peer_process.py MODEL_DIRECTORY TEXT [gradient|ig50] [THREADS]
"""

import sys

import torch
from peer import Peer


def main():
    directory, text = sys.argv[1:3]
    method = sys.argv[3] if len(sys.argv) > 3 else "gradient"
    if len(sys.argv) > 4:
        torch.set_num_threads(int(sys.argv[4]))
    peer = Peer(directory)
    ids = peer.encode(text)
    scores = peer.gradient(ids) if method == "gradient" else peer.ig50(ids, None)
    tokens = peer.tokenizer.convert_ids_to_tokens(ids[0].tolist())
    for token, score in zip(tokens, scores, strict=True):
        print(f"{token}\t{score:.6e}")


if __name__ == "__main__":
    main()
