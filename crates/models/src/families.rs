//! One file a family, mostly a table of weight names. The list is [`FAMILIES`](crate::FAMILIES).

pub mod albert;
pub mod bart;
pub mod bert;
pub mod classic;
pub mod deberta_v2;
pub mod distilbert;
pub mod electra;
pub mod gemma;
pub mod gpt2;
pub mod gpt_neox;
pub mod llama;
pub mod mistral;
pub mod modernbert;
pub mod mpnet;
pub mod qwen;
pub mod roberta;
pub mod t5;

mod llama_like;
mod post_norm;
mod rope;
