#!/usr/bin/env python3
"""Golden attributions of `bert-cls` in f64: Captum, high-precision integrals, SmoothGrad, AllenNLP's rules, occlusion.

Everything is attributed to the word embeddings [T, D] of one unpadded text; positions and segments are added after
them and stay as they are. There is one file per text, and `rules.safetensors` with the quadrature rules.

Three sources of integrated gradients stand side by side:
  ig.*            what Captum 0.9 returns, verbatim
  ig_exact.*      the same rules without Captum's roundings, and with the textbook trapezoid (see RULE_NOTES)
  ig_reference.*  the integral itself, far finer than any rule, with an error estimate in the json

    python tools/reference/captum_golden.py
"""

import argparse

import captum
import numpy as np
import torch
from captum.attr import InputXGradient, IntegratedGradients, Saliency
from captum.attr._utils.approximation_methods import approximation_parameters
from common import GOLDEN, SEED, load_model, load_tokenizer, relative, rng, setup_torch, torch_settings, versions
from common import write_json, write_tensors

MODEL = "bert-cls"

# target: the label explained; contrast: logit[a] - logit[b]
CASES = {
    "one-word": dict(text="film", target=1, contrast=(1, 0)),
    "short": dict(text="i love it", target=2, contrast=(2, 1)),
    "sentence": dict(text="A touching film!", target=0, contrast=(0, 2)),
}

QUANTITIES = ["logit", "probability", "log_probability", "loss", "contrast"]
BASELINES = ["zero", "pad", "mask", "mean"]
SCOPES = ["all", "keep_special"]
METHODS = ["gausslegendre", "riemann_middle", "riemann_trapezoid", "riemann_left", "riemann_right"]
STEPS = [8, 32]

# All rules for two quantities; for the others two rules suffice, since a rule does not know what it integrates.
FULL = ["logit", "probability"]
SHORT_METHODS = ["gausslegendre", "riemann_left"]

RULE_NOTES = {
    "captum_rounding": "Captum takes the alphas of the riemann_* rules from torch.linspace in f32, and casts the "
                       "weights of every rule to f32, also when the model is f64. Its numbers are therefore good to "
                       "about 1e-7 relative only. gausslegendre keeps its alphas in f64 (numpy leggauss).",
    "gausslegendre": "nodes (1 + x_k)/2 and weights w_k/2 of the n-point Gauss-Legendre rule on [-1, 1]",
    "riemann_left": "alpha_k = k/n, k = 0..n-1, weights 1/n",
    "riemann_right": "alpha_k = (k+1)/n, weights 1/n",
    "riemann_middle": "alpha_k = (k+1/2)/n, weights 1/n",
    "riemann_trapezoid": "alpha_k = k/(n-1), k = 0..n-1 (n points, n-1 intervals). Captum's weights are 1/n inside and "
                         "1/(2n) at both ends: they sum to (n-1)/n, not to 1, so its attributions are too small by the "
                         "factor (n-1)/n and completeness is missed by about 1/n even for a linear function. The "
                         "textbook weights, in ig_exact and in rules exact.*, are 1/(n-1) and 1/(2(n-1)).",
}

SMOOTH_SAMPLES = 8
SMOOTH_RELATIVE = 0.15
ALLENNLP_SAMPLES = 10
ALLENNLP_RELATIVE = 0.01
ALLENNLP_STEPS = 10


def exact_rule(method, n):
    """alphas and weights in f64 by their definition."""
    k = np.arange(n)
    if method == "gausslegendre":
        x, w = np.polynomial.legendre.leggauss(n)
        return 0.5 * (1 + x), 0.5 * w
    if method == "riemann_left":
        return k / n, np.full(n, 1 / n)
    if method == "riemann_right":
        return (k + 1) / n, np.full(n, 1 / n)
    if method == "riemann_middle":
        return (k + 0.5) / n, np.full(n, 1 / n)
    if method == "riemann_trapezoid":
        w = np.full(n, 1 / (n - 1))
        w[[0, -1]] /= 2
        return k / (n - 1), w
    raise ValueError(method)


def captum_rule(method, n):
    """alphas and weights as Captum really multiplies with them: the weights after its cast to f32."""
    sizes, alphas = approximation_parameters(method)
    return np.array(alphas(n)), torch.tensor(sizes(n)).float().double().numpy()


def fine_rule(split):
    """Composite Gauss-Legendre with 20 nodes a panel. The panels halve towards alpha = 0, where the embedding is nearly
    the baseline and LayerNorm bends most; each of them is cut into `split` equal parts."""
    x, w = np.polynomial.legendre.leggauss(20)
    edges = [0.0] + [2.0**-i for i in range(10, -1, -1)]
    alphas, weights = [], []
    for left, right in zip(edges, edges[1:]):
        for part in range(split):
            a = left + (right - left) * part / split
            b = left + (right - left) * (part + 1) / split
            alphas.append(a + (b - a) * 0.5 * (1 + x))
            weights.append((b - a) * 0.5 * w)
    return np.concatenate(alphas), np.concatenate(weights)


class Explained:
    """One text before one model: scores as functions of the word embeddings, and their gradients."""

    def __init__(self, model, tokenizer, case):
        self.model, self.case = model, case
        self.ids = tokenizer(case["text"], return_tensors="pt")["input_ids"]
        self.tokens = tokenizer.convert_ids_to_tokens(self.ids[0].tolist())
        self.table = model.get_input_embeddings().weight.detach()
        self.x = self.table[self.ids]  # [1, T, D]
        mean = self.table.mean(0)
        self.rows = {
            "zero": torch.zeros_like(mean),
            "pad": self.table[tokenizer.pad_token_id],
            "mask": self.table[tokenizer.mask_token_id],
            "mean": mean,
        }

    def score(self, quantity):
        """[N, T, D] -> [N]"""
        target, (a, b) = self.case["target"], self.case["contrast"]

        def function(embeddings):
            logits = self.model(inputs_embeds=embeddings).logits
            if quantity == "logit":
                return logits[:, target]
            if quantity == "probability":
                return logits.softmax(-1)[:, target]
            if quantity == "log_probability":
                return logits.log_softmax(-1)[:, target]
            if quantity == "loss":
                return -logits.log_softmax(-1)[:, target]
            if quantity == "contrast":
                return logits[:, a] - logits[:, b]
            raise ValueError(quantity)

        return function

    def baseline(self, name, scope):
        filled = self.rows[name].expand_as(self.x).clone()
        if scope == "keep_special":
            filled[:, [0, -1]] = self.x[:, [0, -1]]
        return filled

    def gradients(self, quantity, points):
        """d score / d embeddings at each of the points [N, T, D]."""
        points = points.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self.score(quantity)(points).sum(), points)
        return gradient

    def integrate(self, quantity, start, rule):
        alphas, weights = (torch.from_numpy(np.ascontiguousarray(v)) for v in rule)
        points = start + alphas[:, None, None] * (self.x - start)
        gradient = self.gradients(quantity, points)
        return (weights[:, None, None] * gradient).sum(0) * (self.x - start)[0]


def gradients_and_integrals(e, tensors, facts):
    for quantity in QUANTITIES:
        score = e.score(quantity)
        with torch.no_grad():
            output = score(e.x)
        tensors[f"output.{quantity}"] = output
        tensors[f"saliency.{quantity}"] = Saliency(score).attribute(e.x.clone().requires_grad_(), abs=False)[0]
        tensors[f"input_x_gradient.{quantity}"] = InputXGradient(score).attribute(e.x.clone().requires_grad_())[0]

        for baseline in [f"{name}.{scope}" for name in BASELINES for scope in SCOPES]:
            start = e.baseline(*baseline.split("."))
            with torch.no_grad():
                start_output = score(start)
            difference = (output - start_output).item()
            tensors[f"baseline.{baseline}"] = start[0]
            tensors[f"baseline_output.{quantity}.{baseline}"] = start_output

            reference = e.integrate(quantity, start, fine_rule(2))
            finer = e.integrate(quantity, start, fine_rule(5))
            tensors[f"ig_reference.{quantity}.{baseline}"] = finer
            refinement = (finer - reference).abs().max().item()
            completeness = abs(finer.sum().item() - difference)
            facts["reference_refinement"] = max(facts["reference_refinement"], refinement)
            facts["reference_completeness"] = max(facts["reference_completeness"], completeness)
            assert refinement < 1e-11 and completeness < 1e-11, (quantity, baseline, refinement, completeness)

            for method in METHODS if quantity in FULL else SHORT_METHODS:
                deltas = []
                for n in STEPS:
                    attribution, delta = IntegratedGradients(score).attribute(
                        e.x, baselines=start, n_steps=n, method=method, return_convergence_delta=True
                    )
                    exact = e.integrate(quantity, start, exact_rule(method, n))
                    tensors[f"ig.{quantity}.{baseline}.{method}.{n}"] = attribution[0]
                    tensors[f"ig_exact.{quantity}.{baseline}.{method}.{n}"] = exact
                    deltas.append(delta)
                    # Captum and the definition must agree to Captum's rounding, its short trapezoid aside
                    expected = exact * (n - 1) / n if method == "riemann_trapezoid" else exact
                    gap = (attribution[0] - expected).abs().max().item() / exact.abs().max().item()
                    facts["captum_rounding"] = max(facts["captum_rounding"], gap)
                    assert gap < 3e-7, (quantity, baseline, method, n, gap)
                tensors[f"ig_delta.{quantity}.{baseline}.{method}"] = torch.cat(deltas)


def smooth_gradients(e, tensors):
    """SmoothGrad with its noise written down; sigma is relative to the range of the whole [T, D] tensor."""
    sigma = SMOOTH_RELATIVE * (e.x.max() - e.x.min())
    draw = rng("smoothgrad", e.case["text"]).standard_normal((SMOOTH_SAMPLES, *e.x.shape[1:]))
    noise = sigma * torch.from_numpy(draw)
    tensors["smoothgrad.sigma"] = sigma[None]
    tensors["smoothgrad.noise"] = noise
    noisy = e.x + noise
    for quantity in QUANTITIES:
        # one sample at a time: plain, and free of any batch effect
        gradient = torch.cat([e.gradients(quantity, sample[None]) for sample in noisy])
        tensors[f"smoothgrad.{quantity}.mean_gradient"] = gradient.mean(0)
        tensors[f"smoothgrad.{quantity}.mean_squared_gradient"] = gradient.square().mean(0)
        tensors[f"smoothgrad.{quantity}.mean_gradient_x_noisy_input"] = (gradient * noisy).mean(0)


def allennlp(e, tensors, facts):
    """AllenNLP's three saliency rules from their description, with hooks on the word embedding layer as it did: the
    loss of the model's own prediction, a signed sum over dimensions, absolute value, L1 norm over all positions."""
    layer = e.model.get_input_embeddings()
    with torch.no_grad():
        predicted = e.model(input_ids=e.ids).logits.argmax(-1)

    def gradient(change):
        """dL/d(output of the layer), the layer's output changed by `change`."""
        held = []

        def hook(_module, _inputs, output):
            held.append(change(output.detach()).clone().requires_grad_())
            return held[0]

        handle = layer.register_forward_hook(hook)
        try:
            loss = torch.nn.functional.cross_entropy(e.model(input_ids=e.ids).logits, predicted)
        finally:
            handle.remove()
        return torch.autograd.grad(loss, held[0])[0][0]

    def keep(name, values):
        signed = values.sum(-1)
        tensors[f"allennlp.{name}.values"] = values
        tensors[f"allennlp.{name}.signed"] = signed
        tensors[f"allennlp.{name}.scores"] = signed.abs() / signed.abs().sum()

    x = e.x[0]
    keep("simple", gradient(lambda v: v) * x)

    # ten left Riemann steps from the zero embedding, special tokens included
    total = torch.zeros_like(x)
    for alpha in np.linspace(0, 1, ALLENNLP_STEPS, endpoint=False):
        total += gradient(lambda v: v * alpha)
    keep("integrated", total / ALLENNLP_STEPS * x)

    # Not multiplied by the input. In BERT a LayerNorm follows the embeddings; it takes the mean over dimensions away,
    # so adding a constant to all dimensions of a token changes nothing and the gradient sums to exactly zero over
    # them. What AllenNLP shows here is the rounding error of that zero, scaled up by the L1 norm: no golden number.
    # Only the gradient before the sum is kept.
    sigma = ALLENNLP_RELATIVE * (x.max() - x.min())
    draw = rng("allennlp", e.case["text"]).standard_normal((ALLENNLP_SAMPLES, *x.shape))
    noise = sigma * torch.from_numpy(draw)
    tensors["allennlp.sigma"] = sigma[None]
    tensors["allennlp.noise"] = noise
    smooth = torch.stack([gradient(lambda v, s=sample: v + s) for sample in noise]).mean(0)
    tensors["allennlp.smooth.values"] = smooth
    facts["allennlp_smooth_signed_sum"] = smooth.sum(-1).abs().max().item()
    assert facts["allennlp_smooth_signed_sum"] < 1e-14

    tensors["allennlp.predicted"] = predicted
    facts["predicted"] = predicted.item()

    # The hooks and inputs_embeds are two ways to one number. The loss of the predicted label is -log p.
    other = dict(e.case, target=predicted.item())
    case, e.case = e.case, other
    assert torch.allclose(gradient(lambda v: v), e.gradients("loss", e.x)[0], rtol=0, atol=1e-14)
    e.case = case


def occlusion(e, tensors):
    """F(x) - F(x with one position's word embedding replaced), for each position, special tokens included."""
    with torch.no_grad():
        for quantity in QUANTITIES:
            score = e.score(quantity)
            whole = score(e.x)
            for name in BASELINES:
                drops = []
                for position in range(e.x.shape[1]):
                    changed = e.x.clone()
                    changed[0, position] = e.rows[name]
                    drops.append(whole - score(changed))
                tensors[f"occlusion.{quantity}.{name}"] = torch.cat(drops)


def write_rules(directory):
    tensors = {}
    for method in METHODS:
        for n in STEPS:
            for source, rule in (("captum", captum_rule(method, n)), ("exact", exact_rule(method, n))):
                tensors[f"{source}.{method}.{n}.alphas"] = torch.tensor(rule[0], dtype=torch.float64)
                tensors[f"{source}.{method}.{n}.weights"] = torch.tensor(rule[1], dtype=torch.float64)
    write_tensors(directory / "rules.safetensors", tensors)
    write_json(directory / "rules.json", {
        "generator": "tools/reference/captum_golden.py",
        "command": "python tools/reference/captum_golden.py",
        "methods": METHODS,
        "steps": STEPS,
        "notes": RULE_NOTES,
        "versions": versions(captum=captum.__version__),
    })


def write_case(name, case, model, tokenizer, directory):
    e = Explained(model, tokenizer, case)
    tensors = {"input_ids": e.ids, "embeddings": e.x[0]}
    facts = {"reference_refinement": 0.0, "reference_completeness": 0.0, "captum_rounding": 0.0}
    gradients_and_integrals(e, tensors, facts)
    smooth_gradients(e, tensors)
    allennlp(e, tensors, facts)
    occlusion(e, tensors)
    path = directory / f"{name}.safetensors"
    write_tensors(path, tensors)
    labels = model.config.id2label
    write_json(path.with_suffix(".json"), {
        "generator": "tools/reference/captum_golden.py",
        "command": "python tools/reference/captum_golden.py",
        "model": f"testdata/models/{MODEL}",
        "dtype": "f64",
        "text": case["text"],
        "tokens": e.tokens,
        "target": case["target"],
        "target_label": labels[case["target"]],
        "contrast": list(case["contrast"]),
        "predicted": facts["predicted"],
        "quantities": QUANTITIES,
        "baselines": BASELINES,
        "scopes": SCOPES,
        "methods": {q: METHODS if q in FULL else SHORT_METHODS for q in QUANTITIES},
        "steps": STEPS,
        "smoothgrad": {"samples": SMOOTH_SAMPLES, "relative_sigma": SMOOTH_RELATIVE,
                       "sigma": "relative_sigma * (max - min) over the whole [T, D] embedding tensor",
                       "noise": "already scaled by sigma: the noisy input is embeddings + noise"},
        "allennlp": {"steps": ALLENNLP_STEPS, "samples": ALLENNLP_SAMPLES, "relative_sigma": ALLENNLP_RELATIVE,
                     "target": "loss of the predicted label", "noise": "already scaled by sigma",
                     "smooth_signed_sum": facts["allennlp_smooth_signed_sum"],
                     "smooth_note": "the signed sum of the smooth gradient over dimensions is zero in any model with a "
                                    "LayerNorm right after the embeddings; smooth_signed_sum is its largest rounding "
                                    "error here, and there is no signed or scores tensor"},
        "accuracy": {
            "reference_refinement": facts["reference_refinement"],
            "reference_completeness": facts["reference_completeness"],
            "captum_rounding": facts["captum_rounding"],
            "meaning": "reference_refinement: largest change of ig_reference between 22 and 55 panels; "
                       "reference_completeness: largest |sum - (F(x) - F(x'))|; captum_rounding: largest |ig - "
                       "ig_exact| over the largest |ig_exact|, Captum's trapezoid rescaled by n/(n-1)",
        },
        "seed": SEED,
        "torch": torch_settings(),
        "versions": versions(captum=captum.__version__),
    })
    print(f"{relative(path)} {path.stat().st_size} bytes, {len(tensors)} tensors, {e.tokens}, {facts}")
    print("   outputs", {q: round(tensors[f"output.{q}"].item(), 4) for q in QUANTITIES})


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    setup_torch()
    directory = GOLDEN / "captum"
    write_rules(directory)
    model, tokenizer = load_model(MODEL), load_tokenizer(MODEL)
    for name, case in CASES.items():
        write_case(name, case, model, tokenizer, directory)


if __name__ == "__main__":
    main()
