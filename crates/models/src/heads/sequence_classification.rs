//! A label for a whole text, from the encoder's first position.

use glossator_ops::{Activation, Linear, Tensor, Var};

use crate::batch::Batch;
use crate::blocks::embeddings::Embeddings;
use crate::blocks::encoder::{Encoder, EncoderShape, Rows};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Labels, Model, ModelInfo, Output, Problem, Task};
use crate::registry::LoadOptions;
use crate::text::Tokenizer;
use crate::trace::{Site, Trace};
use crate::weights::{Weights, first_bad_weight};

/// The names of the head's tensors.
#[derive(Debug, Clone, Copy)]
pub struct HeadNames {
    /// A map with tanh after it, from width to width.
    pub pooler: &'static str,
    /// The map to the logits.
    pub classifier: &'static str,
}

/// `logits = W tanh(P x₀ + p) + b` of the first position `x₀`.
pub struct Head {
    pooler: Linear,
    classifier: Linear,
    labels: Labels,
}

impl Head {
    /// Reads the head's tensors and labels.
    ///
    /// # Errors
    /// If a tensor is missing, or the number of labels is not the classifier's.
    pub fn load(
        weights: &Weights<'_>,
        names: &HeadNames,
        config: &Config,
        width: usize,
    ) -> Result<Self> {
        let labels = labels(config)?;
        // Say what is wrong in terms of labels, not of a matrix.
        let (n, tensor) = (labels.names.len(), format!("{}.weight", names.classifier));
        if let Some(&rows) = weights.shape(&tensor).as_deref().and_then(<[_]>::first)
            && rows != n
        {
            let said = match (config.is_absent("id2label"), config.is_absent("num_labels")) {
                (false, _) => format!("id2label names {n} labels"),
                (true, false) => format!("num_labels is {n}"),
                (true, true) => format!("without id2label and num_labels there are {n} labels"),
            };
            let what = format!("{said}, but the tensor {tensor:?} is for {rows}");
            return Err(config.contradiction(what));
        }
        Ok(Self {
            pooler: weights.linear(names.pooler, width, width)?,
            classifier: weights.linear(names.classifier, width, labels.names.len())?,
            labels,
        })
    }

    fn forward(&self, first: &Tensor) -> Result<Tensor> {
        let pooled = Activation::Tanh.forward(&self.pooler.forward(first)?)?;
        Ok(self.classifier.forward(&pooled)?)
    }
}

/// Labels, and how `transformers` reads the logits: `problem_type`, else regression for a single
/// output, else one label of several.
fn labels(config: &Config) -> Result<Labels> {
    let names = config.labels()?;
    let problem = match config.string("problem_type")? {
        Some("single_label_classification") => Problem::SingleLabel,
        Some("multi_label_classification") => Problem::MultiLabel,
        Some("regression") => Problem::Regression,
        Some(_) => {
            let expected = "single_label_classification, multi_label_classification or regression";
            return Err(config.unsupported("problem_type", expected));
        }
        None if names.len() == 1 => Problem::Regression,
        None => Problem::SingleLabel,
    };
    Ok(Labels { names, problem })
}

/// The encoder below the head.
pub struct EncoderParts {
    /// The embedding block.
    pub embeddings: Embeddings,
    /// The layers.
    pub encoder: Encoder,
    /// Their sizes.
    pub shape: EncoderShape,
    /// Rows of the word embeddings.
    pub vocabulary: usize,
    /// Rows of the position embeddings.
    pub positions: usize,
    /// Rows of the segment embeddings.
    pub segments: usize,
}

/// Where a model came from.
pub struct Origin {
    /// The directory's name.
    pub id: String,
    /// The family's id.
    pub family: &'static str,
    /// Number of parameters.
    pub parameters: u64,
    /// The variables, if it was loaded for training.
    pub trained: Vec<(String, Var)>,
}

/// An encoder with a classification head.
pub struct SequenceClassifier {
    info: ModelInfo,
    parts: EncoderParts,
    head: Head,
    tokenizer: Tokenizer,
    checkpoint: Checkpoint,
    trained: Vec<(String, Var)>,
}

impl SequenceClassifier {
    /// Puts the parts together.
    ///
    /// # Errors
    /// If the tokenizer has tokens for which there is no embedding.
    pub fn new(
        origin: Origin,
        parts: EncoderParts,
        head: Head,
        tokenizer: Tokenizer,
        checkpoint: Checkpoint,
        options: &LoadOptions,
    ) -> Result<Self> {
        if tokenizer.vocab_size() > parts.vocabulary {
            let (tokens, embeddings) = (tokenizer.vocab_size(), parts.vocabulary);
            return Err(Error::Vocabulary { tokens, embeddings });
        }
        let max_tokens = tokenizer.model_max_length().unwrap_or(usize::MAX).min(parts.positions);
        let info = ModelInfo {
            id: origin.id,
            family: origin.family,
            task: Task::TextClassification,
            labels: head.labels.clone(),
            width: parts.shape.width,
            layers: parts.shape.layers,
            heads: parts.shape.heads,
            vocab_size: parts.vocabulary,
            max_tokens,
            parameters: origin.parameters,
            dtype: options.dtype,
        };
        Ok(Self { info, parts, head, tokenizer, checkpoint, trained: origin.trained })
    }
}

impl Model for SequenceClassifier {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        self.parts.embeddings.lookup(batch)
    }

    fn forward(&self, embeddings: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        trace.check(&self.info)?;
        let expected = [batch.rows(), batch.tokens(), self.info.width];
        if embeddings.dims() != expected {
            let got = embeddings.dims().to_vec();
            return Err(Error::EmbeddingShape { expected: expected.to_vec(), got });
        }
        if batch.tokens() > self.parts.positions {
            return Err(Error::TooLong { tokens: batch.tokens(), limit: self.info.max_tokens });
        }
        if let Some(&segment) =
            batch.segments().iter().find(|&&s| s as usize >= self.parts.segments)
        {
            return Err(Error::Segment { segment, segments: self.parts.segments });
        }
        let x = self.parts.embeddings.forward(embeddings, batch, trace)?;
        let x = self.parts.encoder.forward(x, batch, Rows::First, trace)?;
        let logits = self.head.forward(&x.squeeze(1)?)?;
        Ok(Output::new(trace.at(Site::Logits, logits)?))
    }

    fn mean_embedding(&self) -> Result<Tensor> {
        let device = glossator_ops::Device::Cpu;
        Ok(self.parts.embeddings.word.to_tensor(&device)?.detach().mean(0)?)
    }

    fn sha256(&self) -> String {
        self.checkpoint.sha256().to_owned()
    }

    fn parameters(&self) -> &[(String, Var)] {
        &self.trained
    }

    fn first_bad_weight(&self) -> Result<Option<String>> {
        first_bad_weight(&self.checkpoint)
    }
}
