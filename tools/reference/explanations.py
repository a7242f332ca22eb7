"""Scores of every token for one number out of a model's outputs: what task_golden.py records for each task.

Everything is f64 (families.everything_f64) and attributed to what one passes as inputs_embeds: the `embeddings` of
golden/families, and for encoder-decoders its `decoder_embeddings` too. Baselines are zero for every token, special ones
included; several inputs (two texts, source and decoder) go from zero together.

Each number is computed from its formula with autograd, and once more by Captum where Captum has the method; the two
must agree.
"""

import torch
from captum.attr import InputXGradient, IntegratedGradients
from captum_golden import exact_rule
from families import NoF32, everything_f64
from family_golden import embed
from tokenizer_golden import byte_offsets

STEPS = 32
METHOD = "gausslegendre"
BASELINE = 0.0  # no family gives NaN there: eps is inside the root of every norm


class Encoded:
    """One text or a pair, as the tokenizer cuts it, in the order in which the model reads it."""

    def __init__(self, tokenizer, first, second=None):
        texts = [[first]] if second is None else [[first], [second]]
        found = tokenizer(*texts, return_offsets_mapping=True, return_special_tokens_mask=True)
        self.texts = [first] if second is None else [first, second]
        self.ids = found["input_ids"][0]
        self.tokens = tokenizer.convert_ids_to_tokens(self.ids)
        self.special = found["special_tokens_mask"][0]
        self.field = found.sequence_ids(0)
        self.characters = found["offset_mapping"][0]
        self.offsets = []
        for span, field in zip(self.characters, self.field):
            self.offsets += byte_offsets("" if field is None else self.texts[field], [span])
        self.type_ids = found["token_type_ids"][0] if "token_type_ids" in found else None

    def narrowed(self, kept):
        """Only the tokens at these positions."""
        part = Encoded.__new__(Encoded)
        part.texts = self.texts
        for key in ("ids", "tokens", "special", "field", "characters", "offsets", "type_ids"):
            value = getattr(self, key)
            setattr(part, key, None if value is None else [value[t] for t in kept])
        return part

    def batch(self):
        found = {"input_ids": torch.tensor([self.ids]), "attention_mask": torch.ones(1, len(self.ids)).long()}
        if self.type_ids is not None:
            found["token_type_ids"] = torch.tensor([self.type_ids])
        return found

    def record(self):
        return {
            "ids": self.ids,
            "tokens": self.tokens,
            **({} if self.type_ids is None else {"type_ids": self.type_ids}),
            "special": self.special,
            "field": self.field,
            "offsets": self.offsets,
        }


def ids_batch(ids, decoder_ids=None):
    found = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids)).long()}
    if decoder_ids is not None:
        found["decoder_input_ids"] = torch.tensor([decoder_ids])
        found["decoder_attention_mask"] = torch.ones(1, len(decoder_ids)).long()
    return found


# --- one number of the outputs ----------------------------------------------------------------------------------------

def table(output):
    """All outputs as [N, rows, columns]: a row for each token, or one for the text; starts and ends of answers are two
    rows with a column for each token."""
    if "start_logits" in output:
        return torch.stack([output.start_logits, output.end_logits], 1)
    return output.logits[:, None] if output.logits.dim() == 2 else output.logits


def number(outputs, quantity, elements, against=(), choices=None):
    """[N, rows, columns] -> [N]. Logits and log probabilities of several elements add up, probabilities multiply."""
    def joint(chosen):
        values = []
        for row, column in chosen:
            logits = outputs[:, row]
            if quantity == "logit":
                values.append(logits[:, column])
                continue
            if choices is not None:
                logits, column = logits[:, choices], choices.index(column)
            shares = logits.log_softmax(-1) if quantity == "log_probability" else logits.softmax(-1)
            values.append(shares[:, column])
        values = torch.stack(values)
        return values.prod(0) if quantity == "probability" else values.sum(0)

    return joint(elements) - joint(against) if against else joint(elements)


class Subject:
    """One input before one model: numbers as functions of the embeddings of its tokens."""

    def __init__(self, model, *batches):
        """One batch, or two that a sentence encoder reads one by one."""
        self.model, self.batches = model, batches
        self.x = []
        self.ids = []
        with everything_f64(), NoF32():
            for batch in batches:
                self.x += [value.detach() for value in embed(model, batch).values()]
        for batch in batches:
            self.ids += [batch[key] for key in ("input_ids", "decoder_input_ids") if key in batch]
        assert all(x.dtype == torch.float64 for x in self.x)
        direct = self.outputs()
        with torch.no_grad():
            gap = (direct - self.outputs(*self.x)).abs().max().item()
        assert gap < 1e-12, gap  # by ids and by embeddings: the same

    def outputs(self, *points):
        """[N, T, D] for each input -> [N, rows, columns]; by ids without points."""
        with everything_f64(), NoF32():
            if len(self.batches) == 1:
                return table(self.run(self.batches[0], points))
            means = []
            for i, batch in enumerate(self.batches):
                states = self.run(batch, points[i:i + 1]).last_hidden_state
                kept = batch["attention_mask"][:, :, None].double()
                means.append((states * kept).sum(1) / kept.sum(1))
            first, second = means
            cosine = (first * second).sum(-1) / (first.norm(dim=-1) * second.norm(dim=-1))
            return cosine[:, None, None]

    def run(self, batch, points):
        options = {"use_cache": False} if self.model.can_generate() else {}
        if not points:
            with torch.no_grad():
                return self.model(**batch, **options)
        inputs = {key: value.expand(len(points[0]), -1) for key, value in batch.items()
                  if not key.endswith("input_ids")}
        inputs.update(zip(("inputs_embeds", "decoder_inputs_embeds"), points))
        return self.model(**inputs, **options)

    def score(self, **target):
        return lambda *points: number(self.outputs(*points), **target)

    def gradients(self, score, points):
        """d score / d embeddings at N points: [N, T, D] for each input."""
        points = [point.detach().clone().requires_grad_() for point in points]
        total = score(*points).sum()
        with everything_f64(), NoF32():
            return torch.autograd.grad(total, points)

    def without(self, token):
        """The embeddings with those of one token zero, tokens counted over all inputs."""
        points = [x.clone() for x in self.x]
        for point in points:
            if token < point.shape[1]:
                point[0, token] = 0
                break
            token -= point.shape[1]
        return points


def sums(values):
    """[1, T, D] of each input -> one number a token, all inputs one after the other."""
    return torch.cat([value[0].sum(-1) for value in values])


def agree(what, ours, theirs, tolerance):
    gap = max((a - b).abs().max().item() / max(a.abs().max().item(), 1e-300) for a, b in zip(ours, theirs))
    assert gap < tolerance, (what, gap)
    return gap


def explain(subject, description, facts, **target):
    """All scores of one target."""
    score = subject.score(**target)
    x = subject.x
    start = [torch.full_like(value, BASELINE) for value in x]
    with torch.no_grad():
        output, start_output = score(*x), score(*start)

    gradient = subject.gradients(score, x)
    product = [g * value for g, value in zip(gradient, x)]
    leaves = tuple(value.clone().requires_grad_() for value in x)
    facts["captum_input_x_gradient"] = max(
        facts["captum_input_x_gradient"],
        agree("input x gradient", product, InputXGradient(score).attribute(leaves), 1e-12),
    )

    alphas, weights = (torch.from_numpy(v)[:, None, None] for v in exact_rule(METHOD, STEPS))
    path = [b + alphas * (value - b) for b, value in zip(start, x)]
    integrated = [((weights * g).sum(0) * (value - b)[0])[None]
                  for g, b, value in zip(subject.gradients(score, path), start, x)]
    theirs = IntegratedGradients(score).attribute(tuple(x), baselines=tuple(start), n_steps=STEPS, method=METHOD)
    facts["captum_rounding"] = max(
        facts["captum_rounding"], agree("integrated gradients", integrated, theirs, 3e-7)
    )

    with torch.no_grad():
        drops = [output - score(*subject.without(t)) for t in range(sum(value.shape[1] for value in x))]

    scores = {
        "input_x_gradient": sums(product),
        "gradient_l2": torch.cat([g[0].norm(dim=-1) for g in gradient]),
        "integrated_gradients": sums(integrated),
        "integrated_gradients_captum": sums(theirs),
        "occlusion_zero": torch.cat(drops),
    }
    for key, value in scores.items():
        assert value.dtype == torch.float64 and value.isfinite().all(), (description, key)
    assert torch.cat([output, start_output]).isfinite().all(), description
    ids = [i for row in subject.ids for i in row[0].tolist()]
    assert all(len(value) == len(ids) for value in scores.values())
    facts["completeness"] = max(
        facts["completeness"], abs(scores["integrated_gradients"].sum() - (output - start_output)).item()
    )
    facts["targets"] += 1
    return {
        "description": description,
        **{key: list(map(list, value)) if key in ("elements", "against") else value for key, value in target.items()},
        "ids": ids,
        **({"second": subject.ids[0].shape[1]} if len(subject.ids) > 1 else {}),
        "output": output.item(),
        "baseline_output": start_output.item(),
        **{key: value.tolist() for key, value in scores.items()},
    }


def best(logits, count=5):
    """The candidates with the largest logits."""
    shares = logits.softmax(-1)
    order = logits.sort(descending=True, stable=True).indices[:count].tolist()
    return {
        "ids": order,
        "logits": logits[order].tolist(),
        "probabilities": shares[order].tolist(),
        "margin": (logits[order[0]] - logits[order[1]]).item(),
    }
