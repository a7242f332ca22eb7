//! Names of tensors: llama.cpp's and transformers'.

use super::metadata::Metadata;
use crate::error::Result;

/// A kind of model that is read from GGUF files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    /// Llama and, where there is a sliding window, Mistral.
    Llama,
    Qwen2,
    Qwen3,
    Gemma2,
    Gemma3,
}

impl Architecture {
    const ALL: [Self; 5] = [Self::Llama, Self::Qwen2, Self::Qwen3, Self::Gemma2, Self::Gemma3];

    /// The architecture that a file names.
    pub(super) fn of(metadata: &Metadata<'_>) -> Result<Self> {
        let key = "general.architecture";
        let Some(name) = metadata.text(key)? else {
            return Err(metadata.bad(key, "the name of an architecture"));
        };
        Self::ALL.into_iter().find(|one| one.id() == name).ok_or_else(|| {
            let supported: Vec<&str> = Self::ALL.into_iter().map(Self::id).collect();
            metadata.unsupported(key, &supported.join(" or "))
        })
    }

    /// Its name, and what its keys begin with.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3",
        }
    }

    pub(super) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }

    /// Whether the converter adds one to the weights of norms.
    pub(super) fn norms_plus_one(self) -> bool {
        self.is_gemma()
    }
}

/// Which heads a tensor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heads {
    Queries,
    Keys,
}

/// Parts of `blk.N.` in llama.cpp, and of `model.layers.N.` in transformers.
const PARTS: [(&str, &str); 14] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
    // Gemma has four norms a layer, and another name for the one before the feed-forward block.
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
];

/// `blk.3.attn_q.weight` as the layer, the part and the kind.
fn split(name: &str) -> Option<(&str, &str, &str)> {
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = rest.split_once('.')?;
    Some((layer, part, kind))
}

/// The name that transformers has for a tensor; one that it does not know stays.
pub(super) fn rename(architecture: Architecture, name: &str) -> String {
    match name {
        "token_embd.weight" => return "model.embed_tokens.weight".to_owned(),
        "output_norm.weight" => return "model.norm.weight".to_owned(),
        "output.weight" => return "lm_head.weight".to_owned(),
        "output.bias" => return "lm_head.bias".to_owned(),
        _ => {}
    }
    let Some((layer, part, kind)) = split(name) else { return name.to_owned() };
    let mut known = PARTS.iter().filter(|(theirs, _)| *theirs == part).map(|(_, ours)| ours);
    let found =
        if part == "ffn_norm" && !architecture.is_gemma() { known.nth(1) } else { known.next() };
    found.map_or_else(|| name.to_owned(), |part| format!("model.layers.{layer}.{part}.{kind}"))
}

/// The heads whose rows alternate: llama.cpp turns neighbouring numbers of a head, transformers a
/// number of the first half and one of the second, and the converter moves the rows of `llama`.
pub(super) fn alternating(architecture: Architecture, name: &str) -> Option<Heads> {
    if architecture != Architecture::Llama {
        return None;
    }
    match split(name)?.1 {
        "attn_q" => Some(Heads::Queries),
        "attn_k" => Some(Heads::Keys),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_those_of_transformers() {
        let llama = |name| rename(Architecture::Llama, name);
        assert_eq!(llama("blk.11.attn_q.weight"), "model.layers.11.self_attn.q_proj.weight");
        assert_eq!(
            llama("blk.0.ffn_norm.weight"),
            "model.layers.0.post_attention_layernorm.weight"
        );
        assert_eq!(llama("output_norm.weight"), "model.norm.weight");
        assert_eq!(llama("rope_freqs.weight"), "rope_freqs.weight");
        assert_eq!(llama("blk.x"), "blk.x");
        let gemma = |name| rename(Architecture::Gemma2, name);
        assert_eq!(
            gemma("blk.0.ffn_norm.weight"),
            "model.layers.0.pre_feedforward_layernorm.weight"
        );
        assert_eq!(
            gemma("blk.0.post_attention_norm.weight"),
            "model.layers.0.post_attention_layernorm.weight"
        );
    }

    #[test]
    fn rows_alternate_in_queries_and_keys_of_llama_only() {
        assert_eq!(alternating(Architecture::Llama, "blk.0.attn_q.bias"), Some(Heads::Queries));
        assert_eq!(alternating(Architecture::Llama, "blk.0.attn_k.weight"), Some(Heads::Keys));
        assert_eq!(alternating(Architecture::Llama, "blk.0.attn_k_norm.weight"), None);
        assert_eq!(alternating(Architecture::Qwen2, "blk.0.attn_q.weight"), None);
    }
}
