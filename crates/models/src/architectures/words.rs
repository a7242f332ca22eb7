//! Models over words or characters that came before the Transformers, and their peers: one text,
//! two texts, a question and a context, a source and its answer.

mod pair;
mod reader;
mod sequence;
mod translator;
mod two;

use glossator_ops::{Tensor, Var};

pub use self::pair::{Matching, Pair};
pub use self::reader::{Flow, Reader};
pub use self::sequence::{Sequence, SequenceOutput};
pub use self::translator::{PairScore, Translator};
use super::Core;
use crate::batch::Batch;
use crate::blocks::features::Features;
use crate::error::{Error, Result};
use crate::model::{Chain, Labels, Model, ModelInfo, Output};
use crate::text::{Encoding, Tokenizer};
use crate::trace::{Site, Trace};

/// The parts of a model over words or characters.
pub struct Words {
    /// What is read of each token.
    pub features: Features,
    /// What happens to it.
    pub body: Box<dyn Body>,
    /// What the outputs mean.
    pub labels: Labels,
    /// The most tokens that it can read.
    pub max_tokens: usize,
    /// Tokens that end a generated text, if `generation_config.json` names no others.
    pub stop_ids: Vec<u32>,
}

impl Words {
    /// Tells what is known without running the model.
    pub(crate) fn describe(&self, info: &mut ModelInfo) {
        info.labels = self.labels.clone();
        info.width = self.features.width();
        info.layers = self.body.layers();
        info.decoder = self.body.decoder();
        info.heads = self.body.heads();
        info.reads_pairs = self.body.reads_two() && info.decoder.is_none();
        info.vocab_size = self.features.vocabulary();
        info.max_tokens = info.max_tokens.min(self.max_tokens);
        info.window = self.body.window();
        let ends = ([Site::Embeddings], [Site::Logits]);
        info.sites = ends.0.into_iter().chain(self.body.sites()).chain(ends.1).collect();
    }
}

/// What a model does with the features of its tokens.
pub trait Body: Send + Sync {
    /// The outputs of a batch whose features are `words`: `[batch, tokens, width]`.
    ///
    /// # Errors
    /// If the shapes do not fit, or an edit of the trace fails.
    fn forward(&self, words: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output>;

    /// The sites between the embeddings and the logits, in the order of the forward pass.
    fn sites(&self) -> Vec<Site>;

    /// The number of layers.
    fn layers(&self) -> usize;

    /// The number of the decoder's first layer, if there is one.
    fn decoder(&self) -> Option<usize> {
        None
    }

    /// Attention heads of a layer.
    fn heads(&self) -> usize {
        1
    }

    /// See [`ModelInfo::window`].
    fn window(&self) -> Option<usize> {
        None
    }

    /// Whether its batches have two parts.
    fn reads_two(&self) -> bool {
        false
    }

    /// See [`Model::chain`].
    fn chain(&self) -> Option<Chain> {
        None
    }

    /// See [`Model::decoder_start`].
    fn decoder_start(&self) -> Option<u32> {
        None
    }

    /// See [`Model::generate`]. `words` looks up what is read of tokens.
    ///
    /// # Errors
    /// If a forward pass fails.
    fn generate(
        &self,
        words: &dyn Fn(&Batch) -> Result<Tensor>,
        input: &Encoding,
        count: usize,
        stop: &[u32],
        fits: &dyn Fn(usize) -> Result<()>,
    ) -> Result<Option<Vec<u32>>> {
        let _ = (words, input, count, stop, fits);
        Ok(None)
    }
}

/// A model over words or characters.
pub struct WordModel {
    core: Core,
    features: Features,
    body: Box<dyn Body>,
    stop_ids: Vec<u32>,
}

impl WordModel {
    pub(crate) fn new(core: Core, words: Words, stop_ids: Vec<u32>) -> Self {
        let Words { features, body, stop_ids: usual, .. } = words;
        let stop_ids = if stop_ids.is_empty() { usual } else { stop_ids };
        Self { core, features, body, stop_ids }
    }

    /// Checks that there is something to read in every row.
    fn check_tokens(&self, batch: &Batch) -> Result<()> {
        let missing = |batch: &Batch| batch.rows() == 0 || batch.lengths().contains(&0);
        match (self.body.reads_two(), batch.parts()) {
            (true, None) => Err(Error::OnePart),
            (true, Some((first, second))) if missing(&first) || missing(&second) => {
                Err(Error::NoTokens)
            }
            (true, Some((first, second))) => {
                self.core.check_length(first.tokens().max(second.tokens()))
            }
            (false, _) if missing(batch) => Err(Error::NoTokens),
            (false, _) => self.core.check_length(batch.tokens()),
        }
    }
}

impl Model for WordModel {
    fn info(&self) -> &ModelInfo {
        &self.core.info
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.core.tokenizer
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        if batch.tokens() == 0 {
            return Err(Error::NoTokens);
        }
        self.features.lookup(batch)
    }

    fn forward(&self, embeddings: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        trace.check(&self.core.info)?;
        self.core.check_batch(embeddings, batch)?;
        self.check_tokens(batch)?;
        let words = trace.at(Site::Embeddings, embeddings.clone())?;
        let output = self.body.forward(&words, batch, trace)?;
        Ok(Output { logits: trace.at(Site::Logits, output.logits)?, ..output })
    }

    fn mean_embedding(&self) -> Result<Tensor> {
        self.features.mean(&self.core.tokenizer)
    }

    fn sha256(&self) -> String {
        self.core.sha256()
    }

    fn parameters(&self) -> &[(String, Var)] {
        &self.core.trained
    }

    fn first_bad_weight(&self) -> Result<Option<String>> {
        self.core.first_bad_weight()
    }

    fn stop_ids(&self) -> &[u32] {
        &self.stop_ids
    }

    fn decoder_start(&self) -> Option<u32> {
        self.body.decoder_start()
    }

    fn chain(&self) -> Option<Chain> {
        self.body.chain()
    }

    fn encode_pair(&self, first: &str, second: &str) -> Result<Encoding> {
        let tokenizer = self.tokenizer();
        if !self.body.reads_two() {
            return tokenizer.encode_pair(first, second);
        }
        let (first, second) = (tokenizer.encode(first)?, tokenizer.encode(second)?);
        Ok(first.with_second(second, "text_pair"))
    }

    fn generate(&self, input: &Encoding, count: usize, stop: &[u32]) -> Result<Option<Vec<u32>>> {
        let words = |batch: &Batch| self.features.lookup(batch);
        let fits = |tokens| self.core.check_length(tokens);
        self.body.generate(&words, input, count, stop, &fits)
    }
}
