//! Models whose attributions are known: a formula in place of a network.

use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use glossator_interpret::{Attribution, Method, Quantity, Silent, Subject, TargetSpec};
use glossator_models::text::WordPieceOptions;
use glossator_models::{
    Batch, Labels, Model, ModelInfo, Output, Problem, Result, Tokenizer, Trace, Var,
};
use rand::{Rng, SeedableRng};

use crate::common::{open, testdata};

/// The words that [`Closed`] models know, one token each.
pub(crate) const WORDS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// The first `n` words: `n + 2` different tokens.
pub(crate) fn words(n: usize) -> String {
    WORDS[..n].join(" ")
}

type Formula = Box<dyn Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync>;

/// A classifier whose logits are a formula of the word embeddings.
pub(crate) struct Closed {
    pub(crate) info: ModelInfo,
    /// What a forward pass gives; only the logits change.
    output: Output,
    pub(crate) tokenizer: Tokenizer,
    /// `[vocabulary, width]`
    table: Tensor,
    formula: Formula,
}

impl Closed {
    /// A model with embeddings of that width drawn from `seed`. `formula` maps
    /// `[batch, tokens, width]` to `[batch, labels]`, special tokens included, in f64.
    pub(crate) fn new(
        width: usize,
        labels: usize,
        seed: u64,
        formula: impl Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        // Neither can be made outside of the models' crate: both are borrowed from a real model.
        static TEMPLATE: OnceLock<(ModelInfo, Output)> = OnceLock::new();
        let (mut info, output) = TEMPLATE
            .get_or_init(|| {
                let model = open(&testdata("models/bert-cls"), DType::F64);
                let batch = Batch::repeat(&model.encode("film", false).unwrap(), 1);
                let embeddings = model.embed(&batch).unwrap();
                let output = model.forward(&embeddings, &batch, &mut Trace::new()).unwrap();
                (model.info().clone(), output)
            })
            .clone();
        let vocabulary: Vec<&str> =
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].into_iter().chain(WORDS).collect();
        let names = (0..labels).map(|i| format!("label {i}")).collect();
        info.id = "closed".to_owned();
        info.labels = Labels { names, problem: Problem::SingleLabel };
        (info.width, info.layers, info.vocab_size) = (width, 0, vocabulary.len());
        let options = WordPieceOptions::default();
        let tokenizer = Tokenizer::from_vocab_txt(&vocabulary.join("\n"), options).unwrap();
        let table = random(seed, &[vocabulary.len(), width]);
        Self { info, output, tokenizer, table, formula: Box::new(formula) }
    }
}

impl Model for Closed {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        let ids = Tensor::from_slice(batch.ids(), batch.ids().len(), &Device::Cpu)?;
        let shape = (batch.rows(), batch.tokens(), self.info.width);
        Ok(self.table.index_select(&ids, 0)?.reshape(shape)?)
    }

    fn forward(
        &self,
        embeddings: &Tensor,
        _batch: &Batch,
        _trace: &mut Trace<'_>,
    ) -> Result<Output> {
        let mut output = self.output.clone();
        output.logits = (self.formula)(embeddings)?;
        Ok(output)
    }

    fn mean_embedding(&self) -> Result<Tensor> {
        Ok(self.table.mean(0)?)
    }

    fn sha256(&self) -> String {
        String::new()
    }

    fn parameters(&self) -> &[(String, Var)] {
        &[]
    }

    fn first_bad_weight(&self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Numbers from -1 to 1, from a seed.
pub(crate) fn random(seed: u64, dims: &[usize]) -> Tensor {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f64> =
        (0..dims.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

/// The elements of a tensor.
pub(crate) fn values(x: &Tensor) -> Vec<f64> {
    x.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// What a method says of a text.
#[track_caller]
pub(crate) fn attribute(
    model: &dyn Model,
    method: &dyn Method,
    text: &str,
    spec: &TargetSpec,
    quantity: Quantity,
) -> Attribution {
    let encoding = model.encode(text, false).unwrap();
    let subject = Subject::new(model, &encoding, spec, quantity, &Silent).unwrap();
    method.attribute(&subject).unwrap()
}

/// What a method says of a text's first logit.
#[track_caller]
pub(crate) fn first_logit(model: &dyn Model, method: &dyn Method, text: &str) -> Attribution {
    attribute(model, method, text, &TargetSpec::Label("0".to_owned()), Quantity::Logit)
}
