#!/usr/bin/env python3
"""The contenders of `cargo xtask bench attacks`, written the obvious way in PyTorch.

    attack_worker.py --model DIR --threads N --contender allennlp|textattack

Reads one command a line (`hotflip TEXT`, `quick TEXT`, `reduce TEXT`, `greedy TEXT`; the first two
are one and the same here), writes one line for each: milliseconds, 1 for success or 0, edits (or
tokens that are left), 1 if the success holds for the text when it is split and read again. Several
texts may stand there, with tabs between them: the milliseconds are those of all, and the other
numbers follow for each.

`allennlp` is the algorithm of AllenNLP's attackers, word pieces as tokens: HotFlip takes the position
with the largest gradient, replaces it by the best first-order word of letters and digits, one
gradient call (`loss.backward()`, batch 1) a flip, until the prediction changes or no position is
left; input reduction removes the tokens with the smallest gradient norm, beam 3, one gradient call a
candidate. `textattack` is TextAttack's own greedy search with word importance by deletion, over the
words that `neighbours` lists for each word: the same list that the other side reads.
"""

import argparse
import atexit
import heapq
import shutil
import string
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

IGNORED = {".", ",", ";", "!", "?", "[MASK]", "[SEP]", "[CLS]"}


class AllenNlp:
    def __init__(self, directory):
        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        self.model = AutoModelForSequenceClassification.from_pretrained(directory, dtype=torch.float32)
        self.model.eval()
        self.layer = self.model.get_input_embeddings()
        self.matrix = self.layer.weight.detach()
        words = self.tokenizer.convert_ids_to_tokens(range(self.matrix.shape[0]))
        self.invalid = torch.tensor([not word.isalnum() for word in words])

    def gradient(self, ids, label):
        """Logits, and the gradient of the loss at the embeddings."""
        kept = []

        def keep(_module, _inputs, output):
            output.retain_grad()
            kept.append(output)

        hook = self.layer.register_forward_hook(keep)
        try:
            self.model.zero_grad()
            logits = self.model(input_ids=torch.tensor([ids])).logits
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor([label]))
            loss.backward()
        finally:
            hook.remove()
        return logits[0].detach(), kept[0].grad[0]

    def predict(self, ids):
        with torch.no_grad():
            return int(self.model(input_ids=torch.tensor([ids])).logits[0].argmax())

    def hotflip(self, text):
        ids = self.tokenizer(text)["input_ids"]
        tokens = self.tokenizer.convert_ids_to_tokens(ids)
        label = self.predict(ids)
        flipped = {i for i, token in enumerate(tokens) if token in IGNORED}
        original = list(ids)
        _, slope = self.gradient(ids, label)
        while True:
            norms = (slope * slope).sum(-1)
            order = norms.argsort(descending=True).tolist()
            position = next((i for i in order if i not in flipped), None)
            if position is None:
                return False, original, ids
            flipped.add(position)
            scores = self.matrix @ slope[position]
            scores[self.invalid] = -float("inf")
            ids[position] = int(scores.argmax())
            logits, slope = self.gradient(ids, label)
            if int(logits.argmax()) != label:
                return True, original, ids

    def reduce(self, text, beam=3):
        ids = self.tokenizer(text)["input_ids"]
        label = self.predict(ids)
        candidates, current = [ids], ids
        # [CLS] and [SEP] are no tokens of the text there.
        while len(current) > 3 and candidates:
            candidates = heapq.nsmallest(beam, candidates, key=len)
            merged = []
            for candidate in candidates:
                logits, slope = self.gradient(candidate, label)
                if int(logits.argmax()) != label:
                    continue
                current = candidate
                norms = slope.norm(dim=-1)
                norms[0] = norms[-1] = float("inf")
                for remove in norms.argsort()[:beam].tolist():
                    if 0 < remove < len(candidate) - 1:
                        merged.append(candidate[:remove] + candidate[remove + 1 :])
            candidates = merged
        return True, ids, current

    def run(self, command, text):
        if command != "reduce":
            success, before, after = self.hotflip(text)
            edits = sum(a != b for a, b in zip(before, after))
        else:
            success, before, after = self.reduce(text)
            edits = len(after) - 2
        return success, edits, self.tokenizer.decode(after[1:-1])

    def holds(self, command, text, final):
        """Whether the model says so of the text, and not only of the ids."""
        changed = self.label(final) != self.label(text)
        return changed if command != "reduce" else not changed

    def label(self, text):
        return self.predict(self.tokenizer(text)["input_ids"])


def neighbours(directory, count):
    """For each whole word of the vocabulary the words with the nearest embeddings."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForSequenceClassification.from_pretrained(directory, dtype=torch.float32)
    matrix = torch.nn.functional.normalize(model.get_input_embeddings().weight.detach(), dim=-1)
    words = tokenizer.convert_ids_to_tokens(range(matrix.shape[0]))
    whole = [i for i, word in enumerate(words) if word.isalpha()]
    near = (matrix[whole] @ matrix[whole].T).topk(count + 1).indices.tolist()
    return {
        words[whole[i]]: [words[whole[j]] for j in row if j != i][:count] for i, row in enumerate(near)
    }


class TextAttack:
    def __init__(self, directory, count):
        stub_what_is_missing()
        import textattack
        from textattack.constraints.pre_transformation import RepeatModification
        from textattack.goal_functions import UntargetedClassification
        from textattack.models.wrappers import HuggingFaceModelWrapper
        from textattack.search_methods import GreedyWordSwapWIR
        from textattack.transformations import WordSwap

        words = neighbours(directory, count)

        class Listed(WordSwap):
            def _get_replacement_words(self, word):
                return words.get(word.lower(), [])

        tokenizer = AutoTokenizer.from_pretrained(directory)
        model = AutoModelForSequenceClassification.from_pretrained(directory, dtype=torch.float32)
        model.eval()
        wrapper = HuggingFaceModelWrapper(model, tokenizer)
        goal = UntargetedClassification(wrapper)
        search = GreedyWordSwapWIR(wir_method="delete")
        letters = string.ascii_letters
        self.attack = textattack.Attack(goal, [RepeatModification()], Listed(letters_to_insert=letters), search)
        self.wrapper = wrapper

    def run(self, _, text):
        import numpy

        label = int(numpy.argmax(numpy.asarray(self.wrapper([text])[0])))
        result = self.attack.attack(text, label)
        success = type(result).__name__ == "SuccessfulAttackResult"
        before = result.original_result.attacked_text
        after = result.perturbed_result.attacked_text
        return success, len(before.all_words_diff(after)), after.text

    def holds(self, _, text, final):
        import numpy

        before, after = (int(numpy.argmax(numpy.asarray(self.wrapper([one])[0]))) for one in (text, final))
        return before != after


def stub_what_is_missing():
    """TextAttack imports taggers and tokenizers of other languages that this recipe never uses."""
    import importlib.abc
    import importlib.machinery
    import types
    from unittest.mock import MagicMock

    names = ("datasets", "flair", "jieba", "Levenshtein", "langdetect", "pinyin", "pypinyin",
             "OpenHowNet", "language_tool_python", "bert_score")

    class Stub(types.ModuleType):
        __path__ = []

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return MagicMock()

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in names:
                return importlib.machinery.ModuleSpec(name, self, is_package=True)
            return None

        def create_module(self, spec):
            return Stub(spec.name)

        def exec_module(self, module):
            pass

    sys.meta_path.insert(0, Finder())
    # A list of stop words is read when TextAttack is imported; the recipe leaves out none.
    lists = Path(tempfile.mkdtemp())
    (lists / "corpora/stopwords").mkdir(parents=True)
    (lists / "corpora/stopwords/english").write_text("")
    import nltk

    nltk.data.path.insert(0, str(lists))
    atexit.register(shutil.rmtree, lists)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--contender", choices=["allennlp", "textattack"], required=True)
    parser.add_argument("--candidates", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.contender == "allennlp":
        contender = AllenNlp(arguments.model)
    else:
        contender = TextAttack(arguments.model, arguments.candidates)
    print("ready", flush=True)
    for line in sys.stdin:
        command, texts = line.rstrip("\n").split(" ", 1)
        texts = texts.split("\t")
        start = time.perf_counter()
        results = [contender.run(command, text) for text in texts]
        milliseconds = (time.perf_counter() - start) * 1e3
        answer = [f"{milliseconds:.4f}"]
        for text, (success, edits, final) in zip(texts, results):
            holds = success and contender.holds(command, text, final)
            answer.append(f"{int(success)} {edits} {int(holds)}")
        print(*answer, flush=True)


if __name__ == "__main__":
    main()
