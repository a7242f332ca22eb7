#!/usr/bin/env python3
"""Write a BERT classifier with random weights: the size of a real checkpoint, and nothing else of it.

Speed does not depend on what the weights hold. The vocabulary is `[PAD] [UNK] [CLS] [SEP] [MASK] w5 w6 ..`, so that a
text of N words has N + 2 tokens in every tokenizer.

    python tools/bench/make_model.py minilm target/bench/models/minilm
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
import transformers  # noqa: E402

SIZES = {
    # sentence-transformers/all-MiniLM-L6 and bert-base-uncased
    "minilm": dict(num_hidden_layers=6, hidden_size=384, num_attention_heads=12, intermediate_size=1536),
    "base": dict(num_hidden_layers=12, hidden_size=768, num_attention_heads=12, intermediate_size=3072),
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 30522
SEED = 20240917


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()

    torch.manual_seed(SEED)
    labels = ["negative", "positive"]
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        problem_type="single_label_classification",
        **SIZES[arguments.size],
    )
    # transformers draws every matrix from normal(0, 0.02); norms are 1 and biases 0.
    model = transformers.BertForSequenceClassification(config)

    arguments.directory.mkdir(parents=True, exist_ok=True)
    vocabulary = arguments.directory / "vocab.txt"
    words = SPECIAL + [f"w{i}" for i in range(len(SPECIAL), VOCABULARY)]
    vocabulary.write_text("".join(f"{word}\n" for word in words))
    tokenizer = transformers.BertTokenizerFast({word: i for i, word in enumerate(words)})
    tokenizer.save_pretrained(arguments.directory)
    # Last, and under its name in one step: a directory with weights is complete.
    model.save_pretrained(arguments.directory, safe_serialization=True)


if __name__ == "__main__":
    main()
