//! The ways in which parts are put together to a model: one stack of layers, an encoder with a
//! decoder, one encoder for two texts, and those over words or characters that came before. A
//! family file fills the parts; nothing here knows families.

mod encoder_decoder;
mod sentence_encoder;
mod single_stack;
pub mod words;

pub use encoder_decoder::EncoderDecoder;
use glossator_ops::{DType, Device, Tensor, Var, Weight};
pub use sentence_encoder::SentenceEncoder;
pub use single_stack::SingleStack;
pub use words::Words;

use crate::batch::Batch;
use crate::blocks::embeddings::Embeddings;
use crate::blocks::stack::Stack;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::heads::Head;
use crate::model::ModelInfo;
use crate::text::Tokenizer;
use crate::trace::{Layers, Site};
use crate::weights::first_bad_weight;

/// What a family makes of a checkpoint.
#[expect(clippy::large_enum_variant, reason = "a model has a few, and moves none while it runs")]
pub enum Plan {
    /// A model of Transformer layers.
    Layers(Parts),
    /// A model of recurrent, convolutional and attention layers over words or characters.
    Words(Words),
}

/// The parts of a model of Transformer layers.
pub struct Parts {
    /// From ids to the residual.
    pub embeddings: Embeddings,
    /// The layers; of the encoder, if there is a decoder.
    pub stack: Stack,
    /// The decoder, for families that have one.
    pub decoder: Option<DecoderParts>,
    /// The outputs. None for a bare encoder, whose states are compared.
    pub head: Option<Head>,
    /// Attention heads of a layer.
    pub heads: usize,
    /// The most tokens that it can read.
    pub max_tokens: usize,
    /// Tokens that end a generated text, if `generation_config.json` names no others.
    pub stop_ids: Vec<u32>,
}

impl Parts {
    /// Tells what is known without running the model.
    pub(crate) fn describe(&self, info: &mut ModelInfo) {
        let first = self.stack.layers.len();
        let decoder = self.decoder.as_ref().map(|_| first);
        let total = first + self.decoder.as_ref().map_or(0, |d| d.stack.layers.len());
        if let Some(head) = &self.head {
            info.labels = head.labels.clone();
        }
        info.width = self.embeddings.width();
        info.layers = total;
        info.decoder = decoder;
        info.heads = self.heads;
        info.vocab_size = self.embeddings.vocabulary();
        info.max_tokens = info.max_tokens.min(self.max_tokens);
        info.norms_embeddings = self.embeddings.is_plain();
        info.sites = Site::of_layers(Layers { total, decoder }).collect();
    }
}

/// The decoder of a family that has one.
pub struct DecoderParts {
    /// From ids to the residual.
    pub embeddings: Embeddings,
    /// The layers.
    pub stack: Stack,
    /// The token that it starts with.
    pub start_id: u32,
}

/// What every model holds besides its layers.
pub(crate) struct Core {
    pub(crate) info: ModelInfo,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) trained: Vec<(String, Var)>,
}

impl Core {
    /// Checks that tokens have embeddings.
    pub(crate) fn check(&self) -> Result<()> {
        let (tokens, embeddings) = (self.tokenizer.vocab_size(), self.info.vocab_size);
        if tokens > embeddings {
            return Err(Error::Vocabulary { tokens, embeddings });
        }
        Ok(())
    }

    /// Checks what a forward pass is given.
    fn check_batch(&self, embeddings: &Tensor, batch: &Batch) -> Result<()> {
        let expected = [batch.rows(), batch.tokens(), self.info.width];
        if embeddings.dims() != expected {
            let got = embeddings.dims().to_vec();
            return Err(Error::EmbeddingShape { expected: expected.to_vec(), got });
        }
        Ok(())
    }

    fn check_length(&self, tokens: usize) -> Result<()> {
        let limit = self.info.max_tokens;
        if tokens > limit { Err(Error::TooLong { tokens, limit }) } else { Ok(()) }
    }

    fn check_segments(&self, batch: &Batch, segments: Option<usize>) -> Result<()> {
        // A family without segments reads none: whatever the tokenizer says is of no consequence.
        let Some(segments) = segments else { return Ok(()) };
        match batch.segments().iter().find(|&&s| s as usize >= segments) {
            Some(&segment) => Err(Error::Segment { segment, segments }),
            None => Ok(()),
        }
    }

    fn sha256(&self) -> String {
        self.checkpoint.sha256().to_owned()
    }

    fn first_bad_weight(&self) -> Result<Option<String>> {
        first_bad_weight(&self.checkpoint)
    }
}

/// The mean over the rows of a table, `[width]`, summed in f64.
pub(crate) fn mean_row(table: &Weight, scale: f64) -> Result<Tensor> {
    let table = table.to_tensor(&Device::Cpu)?.detach();
    let (rows, width) = table.dims2()?;
    let mut sum = vec![0.0_f64; width];
    // Some rows at a time: a vocabulary in f64 at once may be a gigabyte.
    for start in (0..rows).step_by(4096) {
        let part = table.narrow(0, start, 4096.min(rows - start))?.to_dtype(DType::F64)?;
        for row in part.to_vec2::<f64>()? {
            for (sum, x) in sum.iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
    let mean: Vec<f64> = sum.iter().map(|sum| scale * sum / rows.max(1) as f64).collect();
    Ok(Tensor::from_vec(mean, width, &Device::Cpu)?.to_dtype(table.dtype())?)
}

/// The index of the largest element of a row of logits; the first of equals.
fn argmax(logits: &Tensor) -> Result<u32> {
    let values: Vec<f64> = logits.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?;
    let mut best = 0;
    for (i, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = i;
        }
    }
    Ok(best as u32)
}
