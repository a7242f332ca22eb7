#!/usr/bin/env python3
"""Golden explanations, task by task: what the model says, and the scores of every token for one number of its outputs.

One file a task. explanations.py says what the scores are and how they are computed.

    python tools/reference/task_golden.py [task ...]
"""

import argparse
import warnings

import captum
import torch
from common import GOLDEN, SEED, load_model, relative, setup_torch, torch_settings, versions, write_json
from common import MODELS as DIRECTORY
from explanations import BASELINE, METHOD, STEPS, Encoded, Subject, best, explain, ids_batch
from families import MODELS, NoF32, everything_f64, load
from family_golden import EMBEDDINGS
from tokenizer_golden import byte_offsets
from transformers import AutoTokenizer
from transformers.pipelines import TokenClassificationPipeline, pipeline

LONGEST_ANSWER = 30
STRIDE = 8

PAIR_CASES = {
    "roberta-sequence-classification": ("the cat was good", "we loved it!"),
    "bert-cls": ("i love the film", "it is so boring!"),
}

STRATEGIES = ["simple", "first", "average", "max"]
# `entities`: which of the strategy `simple` are explained. `more`: texts whose entities only are recorded.
TOKEN_CASES = {
    "bert-token-classification": dict(
        text="cats it lé ute duel", entities=(0, 3),
        more=["élus café cat film 电 lé ute", "We  le\u0301 e\u0301l\nFILMS", "ute goods q,y dots zed cat"],
    ),
    "roberta-token-classification": dict(
        text="it café 电影 the loved", entities=(0, 7),
        more=[" we  loved\nit, it.", "warm! was ü good, best"],
    ),
    "xlm-roberta-token-classification": dict(
        text="x café story.", entities=(3, 7),
        more=[" best  q\nélan", "我, Über café"],
    ),
}

QUESTION_CASES = {
    "bert-question-answering": ("the cat was the film", "我 good! 我 café"),
    "roberta-question-answering": ("the end", "was élan was end"),
}
WINDOW_CASE = (
    "bert-question-answering", "the cat was the film",
    "loved cats cats élus lé the café and it films and we it. and 我 good! élus the café loved good! lé film cats 我 it.",
)

# text, and the other filler
MASK_CASES = {
    "bert-masked-lm": ("the [MASK] was good and we [MASK] it.", "film"),
    "modernbert-masked-lm": ("the film [MASK] warm and [MASK]", "Ġwas"),
}

# prompt, two tokens to contrast, continuation
CAUSAL_CASES = {
    "llama": ("the cat and the plot", ("Ġand", "Ġthe"), " was and the"),
    "gpt2": ("the film was good and", ("Ġthe", "Ġwas"), " was and the"),
}

WRITTEN = 4
SOURCES = {"t5": "all the", "marian": "lot was the"}

# of unequal length: who runs both as one batch has to pad
SIMILAR_CASE = ("bert-sentence-similarity", "the cat was good", "and we loved it, it was the film!")


# --- models and texts -------------------------------------------------------------------------------------------------

def load_f64(name):
    if name not in MODELS:
        return load_model(name)  # one of make_models.py
    with everything_f64():
        return load(name)


def load_both(name):
    return load_f64(name), AutoTokenizer.from_pretrained(DIRECTORY / name)


def case_of(name, model, **content):
    factor = EMBEDDINGS.get(model.config.model_type, "none")
    return {"model": f"testdata/models/{name}", "embedding_factor": factor, "baseline_value": BASELINE, **content}


# --- tasks ------------------------------------------------------------------------------------------------------------

def text_classification(facts):
    cases = []
    for name, (text, pair) in PAIR_CASES.items():
        model, tokenizer = load_both(name)
        encoded = Encoded(tokenizer, text, pair)
        subject = Subject(model, encoded.batch())
        logits = subject.outputs()[0, 0]
        labels = [model.config.id2label[i] for i in range(len(logits))]
        first, other = logits.argsort(descending=True).tolist()[:2]
        cases.append(case_of(
            name, model, text=text, pair=pair, **encoded.record(), labels=labels, logits=logits.tolist(),
            probabilities=logits.softmax(-1).tolist(), predicted=first,
            targets=[
                explain(subject, f"logit of {labels[first]}, the predicted label", facts,
                        quantity="logit", elements=[(0, first)]),
                explain(subject, f"probability of {labels[first]}", facts,
                        quantity="probability", elements=[(0, first)]),
                explain(subject, f"logit of {labels[first]} - logit of {labels[other]}", facts,
                        quantity="logit", elements=[(0, first)], against=[(0, other)]),
            ],
        ))
    return cases


class Recorder(TokenClassificationPipeline):
    """transformers' own pipeline, which also tells what it puts together."""

    def gather_pre_entities(self, *arguments, **options):
        self.pieces = super().gather_pre_entities(*arguments, **options)
        return self.pieces

    def aggregate_word(self, entities, aggregation_strategy):
        word = super().aggregate_word(entities, aggregation_strategy)
        return word | {"tokens": [entity["index"] for entity in entities]}

    def group_sub_entities(self, entities):
        group = super().group_sub_entities(entities)
        return group | {"tokens": [t for entity in entities for t in entity.get("tokens", [entity.get("index")])]}


def entities_of(model, tokenizer, text):
    """What the pipeline says under each strategy, and which tokens it holds for parts of the word before them."""
    plain = pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu")
    recorder = Recorder(model=model, tokenizer=tokenizer, device="cpu")
    found = {}
    for strategy in STRATEGIES:
        with everything_f64(), NoF32():
            groups = recorder(text, aggregation_strategy=strategy)
            tokens = [group.pop("tokens") for group in groups]
            assert groups == plain(text, aggregation_strategy=strategy), (text, strategy)
        rows = []
        for group, held in zip(groups, tokens):
            start, end = group["start"], group["end"]
            rows.append({
                "entity_group": group["entity_group"],
                "score": float(group["score"]),
                "start": start,
                "end": end,
                "bytes": byte_offsets(text, [(start, end)])[0],
                "tokens": held,
            })
        found[strategy] = rows
    # no words in `simple`, but the same test is made there
    parts = {piece["index"]: bool(piece["is_subword"]) for piece in recorder.pieces}
    return found, parts


def token_text(model, tokenizer, text):
    encoded = Encoded(tokenizer, text)
    subject = Subject(model, encoded.batch())
    logits = subject.outputs()[0]
    entities, parts = entities_of(model, tokenizer, text)
    labels = logits.argmax(-1).tolist()
    sure = logits.topk(2, dim=-1).values
    return subject, {
        "text": text,
        **encoded.record(),
        "is_subword": [parts.get(t) for t in range(len(labels))],
        "predicted": labels,
        "logits": logits.tolist(),
        "margin": (sure[:, 0] - sure[:, 1]).min().item(),
        "entities": entities,
    }


def token_classification(facts):
    cases = []
    for name, case in TOKEN_CASES.items():
        model, tokenizer = load_both(name)
        subject, record = token_text(model, tokenizer, case["text"])
        targets = []
        for i in case["entities"]:
            entity = record["entities"]["simple"][i]
            what = f"entity {i} of simple, {entity['entity_group']} at bytes {entity['bytes']}"
            elements = [(t, record["predicted"][t]) for t in entity["tokens"]]
            assert len(elements) > 1, (name, what)
            for quantity, how in (("logit", "sum of the logits"), ("probability", "product of the probabilities")):
                targets.append(explain(subject, f"{what}: {how} of each token's own label", facts,
                                       quantity=quantity, elements=elements))
        more = [token_text(model, tokenizer, text)[1] for text in case["more"]]
        for found in more:
            del found["logits"]
        cases.append(case_of(
            name, model, labels=[model.config.id2label[i] for i in range(len(model.config.id2label))], **record,
            more=more, targets=targets,
        ))
    return cases


def answer(encoded, outputs):
    """The best span, and the first token for `no answer`."""
    context = [t for t, field in enumerate(encoded.field) if field == 1]
    choices = [0, *context]
    starts, ends = outputs[:, choices].softmax(-1)
    spans = {
        (choices[i], choices[j]): (starts[i] * ends[j]).item()
        for i in range(1, len(choices)) for j in range(i, min(i + LONGEST_ANSWER, len(choices)))
    }
    (first, last), score = max(spans.items(), key=lambda span: span[1])
    start, end = encoded.characters[first][0], encoded.characters[last][1]
    ranked = sorted(spans.values(), reverse=True)
    return {
        "choices": choices,
        "start_logits": outputs[0].tolist(),
        "end_logits": outputs[1].tolist(),
        "best": {
            "tokens": [first, last],
            "text": encoded.texts[1][start:end],
            "start": start,
            "end": end,
            "bytes": byte_offsets(encoded.texts[1], [(start, end)])[0],
            "start_probability": starts[choices.index(first)].item(),
            "end_probability": ends[choices.index(last)].item(),
            "score": score,
        },
        "second_best_score": ranked[1] if len(ranked) > 1 else None,
        "no_answer_score": (starts[0] * ends[0]).item(),
    }


def answer_targets(subject, found, facts):
    first, last = found["best"]["tokens"]
    elements = [(0, first), (1, last)]
    return [
        explain(subject, "start logit + end logit of the best span", facts, quantity="logit", elements=elements),
        explain(subject, "probability of its start * probability of its end, each among choices", facts,
                quantity="probability", elements=elements, choices=found["choices"]),
    ]


def windows(encoded, limit):
    """Positions of `encoded` in each window: everything but the context, and a slice of it."""
    context = [t for t, field in enumerate(encoded.field) if field == 1]
    room = limit - (len(encoded.ids) - len(context))
    found = []
    for start in range(0, len(context), room - STRIDE):
        kept = set(context[start:start + room])
        found.append([t for t, field in enumerate(encoded.field) if field != 1 or t in kept])
        if start + room >= len(context):
            break
    return found


def question_answering(facts):
    cases = []
    for name, (question, context) in QUESTION_CASES.items():
        model, tokenizer = load_both(name)
        encoded = Encoded(tokenizer, question, context)
        subject = Subject(model, encoded.batch())
        found = answer(encoded, subject.outputs()[0])
        assert found["best"]["score"] > found["no_answer_score"]
        assert len(encoded.ids) <= tokenizer.model_max_length
        cases.append(case_of(name, model, question=question, context=context, **encoded.record(), **found,
                             targets=answer_targets(subject, found, facts)))

    name, question, context = WINDOW_CASE
    model, tokenizer = load_both(name)
    whole = Encoded(tokenizer, question, context)
    limit = tokenizer.model_max_length
    parts, subjects = [], []
    for kept in windows(whole, limit):
        encoded = whole.narrowed(kept)
        subjects.append(Subject(model, encoded.batch()))
        # outputs and the best span are counted in the window's own tokens
        parts.append({**encoded.record(), **answer(encoded, subjects[-1].outputs()[0])})
        parts[-1]["best"]["tokens_of_the_whole"] = [kept[t] for t in parts[-1]["best"]["tokens"]]
    chosen = max(range(len(parts)), key=lambda i: parts[i]["best"]["score"])
    assert len(parts) > 2 and all(len(part["ids"]) <= limit for part in parts)
    assert parts[chosen]["best"]["score"] > max(part["no_answer_score"] for part in parts)
    cases.append(case_of(
        name, model, question=question, context=context, **whole.record(), limit=limit, stride=STRIDE, windows=parts,
        best_window=chosen, best=parts[chosen]["best"], targets=answer_targets(subjects[chosen], parts[chosen], facts),
    ))
    return cases


def masked_lm(facts):
    cases = []
    for name, (text, other) in MASK_CASES.items():
        model, tokenizer = load_both(name)
        encoded = Encoded(tokenizer, text)
        subject = Subject(model, encoded.batch())
        outputs = subject.outputs()[0]
        positions = [t for t, i in enumerate(encoded.ids) if i == tokenizer.mask_token_id]
        filler = tokenizer.convert_tokens_to_ids(other)
        masks, targets = [], []
        for n, t in enumerate(positions):
            found = best(outputs[t])
            first = found["ids"][0]
            assert filler not in (first, tokenizer.unk_token_id)
            masks.append({"at": t, **found})
            targets += [
                explain(subject, f"logit of the best filler of mask {n}", facts,
                        quantity="logit", elements=[(t, first)]),
                explain(subject, f"log probability of {other} at mask {n}", facts,
                        quantity="log_probability", elements=[(t, filler)]),
            ]
        assert len(masks) == 2
        cases.append(case_of(name, model, text=text, **encoded.record(), masks=masks,
                             other={"id": filler, "token": other}, targets=targets))
    return cases


def causal_lm(facts):
    cases = []
    for name, (prompt, contrast, continuation) in CAUSAL_CASES.items():
        model, tokenizer = load_both(name)
        encoded = Encoded(tokenizer, prompt)
        whole = Encoded(tokenizer, prompt + continuation)
        n = len(encoded.ids)
        written = whole.ids[n:]
        assert whole.ids[:n] == encoded.ids and len(written) == 3, (name, whole.tokens)
        subject = Subject(model, ids_batch(encoded.ids))
        found = best(subject.outputs()[0, -1])
        first = found["ids"][0]
        a, b = tokenizer.convert_tokens_to_ids(list(contrast))
        targets = [
            explain(subject, "logit of the best next token", facts, quantity="logit", elements=[(n - 1, first)]),
            explain(subject, f"logit of {contrast[0]} - logit of {contrast[1]}", facts,
                    quantity="logit", elements=[(n - 1, a)], against=[(n - 1, b)]),
        ]
        at_once = Subject(model, ids_batch(whole.ids)).outputs()[0]
        for k, token in enumerate(written):
            before = Subject(model, ids_batch(whole.ids[:n + k]))
            # what follows is not seen
            assert (before.outputs()[0, -1] - at_once[n + k - 1]).abs().max() < 1e-12
            targets.append(explain(before, f"logit of token {k} of the continuation", facts,
                                   quantity="logit", elements=[(n + k - 1, token)]))
        cases.append(case_of(
            name, model, text=prompt, **encoded.record(), next=found,
            contrast=[{"id": i, "token": token} for i, token in zip((a, b), contrast)],
            continuation={"text": continuation, "ids": written, "tokens": whole.tokens[n:]}, targets=targets,
        ))
    return cases


def seq2seq_lm(facts):
    cases = []
    for name, text in SOURCES.items():
        model, tokenizer = load_both(name)
        encoded = Encoded(tokenizer, text)
        decoder = [model.config.decoder_start_token_id]
        steps, targets = [], []
        for k in range(WRITTEN):
            subject = Subject(model, ids_batch(encoded.ids, decoder))
            found = best(subject.outputs()[0, -1])
            token = found["ids"][0]
            assert token < len(tokenizer) and token not in tokenizer.all_special_ids
            steps.append(found)
            targets.append(explain(subject, f"logit of written token {k}", facts,
                                   quantity="logit", elements=[(k, token)]))
            decoder = [*decoder, token]
        cases.append(case_of(
            name, model, text=text, **encoded.record(), decoder_start=decoder[0], written=decoder[1:],
            written_tokens=tokenizer.convert_ids_to_tokens(decoder[1:]), steps=steps, targets=targets,
        ))
    return cases


def sentence_similarity(facts):
    name, text, pair = SIMILAR_CASE
    model, tokenizer = load_both(name)
    both = [Encoded(tokenizer, text), Encoded(tokenizer, pair)]
    subject = Subject(model, *(encoded.batch() for encoded in both))
    target = explain(subject, "cosine of the two means over tokens", facts, quantity="logit", elements=[(0, 0)])
    del target["quantity"], target["elements"]
    return [case_of(name, model, text=text, pair=pair, texts=[encoded.record() for encoded in both],
                    cosine=target["output"], targets=[target])]


TASKS = {
    "text-classification-pair": text_classification,
    "token-classification": token_classification,
    "question-answering": question_answering,
    "masked-lm": masked_lm,
    "causal-lm": causal_lm,
    "seq2seq-lm": seq2seq_lm,
    "sentence-similarity": sentence_similarity,
}

NOTES = {
    "token-classification": "is_subword is what the pipeline decides: null at special tokens, which it drops first. "
                            "start, end: characters; bytes: UTF-8; tokens: positions that make up the entity",
    "question-answering": "softmax of start and of end logits over `choices`, the context's tokens and the first token "
                          "of all; the best span lies in the context, has at most 30 tokens, and its score is the "
                          "product. In windows, positions are those of the window",
    "seq2seq-lm": "ids: the source, then from `second` on the decoder's, its start token first; rows of elements count "
                  "the decoder's positions",
    "sentence-similarity": "ids: one text, then from `second` on the other",
}


def write_task(task):
    facts = {"targets": 0, "captum_input_x_gradient": 0.0, "captum_rounding": 0.0, "completeness": 0.0}
    cases = TASKS[task](facts)
    path = GOLDEN / "tasks" / f"{task}.json"
    write_json(path, {
        "generator": "tools/reference/task_golden.py",
        "command": "python tools/reference/task_golden.py",
        "task": task,
        **({"note": NOTES[task]} if task in NOTES else {}),
        "dtype": "f64",
        "integrated_gradients": {"method": METHOD, "steps": STEPS},
        "tolerance": 1e-9,
        "accuracy": {
            "captum_input_x_gradient": facts["captum_input_x_gradient"],
            "captum_rounding": facts["captum_rounding"],
            "completeness": facts["completeness"],
            "meaning": "largest differences between Captum and the formula, over the largest value: of input x "
                       "gradient, and of integrated gradients, where Captum's weights are f32; completeness: largest "
                       "|sum - (output - baseline_output)|, an error of the rule, not of the arithmetic",
        },
        "cases": cases,
        "seed": SEED,
        "torch": torch_settings(),
        "versions": versions(captum=captum.__version__),
    }, compact=True)
    size = path.stat().st_size
    print(f"{relative(path)} {size} bytes, {facts}")
    return size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help="tasks to compute (default: all of them)")
    arguments = parser.parse_args()
    unknown = set(arguments.tasks) - set(TASKS)
    if unknown:
        parser.error(f"no such task: {', '.join(sorted(unknown))}; there are {', '.join(TASKS)}")
    setup_torch()
    warnings.filterwarnings("ignore", message="Tokenizer does not support real words")
    total = sum(write_task(task) for task in arguments.tasks or TASKS)
    print(f"{relative(GOLDEN / 'tasks')}: {total} bytes")


if __name__ == "__main__":
    main()
