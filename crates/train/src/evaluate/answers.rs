//! Answers to questions.

use glossator_interpret::{Prediction, TaskOptions, tasks};
use glossator_models::{Encoding, Model};

use super::outputs::{outputs, rows};
use super::{EvaluateOptions, Evaluation, Measure, Scores, nothing};
use crate::data::{Content, Example};
use crate::encode::whole_question;
use crate::error::{Error, Result};
use crate::metrics::squad::Answers;

pub(super) struct Asked<'a> {
    model: &'a dyn Model,
    options: &'a EvaluateOptions,
    /// What is right; what is said if there must be an answer, and if there need not be one.
    said: Vec<(Vec<String>, [String; 2])>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(model: &'a dyn Model, options: &'a EvaluateOptions) -> Self {
        Self { model, options, said: Vec::new() }
    }

    fn answer(&self, windows: &[(&Encoding, Vec<Vec<f64>>)], unanswerable: bool) -> Result<String> {
        let options = TaskOptions {
            top: 1,
            max_answer: self.options.max_answer,
            unanswerable,
            ..TaskOptions::default()
        };
        let prediction = tasks::of(self.model).predict(self.model, windows, &options)?;
        let Prediction::QuestionAnswering(answers) = prediction else { return Ok(String::new()) };
        let span = answers.first().and_then(|answer| answer.span.clone());
        let context = windows.first().and_then(|(encoding, _)| encoding.fields.get(1));
        let text = span.and_then(|span| Some(context?.text.get(span)?.to_owned()));
        Ok(text.unwrap_or_default())
    }
}

/// Rows of logits of the tokens of a window alone: its second part begins behind the padding of the
/// first.
fn unpadded(mut rows: Vec<Vec<f32>>, window: &Encoding, second: Option<usize>) -> Vec<Vec<f32>> {
    if let (Some(from), Some(to)) = (window.second, second) {
        rows.iter_mut().for_each(|row| drop(row.drain(from.min(row.len())..to.min(row.len()))));
    }
    rows.iter_mut().for_each(|row| row.truncate(window.tokens.len()));
    rows
}

impl Measure for Asked<'_> {
    fn measure(&mut self, examples: &[Example]) -> Result<()> {
        let (limit, stride) = (self.options.limits.tokens(self.model), self.options.limits.stride);
        for example in examples {
            let Content::Question(question) = &example.content else { continue };
            let whole = whole_question(self.model, question)?;
            let windows = tasks::windows(whole, limit, stride)
                .map_err(|error| Error::from(error).at(&example.place))?;
            let all = outputs(self.model, &windows, |i, logits, second| {
                Ok(unpadded(rows(logits)?, &windows[i], second))
            })?;
            let as_f64 = |row: Vec<f32>| -> Vec<f64> { row.into_iter().map(f64::from).collect() };
            let all: Vec<(&Encoding, Vec<Vec<f64>>)> = windows
                .iter()
                .zip(all)
                .map(|(window, rows)| (window, rows.into_iter().map(as_f64).collect()))
                .collect();
            let said = [self.answer(&all, false)?, self.answer(&all, true)?];
            let right = question.answers.iter().map(|(text, _)| text.clone()).collect();
            self.said.push((right, said));
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Evaluation> {
        if self.said.is_empty() {
            return Err(nothing("question"));
        }
        let some_have_none = self.said.iter().any(|(right, _)| right.is_empty());
        let unanswerable = self.options.unanswerable.unwrap_or(some_have_none);
        let mut answers = Answers::default();
        for (right, said) in &self.said {
            let right: Vec<&str> = right.iter().map(String::as_str).collect();
            answers.push(&said[usize::from(unanswerable)], &right);
        }
        let mut scores = Scores::new(answers.items.len(), &self.options.bootstrap);
        scores.add("f1", true, |sample| answers.f1(sample));
        scores.add("exact-match", true, |sample| answers.exact(sample));
        Ok(Evaluation {
            task: self.model.info().task,
            examples: answers.items.len(),
            truncated: 0,
            scores: scores.made,
            classes: Vec::new(),
            confusion: Vec::new(),
        })
    }
}
