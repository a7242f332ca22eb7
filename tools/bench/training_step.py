"""The training step of crates/ops/benches/training.rs in PyTorch, on two threads.

    python tools/bench/training_step.py [steps]
"""

import sys
import time

import torch
from transformers import BertConfig, BertForSequenceClassification

torch.set_num_threads(2)
torch.manual_seed(0)
model = BertForSequenceClassification(
    BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, num_labels=2,
               attention_probs_dropout_prob=0.0))
model.train()
ids = torch.randint(0, 30522, (32, 32))
targets = torch.arange(32) % 2
times = []
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
    model.zero_grad(set_to_none=True)
    start = time.perf_counter()
    torch.nn.functional.cross_entropy(model(input_ids=ids).logits, targets).backward()
    times.append(time.perf_counter() - start)
times.sort()
print(f"torch {torch.__version__}: {1e3 * times[0]:.0f} ms at best, {1e3 * times[len(times) // 2]:.0f} ms in the median")
