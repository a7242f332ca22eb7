#!/usr/bin/env python3
"""Write the models over words and characters to testdata/models/classic-*, and their numbers to testdata/golden/classic/.

Each is computed here from its paper in plain PyTorch (nn.LSTM, nn.GRU, nn.RNN, F.conv1d), in f64, one text at a time,
without padding.

    python tools/reference/classic_golden.py [model ...]
"""

import argparse
import itertools

import torch
import torch.nn.functional as F
from classic_models import ALPHABET, CONFIGS, Store, tokenizer, write
from common import GOLDEN, SEED, rng, setup_torch, torch_settings, versions, write_json, write_tensors

TEXTS = ["the cat was good and we loved the film", "a Bad film .", "John lives in New York"]
PAIRS = [
    ("the man slept and the dog was good", "a man slept"),
    ("a bad film", "the plot was not very good , we said"),
    ("John lives in Paris", "John lives in New York"),
]
QUESTIONS = [
    ("who lives in Paris", "the man said that John lives in Paris and the dog does not"),
    ("where is the cat", "it is in New York ."),
    ("is it good", "the film was very good"),
]
CHARACTER_TEXTS = ["the cat was bad.", "我喜欢吃苹果", "a\nb, c"]
NEW = 6


def units(text, unit):
    return list(text) if unit == "character" else text.split()


class Computation:
    """One model: its configuration, its tensors, and the parts that several of them share."""

    def __init__(self, name):
        self.name = name
        self.config, self.unit, marks = CONFIGS[name]
        _, self.vocabulary = tokenizer(self.unit, marks)
        self.get = Store(name)

    def ids(self, text):
        return [self.vocabulary.get(token, 1) for token in units(text, self.unit)]

    # Embeddings

    def characters(self, token):
        section = self.config["embedding"]["characters"]
        size = section["size"]
        table = self.get("embedding.characters.weight", len(ALPHABET) + 2, size)
        rows = [ALPHABET.index(c) + 2 if c in ALPHABET else 1 for c in token]
        x = table[rows]
        if section["kind"] == "cnn":
            return self.filters("embedding.characters", x, section["filters"], section["widths"]).relu().amax(0)
        hidden = section["hidden"]
        _, last = self.recurrent("embedding.characters", section["kind"], x, hidden, section["bidirectional"])
        return last

    def casing(self, token):
        table = self.get("embedding.casing.weight", 8, self.config["embedding"]["casing"]["size"])
        digits = sum(c.isdigit() for c in token)
        if digits == len(token):
            kind = 2
        elif digits > len(token) / 2:
            kind = 3
        elif token.islower():
            kind = 4
        elif token.isupper():
            kind = 5
        elif token[0].isupper():
            kind = 6
        else:
            kind = 7 if digits else 1
        return table[kind]

    def embed(self, text):
        section = self.config["embedding"]
        table = self.get("embedding.words.weight", len(self.vocabulary), section["words"]["size"])
        parts = [table[self.ids(text)]]
        tokens = units(text, self.unit)
        if "characters" in section:
            parts.append(torch.stack([self.characters(token) for token in tokens]))
        if "casing" in section:
            parts.append(torch.stack([self.casing(token) for token in tokens]))
        return torch.cat(parts, 1)

    def place(self, x):
        if "positions" not in self.config["embedding"]:
            return x
        count = self.config["embedding"]["positions"]["count"]
        return x + self.get("embedding.positions.weight", count, x.shape[1])[: len(x)]

    # Layers: x is [tokens, width]

    def linear(self, name, x, size, bias=True):
        y = x @ self.get(f"{name}.weight", size, x.shape[-1]).T
        return y + self.get(f"{name}.bias", size) if bias else y

    def unit_of(self, name, kind, width, hidden):
        """PyTorch's own layer with the tensors of one way."""
        layer = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](width, hidden).double()
        rows = layer.weight_ih_l0.shape[0]
        shapes = {"weight_ih": (rows, width), "weight_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)}
        with torch.no_grad():
            for part, shape in shapes.items():
                getattr(layer, f"{part}_l0").copy_(self.get(f"{name}.{part}", *shape))
        for parameter in layer.parameters():
            parameter.requires_grad_(False)
        return layer

    def recurrent(self, name, kind, x, hidden, both, state=None):
        """Outputs, and the last hidden states side by side."""
        forward, last = self.unit_of(f"{name}.forward", kind, x.shape[1], hidden)(x, state)
        last_hidden = (last[0] if kind == "lstm" else last)[0]
        if not both:
            return forward, last_hidden
        backward, last = self.unit_of(f"{name}.backward", kind, x.shape[1], hidden)(x.flip(0))
        other = (last[0] if kind == "lstm" else last)[0]
        return torch.cat([forward, backward.flip(0)], 1), torch.cat([last_hidden, other])

    def filters(self, name, x, count, widths, causal=False):
        outputs = []
        for width in widths:
            weight = self.get(f"{name}.filters.{width}.weight", count, x.shape[1], width)
            bias = self.get(f"{name}.filters.{width}.bias", count)
            outputs.append(self.convolve(x, weight, bias, causal))
        return torch.cat(outputs, 1)

    @staticmethod
    def convolve(x, weight, bias, causal):
        before = weight.shape[2] - 1 if causal else (weight.shape[2] - 1) // 2
        padded = F.pad(x.T, (before, weight.shape[2] - 1 - before))
        return F.conv1d(padded[None], weight, bias)[0].T

    def transformer(self, name, section, x):
        """A layer with norms before its blocks, causal."""
        tokens, width = x.shape
        heads, size = section["heads"], x.shape[1] // section["heads"]
        normed = self.norm(f"{name}.attention_norm", x)
        q, k, v = (
            self.linear(f"{name}.attention.{part}", normed, width).view(tokens, heads, size).transpose(0, 1)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(1, 2) / size**0.5
        scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), float("-inf"))
        found = (scores.softmax(-1) @ v).transpose(0, 1).reshape(tokens, width)
        x = x + self.linear(f"{name}.attention.output", found, width)
        act = {"gelu": F.gelu, "relu": F.relu}[section["activation"]]
        up = act(self.linear(f"{name}.up", self.norm(f"{name}.feed_forward_norm", x), section["hidden"]))
        return x + self.linear(f"{name}.down", up, width)

    def norm(self, name, x):
        width = x.shape[1]
        return F.layer_norm(x, (width,), self.get(f"{name}.weight", width), self.get(f"{name}.bias", width), 1e-5)

    def window(self, x, ids):
        """The last tokens of a text that are not skipped, with copies of one before them where there are too few."""
        section = self.config["window"]
        table = self.get("embedding.words.weight", len(self.vocabulary), x.shape[1])
        known = [row for row, i in zip(x, ids) if i not in section.get("skip", [])][-section["tokens"] :]
        return torch.stack([table[section["fill"]]] * (section["tokens"] - len(known)) + known)

    def layers(self, key, sections, x, causal=False):
        """The output of a list of layers, and the last hidden states if the last one is recurrent."""
        last, all_layers = None, [x]
        for i, section in enumerate(sections):
            name, kind = f"{key}.{i}", section["kind"]
            last = None
            if kind in ("rnn", "gru", "lstm"):
                x, last = self.recurrent(name, kind, x, section["size"], section["bidirectional"])
            elif kind == "cnn":
                act = {"relu": torch.relu, "tanh": torch.tanh}[section["activation"]]
                x = act(self.filters(name, x, section["filters"], section["widths"], causal))
            elif kind == "gated-cnn":
                size, width = section["size"], section["width"]
                weight = self.get(f"{name}.weight", 2 * size, x.shape[1], width)
                y = self.convolve(x, weight, self.get(f"{name}.bias", 2 * size), causal)
                y = y[:, :size] * y[:, size:].sigmoid()
                x = x + y if section.get("residual") else y
            elif kind == "transformer":
                x = self.transformer(name, section, x)
            elif kind == "highway":
                gate = self.linear(f"{name}.gate", x, x.shape[1]).sigmoid()
                x = gate * self.linear(f"{name}.map", x, x.shape[1]).relu() + (1 - gate) * x
            elif kind == "layer-norm":
                x = self.norm(name, x)
            else:
                x = self.linear(name, x, section["size"], section.get("bias", True))
            all_layers.append(x)
        return torch.cat(all_layers, 1) if self.config.get("concatenate_layers") else x, last

    def attend(self, h):
        """The mean over tokens that attention makes."""
        pooling, width = self.config["pooling"], h.shape[1]
        if pooling["score"] == "additive":
            hidden = self.linear("pooling.map", h, pooling["size"]).tanh()
            scores = self.linear("pooling.query", hidden, 1, bias=False)[:, 0]
        else:
            scores = self.linear("pooling.query", h, 1, bias=False)[:, 0]
            if pooling["score"] == "scaled":
                scores = scores / width**0.5
        return scores.softmax(0) @ h

    def output(self, x, count):
        head = self.config.get("head", {})
        act = torch.tanh if head.get("activation") == "tanh" else torch.relu
        for i, size in enumerate(head.get("sizes", [])):
            x = act(self.linear(f"head.{i}", x, size))
        return self.linear("output", x, count)


# Architectures: embeddings to outputs


def classifier(model, x, ids):
    if "window" in model.config:
        x = model.window(x, ids)
    h, _ = model.layers("encoder", model.config["encoder"], model.place(x))
    pooled = h.amax(0) if model.config["pooling"]["kind"] == "max" else model.attend(h)
    return model.output(pooled, len(model.config["id2label"]))


def tagger(model, x, ids):
    h, _ = model.layers("encoder", model.config["encoder"], x)
    return model.output(h, len(model.config["id2label"]))


def language_model(model, x, ids):
    if "pooling" not in model.config:
        h, _ = model.layers("encoder", model.config["encoder"], model.place(x), causal=True)
        return model.output(h, len(model.vocabulary))
    ahead = []
    for n in range(1, len(x) + 1):
        # Each beginning of the text by itself.
        read = model.window(x[:n], ids[:n]) if "window" in model.config else x[:n]
        h, _ = model.layers("encoder", model.config["encoder"], read, causal=True)
        ahead.append(model.attend(h))
    return model.output(torch.stack(ahead), len(model.vocabulary))


def maps(model, key, sizes, x):
    for i, size in enumerate(sizes):
        x = model.linear(f"pair.{key}.{i}", x, size).relu()
    return x


def pair(model, x, y):
    a, _ = model.layers("encoder", model.config["encoder"], x)
    b, _ = model.layers("encoder", model.config["encoder"], y)
    section = model.config["pair"]
    if section["kind"] == "decomposable-attention":
        # Parikh et al., equations 1 to 5
        e = maps(model, "attend", section["attend"], a) @ maps(model, "attend", section["attend"], b).T
        beta, alpha = e.softmax(1) @ b, e.softmax(0).T @ a
        v1 = maps(model, "compare", section["compare"], torch.cat([a, beta], 1)).sum(0)
        v2 = maps(model, "compare", section["compare"], torch.cat([b, alpha], 1)).sum(0)
        v = torch.cat([v1, v2])
    else:
        # Chen et al., equations 11 to 20
        e = a @ b.T
        found_a, found_b = e.softmax(1) @ b, e.softmax(0).T @ a
        parts = []
        for own, other in ((a, found_a), (b, found_b)):
            m = torch.cat([own, other, own - other, own * other], 1)
            m = model.linear("pair.projection", m, section["projection"]).relu()
            composed, _ = model.layers("composition", section["composition"], m)
            parts += [composed.mean(0), composed.amax(0)]
        v = torch.cat(parts)
    return model.output(v, len(model.config["id2label"]))


def reader(model, question, context):
    """Seo et al., section 2: starts and ends over the context."""
    u, _ = model.layers("encoder", model.config["encoder"], question)
    h, _ = model.layers("encoder", model.config["encoder"], context)
    width = h.shape[1]
    w1 = model.get("reader.context.weight", 1, width)[0]
    w2 = model.get("reader.question.weight", 1, width)[0]
    w3 = model.get("reader.product.weight", 1, width)[0]
    weight = torch.cat([w1, w2, w3])
    rows = [
        torch.stack([weight @ torch.cat([h[t], u[j], h[t] * u[j]]) for j in range(len(u))]) for t in range(len(h))
    ]
    s = torch.stack(rows)
    asked = s.softmax(1) @ u
    found = (s.amax(1).softmax(0) @ h).expand_as(h)
    g = torch.cat([h, asked, h * asked, h * found], 1)
    section = model.config["reader"]
    m, _ = model.layers("modeling", section["modeling"], g)
    m2, _ = model.layers("end", section["end"], m)
    starts = model.linear("reader.start", torch.cat([g, m], 1), 1, bias=False)
    stops = model.linear("reader.stop", torch.cat([g, m2], 1), 1, bias=False)
    return torch.cat([starts, stops], 1).T


def seq2seq(model, source, answer):
    """Attention over a source at each token of the answer."""
    h, last = model.layers("encoder", model.config["encoder"], model.place(source))
    whole = h.mean(0) if last is None else last
    section = model.config["decoder"]
    size, kind = section["size"], section["kind"]
    x = answer
    for i in range(section.get("layers", 1)):
        hidden = model.linear(f"bridge.{i}.hidden", whole, size).tanh()[None]
        state = hidden
        if kind == "lstm":
            state = (hidden, model.linear(f"bridge.{i}.cell", whole, size).tanh()[None])
        x, _ = model.recurrent(f"decoder.{i}", kind, x, size, False, state)
    if section["score"] == "additive":
        a = section["attention"]
        states = model.linear("decoder.attention.state", x, a, bias=False)
        keys = model.linear("decoder.attention.source", h, a)
        query = model.get("decoder.attention.query.weight", 1, a)[0]
        scores = torch.stack([(states[t] + keys).tanh() @ query for t in range(len(x))])
    else:
        scores = x @ model.linear("decoder.attention.general", h, size, bias=False).T
    c = scores.softmax(1) @ h
    combined = model.linear("decoder.combine", torch.cat([c, x], 1), section.get("combine", size)).tanh()
    return model.output(combined, len(model.vocabulary))


# Goldens


def draw_like(model, row, tensor):
    return torch.from_numpy(rng(model.name, "cotangent", row).standard_normal(tuple(tensor.shape)))


def differentiate(model, row, inputs, outputs, tensors):
    """The outputs, and the gradient of a random combination of them."""
    cotangent = draw_like(model, row, outputs)
    gradients = torch.autograd.grad((cotangent * outputs).sum(), inputs)
    tensors[f"{row}.logits"] = outputs
    tensors[f"{row}.cotangent"] = cotangent
    for which, (x, gradient) in enumerate(zip(inputs, gradients)):
        tensors[f"{row}.embeddings.{which}"] = x
        tensors[f"{row}.gradient.{which}"] = gradient


def crf(model, row, x, emissions, tensors, described):
    """Log marginals of parts of the tags, by the sum over all sequences of tags, and their gradients."""
    n, k = emissions.shape
    transitions = model.get("crf.transitions", k, k)
    start, end = model.get("crf.start", k), model.get("crf.end", k)
    paths = list(itertools.product(range(k), repeat=n))
    scores = []
    for path in paths:
        score = start[path[0]] + end[path[-1]] + sum(emissions[t, tag] for t, tag in enumerate(path))
        scores.append(score + sum(transitions[a, b] for a, b in zip(path, path[1:])))
    scores = torch.stack(scores)
    best = paths[int(scores.argmax())]
    spans = [[(0, best[0])], [(1, 2), (2, 3)], [(n - 1, best[-1])]]
    for i, span in enumerate(spans):
        fits = torch.tensor([all(path[t] == tag for t, tag in span) for path in paths])
        value = scores[fits].logsumexp(0) - scores.logsumexp(0)
        tensors[f"{row}.marginal.{i}"] = value[None]
        tensors[f"{row}.marginal.{i}.gradient"] = torch.autograd.grad(value, x, retain_graph=True)[0]
    described["best"] = list(best)
    described["spans"] = [[list(pair) for pair in span] for span in spans]


def generate(model, run, ids):
    """The likeliest tokens, from whole passes; the least lead of one."""
    new, margin = [], float("inf")
    for _ in range(NEW):
        top = run(ids + new).topk(2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        new.append(int(top.indices[0]))
    return new, margin


def golden(name):
    model = Computation(name)
    kind = model.config["architectures"][0]
    tensors, rows = {}, []
    table = lambda: model.get("embedding.words.weight", len(model.vocabulary), model.config["embedding"]["words"]["size"])  # noqa: E731
    two = {"PairClassifier": PAIRS, "QuestionAnswering": QUESTIONS, "Seq2SeqLm": PAIRS}.get(kind)
    for row, texts in enumerate(two or (CHARACTER_TEXTS if model.unit == "character" else TEXTS)):
        described = {}
        if two is None:
            described = {"text": texts, "ids": model.ids(texts)}
            x = model.embed(texts).detach().requires_grad_(True)
            run = {"TextClassifier": classifier, "TokenClassifier": tagger, "CausalLm": language_model}[kind]
            outputs = run(model, x, described["ids"])
            if model.config.get("crf"):
                # Few enough tokens to sum over all sequences.
                crf(model, row, x, outputs, tensors, described) if len(x) <= 5 else None
            differentiate(model, row, [x], outputs, tensors)
            if kind == "CausalLm":
                rerun = lambda ids: language_model(model, table()[ids], ids)[-1]  # noqa: E731
                described["new"], described["margin"] = generate(model, rerun, described["ids"])
        else:
            first, second = texts
            described = {"text": first, "pair": second, "ids": model.ids(first)}
            described["second_ids"] = model.ids(second)
            x = model.embed(first).detach().requires_grad_(True)
            if kind == "Seq2SeqLm":
                described["second_ids"] = [2] + described["second_ids"]
                y = table()[described["second_ids"]].detach().requires_grad_(True)
                outputs = seq2seq(model, x, y)
                rerun = lambda ids: seq2seq(model, x.detach(), table()[ids])[-1]  # noqa: E731
                described["new"], described["margin"] = generate(model, rerun, [2])
            else:
                y = model.embed(second).detach().requires_grad_(True)
                outputs = (pair if kind == "PairClassifier" else reader)(model, x, y)
            differentiate(model, row, [x, y], outputs, tensors)
        rows.append(described)
    write(name, model.get)
    write_tensors(GOLDEN / "classic" / f"{name}.safetensors", tensors)
    write_json(
        GOLDEN / "classic" / f"{name}.json",
        {
            "generator": "tools/reference/classic_golden.py",
            "model": f"testdata/models/{name}",
            "seed": SEED,
            "versions": versions(),
            "torch": torch_settings(),
            "rows": rows,
        },
    )
    print(name, len(model.get.tensors), "tensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="*", help="default: all")
    arguments = parser.parse_args()
    setup_torch()
    for name in arguments.model or CONFIGS:
        golden(name)


if __name__ == "__main__":
    main()
