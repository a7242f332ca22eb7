"""What converters of published Keras weights share: fetching a package, the forward pass of an LSTM in numpy, the files of
a model directory, and a comparison of a directory's predictions with that forward pass.
"""

import hashlib
import json
import subprocess
import sys

import numpy as np
from safetensors.numpy import save_file


def fetch(work, package, file):
    """A file of PyPI, in the folder `work`: `package` is a name, a version and the SHA-256 of the file."""
    name, version, sha256 = package
    path = work / file
    if not path.exists():
        # With the hash, pip checks it before it runs anything of a source archive to learn its metadata.
        wanted = work / "wanted.txt"
        wanted.write_text(f"{name}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(work), "-r", str(wanted)]
        subprocess.run(pip, check=True)
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    if got != sha256:
        raise SystemExit(f"{path.name}: expected the file with SHA-256 {sha256}, got {got}")
    return path


def sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def softmax(x):
    shares = np.exp(x - x.max())
    return shares / shares.sum()


def lstm(x, kernel, recurrent, bias):
    """Keras' LSTM with its usual activations: `[tokens, in]` to `[tokens, units]`, kernels `[in, 4 units]`, gates in the
    order input, forget, candidate, output."""
    units = recurrent.shape[0]
    hidden, cell = np.zeros(units), np.zeros(units)
    outputs = []
    for row in x @ kernel + bias:
        gates = row + hidden @ recurrent
        i, f, c, o = (gates[n * units : (n + 1) * units] for n in range(4))
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(c)
        hidden = sigmoid(o) * np.tanh(cell)
        outputs.append(hidden)
    return np.stack(outputs)


def lstm_tensors(name, kernel, recurrent, bias):
    """The tensors of one way of an `lstm` layer. The order of the gates is PyTorch's; there is one bias."""
    return {
        f"{name}.weight_ih": kernel.T,
        f"{name}.weight_hh": recurrent.T,
        f"{name}.bias_ih": bias,
        f"{name}.bias_hh": np.zeros_like(bias),
    }


def special_tokens(names):
    """Special tokens of a tokenizer.json: `names` maps them to ids."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return [{"id": i, "content": name, **flags} for name, i in names.items()]


def write_model(out, config, tokenizer, tensors):
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    text = json.dumps(tokenizer, ensure_ascii=False) + "\n"
    (out / "tokenizer.json").write_text(text, encoding="utf-8")
    tensors = {name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def predictions(program, model, texts, *flags):
    """What the program `glossator` predicts for texts."""
    # The gradient is the method that costs least; the prediction is the same with each.
    command = [program, "explain", "--model", str(model), "--format", "json", "--method", "gradient", *flags]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    command += ["--file", "-", "--input-format", "jsonl"]
    run = subprocess.run(command, input=lines, capture_output=True, text=True, encoding="utf-8")
    if run.returncode != 0:
        raise SystemExit(f"{' '.join(command)}:\n{run.stderr}")
    return [json.loads(line)["prediction"] for line in run.stdout.splitlines()]


def agree(what, worst, tolerance):
    """Prints how far two computations are apart, and fails where that is more than rounding explains."""
    print(f"{what}: they differ by {worst:.1e} at most (tolerated: {tolerance:.0e})")
    if not worst <= tolerance:
        raise SystemExit(1)
