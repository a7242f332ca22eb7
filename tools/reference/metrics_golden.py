#!/usr/bin/env python3
"""Reference scores of scikit-learn, seqeval and SciPy on generated predictions.

    python -m venv target/metrics && target/metrics/bin/pip install scikit-learn seqeval
    target/metrics/bin/python tools/reference/metrics_golden.py

writes testdata/golden/metrics.json. These packages are needed for nothing else, and are not in tools/requirements.txt. SQuAD's
scores are not here: its rules are short, and the tests have them by hand.
"""

import importlib.metadata
import json
import random
from pathlib import Path

import scipy.stats
import seqeval.metrics
import sklearn.metrics
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES

SEED = 20261
ROOT = Path(__file__).resolve().parents[2]
SCHEMES = {"iob1": IOB1, "iob2": IOB2, "iobes": IOBES, "bilou": BILOU}
LETTERS = {"lenient": "BIES", "iob1": "BI", "iob2": "BI", "iobes": "BIES", "bilou": "BILU"}


def tags(chance, letters, length):
    """Any tags at all: most sentences break every scheme somewhere."""
    pick = lambda: "O" if chance.random() < 0.35 else f"{chance.choice(letters)}-{chance.choice('PLO')}"
    return [pick() for _ in range(length)]


def spans(chance, mode):
    right, predicted = [], []
    for _ in range(60):
        length = chance.randint(1, 12)
        truth = tags(chance, LETTERS[mode], length)
        guess = [t if chance.random() < 0.75 else tags(chance, LETTERS[mode], 1)[0] for t in truth]
        right.append(truth)
        predicted.append(guess)
    strict = {} if mode == "lenient" else {"mode": "strict", "scheme": SCHEMES[mode]}
    names = ["precision", "recall", "f1"]
    scores = {}
    for average in ["micro", "macro"]:
        values = [getattr(seqeval.metrics, f"{n}_score")(right, predicted, average=average, zero_division=0, **strict)
                  for n in names]
        scores[average] = dict(zip(names, map(float, values)))
    accuracy = float(seqeval.metrics.accuracy_score(right, predicted))
    return {"right": right, "predicted": predicted, "accuracy": accuracy, **scores}


def labels(chance):
    right = [chance.choice([0, 0, 0, 1, 2]) for _ in range(80)]
    predicted = [r if chance.random() < 0.6 else chance.randint(0, 3) for r in right]
    return {
        "right": right,
        "predicted": predicted,
        "accuracy": sklearn.metrics.accuracy_score(right, predicted),
        "macro-f1": sklearn.metrics.f1_score(right, predicted, average="macro", zero_division=0),
        "f1": sklearn.metrics.f1_score(right, predicted, average=None, labels=[0, 1, 2, 3], zero_division=0).tolist(),
        "confusion": sklearn.metrics.confusion_matrix(right, predicted, labels=[0, 1, 2, 3]).tolist(),
    }


def several(chance):
    right = [[chance.random() < 0.4 for _ in range(3)] for _ in range(40)]
    predicted = [[flag if chance.random() < 0.7 else not flag for flag in row] for row in right]
    a, b = ([[int(x) for x in row] for row in rows] for rows in (right, predicted))
    return {
        "right": right,
        "predicted": predicted,
        "subset-accuracy": sklearn.metrics.accuracy_score(a, b),
        "micro-f1": sklearn.metrics.f1_score(a, b, average="micro"),
        "macro-f1": sklearn.metrics.f1_score(a, b, average="macro"),
    }


def numbers(chance):
    right = [float(chance.randint(0, 5)) for _ in range(50)]
    predicted = [x + chance.gauss(0, 1) for x in right]
    return {
        "right": right,
        "predicted": predicted,
        "pearson": float(scipy.stats.pearsonr(right, predicted)[0]),
        "spearman": float(scipy.stats.spearmanr(right, predicted)[0]),
        "mae": float(sklearn.metrics.mean_absolute_error(right, predicted)),
        "rmse": float(sklearn.metrics.mean_squared_error(right, predicted) ** 0.5),
    }


def main():
    chance = random.Random(SEED)
    golden = {
        "generator": "tools/reference/metrics_golden.py",
        "versions": {p: importlib.metadata.version(p) for p in ["scikit-learn", "seqeval", "scipy"]},
        "seed": SEED,
        "spans": {mode: spans(chance, mode) for mode in LETTERS},
        "single-label": labels(chance),
        "multi-label": several(chance),
        "numbers": numbers(chance),
    }
    (ROOT / "testdata/golden/metrics.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
