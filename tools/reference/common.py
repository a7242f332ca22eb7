"""What the reference scripts share: paths, versions, deterministic torch, and writers that always give the same bytes.

The scripts are the yardstick of the Rust tests. They must therefore depend on nothing but a seed and the pinned
versions of `tools/requirements.txt`, and running them twice must change no byte under `testdata/`.
"""

import json
import os
import platform
from pathlib import Path

# No look-up may leave this machine; every model comes from a seed. Must be set before transformers is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np  # noqa: E402
import safetensors  # noqa: E402
import safetensors.torch  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import BertForSequenceClassification, BertTokenizerFast  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "testdata" / "models"
GOLDEN = ROOT / "testdata" / "golden"

SEED = 20240917


def setup_torch():
    """One thread and no algorithm that is free to reorder sums: the same sums in the same order at each run."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def versions(**extra):
    """The versions that a golden file depends on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": __import__("tokenizers").__version__,
        "safetensors": safetensors.__version__,
        "numpy": np.__version__,
        **extra,
    }


def torch_settings():
    return {
        "threads": torch.get_num_threads(),
        "deterministic_algorithms": True,
        "device": "cpu",
        "attention": "eager",
        "mode": "eval",
    }


def rng(*salt):
    """A numpy generator of its own for each purpose, so that adding one draw does not shift all the others.

    numpy, not torch: torch.randn takes another code path on CPUs without AVX2 and then rounds differently.
    """
    words = [SEED] + [b for part in salt for b in str(part).encode()]
    return np.random.default_rng(np.random.SeedSequence(words))


def write_json(path, value, compact=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    if compact:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    else:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def write_tensors(path, tensors):
    """Write safetensors. At most one metadata key: the writer does not fix the order of several."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ready = {name: t.detach().contiguous().clone() for name, t in tensors.items()}
    for name, t in ready.items():
        if t.is_floating_point() and not torch.isfinite(t).all():
            raise SystemExit(f"{path.name}: {name} is not finite")
    safetensors.torch.save_file(ready, path, metadata={"format": "pt"})


def load_model(name, dtype=torch.float64):
    """A model of testdata/models as transformers loads it, then cast to `dtype`; its weights get no gradient."""
    model = BertForSequenceClassification.from_pretrained(MODELS / name, attn_implementation="eager", dtype="auto")
    model = model.to(dtype).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        # Out of the mapped file into torch's own aligned memory: kernels round differently at odd addresses.
        parameter.data = parameter.data.clone()
    return model


def load_tokenizer(name="bert-cls"):
    return BertTokenizerFast.from_pretrained(MODELS / name)


def relative(path):
    return str(path.relative_to(ROOT))
