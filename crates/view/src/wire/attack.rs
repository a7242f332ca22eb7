//! Attacks: what became of a prediction, by which edits, and what is known of anything smaller.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{
    CheckError, aligned, below, check_prediction, check_quote, check_target, check_tokens, version,
};
use super::{Input, Method, Model, Prediction, Target, VERSION};

/// One input, what the model said about it, and how that breaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct AttackDocument {
    /// The version of this format; a reader that knows another one should refuse.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// The model that was asked.
    pub model: Model,
    /// The attack, with its settings and those of its constraints.
    pub attack: Method,
    /// Where the input came from, such as `reviews.txt:12`; absent for an argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The text as it was given, and as the model read it.
    pub input: Input,
    /// What the model said of it.
    pub original: Prediction,
    /// One for each decision that was attacked; there may be none.
    pub results: Vec<AttackResult>,
    /// How many tokens did not fit the model and were not read; absent when all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<usize>,
}

impl AttackDocument {
    /// Makes a document without results; push them, then call [`AttackDocument::check`].
    pub fn new(model: Model, attack: Method, input: Input, original: Prediction) -> Self {
        Self {
            version: VERSION,
            model,
            attack,
            place: None,
            input,
            original,
            results: Vec::new(),
            truncated: None,
        }
    }
}

/// What came of attacking one decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct AttackResult {
    /// What the model decided about the original.
    pub target: Target,
    /// Whether the attack succeeded: the final text, read by itself, has what was wanted.
    pub success: bool,
    /// Why it ended: `found`, `searched` (nothing is left to try), `spent` (a limit was reached) or
    /// `fixed` (nothing may be changed).
    pub stopped: String,
    /// The final text as the model read it; without success the nearest that was found.
    pub r#final: Input,
    /// The edits of the original that make it, by field and place.
    pub edits: Vec<Edit>,
    /// Of a reduction the tokens of each field of the original that are left, counted from 0; null
    /// for other attacks.
    pub kept: Option<Vec<Vec<usize>>>,
    /// What the model says of the final text.
    pub prediction: Prediction,
    /// How many texts the model read, those of gradients included.
    pub forward_passes: u64,
    /// How many gradients were computed.
    pub gradient_evaluations: u64,
    /// What is known of anything smaller; null where none was asked for.
    pub certificate: Option<Certificate>,
    /// Other final texts that are as good, the texts of all fields each; absent when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Vec<String>>,
    /// What a reader should know, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl AttackResult {
    /// Makes a result without edits; set the other fields.
    pub fn new(target: Target, success: bool, r#final: Input, prediction: Prediction) -> Self {
        Self {
            target,
            success,
            stopped: if success { "found" } else { "searched" }.to_owned(),
            r#final,
            edits: Vec::new(),
            kept: None,
            prediction,
            forward_passes: 0,
            gradient_evaluations: 0,
            certificate: None,
            others: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Some bytes of a field's text replaced by others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Edit {
    /// The field, counted from 0.
    pub field: usize,
    /// First byte in the original text.
    pub start: usize,
    /// One past the last byte; equal to `start` for what is inserted.
    pub end: usize,
    /// What stands there.
    pub from: String,
    /// What comes in its place.
    pub to: String,
}

impl Edit {
    /// Makes an edit of `from`, which begins at byte `start`, to `to`.
    pub fn new(field: usize, start: usize, from: impl Into<String>, to: impl Into<String>) -> Self {
        let from = from.into();
        Self { field, start, end: start + from.len(), from, to: to.into() }
    }
}

/// What an exhaustive search showed, within the stated set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Certificate {
    /// Every smaller choice was tried, and none will do.
    Minimal {
        /// Edits of the flip, or words that the reduction leaves.
        size: usize,
        /// Texts that were tried for this.
        evaluated: u64,
        /// Out of what was chosen.
        set: String,
    },
    /// Every choice up to this size was tried, and none will do.
    Nothing {
        /// The largest size that was searched.
        size: usize,
        /// Texts that were tried for this.
        evaluated: u64,
        /// Out of what was chosen.
        set: String,
    },
    /// The budget ended first: nothing below this size will do.
    Spent {
        /// The size that was not finished.
        size: usize,
        /// Texts that were tried.
        evaluated: u64,
        /// How many choices there are.
        of: f64,
        /// Out of what was chosen.
        set: String,
    },
}

/// How often attacks on many inputs succeeded: the last line of a run over a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct AttackSummary {
    /// The version of this format.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// The model that was attacked.
    pub model: Model,
    /// The attack.
    pub attack: Method,
    /// The counts and means.
    pub summary: Counts,
}

impl AttackSummary {
    /// Makes a summary.
    pub fn new(model: Model, attack: Method, summary: Counts) -> Self {
        Self { version: VERSION, model, attack, summary }
    }
}

/// Counts and means of many attacks. Means are null where there is nothing to take a mean of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Counts {
    /// Inputs that came.
    pub inputs: usize,
    /// Inputs that could not be attacked.
    pub errors: usize,
    /// Inputs that the model had wrong to begin with; they were not attacked.
    pub wrong: usize,
    /// Decisions that were attacked.
    pub attacked: usize,
    /// Those whose attack succeeded.
    pub succeeded: usize,
    /// Those whose attack a limit ended.
    pub spent: usize,
    /// The share that succeeded, with Wilson's 95 % interval.
    pub success_rate: Option<Mean>,
    /// Edits of a success.
    pub edits: Option<Mean>,
    /// The share of the tokens that a reduction kept; null for other attacks.
    pub kept: Option<Mean>,
    /// Forward passes of an attack.
    pub forward_passes: Option<Mean>,
    /// Gradients of an attack.
    pub gradient_evaluations: Option<Mean>,
}

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The two ends of the interval.
    pub interval: [f64; 2],
}

impl Mean {
    /// Makes a mean.
    pub fn new(mean: f64, interval: [f64; 2]) -> Self {
        Self { mean, interval }
    }
}

/// One phrase that turns many predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct TriggerDocument {
    /// The version of this format.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// The model that was attacked.
    pub model: Model,
    /// The search.
    pub attack: Method,
    /// What it found.
    pub trigger: Trigger,
}

impl TriggerDocument {
    /// Makes a document.
    pub fn new(model: Model, attack: Method, trigger: Trigger) -> Self {
        Self { version: VERSION, model, attack, trigger }
    }
}

/// A phrase with what it does before a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Trigger {
    /// The phrase.
    pub text: String,
    /// The share of the texts that it was searched on that it turns.
    pub seen: Mean,
    /// The share of the texts that were held out that it turns; null without any.
    pub held_out: Option<Mean>,
    /// Texts that it was searched on.
    pub searched_on: usize,
    /// Texts that were held out.
    pub tested_on: usize,
    /// Texts that were no use: the model says the wanted of them anyway, or cannot read them.
    pub skipped: usize,
    /// How many texts the model read, those of gradients included.
    pub forward_passes: u64,
    /// How many gradients were computed.
    pub gradient_evaluations: u64,
}

impl Trigger {
    /// Makes a trigger; set the other fields.
    pub fn new(text: impl Into<String>, seen: Mean, held_out: Option<Mean>) -> Self {
        Self {
            text: text.into(),
            seen,
            held_out,
            searched_on: 0,
            tested_on: 0,
            skipped: 0,
            forward_passes: 0,
            gradient_evaluations: 0,
        }
    }
}

impl AttackDocument {
    /// Checks every number, index and span, and that the edits make the final text of the original.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn check(&self) -> Result<(), CheckError> {
        version(self.version)?;
        check_tokens(&self.input.fields, "input")?;
        check_prediction(&self.original, &self.input.fields)?;
        for (r, result) in self.results.iter().enumerate() {
            let at = format!("results[{r}]");
            check_target(&result.target, &self.input.fields, &format!("{at}.target"))?;
            check_tokens(&result.r#final.fields, &format!("{at}.final"))?;
            check_prediction(&result.prediction, &result.r#final.fields)?;
            self.check_edits(result, &at)?;
            if let Some(kept) = &result.kept {
                aligned(kept.len(), self.input.fields.len(), "field", || format!("{at}.kept"))?;
                for (f, (kept, field)) in kept.iter().zip(&self.input.fields).enumerate() {
                    for &token in kept {
                        below(token, field.tokens.len(), "token", || format!("{at}.kept[{f}]"))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_edits(&self, result: &AttackResult, at: &str) -> Result<(), CheckError> {
        let (old, new) = (&self.input.fields, &result.r#final.fields);
        aligned(new.len(), old.len(), "field", || format!("{at}.final.fields"))?;
        let mut texts = vec![String::new(); old.len()];
        let mut reached = vec![0; old.len()];
        for (e, edit) in result.edits.iter().enumerate() {
            let place = format!("{at}.edits[{e}]");
            below(edit.field, old.len(), "field", || format!("{place}.field"))?;
            let text = &old[edit.field].text;
            check_quote(text, edit.start, edit.end, &edit.from, &place)?;
            let before = text.get(reached[edit.field]..edit.start);
            let Some(before) = before else {
                let (start, end, len) = (edit.start, edit.end, text.len());
                return Err(CheckError::Span { place, start, end, len });
            };
            texts[edit.field] += before;
            texts[edit.field] += &edit.to;
            reached[edit.field] = edit.end;
        }
        for (f, (text, reached)) in texts.into_iter().zip(reached).enumerate() {
            let made = text + &old[f].text[reached..];
            if made != new[f].text {
                let place = format!("{at}.final.fields[{f}]");
                return Err(CheckError::Quote {
                    place,
                    text: made,
                    start: 0,
                    end: new[f].text.len(),
                });
            }
        }
        Ok(())
    }
}
