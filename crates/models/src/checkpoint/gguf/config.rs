//! From metadata to the `config.json` that transformers would write.

use serde_json::{Map, Value, json};

use super::names::Architecture;
use super::{Gguf, Metadata};
use crate::checkpoint::RawType;
use crate::config::Config;
use crate::error::{Error, Result};

pub(super) const QUERY_HEADS: &str = "attention.head_count";
pub(super) const KEY_HEADS: &str = "attention.head_count_kv";

/// The base of the rotations of Gemma 3's local layers, which older files leave to llama.cpp.
const LOCAL_BASE: f64 = 10_000.0;

/// The number of heads of a kind; as many keys as queries where nothing is said.
pub(super) fn heads(
    metadata: &Metadata<'_>,
    architecture: Architecture,
    key: &str,
) -> Result<usize> {
    let keys = Keys { metadata, architecture };
    match keys.count(key)? {
        Some(heads) => Ok(heads as usize),
        None => keys.needed(QUERY_HEADS).map(|heads| heads as usize),
    }
}

/// Metadata under the prefix of the architecture.
struct Keys<'a, 'b> {
    metadata: &'b Metadata<'a>,
    architecture: Architecture,
}

impl<'a> Keys<'a, '_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture.id())
    }

    fn bad(&self, key: &str, expected: &str) -> Error {
        self.metadata.bad(&self.key(key), expected)
    }

    /// A positive number of things.
    fn count(&self, key: &str) -> Result<Option<u64>> {
        match self.metadata.whole(&self.key(key))? {
            None => Ok(None),
            Some(n) if (1..=1 << 31).contains(&n) => Ok(Some(n)),
            Some(_) => Err(self.bad(key, "a positive whole number below 2^31")),
        }
    }

    fn needed(&self, key: &str) -> Result<u64> {
        self.count(key)?.ok_or_else(|| self.bad(key, "a positive whole number"))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.metadata.number(&self.key(key))
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.metadata.text(&self.key(key))
    }

    fn unsupported(&self, key: &str, expected: &str) -> Error {
        self.metadata.unsupported(&self.key(key), expected)
    }
}

/// Makes the configuration of a file; `bytes` are those that it was read from.
pub(super) fn write(gguf: &Gguf<'_>, bytes: &[u8]) -> Result<Config> {
    let (metadata, architecture) = (&gguf.metadata, gguf.architecture);
    let keys = Keys { metadata, architecture };
    if keys.metadata.whole(&keys.key("expert_count"))?.unwrap_or(0) > 0 {
        return Err(keys.unsupported("expert_count", "a model without experts"));
    }
    if metadata.flag(&keys.key("attention.causal"))? == Some(false) {
        return Err(keys.unsupported("attention.causal", "true"));
    }
    let mut config = shape(gguf, &keys)?;
    let local = keys.count("attention.sliding_window")?;
    let (model_type, class) = match architecture {
        Architecture::Llama if local.is_some() => ("mistral", "MistralForCausalLM"),
        Architecture::Llama => ("llama", "LlamaForCausalLM"),
        Architecture::Qwen2 => ("qwen2", "Qwen2ForCausalLM"),
        Architecture::Qwen3 => ("qwen3", "Qwen3ForCausalLM"),
        Architecture::Gemma2 => ("gemma2", "Gemma2ForCausalLM"),
        Architecture::Gemma3 => ("gemma3_text", "Gemma3ForCausalLM"),
    };
    config.insert("model_type".to_owned(), json!(model_type));
    config.insert("architectures".to_owned(), json!([class]));
    if local.is_some() && matches!(architecture, Architecture::Llama) || architecture.is_gemma() {
        config.insert("sliding_window".to_owned(), json!(local));
    }
    let rope = rope(gguf, &keys, &config, bytes)?;
    if architecture.is_gemma() {
        gemma(&keys, &mut config)?;
    }
    let rope = match architecture {
        Architecture::Gemma3 => {
            let base = keys.number("rope.freq_base_swa")?.unwrap_or(LOCAL_BASE);
            let local = json!({"rope_type": "default", "rope_theta": base});
            json!({"full_attention": rope, "sliding_attention": local})
        }
        _ => rope,
    };
    config.insert("rope_parameters".to_owned(), rope);
    special_ids(metadata, &mut config)?;
    let bytes = Value::Object(config).to_string();
    Config::parse(metadata.path().to_owned(), bytes.as_bytes())
}

/// What all architectures have.
fn shape(gguf: &Gguf<'_>, keys: &Keys<'_, '_>) -> Result<Map<String, Value>> {
    let width = keys.needed("embedding_length")?;
    let queries = keys.needed(QUERY_HEADS)?;
    let key_heads = keys.count(KEY_HEADS)?.unwrap_or(queries);
    let head = keys.count("attention.key_length")?.unwrap_or(width / queries);
    for key in ["attention.value_length", "rope.dimension_count"] {
        if keys.count(key)?.is_some_and(|length| length != head) {
            return Err(keys.unsupported(key, &format!("the width of a head, {head}")));
        }
    }
    let eps = keys.number("attention.layer_norm_rms_epsilon")?;
    let eps = eps.ok_or_else(|| keys.bad("attention.layer_norm_rms_epsilon", "a number"))?;
    let rows = rows(gguf, "token_embd.weight", width)?;
    // Before anything is made that is as large as the metadata says.
    if queries.checked_mul(head) != Some(self::rows(gguf, "blk.0.attn_q.weight", width)?) {
        return Err(keys.bad(QUERY_HEADS, "what fits the rows of \"blk.0.attn_q.weight\""));
    }
    let has = |name: &str| gguf.tensors.contains_key(name);
    let activation = if gguf.architecture.is_gemma() { "gelu_pytorch_tanh" } else { "silu" };
    let shape = json!({
        "hidden_size": width,
        "num_hidden_layers": keys.needed("block_count")?,
        "num_attention_heads": queries,
        "num_key_value_heads": key_heads,
        "head_dim": head,
        "intermediate_size": keys.needed("feed_forward_length")?,
        "rms_norm_eps": eps,
        "max_position_embeddings": keys.needed("context_length")?,
        "vocab_size": rows,
        "tie_word_embeddings": !has("output.weight"),
        "hidden_act": activation,
        "hidden_activation": activation,
        "attention_bias": has("blk.0.attn_output.bias"),
        "mlp_bias": has("blk.0.ffn_down.bias"),
    });
    match shape {
        Value::Object(shape) => Ok(shape),
        _ => Ok(Map::new()),
    }
}

/// The rows of a matrix of this width.
fn rows(gguf: &Gguf<'_>, name: &str, width: u64) -> Result<u64> {
    let path = gguf.metadata.path();
    let missing = || Error::MissingTensor { path: path.to_owned(), tensor: name.to_owned() };
    match *gguf.tensors.get(name).ok_or_else(missing)?.shape {
        [rows, columns] if columns as u64 == width => Ok(rows as u64),
        ref shape => {
            let what = format!("expected {width} columns from the metadata, got shape {shape:?}");
            Err(Error::tensor(path, name, what))
        }
    }
}

/// The rotations of layers that see everything.
fn rope(
    gguf: &Gguf<'_>,
    keys: &Keys<'_, '_>,
    config: &Map<String, Value>,
    bytes: &[u8],
) -> Result<Value> {
    let base = keys.number("rope.freq_base")?.unwrap_or(10_000.0);
    let mut rope = Map::new();
    rope.insert("rope_theta".to_owned(), json!(base));
    let old = keys.number("rope.scale_linear")?;
    let factor = keys.number("rope.scaling.factor")?.or(old);
    let kind = match (keys.text("rope.scaling.type")?, factor) {
        (None | Some("none"), None) | (Some("none"), _) => "default",
        (None | Some("linear"), Some(_)) => "linear",
        (Some("yarn"), Some(_)) => "yarn",
        _ => return Err(keys.unsupported("rope.scaling.type", "none, linear or yarn")),
    };
    rope.insert("rope_type".to_owned(), json!(kind));
    if kind != "default" {
        let factor = factor.filter(|&factor| factor > 0.0);
        let factor = factor.ok_or_else(|| keys.bad("rope.scaling.factor", "a positive number"))?;
        rope.insert("factor".to_owned(), json!(factor));
    }
    if kind == "yarn" {
        let length = keys.count("rope.scaling.original_context_length")?;
        rope.insert("original_max_position_embeddings".to_owned(), json!(length));
        for (theirs, ours) in [("beta_fast", "beta_fast"), ("beta_slow", "beta_slow")] {
            let value = keys.number(&format!("rope.scaling.yarn_{theirs}"))?;
            rope.insert(ours.to_owned(), json!(value));
        }
    }
    if let Some(factors) = frequency_factors(gguf, config, bytes)? {
        rope.insert("frequency_factors".to_owned(), json!(factors));
    }
    Ok(Value::Object(rope))
}

/// What each rotation is slowed down by: Llama 3.1's scaling by bands, already computed.
fn frequency_factors(
    gguf: &Gguf<'_>,
    config: &Map<String, Value>,
    bytes: &[u8],
) -> Result<Option<Vec<f64>>> {
    let name = "rope_freqs.weight";
    let Some(info) = gguf.tensors.get(name) else { return Ok(None) };
    let bad = |what: &str| Error::tensor(gguf.metadata.path(), name, what);
    let head = config.get("head_dim").and_then(Value::as_u64).unwrap_or(0);
    if info.dtype != RawType::F32 || info.shape.iter().product::<usize>() as u64 != head / 2 {
        return Err(bad("expected an F32 number for every two elements of a head"));
    }
    let bytes = bytes.get(info.start..info.end).ok_or_else(|| bad("it is not within the file"))?;
    let (numbers, _) = bytes.as_chunks::<4>();
    let factors = numbers.iter().map(|number| f64::from(f32::from_le_bytes(*number)));
    let factors: Vec<f64> = factors.collect();
    if !factors.iter().all(|&factor| factor.is_finite() && factor > 0.0) {
        return Err(bad("expected positive numbers"));
    }
    Ok(Some(factors))
}

/// What is particular to Gemma 2 and 3.
fn gemma(keys: &Keys<'_, '_>, config: &mut Map<String, Value>) -> Result<()> {
    let number = |config: &Map<String, Value>, key| config.get(key).and_then(Value::as_u64);
    let layers = number(config, "num_hidden_layers").unwrap_or(0);
    let width = number(config, "hidden_size").unwrap_or(0);
    let queries = number(config, "num_attention_heads").unwrap_or(1);
    let head = number(config, "head_dim").unwrap_or(0);
    // The files do not say it: the largest models are known by their layers, as in llama.cpp.
    let (largest, usual) =
        if keys.architecture == Architecture::Gemma2 { (46, 2) } else { (62, 6) };
    let scale = if layers == largest { width / queries } else { head };
    config.insert("query_pre_attn_scalar".to_owned(), json!(scale));
    if number(config, "sliding_window").is_none() {
        return Err(keys.bad("attention.sliding_window", "a positive whole number"));
    }
    // A limit for what follows; the family checks that the layers are there.
    if layers > 1 << 12 {
        return Err(keys.bad("block_count", "at most 4096 layers"));
    }
    let pattern = "attention.sliding_window_pattern";
    let is_local: Vec<bool> = match keys.metadata.flags(&keys.key(pattern)) {
        Some(flags) => flags,
        None => {
            let period = keys.count(pattern)?.unwrap_or(usual);
            (1..=layers).map(|layer| layer % period != 0).collect()
        }
    };
    let kind = |&local| if local { "sliding_attention" } else { "full_attention" };
    let kinds: Vec<&str> = is_local.iter().map(kind).collect();
    config.insert("layer_types".to_owned(), json!(kinds));
    for (theirs, ours) in [
        ("attn_logit_softcapping", "attn_logit_softcapping"),
        ("final_logit_softcapping", "final_logit_softcapping"),
    ] {
        config.insert(ours.to_owned(), json!(keys.number(theirs)?));
    }
    Ok(())
}

/// The ids of tokens that begin and end a text.
fn special_ids(metadata: &Metadata<'_>, config: &mut Map<String, Value>) -> Result<()> {
    let id = |name: &str| metadata.whole(&format!("tokenizer.ggml.{name}_token_id"));
    config.insert("bos_token_id".to_owned(), json!(id("bos")?));
    let mut ends: Vec<u64> = Vec::new();
    for name in ["eos", "eot", "eom"] {
        if let Some(end) = id(name)?
            && !ends.contains(&end)
        {
            ends.push(end);
        }
    }
    config.insert("eos_token_id".to_owned(), json!(ends));
    config.insert("pad_token_id".to_owned(), json!(id("padding")?));
    Ok(())
}
