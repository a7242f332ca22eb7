//! Examples to tokens, one task a file.

mod answers;
mod labels;
mod streams;
mod tags;

pub(crate) use answers::whole_question;
use glossator_interpret::tasks::choices;
use glossator_models::{Encoding, Model, Task};
pub(crate) use labels::{flags, index, number, one};
pub(crate) use streams::Stream;
pub(crate) use tags::first_tokens;

use crate::data::{Content, Example};
use crate::error::{Error, Result};
use crate::item::{Gold, Hider, Item};

/// How long texts are cut to what a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tokens of an input at most; else what the model reads.
    pub max_tokens: Option<usize>,
    /// Tokens that the windows over a long context overlap.
    pub stride: usize,
    /// Tokens of a block of a language model's text.
    pub block: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_tokens: None, stride: 128, block: 128 }
    }
}

impl Limits {
    /// The most tokens of an input.
    pub(crate) fn tokens(&self, model: &dyn Model) -> usize {
        let reads = model.info().max_tokens;
        self.max_tokens.map_or(reads, |wanted| wanted.min(reads))
    }
}

/// Makes items of examples.
pub(crate) struct Encoder<'a> {
    model: &'a dyn Model,
    limits: Limits,
    stream: Stream,
    /// Examples of which tokens were cut off.
    pub(crate) truncated: usize,
    /// Examples that gave no item: nothing of them can be learned.
    pub(crate) skipped: usize,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(model: &'a dyn Model, limits: Limits) -> Self {
        let block = limits.block.min(limits.tokens(model)).max(1);
        let stream = Stream::new(block, model.stop_ids().first().copied());
        Self { model, limits, stream, truncated: 0, skipped: 0 }
    }

    /// The items of an example.
    pub(crate) fn items(&mut self, example: &Example) -> Result<Vec<Item>> {
        self.made(example).map_err(|error| error.at(&example.place))
    }

    fn made(&mut self, example: &Example) -> Result<Vec<Item>> {
        let task = self.model.info().task;
        let items = match (&example.content, task) {
            (Content::Document { text, goes_on }, Task::CausalLm) => {
                self.stream.push(&self.model.tokenizer().ids_of(text)?, *goes_on);
                return Ok(self.stream.blocks());
            }
            (Content::Question(question), _) => {
                let whole = whole_question(self.model, question)?;
                answers::items(whole, question, self.limits.tokens(self.model), self.limits.stride)?
            }
            (Content::Labelled { text, pair, labels }, _) => {
                let encoding = self.text(text, pair.as_deref())?;
                let gold = labels::gold(&self.model.info().labels, labels, &example.place)?;
                // Without special tokens, an empty text has none at all.
                let empty = encoding.tokens.is_empty();
                if empty { Vec::new() } else { vec![Item::new(&encoding, gold)] }
            }
            (Content::Tagged(tagged), _) => {
                let encoding = self.text(&tagged.text, None)?;
                let gold =
                    tags::gold(&self.model.info().labels, &encoding, tagged, &example.place)?;
                gold.map(|gold| Item::new(&encoding, gold)).into_iter().collect()
            }
            (Content::Document { text, .. }, _) => {
                let encoding = self.text(text, None)?;
                let empty = encoding.tokens.iter().all(|token| token.special);
                if empty { Vec::new() } else { vec![Item::new(&encoding, Gold::Hidden)] }
            }
            (Content::Rewriting { source, target }, _) => vec![self.rewriting(source, target)?],
        };
        self.skipped += usize::from(items.is_empty());
        Ok(items)
    }

    /// The last, shorter block of a stream.
    pub(crate) fn rest(&mut self) -> Option<Item> {
        self.stream.rest()
    }

    /// A text or a pair, cut to what is read.
    pub(crate) fn text(&mut self, text: &str, pair: Option<&str>) -> Result<Encoding> {
        let encoding = match pair {
            Some(pair) => self.model.encode_pair(text, pair)?,
            None => self.model.tokenizer().encode(text)?,
        };
        self.cut(encoding)
    }

    fn cut(&mut self, encoding: Encoding) -> Result<Encoding> {
        let encoding = encoding.truncate(self.limits.tokens(self.model))?;
        self.truncated += usize::from(encoding.truncated > 0);
        Ok(encoding)
    }

    /// The decoder reads its start and the target, and is to write the target and its end.
    fn rewriting(&mut self, source: &str, target: &str) -> Result<Item> {
        let Some(start) = self.model.decoder_start() else {
            return Err(Error::settings("the model has no decoder", "use another --from"));
        };
        let source = self.text(source, None)?;
        let mut right = self.text(target, None)?.ids();
        let stop = self.model.stop_ids();
        if let Some(&end) = stop.first()
            && right.last().is_none_or(|last| !stop.contains(last))
        {
            right.truncate(self.limits.tokens(self.model).saturating_sub(1));
            right.push(end);
        }
        let mut ids = source.ids();
        let second = ids.len();
        ids.push(start);
        ids.extend(&right[..right.len().saturating_sub(1)]);
        Ok(Item::of_ids(ids, Gold::Tokens(right)).with_second(second))
    }
}

/// What hides tokens from a masked language model.
pub(crate) fn hider(model: &dyn Model, rate: f64) -> Result<Hider> {
    let tokenizer = model.tokenizer();
    let Some(mask) = tokenizer.mask_token() else {
        return Err(Error::settings(
            "the tokenizer has no mask token",
            "train another task, or start from another model",
        ));
    };
    let vocabulary = tokenizer.vocab_size();
    let special = (0..vocabulary as u32).map(|id| tokenizer.is_special(id)).collect();
    Ok(Hider { mask, vocabulary: vocabulary as u32, special, rate })
}

/// The places where an answer can begin and end.
pub(crate) fn places(encoding: &Encoding) -> Vec<u32> {
    choices(encoding).into_iter().map(|place| place as u32).collect()
}
