//! What every model can do.

use std::sync::Arc;

use glossator_ops::crf::Crf;
use glossator_ops::{DType, Tensor, Var};

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::text::{Encoding, Tokenizer};
use crate::trace::{Site, Trace};

/// What a model decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// One decision about a whole text, or a pair of texts.
    TextClassification,
    /// A label for each token: named entities, parts of speech.
    TokenClassification,
    /// Which part of a text answers a question.
    QuestionAnswering,
    /// What stands in place of masked tokens.
    MaskedLm,
    /// What comes next.
    CausalLm,
    /// What comes next in a text that answers another one.
    Seq2SeqLm,
    /// How alike two texts are.
    SentenceSimilarity,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 7] = [
        Self::TextClassification,
        Self::TokenClassification,
        Self::QuestionAnswering,
        Self::MaskedLm,
        Self::CausalLm,
        Self::Seq2SeqLm,
        Self::SentenceSimilarity,
    ];

    /// The name in the wire format and on the command line.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::TextClassification => "text-classification",
            Self::TokenClassification => "token-classification",
            Self::QuestionAnswering => "question-answering",
            Self::MaskedLm => "masked-lm",
            Self::CausalLm => "causal-lm",
            Self::Seq2SeqLm => "seq2seq-lm",
            Self::SentenceSimilarity => "sentence-similarity",
        }
    }

    /// Whether the outputs are tokens of the vocabulary.
    #[must_use]
    pub fn is_language_model(self) -> bool {
        matches!(self, Self::MaskedLm | Self::CausalLm | Self::Seq2SeqLm)
    }
}

/// How the logits of a classifier are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    /// One label is right: softmax.
    SingleLabel,
    /// Each label is right or wrong by itself: sigmoid.
    MultiLabel,
    /// The outputs are numbers, not labels.
    Regression,
}

/// The labels of a classifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Their names; the index is the column of the logits. Empty for a language model, whose
    /// outputs are tokens.
    pub names: Vec<String>,
    /// How the logits are read.
    pub problem: Problem,
}

impl Labels {
    /// The index of a label by its name, or by its number where no label has that name. Letter
    /// case matters only where two names differ in nothing else.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`] with the names there are.
    pub fn find(&self, wanted: &str) -> Result<usize> {
        let exact = self.names.iter().position(|name| name == wanted);
        let folded = || {
            let lower = wanted.to_lowercase();
            let mut same = (0..self.names.len()).filter(|&i| self.names[i].to_lowercase() == lower);
            same.next().filter(|_| same.next().is_none())
        };
        let number = || wanted.parse().ok().filter(|&i: &usize| i < self.names.len());
        exact.or_else(folded).or_else(number).ok_or_else(|| Error::UnknownLabel {
            label: wanted.to_owned(),
            labels: self.names.clone(),
        })
    }
}

/// What is known of a model without running it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The directory's name, or the name of a bundled model.
    pub id: String,
    /// The family, such as `bert`.
    pub family: &'static str,
    /// What it decides.
    pub task: Task,
    /// What it can answer.
    pub labels: Labels,
    /// Elements of a word embedding.
    pub width: usize,
    /// Number of layers, those of a decoder included.
    pub layers: usize,
    /// The number of the decoder's first layer, in a model with an encoder and a decoder.
    pub decoder: Option<usize>,
    /// Attention heads of a layer.
    pub heads: usize,
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// The most tokens that it can read, special ones included.
    pub max_tokens: usize,
    /// How many tokens a prediction is computed from, if it is always so many: the last ones, with
    /// one that fills up before them where they are fewer.
    pub window: Option<usize>,
    /// Whether it reads two texts, one apart from the other.
    pub reads_pairs: bool,
    /// Number of parameters that it uses.
    pub parameters: u64,
    /// Whether nothing is added to word embeddings before they are normed, as where positions are
    /// rotary or relative: their length then means nothing to the model.
    pub norms_embeddings: bool,
    /// The type it computes in.
    pub dtype: DType,
    /// Where it can be looked into, in the order of the forward pass.
    pub sites: Arc<[Site]>,
}

impl ModelInfo {
    /// Where it can be looked into, for [`Site::all`].
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }
}

/// Labels of tokens that depend on those of their neighbours (a conditional random field).
#[derive(Debug, Clone)]
pub struct Chain {
    pub(crate) crf: Arc<Crf>,
    /// Real tokens of each sequence, where some are padding.
    pub(crate) lengths: Option<Arc<[usize]>>,
}

impl Chain {
    fn real(&self) -> Option<&[usize]> {
        self.lengths.as_deref()
    }

    /// The log of the probability that tokens have these labels, whatever the others have. It
    /// depends on other tokens only as far as labels depend on neighbours.
    ///
    /// # Shapes
    /// - `logits`: `[batch, tokens, labels]`
    /// - `labels`: pairs of a token and its label, the same for each row
    /// - result: `[batch]`
    ///
    /// # Errors
    /// If a token or a label does not exist.
    pub fn log_marginal(&self, logits: &Tensor, labels: &[(usize, usize)]) -> Result<Tensor> {
        let rows = vec![labels.to_vec(); logits.dim(0)?];
        let some = self.crf.constrained_log_partition(logits, self.real(), &rows)?;
        Ok((some - self.crf.log_partition(logits, self.real())?)?)
    }

    /// The negative log of the probability of all labels, the mean over rows: what training
    /// minimises. A token without a label may have any.
    ///
    /// # Shapes
    /// - `logits`: `[batch, tokens, labels]`
    /// - `labels`: for each row, a label or none for each of its tokens
    /// - result: a scalar
    ///
    /// # Errors
    /// If the labels do not fit the logits.
    pub fn loss(&self, logits: &Tensor, labels: &[Vec<Option<usize>>]) -> Result<Tensor> {
        let rows: Vec<Vec<(usize, usize)>> = labels
            .iter()
            .map(|row| row.iter().enumerate().filter_map(|(t, tag)| Some((t, (*tag)?))).collect())
            .collect();
        let some = self.crf.constrained_log_partition(logits, self.real(), &rows)?;
        Ok((self.crf.log_partition(logits, self.real())? - some)?.mean_all()?)
    }

    /// The likeliest labels of each row's tokens, together.
    ///
    /// # Errors
    /// If the logits do not fit the chain.
    pub fn best(&self, logits: &Tensor) -> Result<Vec<Vec<usize>>> {
        let paths = self.crf.viterbi(logits, self.real())?;
        Ok(paths.into_iter().map(|(labels, _)| labels).collect())
    }

    /// The probability of each label of each token, whatever the other tokens have:
    /// `[batch, tokens, labels]`.
    ///
    /// # Errors
    /// If the logits do not fit the chain.
    pub fn marginals(&self, logits: &Tensor) -> Result<Tensor> {
        Ok(self.crf.marginals(logits, self.real())?)
    }
}

/// What a forward pass gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// Before softmax or sigmoid:
    /// - text classification: `[batch, labels]`;
    /// - token classification: `[batch, positions, labels]`;
    /// - language models: `[batch, positions, vocabulary]`; positions are those that the batch
    ///   asks for, else all (of the decoder);
    /// - question answering: `[batch, 2, tokens]`, how well each token begins and ends the answer;
    /// - sentence similarity: `[batch, 1]`, the cosine.
    pub logits: Tensor,
    /// How labels of tokens depend on each other, where they do. The logits are then not those of
    /// independent decisions: probabilities come from here.
    pub chain: Option<Chain>,
}

impl Output {
    pub(crate) fn new(logits: Tensor) -> Self {
        Self { logits, chain: None }
    }
}

/// What a model keeps of one input: see [`Model::prefix`].
pub trait Prefix: Send + Sync {
    /// The outputs of rows that share the first `start` tokens with that input, without a gradient.
    /// `batch` holds what stands behind these ([`Batch::behind`]).
    ///
    /// # Shapes
    /// - `rest`: `[batch, tokens - start, width]`, word embeddings
    ///
    /// # Errors
    /// As for [`Model::forward`].
    fn forward(&self, start: usize, rest: &Tensor, batch: &Batch) -> Result<Output>;
}

/// A differentiable model, split at its word embeddings. It holds no state that a call changes.
pub trait Model: Send + Sync {
    /// What is known without running it.
    fn info(&self) -> &ModelInfo;

    /// Its tokenizer.
    fn tokenizer(&self) -> &Tokenizer;

    /// The word embeddings of a batch, without positions and segments.
    ///
    /// # Shapes
    /// - result: `[batch, tokens, width]`
    ///
    /// # Errors
    /// If an id is not in the vocabulary.
    fn embed(&self, batch: &Batch) -> Result<Tensor>;

    /// The outputs for a batch with these word embeddings. `trace` looks into the pass.
    ///
    /// # Shapes
    /// - `embeddings`: `[batch, tokens, width]`
    ///
    /// # Errors
    /// If the shapes do not fit, the batch is longer than the model reads, or `trace` asks for
    /// what the model does not have.
    fn forward(&self, embeddings: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output>;

    /// Reads one input, so that others with the same beginning need a pass over their rest only.
    /// `None` where what a token says may depend on those behind it, or a family keeps no keys and
    /// values.
    ///
    /// # Shapes
    /// - `embeddings`: `[1, tokens, width]`
    ///
    /// # Errors
    /// As for [`Model::forward`].
    fn prefix<'a>(
        &'a self,
        embeddings: &Tensor,
        batch: &Batch,
    ) -> Result<Option<Box<dyn Prefix + 'a>>> {
        let _ = (embeddings, batch);
        Ok(None)
    }

    /// The mean over all rows of the word embeddings: `[width]`.
    ///
    /// # Errors
    /// If the tensor library fails.
    fn mean_embedding(&self) -> Result<Tensor>;

    /// SHA-256 of the weight files, hexadecimal. The first call reads them.
    fn sha256(&self) -> String;

    /// The trained parameters by name; empty unless the model was loaded for training.
    fn parameters(&self) -> &[(String, Var)];

    /// The first weight tensor that holds a NaN or an infinity, if one does: what to look at when
    /// an output is not a number.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    fn first_bad_weight(&self) -> Result<Option<String>>;

    /// The id that fills places beyond an input's end. Its value never matters.
    fn pad_id(&self) -> u32 {
        self.tokenizer().pad_token().unwrap_or(0)
    }

    /// The most likely tokens after an input, one after the other, without sampling: at most
    /// `count`, ending after one of `stop`. `None` if the model does not generate.
    ///
    /// # Errors
    /// If a forward pass fails or the text grows longer than the model reads.
    fn generate(&self, input: &Encoding, count: usize, stop: &[u32]) -> Result<Option<Vec<u32>>> {
        let _ = (input, count, stop);
        Ok(None)
    }

    /// The tokens that end a generated text.
    fn stop_ids(&self) -> &[u32] {
        &[]
    }

    /// How labels of tokens depend on their neighbours, if they do.
    fn chain(&self) -> Option<Chain> {
        None
    }

    /// The token that a decoder starts with, for a model with an encoder and a decoder.
    fn decoder_start(&self) -> Option<u32> {
        None
    }

    /// Splits a text as the model reads it.
    ///
    /// # Errors
    /// If the text is longer than the model reads and `truncate` is false, or it cannot be split.
    fn encode(&self, text: &str, truncate: bool) -> Result<Encoding> {
        self.fit(self.tokenizer().encode(text)?, truncate)
    }

    /// Splits two texts as the model reads them: together, or one apart from the other. The length
    /// is not checked; see [`Model::fit`].
    ///
    /// # Errors
    /// If they cannot be split.
    fn encode_pair(&self, first: &str, second: &str) -> Result<Encoding> {
        self.tokenizer().encode_pair(first, second)
    }

    /// Checks an encoding's length, or cuts it.
    ///
    /// # Errors
    /// [`Error::TooLong`] if it is longer than the model reads and `truncate` is false.
    fn fit(&self, encoding: Encoding, truncate: bool) -> Result<Encoding> {
        let limit = self.info().max_tokens;
        if truncate {
            encoding.truncate(limit)
        } else if encoding.tokens.len() > limit {
            Err(Error::TooLong { tokens: encoding.tokens.len(), limit })
        } else {
            Ok(encoding)
        }
    }
}

/// A model that several hold is a model.
impl<M: Model + ?Sized> Model for Arc<M> {
    fn info(&self) -> &ModelInfo {
        (**self).info()
    }

    fn tokenizer(&self) -> &Tokenizer {
        (**self).tokenizer()
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        (**self).embed(batch)
    }

    fn forward(&self, embeddings: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        (**self).forward(embeddings, batch, trace)
    }

    fn mean_embedding(&self) -> Result<Tensor> {
        (**self).mean_embedding()
    }

    fn sha256(&self) -> String {
        (**self).sha256()
    }

    fn parameters(&self) -> &[(String, Var)] {
        (**self).parameters()
    }

    fn first_bad_weight(&self) -> Result<Option<String>> {
        (**self).first_bad_weight()
    }

    fn pad_id(&self) -> u32 {
        (**self).pad_id()
    }

    fn generate(&self, input: &Encoding, count: usize, stop: &[u32]) -> Result<Option<Vec<u32>>> {
        (**self).generate(input, count, stop)
    }

    fn stop_ids(&self) -> &[u32] {
        (**self).stop_ids()
    }

    fn chain(&self) -> Option<Chain> {
        (**self).chain()
    }

    fn decoder_start(&self) -> Option<u32> {
        (**self).decoder_start()
    }

    fn encode(&self, text: &str, truncate: bool) -> Result<Encoding> {
        (**self).encode(text, truncate)
    }

    fn encode_pair(&self, first: &str, second: &str) -> Result<Encoding> {
        (**self).encode_pair(first, second)
    }

    fn fit(&self, encoding: Encoding, truncate: bool) -> Result<Encoding> {
        (**self).fit(encoding, truncate)
    }
}
