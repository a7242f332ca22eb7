"""One gradient and 50-step integrated gradients with PyTorch and Captum, as their documentation has it."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch  # noqa: E402
import transformers  # noqa: E402
from captum.attr import IntegratedGradients  # noqa: E402

transformers.logging.disable_progress_bar()

STEPS = 50


class Peer:
    def __init__(self, directory, attention="sdpa"):
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
        config = transformers.AutoConfig.from_pretrained(directory)
        self.writes = config.architectures[0].endswith("ForCausalLM")
        kind = transformers.AutoModelForCausalLM if self.writes else transformers.AutoModelForSequenceClassification
        self.model = kind.from_pretrained(directory, attn_implementation=attention, dtype=torch.float32)
        self.model.eval()
        self.integrated_gradients = IntegratedGradients(self.logits)

    def logits(self, embeddings):
        # No padding, so no attention mask: the quickest path through the model.
        if self.writes:
            return self.model(inputs_embeds=embeddings, logits_to_keep=1, use_cache=False).logits[:, -1]
        return self.model(inputs_embeds=embeddings).logits

    def baseline(self, embeddings):
        """Zero, and for a language model the mean embedding."""
        if self.writes:
            mean = self.model.get_input_embeddings().weight.detach().mean(dim=0)
            return mean.expand_as(embeddings)
        return torch.zeros_like(embeddings)

    def encode(self, text):
        return self.tokenizer(text, return_tensors="pt")["input_ids"]

    def embed(self, ids):
        return self.model.get_input_embeddings()(ids).detach()

    def gradient(self, ids):
        """The norm of the predicted logit's gradient at each token."""
        embeddings = self.embed(ids).requires_grad_()
        logit = self.logits(embeddings)[0].max()
        (gradient,) = torch.autograd.grad(logit, embeddings)
        return gradient[0].norm(dim=-1).tolist()

    def ig50(self, ids, internal_batch_size):
        """Integrated gradients of the predicted logit, summed over each token's embedding."""
        embeddings = self.embed(ids)
        with torch.no_grad():
            label = int(self.logits(embeddings)[0].argmax())
        scores = self.integrated_gradients.attribute(
            embeddings,
            baselines=self.baseline(embeddings),
            target=label,
            n_steps=STEPS,
            method="gausslegendre",
            internal_batch_size=internal_batch_size,
        )
        return scores[0].sum(dim=-1).tolist()
