"""The small models of the families other than BERT's classifiers: their configurations, and how to load them in f64.

`MODELS` is read by make_family_models.py, which writes them, and by family_golden.py, which computes with them.
"""

import contextlib
import dataclasses
import json

from common import MODELS as DIRECTORY  # before transformers: it keeps transformers off the network

import safetensors.torch
import tiny_tokenizers
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.models.deberta_v2 import modeling_deberta_v2
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder
from transformers.models.t5.modeling_t5 import T5Attention

LABELS = ["negative", "neutral", "positive"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@dataclasses.dataclass
class Spec:
    """One directory of testdata/models/."""

    kind: str  # the class of transformers that reads it
    config: type
    options: dict
    tokenizer: object
    lengths: tuple = (10, 5, 3)  # tokens of the golden's rows
    decoder_lengths: tuple = ()
    labels: list = None
    extra_rows: int = 0  # embeddings beyond the tokenizer's vocabulary, as many real models have them
    old_config: object = None  # rewrites config.json to the keys that files of the years before 2025 have
    note: str = ""
    base: str = None  # of an adapter: the model that it changes
    lora: dict = None
    attributes: dict = dataclasses.field(default_factory=dict)  # of the configuration: a role of the tokenizer

    @property
    def model_class(self):
        return getattr(transformers, self.kind)

    @property
    def causal(self):
        return self.kind.endswith(("ForCausalLM", "LMHeadModel"))

    @property
    def encoder_decoder(self):
        return self.kind.endswith(("ForConditionalGeneration", "MTModel"))

    @property
    def question_answering(self):
        return self.kind.endswith("ForQuestionAnswering")


def shape(**options):
    return dict(dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24,
                     max_position_embeddings=40), **options)


# --- config.json as older files have it -------------------------------------------------------------------------------

def old_dtype(config):
    config["torch_dtype"] = config.pop("dtype")
    del config["transformers_version"]


def old_rope(config):
    """rope_theta and rope_scaling at the top level."""
    old_dtype(config)
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope.get("rope_type", "default") != "default" else None


def old_neox(config):
    old_dtype(config)
    rope = config.pop("rope_parameters")
    config["rotary_emb_base"] = rope["rope_theta"]
    config["rotary_pct"] = rope["partial_rotary_factor"]


def old_gemma2(config):
    old_rope(config)
    del config["rope_scaling"], config["layer_types"]


def old_gemma3(config):
    old_dtype(config)
    rope = config.pop("rope_parameters")
    full = rope["full_attention"]
    config["rope_theta"] = full.pop("rope_theta")
    config["rope_scaling"] = full
    config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
    del config["layer_types"], config["_sliding_window_pattern"]
    config["sliding_window_pattern"] = 2


def old_modernbert(config):
    old_dtype(config)
    rope = config.pop("rope_parameters")
    config["global_rope_theta"] = rope["full_attention"]["rope_theta"]
    config["local_rope_theta"] = rope["sliding_attention"]["rope_theta"]
    del config["layer_types"]
    config["global_attn_every_n_layers"] = 3


def old_deberta(config):
    old_dtype(config)
    config["pos_att_type"] = "|".join(config["pos_att_type"])


# --- decoders ---------------------------------------------------------------------------------------------------------

def plain_rope(theta):
    return dict(rope_type="default", rope_theta=theta)


def decoders():
    t = transformers
    neox = shape(num_attention_heads=2, rope_parameters=dict(plain_rope(100.0), partial_rotary_factor=0.5))
    grouped = shape(num_key_value_heads=2)
    return {
        "gpt2": Spec(
            "GPT2LMHeadModel", t.GPT2Config,
            dict(n_embd=16, n_layer=2, n_head=4, n_inner=24, n_positions=40), tiny_tokenizers.gpt2,
            lengths=(7, 5, 3), note="learned positions, Conv1D weights [in, out]",
        ),
        "gpt-neox": Spec(
            "GPTNeoXForCausalLM", t.GPTNeoXConfig, dict(neox, use_parallel_residual=True), tiny_tokenizers.gpt_neox,
            lengths=(7, 5, 3), note="parallel residual, half of each head rotated",
        ),
        "gpt-neox-sequential": Spec(
            "GPTNeoXForCausalLM", t.GPTNeoXConfig, dict(neox, use_parallel_residual=False), tiny_tokenizers.gpt_neox,
            lengths=(5, 4, 3), old_config=old_neox, note="sequential residual; an older config.json",
        ),
        "llama": Spec(
            "LlamaForCausalLM", t.LlamaConfig,
            dict(grouped, head_dim=8, tie_word_embeddings=False, rope_parameters=dict(
                rope_type="llama3", rope_theta=100.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=32)),
            tiny_tokenizers.llama3, note="Llama 3: rope scaled by bands; frequencies in all three bands",
        ),
        "llama-tied": Spec(
            "LlamaForCausalLM", t.LlamaConfig,
            dict(grouped, tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
                 rope_parameters=plain_rope(50.0)),
            tiny_tokenizers.llama2, lengths=(12, 6, 3), old_config=old_rope,
            note="tied, with biases, plain rope; an older config.json",
        ),
        "mistral": Spec(
            "MistralForCausalLM", t.MistralConfig,
            dict(grouped, head_dim=6, sliding_window=4, rope_parameters=plain_rope(100.0)),
            tiny_tokenizers.mistral, lengths=(14, 7, 3), old_config=old_rope,
            note="window of 4; an older config.json",
        ),
        "qwen2": Spec(
            "Qwen2ForCausalLM", t.Qwen2Config,
            dict(grouped, rope_parameters=plain_rope(100.0), tie_word_embeddings=True),
            tiny_tokenizers.qwen, lengths=(7, 4, 3), extra_rows=3, old_config=old_rope,
            note="biases in q, k, v only; an older config.json; 3 rows more than tokens",
        ),
        "qwen3": Spec(
            "Qwen3ForCausalLM", t.Qwen3Config,
            dict(grouped, head_dim=8, rope_parameters=plain_rope(100.0), tie_word_embeddings=True),
            tiny_tokenizers.qwen, lengths=(7, 4, 3), note="norms of q and k in each head",
        ),
        "gemma2": Spec(
            "Gemma2ForCausalLM", t.Gemma2Config,
            dict(grouped, head_dim=6, attn_logit_softcapping=5.0, final_logit_softcapping=3.0, sliding_window=4,
                 query_pre_attn_scalar=10, rope_parameters=plain_rope(100.0)),
            tiny_tokenizers.gemma, lengths=(14, 7, 3), old_config=old_gemma2,
            note="soft caps, layer 0 sliding (4), layer 1 full; an older config.json",
        ),
        "gemma3": Spec(
            "Gemma3ForCausalLM", t.Gemma3TextConfig,
            dict(grouped, num_hidden_layers=3, head_dim=8, sliding_window=4, query_pre_attn_scalar=6,
                 layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                 rope_parameters=dict(
                     sliding_attention=plain_rope(20.0),
                     full_attention=dict(rope_type="linear", factor=4.0, rope_theta=300.0))),
            tiny_tokenizers.gemma, lengths=(14, 7, 3), old_config=old_gemma3,
            note="sliding (4), full, sliding; an older config.json (the newer one is in the golden's json)",
        ),
    }


# --- encoders ---------------------------------------------------------------------------------------------------------

TASKS = {
    "sequence-classification": ("ForSequenceClassification", LABELS),
    "token-classification": ("ForTokenClassification", TAGS),
    "question-answering": ("ForQuestionAnswering", None),
    "masked-lm": ("ForMaskedLM", None),
}


def tasks(name, prefix, chosen=tuple(TASKS), lengths=(10, 5, 3), note="", **spec):
    """One model a task. The first has the longest rows; in the others the head is what is new."""
    found = {}
    for task in chosen:
        ending, labels = TASKS[task]
        found[f"{name}-{task}"] = Spec(
            prefix + ending, getattr(transformers, prefix + "Config"), labels=labels,
            lengths=lengths if task == chosen[0] else (6, 4, 3), note=note, **spec,
        )
    return found


def encoders():
    t = tiny_tokenizers
    segments = shape(type_vocab_size=2)
    deberta = shape(
        relative_attention=True, position_biased_input=False, share_att_key=True, pos_att_type=["c2p", "p2c"],
        position_buckets=4, max_relative_positions=-1, norm_rel_ebd="layer_norm", type_vocab_size=0,
        layer_norm_eps=1e-7, pooler_hidden_size=16, pooler_hidden_act="gelu", pooler_dropout=0,
    )
    modern = shape(
        num_hidden_layers=4, local_attention=4, classifier_pooling="mean",
        rope_parameters=dict(full_attention=plain_rope(160.0), sliding_attention=plain_rope(10.0)),
    )
    models = {}
    models.update(tasks(
        "bert", "Bert", ("token-classification", "question-answering", "masked-lm"), options=segments, tokenizer=t.bert,
    ))
    models.update(tasks(
        "roberta", "Roberta", options=shape(type_vocab_size=1, layer_norm_eps=1e-5), tokenizer=t.roberta,
        note="positions from pad_token_id + 1",
    ))
    models.update(tasks(
        "xlm-roberta", "XLMRoberta", ("token-classification",), options=shape(type_vocab_size=1, layer_norm_eps=1e-5),
        tokenizer=t.xlm_roberta, note="as RoBERTa, other tokenizer",
    ))
    models.update(tasks(
        "distilbert", "DistilBert", tokenizer=t.distilbert,
        options=dict(dim=16, n_layers=2, n_heads=4, hidden_dim=24, max_position_embeddings=40),
    ))
    models.update(tasks(
        "electra", "Electra", options=dict(segments, embedding_size=12), tokenizer=t.electra, note="embeddings of 12",
    ))
    albert = dict(segments, embedding_size=12, hidden_act="gelu_new", inner_group_num=1, classifier_dropout_prob=0.1)
    models.update(tasks(
        "albert", "Albert", options=dict(albert, num_hidden_groups=1), tokenizer=t.albert,
        note="embeddings of 12, both layers share their weights",
    ))
    models.update(tasks(
        "albert-groups", "Albert", ("sequence-classification",), tokenizer=t.albert,
        options=dict(albert, num_hidden_layers=4, num_hidden_groups=2),
        note="4 layers: two of the first group, two of the second",
    ))
    models.update(tasks(
        "mpnet", "MPNet", options=shape(layer_norm_eps=1e-5), tokenizer=t.mpnet, lengths=(14, 7, 3),
        note="positions from pad_token_id + 1, relative biases in 32 buckets shared by the layers",
    ))
    models.update(tasks(
        "deberta-v3", "DebertaV2", options=deberta, tokenizer=t.deberta_v2, lengths=(12, 6, 3), extra_rows=4,
        old_config=old_deberta, note="4 rows more than tokens; an older config.json",
    ))
    models.update(tasks(
        "deberta-v2-xlarge", "DebertaV2", tokenizer=t.deberta_v2, lengths=(12, 6, 3),
        options=dict(deberta, conv_kernel_size=3, conv_act="gelu", attention_head_size=4),
        note="with a convolution beside the first layer",
    ))
    models.update(tasks(
        "modernbert", "ModernBert", options=modern, tokenizer=t.modernbert, lengths=(12, 6, 3),
        note="layers 0 and 3 full, 1 and 2 local; mean pooling",
    ))
    models.update(tasks(
        "modernbert-cls", "ModernBert", ("sequence-classification",), tokenizer=t.modernbert, lengths=(12, 6, 3),
        options=dict(modern, classifier_pooling="cls", norm_bias=True, attention_bias=True, mlp_bias=True,
                     classifier_bias=True),
        old_config=old_modernbert, note="pooling of the first token, every optional bias; an older config.json",
    ))
    return models


# --- encoder-decoders -------------------------------------------------------------------------------------------------

def old_t5(config):
    """Today's file says that the weights are tied and that the decoder's output is not scaled; older ones say that
    they are not tied, and mean both by it."""
    old_dtype(config)
    del config["scale_decoder_outputs"], config["is_gated_act"], config["dense_act_fn"]
    config["tie_word_embeddings"] = False


def encoder_decoders():
    t = transformers
    t5 = dict(d_model=16, d_kv=6, d_ff=24, num_layers=2, num_heads=4, relative_attention_num_buckets=8,
              relative_attention_max_distance=20)
    seq2seq = dict(d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                   decoder_attention_heads=4, encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=40)
    return {
        "t5": Spec(
            "T5ForConditionalGeneration", t.T5Config, dict(t5, feed_forward_proj="relu"), tiny_tokenizers.t5,
            lengths=(12, 6, 3), decoder_lengths=(9, 4, 2), extra_rows=2,
            attributes=dict(decoder_start_token_id="pad_token_id"),
            note="tied, so that the decoder's output is divided by sqrt(d_model); 2 rows more than tokens",
        ),
        "t5-gated": Spec(
            "T5ForConditionalGeneration", t.T5Config,
            dict(t5, num_decoder_layers=1, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
            tiny_tokenizers.t5, lengths=(12, 6, 3), decoder_lengths=(9, 4, 2),
            attributes=dict(decoder_start_token_id="pad_token_id"), old_config=old_t5,
            note="T5 1.1: gated, untied, 1 layer in the decoder; an older config.json",
        ),
        "bart": Spec(
            "BartForConditionalGeneration", t.BartConfig, dict(seq2seq, scale_embedding=False), tiny_tokenizers.bart,
            lengths=(8, 5, 3), decoder_lengths=(5, 4, 2), attributes=dict(decoder_start_token_id="eos_token_id"),
            note="learned positions from 2 on, norms after the blocks",
        ),
        "marian": Spec(
            "MarianMTModel", t.MarianConfig, dict(seq2seq, scale_embedding=True, activation_function="swish"),
            tiny_tokenizers.marian, lengths=(10, 5, 3), decoder_lengths=(7, 4, 2),
            attributes=dict(decoder_start_token_id="pad_token_id"),
            note="sines as positions (not in the file), embeddings times sqrt(d_model), a bias on the logits",
        ),
    }


# --- the rest ---------------------------------------------------------------------------------------------------------

def others():
    t = transformers
    base = decoders()
    lora = dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"])
    gpt2 = dataclasses.replace(base["gpt2"], kind="GPT2ForSequenceClassification", labels=LABELS, lengths=(10, 5, 3),
                               tokenizer=tiny_tokenizers.gpt2_padded,
                               note="the last token before the padding; the end token pads")
    llama = dataclasses.replace(base["llama"], kind="LlamaForSequenceClassification", labels=LABELS,
                                tokenizer=tiny_tokenizers.llama3_padded, note="the last token before the padding")
    return {
        "gpt2-sequence-classification": gpt2,
        "llama-sequence-classification": llama,
        "bert-sentence-similarity": Spec(
            "BertModel", t.BertConfig, shape(type_vocab_size=2), tiny_tokenizers.bert,
            note="sentence-transformers: mean over tokens, then length 1; its pooler is not used",
        ),
        "llama-lora": dataclasses.replace(
            base["llama"], base="llama", lengths=(5, 4, 3), lora=dict(lora, use_rslora=False),
            note="adapter: alpha / r",
        ),
        "llama-lora-rs": dataclasses.replace(
            base["llama"], base="llama", lengths=(5, 4, 3), lora=dict(lora, use_rslora=True),
            note="adapter: alpha / sqrt(r)",
        ),
    }


MODELS = decoders() | encoders() | encoder_decoders() | others()


# --- f64 ----------------------------------------------------------------------------------------------------------------

ALLOW_F32 = 0


@contextlib.contextmanager
def real_f32():
    """torch as it is, within `everything_f64`."""
    global ALLOW_F32
    ALLOW_F32 += 1
    saved = torch.float32, torch.float, torch.Tensor.float, torch.FloatTensor, torch.get_default_dtype()
    torch.float32, torch.float, torch.Tensor.float, torch.FloatTensor = TORCH
    torch.set_default_dtype(TORCH[0])
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float, torch.FloatTensor = saved[:4]
        torch.set_default_dtype(saved[4])
        ALLOW_F32 -= 1


TORCH = torch.float32, torch.float, torch.Tensor.float, torch.FloatTensor


@contextlib.contextmanager
def everything_f64():
    """transformers computes rotary angles, softmax and norms in f32 whatever the model's type is: it names
    `torch.float32` or calls `.float()`. Here those names mean f64, both while a model is built and while it runs."""
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.FloatTensor = torch.DoubleTensor
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float, torch.FloatTensor = TORCH
        torch.set_default_dtype(TORCH[0])


def in_f32(function):
    """Buckets of relative positions are whole numbers, from a logarithm in f32, for all models in use."""
    def wrapped(*arguments, **options):
        with real_f32():
            found = function(*arguments, **options)
        assert torch.equal(found, function(*arguments, **options)), "these buckets depend on the precision"
        return found.long()

    return wrapped


T5Attention._relative_position_bucket = staticmethod(in_f32(T5Attention._relative_position_bucket))
MPNetEncoder.relative_position_bucket = staticmethod(in_f32(MPNetEncoder.relative_position_bucket))
modeling_deberta_v2.make_log_bucket_position = in_f32(modeling_deberta_v2.make_log_bucket_position)


class NoF32(TorchDispatchMode):
    """Fails at the first operation that gives f32: proof that nothing was missed."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, torch.Tensor) and value.dtype == TORCH[0] and ALLOW_F32 == 0:
                raise AssertionError(f"{function} computes in f32")
        return result


def load(name, dtype=torch.float64):
    """The model with its bf16 weights cast up. Call it, and what it returns, within `everything_f64` for f64."""
    spec = MODELS[name]
    model = spec.model_class.from_pretrained(
        DIRECTORY / (spec.base or name), attn_implementation="eager", dtype=dtype
    )
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        # Out of the mapped file into torch's own aligned memory: kernels round differently at odd addresses.
        parameter.data = parameter.data.clone()
        assert parameter.dtype == dtype
    if spec.lora:
        merge_adapter(model, DIRECTORY / name)
    return model.eval()


def merge_adapter(model, directory):
    """W + s B A, with s = alpha / r, or alpha / sqrt(r)."""
    config = json.loads((directory / "adapter_config.json").read_text())
    weights = safetensors.torch.load_file(directory / "adapter_model.safetensors")
    root = config["r"] ** 0.5 if config["use_rslora"] else config["r"]
    for key, down in weights.items():
        if not key.endswith(".lora_A.weight"):
            continue
        up = weights[key.replace(".lora_A.", ".lora_B.")]
        target = model.get_parameter(key.removeprefix("base_model.model.").replace(".lora_A.", "."))
        target.add_(config["lora_alpha"] / root * (up.to(target.dtype) @ down.to(target.dtype)))
