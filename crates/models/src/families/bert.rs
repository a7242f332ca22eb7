//! BERT (Devlin et al. 2019, arXiv 1810.04805).

use crate::blocks::embeddings::Embeddings;
use crate::blocks::encoder::{Encoder, EncoderShape, LayerNames};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::error::Result;
use crate::heads::sequence_classification::{self, EncoderParts, HeadNames};
use crate::model::Model;
use crate::registry::{Family, LoadOptions};
use crate::text::Tokenizer;
use crate::weights::Weights;

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "bert",
    name: "BERT",
    model_types: &["bert"],
    architectures: &["BertForSequenceClassification"],
    load,
};

const PREFIX: &str = "bert.";

const LAYER: LayerNames = LayerNames {
    query: "bert.encoder.layer.{}.attention.self.query",
    key: "bert.encoder.layer.{}.attention.self.key",
    value: "bert.encoder.layer.{}.attention.self.value",
    attention_output: "bert.encoder.layer.{}.attention.output.dense",
    attention_norm: "bert.encoder.layer.{}.attention.output.LayerNorm",
    up: "bert.encoder.layer.{}.intermediate.dense",
    down: "bert.encoder.layer.{}.output.dense",
    output_norm: "bert.encoder.layer.{}.output.LayerNorm",
};

const HEAD: HeadNames = HeadNames { pooler: "bert.pooler.dense", classifier: "classifier" };

fn load(
    id: String,
    config: &Config,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    options: &LoadOptions,
) -> Result<Box<dyn Model>> {
    let weights = Weights::new(&checkpoint, options.clone(), PREFIX);
    if let Some(kind) = config.string("position_embedding_type")?
        && kind != "absolute"
    {
        return Err(config.unsupported("position_embedding_type", "\"absolute\""));
    }
    let width = config.count("hidden_size")?;
    let heads = config.count("num_attention_heads")?;
    if width % heads != 0 {
        let what = format!("hidden_size {width} is not a multiple of num_attention_heads {heads}");
        return Err(config.contradiction(what));
    }
    let shape = EncoderShape {
        layers: config.count("num_hidden_layers")?,
        width,
        heads,
        hidden: config.count("intermediate_size")?,
        activation: config.activation("hidden_act", "gelu")?,
        eps: config.number_or("layer_norm_eps", 1e-12)?,
    };
    let (vocabulary, positions) =
        (config.count("vocab_size")?, config.count_or("max_position_embeddings", 512)?);
    let segments = config.count_or("type_vocab_size", 2)?;
    let table = |name: &str, rows| {
        weights.get(&format!("bert.embeddings.{name}_embeddings.weight"), &[rows, width])
    };
    let embeddings = Embeddings {
        word: table("word", vocabulary)?,
        position: table("position", positions)?,
        segment: Some(table("token_type", segments)?),
        norm: weights.layer_norm("bert.embeddings.LayerNorm", width, shape.eps)?,
    };
    let encoder = Encoder::load(&weights, &LAYER, shape)?;
    let parts = EncoderParts { embeddings, encoder, shape, vocabulary, positions, segments };
    let head = sequence_classification::Head::load(&weights, &HEAD, config, width)?;
    let (parameters, trained) = (weights.parameters(), weights.into_trained());
    let family = FAMILY.id;
    let origin = sequence_classification::Origin { id, family, parameters, trained };
    let model = sequence_classification::SequenceClassifier::new(
        origin, parts, head, tokenizer, checkpoint, options,
    )?;
    Ok(Box::new(model))
}
