"""The tokenizers of the small models in testdata/models/, one for each family, with a vocabulary that fits the model.

Each is laid out as the family's own tokenizer.json is: the same kind of model, normalizer, pre-tokenizer, template and
special tokens, in the same order of ids. Only the vocabulary is small. It comes from `CORPUS`, by counting, with ties
broken by spelling: nothing here depends on the order of a hash table.
"""

import collections
import json
import math

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

CORPUS = """
the film was good and the plot was warm
the film was not good and the actor was not warm
we loved the old house and the cat in the house
she loved the cat and he loved the dog
a dull scene and a bad actor and a good story
the story of the cat was the best of all
it was a long day and the night was cold
he said that the film was too long and too dull
she said the plot was cold but the end was good
we ate in the café and the day was good
the naïve actor said it all in the end
我喜欢电影
电影很好
good 🙂 film
""".strip().splitlines()

# What the goldens encode: ASCII, accents, Chinese, an emoji, leading and multiple spaces, a newline.
EXAMPLES = [
    "The film was good, and we loved it.",
    "café naïve Über",
    "我喜欢电影",
    "good 🙂 film",
    "  the   cat ",
    "the cat\nwas dull\n",
]
PAIRS = [("the cat was good", "we loved it"), ("a film", "电影")]

MAX_LENGTH = 32
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]


def merge(symbols, pair):
    found = []
    i = 0
    while i < len(symbols):
        if symbols[i:i + 2] == pair:
            found.append(pair[0] + pair[1])
            i += 2
        else:
            found.append(symbols[i])
            i += 1
    return tuple(found)


def count_words(split):
    words = collections.Counter()
    for line in CORPUS:
        words.update(split(line))
    return words


def train_merges(words, count):
    """The `count` merges that byte-pair encoding learns from these words; ties go to the first in spelling."""
    splits = {word: tuple(word) for word in words}
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, symbols in splits.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        splits = {word: merge(symbols, best) for word, symbols in splits.items()}
    return merges


def numbered(*groups):
    """Ids in order; what is listed twice keeps its first id."""
    tokens = list(dict.fromkeys(token for group in groups for token in group))
    return {token: i for i, token in enumerate(tokens)}


def byte_symbols():
    """The 256 symbols that stand for bytes, in the order in which GPT-2's vocabulary has them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def add_special(tokenizer, tokens, lstrip=()):
    tokenizer.add_special_tokens([
        AddedToken(token, special=True, normalized=False, lstrip=token in lstrip) for token in tokens
    ])


def template(tokenizer, single, pair, tokens):
    return processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(token, tokenizer.token_to_id(token)) for token in tokens]
    )


# --- byte-level BPE -------------------------------------------------------------------------------------------------

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
QWEN_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")


def byte_level(before=(), after=(), merges=14, split=None, normalizer=None, ignore_merges=False, added=()):
    """Special tokens `before` and `after` the 256 bytes and the merges."""
    simple = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = count_words(lambda line: [word for word, _ in simple.pre_tokenize_str(line)])
    learned = train_merges(words, merges)
    vocab = numbered(before, byte_symbols(), ["".join(pair) for pair in learned], after)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=learned, ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if split is None:
        tokenizer.pre_tokenizer = simple
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ])
    tokenizer.decoder = decoders.ByteLevel()
    add_special(tokenizer, [*before, *after], lstrip=("<mask>", "[MASK]"))
    tokenizer.add_tokens(list(added))
    return tokenizer


def gpt2():
    tokenizer = byte_level(after=["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    end = "<|endoftext|>"
    return tokenizer, "GPT2Tokenizer", dict(bos_token=end, eos_token=end, unk_token=end)


def gpt2_padded():
    """As classifiers have it: the end token pads."""
    tokenizer, kind, special = gpt2()
    return tokenizer, kind, dict(special, pad_token="<|endoftext|>")


def gpt_neox():
    spaces = AddedToken("  ", normalized=True, special=False)
    tokenizer = byte_level(
        before=["<|endoftext|>", "<|padding|>"], normalizer=normalizers.NFC(), added=[spaces]
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    end = "<|endoftext|>"
    return tokenizer, "PreTrainedTokenizerFast", dict(bos_token=end, eos_token=end, unk_token=end)


def llama3():
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|eot_id|>"]
    tokenizer = byte_level(after=special, split=LLAMA3_SPLIT, ignore_merges=True)
    begin = "<|begin_of_text|>"
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        template(tokenizer, f"{begin}:0 $A:0", f"{begin}:0 $A:0 {begin}:1 $B:1", [begin]),
    ])
    return tokenizer, "PreTrainedTokenizerFast", dict(bos_token=begin, eos_token="<|end_of_text|>")


def llama3_padded():
    """As classifiers have it: with a token for padding."""
    tokenizer, kind, special = llama3()
    return tokenizer, kind, dict(special, pad_token="<|finetune_right_pad_id|>")


def qwen():
    tokenizer = byte_level(
        after=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], split=QWEN_SPLIT, normalizer=normalizers.NFC()
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer, "Qwen2Tokenizer", dict(eos_token="<|im_end|>", pad_token="<|endoftext|>")


def roberta():
    tokenizer = byte_level(before=["<s>", "<pad>", "</s>", "<unk>"], after=["<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    special = dict(bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", unk_token="<unk>",
                   pad_token="<pad>", mask_token="<mask>")
    return tokenizer, "RobertaTokenizer", special


def bart():
    tokenizer, _, special = roberta()
    return tokenizer, "BartTokenizer", special


def modernbert():
    tokenizer = byte_level(
        after=["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"], normalizer=normalizers.NFC()
    )
    tokenizer.post_processor = template(
        tokenizer, "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0", ["[CLS]", "[SEP]"]
    )
    special = dict(cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]",
                   model_input_names=["input_ids", "attention_mask"])
    return tokenizer, "PreTrainedTokenizerFast", special


# --- BPE over characters, with bytes to fall back on ------------------------------------------------------------------

def fallback_bytes():
    """The bytes that the examples need: a newline, accents, the emoji, most of the Chinese characters."""
    needed = set("\n,éïÜü🙂喜欢影很好".encode())
    return [f"<0x{byte:02X}>" for byte in sorted(needed)]


def sentencepiece_words(line):
    return ["▁" + word for word in line.split()]


def character_bpe(before, merges=16, extra=(), after=()):
    words = count_words(sentencepiece_words)
    words = {word: count for word, count in words.items() if word[1:].isascii()}
    learned = [*extra, *train_merges(words, merges)]
    characters = ["▁", *LETTERS, *".T我电"]
    vocab = numbered(before, fallback_bytes(), ["".join(pair) for pair in learned], characters, after)
    return vocab, learned


def llama2():
    special = ["<unk>", "<s>", "</s>"]
    vocab, merges = character_bpe(special)
    tokenizer = Tokenizer(models.BPE(
        vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    ))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)
    ])
    add_special(tokenizer, special)
    tokenizer.post_processor = template(tokenizer, "<s>:0 $A:0", "<s>:0 $A:0 <s>:1 $B:1", ["<s>"])
    return tokenizer, "PreTrainedTokenizerFast", dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def gemma():
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    turns = ["<start_of_turn>", "<end_of_turn>"]
    vocab, merges = character_bpe(special + turns, extra=[("▁", "▁")], after=["\n"])
    tokenizer = Tokenizer(models.BPE(
        vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    ))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    add_special(tokenizer, special + turns)
    tokenizer.post_processor = template(tokenizer, "<bos>:0 $A:0", "<bos>:0 $A:0 <bos>:1 $B:1", ["<bos>"])
    special = dict(bos_token="<bos>", eos_token="<eos>", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>")
    return tokenizer, "GemmaTokenizer", special


# --- Unigram --------------------------------------------------------------------------------------------------------

def unigram_pieces(pieces, characters=""):
    """Pieces with their log-probabilities: the frequent words and word parts, then single characters."""
    words = count_words(sentencepiece_words)
    found = collections.Counter()
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 2, len(word) + 1):
                found[word[start:end]] += count * (end - start)
    chosen = sorted(found, key=lambda piece: (-found[piece], piece))[:pieces]
    letters = collections.Counter(c for word, count in words.items() for c in word * count)
    weights = {piece: found[piece] for piece in chosen}
    weights.update({c: max(letters[c], 1) for c in ["▁", *LETTERS, *characters]})
    total = sum(weights.values())
    ordered = sorted(weights, key=lambda piece: (-weights[piece], piece))
    return [(piece, round(math.log(weights[piece] / total), 4)) for piece in ordered]


def unigram(before, after=(), pieces=16, characters=".,我电", unk="<unk>", byte_pieces=(), lstrip=()):
    vocab = [(token, 0.0) for token in [*before, *byte_pieces]]
    vocab += unigram_pieces(pieces, characters)
    vocab += [(token, 0.0) for token in after]
    unk_id = [token for token, _ in vocab].index(unk)
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=unk_id, byte_fallback=bool(byte_pieces)))
    tokenizer.decoder = decoders.Metaspace()
    add_special(tokenizer, [*before, *after], lstrip=lstrip)
    return tokenizer


def mistral():
    special = ["<unk>", "<s>", "</s>"]
    tokenizer = unigram(special, characters=".T我电", byte_pieces=fallback_bytes())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)
    ])
    tokenizer.post_processor = template(tokenizer, "<s>:0 $A:0", "<s>:0 $A:0 <s>:1 $B:1", ["<s>"])
    return tokenizer, "PreTrainedTokenizerFast", dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def t5():
    tokenizer = unigram(["<pad>", "</s>", "<unk>"], after=["<extra_id_1>", "<extra_id_0>"])
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")
    ])
    tokenizer.post_processor = template(tokenizer, "$A:0 </s>:0", "$A:0 </s>:0 $B:0 </s>:0", ["</s>"])
    special = dict(eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
                   extra_special_tokens=["<extra_id_0>", "<extra_id_1>"])
    return tokenizer, "PreTrainedTokenizerFast", special


def marian():
    tokenizer = unigram(["</s>", "<unk>"], after=["<pad>"])
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")
    ])
    tokenizer.post_processor = template(tokenizer, "$A:0 </s>:0", "$A:0 $B:0 </s>:0", ["</s>"])
    return tokenizer, "PreTrainedTokenizerFast", dict(eos_token="</s>", unk_token="<unk>", pad_token="<pad>")


def xlm_roberta():
    tokenizer = unigram(["<s>", "<pad>", "</s>", "<unk>"], after=["<mask>"], lstrip=["<mask>"])
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")
    ])
    tokenizer.post_processor = template(
        tokenizer, "<s>:0 $A:0 </s>:0", "<s>:0 $A:0 </s>:0 </s>:0 $B:0 </s>:0", ["<s>", "</s>"]
    )
    special = dict(bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", unk_token="<unk>",
                   pad_token="<pad>", mask_token="<mask>")
    return tokenizer, "PreTrainedTokenizerFast", special


def albert():
    tokenizer = unigram(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], lstrip=["[MASK]"])
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(),
        normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Replace(Regex(" {2,}"), " "),
    ])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")
    ])
    tokenizer.post_processor = template(
        tokenizer, "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", ["[CLS]", "[SEP]"]
    )
    special = dict(bos_token="[CLS]", eos_token="[SEP]", cls_token="[CLS]", sep_token="[SEP]", unk_token="<unk>",
                   pad_token="<pad>", mask_token="[MASK]")
    return tokenizer, "PreTrainedTokenizerFast", special


def deberta_v2():
    tokenizer = unigram(["[PAD]", "[CLS]", "[SEP]", "[UNK]"], after=["[MASK]"], unk="[UNK]")
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")
    ])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="always")])
    tokenizer.post_processor = template(
        tokenizer, "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", ["[CLS]", "[SEP]"]
    )
    special = dict(bos_token="[CLS]", eos_token="[SEP]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]",
                   pad_token="[PAD]", mask_token="[MASK]")
    return tokenizer, "PreTrainedTokenizerFast", special


# --- WordPiece ------------------------------------------------------------------------------------------------------

WORDS = "the film was good and we loved it cat".split()
PIECES = "##s ##ed ##d ##l ##e ##u ##t ##o".split()
PUNCTUATION = list(".,!")


def wordpiece(before, after=(), unk="[UNK]"):
    vocab = numbered(before, WORDS, PIECES, LETTERS, PUNCTUATION, "我电", after)
    tokenizer = Tokenizer(models.WordPiece(vocab=vocab, unk_token=unk, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def bert(kind="BertTokenizer"):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = wordpiece(special)
    add_special(tokenizer, special)
    tokenizer.post_processor = template(
        tokenizer, "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", ["[CLS]", "[SEP]"]
    )
    special = dict(do_lower_case=True, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]",
                   mask_token="[MASK]")
    return tokenizer, kind, special


def distilbert():
    tokenizer, _, special = bert()
    return tokenizer, "DistilBertTokenizer", dict(special, model_input_names=["input_ids", "attention_mask"])


def electra():
    return bert("ElectraTokenizer")


def mpnet():
    tokenizer = wordpiece(["<s>", "<pad>", "</s>", "<unk>", "[UNK]"], after=["<mask>"])
    add_special(tokenizer, ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"], lstrip=["<mask>"])
    tokenizer.post_processor = template(
        tokenizer, "<s>:0 $A:0 </s>:0", "<s>:0 $A:0 </s>:0 </s>:0 $B:0 </s>:0", ["<s>", "</s>"]
    )
    special = dict(do_lower_case=True, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
                   unk_token="[UNK]", pad_token="<pad>", mask_token="<mask>",
                   model_input_names=["input_ids", "attention_mask"])
    return tokenizer, "MPNetTokenizer", special


def write(build, directory):
    """tokenizer.json and tokenizer_config.json; returns the tokenizer."""
    tokenizer, kind, special = build()
    content = json.loads(tokenizer.to_str())
    (directory / "tokenizer.json").write_text(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    config = dict(special, model_max_length=MAX_LENGTH, tokenizer_class=kind, clean_up_tokenization_spaces=False)
    (directory / "tokenizer_config.json").write_text(
        json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    return tokenizer
