#!/usr/bin/env python3
"""Golden tokenisation: ids, byte offsets and segments of nasty texts, with and without lower-casing.

Offsets are bytes of the UTF-8 text (transformers counts characters). Every text is also listed as code points, since
several of them look alike or like nothing at all on screen.

    python tools/reference/tokenizer_golden.py
"""

import argparse

from common import GOLDEN, MODELS, load_tokenizer, relative, setup_torch, versions, write_json
from transformers import BertTokenizerFast

TEXTS = {
    "plain": "A touching film, and it was not too long!",
    "empty": "",
    "spaces": "    ",
    "white space mix": " \t the\u00a0film\r\nwas\u2003good \u3000 ",
    "accents precomposed": "Café naïve Übung",
    "accents combining": "Cafe\u0301 nai\u0308ve U\u0308bung",
    "combining mark alone": "\u0301 the \u0301film",
    "stacked marks": "Z\u0351\u036b\u0343a\u0327\u0301l",
    "sharp s and dotted i": "Straße İstanbul ﬁlm",
    "emoji zwj": "good \U0001f468\u200d\U0001f469\u200d\U0001f467 film \u2764\ufe0f!",
    "emoji skin tone and flag": "\U0001f44d\U0001f3fd\U0001f1e9\U0001f1ea",
    "chinese": "我喜欢电影",
    "chinese unknown": "我不喜欢这部电影。",
    "chinese with latin": "我love电影film2020年",
    "japanese and korean": "映画が好き 영화",
    "cjk extension b": "\U00020000the\U0002a6df",
    "control characters": "th\u0000e fi\u0007lm\u001b was\u007f good\u0085",
    "zero width": "fi\u200blm \ufeffgood\u00ad bad\u200f",
    "replacement character": "the \ufffd film\ufffdgood",
    "long word": "un" + "play" * 24,
    "too long word": "a" * 101,
    "longest allowed word": "a" * 100,
    "apostrophes": "I don't like the film's plot, it\u2019s 'bad' ``awful''",
    "url": "https://www.film.com/a?b=c&d=10#top @cat_dog #movie a@b.co",
    "full width": "Ａ ｆｉｌｍ！ ＧＯＯＤ，１２３",
    "punctuation run": "good...!?--(bad)/$5.00%\u2014\u2026\u201cso\u201d",
    "symbols not punctuation": "a+b=c | ^`~ € £ © ™ ½ ²",
    "hebrew": "הסרט טוב שא the film",
    "arabic mixed": "فيلم جيد good ١٢٣",
    "greek final sigma": "ΟΔΟΣ Σ",
    "cyrillic": "я Я ЙЁ",
    "devanagari and thai": "फ़िल्म ภาพยนตร์",
    "hangul jamo": "\u1112\u1161\u11ab film",
    "literal special tokens": "the [MASK] was [SEP] good[CLS] [mask] [PAD][UNK]",
    "word pieces": "unhappy played playing worked 120 replay unhappyness",
    "unknown inside": "filmж жfilm playж",
    "private use and unassigned": "\ue000 film \U000e0041 \u0378",
    "numbers": "3.14 1,000 10:30 -5",
}

PAIRS = [
    ("the cat", "a dog"),
    ("the cat", ""),
    ("", "a dog"),
    ("", ""),
    ("我喜欢", "Café film"),
]

# longest first: tokens are taken from the longer side, one at a time
TRUNCATED = [
    ("the film was very good and the plot was not bad at all", None),
    ("the film was very good and the plot was not bad", "so so good"),
    ("bad", "the film was very good and the plot was not bad"),
    ("the film was very good", "the plot was not bad"),
]
MAX_LENGTH = 10


def byte_offsets(text, spans):
    """Character spans -> UTF-8 byte spans."""
    starts = [0]
    for character in text:
        starts.append(starts[-1] + len(character.encode("utf-8")))
    return [[starts[a], starts[b]] for a, b in spans]


def row(tokenizer, first, second=None, max_length=None):
    options = dict(return_offsets_mapping=True, return_special_tokens_mask=True)
    if max_length:
        options.update(truncation="longest_first", max_length=max_length)
    # as a batch of one: called with plain strings, transformers drops an empty second text and its [SEP]; neither its
    # batched call nor the tokenizers library below it does
    found = tokenizer([first], [second], **options) if second is not None else tokenizer([first], **options)
    # special tokens have the empty span (0, 0); the others belong to the text that their sequence id names
    offsets = []
    for span, sequence in zip(found["offset_mapping"][0], found.sequence_ids(0)):
        text = "" if sequence is None else (first, second)[sequence]
        offsets += byte_offsets(text, [span])
    return {
        "ids": found["input_ids"][0],
        "tokens": tokenizer.convert_ids_to_tokens(found["input_ids"][0]),
        "type_ids": found["token_type_ids"][0],
        "special": found["special_tokens_mask"][0],
        "field": found.sequence_ids(0),
        "words": found.word_ids(0),
        "offsets": offsets,
    }


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    setup_torch()
    lower = load_tokenizer("bert-cls")
    vocabulary = (MODELS / "bert-vocab-txt" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    cased = BertTokenizerFast(vocab={token: i for i, token in enumerate(vocabulary)}, do_lower_case=False)
    # the directory with vocab.txt only must mean the same tokenizer
    old = load_tokenizer("bert-vocab-txt")

    def entry(name, first, second=None, max_length=None):
        result = {"name": name, "text": first}
        if second is not None:
            result["pair"] = second
        if max_length:
            result["max_length"] = max_length
        result["code_points"] = " ".join(f"{ord(c):04X}" for c in first)
        result["lower"] = row(lower, first, second, max_length)
        result["cased"] = row(cased, first, second, max_length)
        assert row(old, first, second, max_length) == result["lower"], name
        return result

    cases = [entry(name, text) for name, text in TEXTS.items()]
    cases += [entry(f"pair {i}", first, second) for i, (first, second) in enumerate(PAIRS)]
    cases += [entry(f"truncated {i}", first, second, MAX_LENGTH) for i, (first, second) in enumerate(TRUNCATED)]
    path = GOLDEN / "tokenizer.json"
    write_json(path, {
        "generator": "tools/reference/tokenizer_golden.py",
        "command": "python tools/reference/tokenizer_golden.py",
        "vocabulary": "testdata/models/bert-vocab-txt/vocab.txt",
        "lower": "do_lower_case=True (accents stripped too), as testdata/models/bert-cls/tokenizer.json",
        "cased": "do_lower_case=False (accents kept), same vocabulary",
        "offsets": "UTF-8 bytes [start, end) in the text that `field` names (0: text, 1: pair, null: special token)",
        "truncation": "longest_first to max_length, special tokens included",
        "versions": versions(),
        "cases": cases,
    }, compact=True)
    print(f"{relative(path)} {path.stat().st_size} bytes, {len(cases)} texts")


if __name__ == "__main__":
    main()
