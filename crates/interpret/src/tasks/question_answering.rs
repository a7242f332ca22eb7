//! Which part of a context answers a question.

use std::ops::Range;

use glossator_models::{Encoding, Model, Problem, Task};

use super::{Decide, Input, TaskOptions, bad_input, no_continuation};
use crate::error::Result;
use crate::prediction::{Answer, Prediction, softmax};
use crate::target::{Decision, Element, Quantity, Target, TargetSpec};

pub(super) struct QuestionAnswering;

/// The field of the context; the question comes first.
const CONTEXT: usize = 1;

impl Decide for QuestionAnswering {
    fn task(&self) -> Task {
        Task::QuestionAnswering
    }

    fn encode(
        &self,
        model: &dyn Model,
        input: &Input,
        options: &TaskOptions,
    ) -> Result<Vec<Encoding>> {
        no_continuation(input, "question answering")?;
        let Some(question) = &input.pair else {
            return Err(bad_input(
                "a context, and no question about it",
                "give the question with --question TEXT",
            ));
        };
        let mut whole = model.encode_pair(question, &input.text)?;
        for (field, name) in whole.fields.iter_mut().zip(["question", "context"]) {
            name.clone_into(&mut field.name);
        }
        if options.truncate {
            return Ok(vec![model.fit(whole, true)?]);
        }
        windows(whole, model.info().max_tokens, options.stride)
    }

    fn predict(
        &self,
        _: &dyn Model,
        windows: &[(&Encoding, Vec<Vec<f64>>)],
        options: &TaskOptions,
    ) -> Result<Prediction> {
        let mut answers: Vec<Answer> = Vec::new();
        let mut none: Option<Answer> = None;
        for (window, (encoding, rows)) in windows.iter().enumerate() {
            let [starts, ends] = rows.as_slice() else { continue };
            let choices = choices(encoding);
            let shares =
                |row: &[f64]| softmax(&choices.iter().map(|&c| row[c]).collect::<Vec<_>>());
            let (start, end) = (shares(starts), shares(ends));
            for (i, &first) in choices.iter().enumerate() {
                if encoding.tokens[first].special {
                    let probability = start[i] * end[i];
                    // A window without the answer says so: the least sure one decides.
                    if none.as_ref().is_none_or(|none| probability < none.probability) {
                        let tokens = (first, first);
                        none = Some(Answer { span: None, probability, tokens, window });
                    }
                    continue;
                }
                for (j, &last) in choices.iter().enumerate().skip(i).take(options.max_answer) {
                    let (a, b) = (&encoding.tokens[first], &encoding.tokens[last]);
                    answers.push(Answer {
                        span: Some(a.start..b.end.max(a.start)),
                        probability: start[i] * end[j],
                        tokens: (first, last),
                        window,
                    });
                }
            }
        }
        answers.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let mut kept: Vec<Answer> = Vec::new();
        for answer in answers {
            if kept.len() >= options.top.max(1) {
                break;
            }
            // Windows overlap: the same words are one answer.
            if kept.iter().all(|known| known.span != answer.span) {
                kept.push(answer);
            }
        }
        if let Some(none) = none {
            let best = kept.first().map_or(f64::NEG_INFINITY, |answer| answer.probability);
            if kept.is_empty() || (options.unanswerable && none.probability > best) {
                kept.insert(0, none);
            }
        }
        if kept.is_empty() {
            return Err(bad_input(
                "the context has no tokens in which to look for an answer",
                "give a context",
            ));
        }
        Ok(Prediction::QuestionAnswering(kept))
    }

    fn targets(
        &self,
        _: &dyn Model,
        encoding: &Encoding,
        prediction: &Prediction,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Vec<Target>> {
        let Prediction::QuestionAnswering(answers) = prediction else { return Ok(Vec::new()) };
        let (span, (first, last)) = match spec {
            TargetSpec::Predicted => match answers.first() {
                Some(answer) => (answer.span.clone(), answer.tokens),
                None => return Ok(Vec::new()),
            },
            TargetSpec::Label(text) => located(encoding, text)?,
            TargetSpec::Contrast(a, b) => {
                let (span, (first, last)) = located(encoding, a)?;
                let (_, (other_first, other_last)) = located(encoding, b)?;
                let mut target = answer(encoding, span, (first, last), quantity)?;
                target.against = edges(other_first, other_last);
                return Ok(vec![target]);
            }
        };
        Ok(vec![answer(encoding, span, (first, last), quantity)?])
    }

    fn window(&self, prediction: &Prediction) -> usize {
        match prediction {
            Prediction::QuestionAnswering(answers) => answers.first().map_or(0, |a| a.window),
            _ => 0,
        }
    }
}

fn edges(first: usize, last: usize) -> Vec<Element> {
    vec![Element { row: 0, column: first }, Element { row: 1, column: last }]
}

fn answer(
    encoding: &Encoding,
    span: Option<Range<usize>>,
    (first, last): (usize, usize),
    quantity: Quantity,
) -> Result<Target> {
    let decision = Decision::Answer { field: CONTEXT, span };
    let mut target = Target::new(decision, edges(first, last), quantity, Problem::SingleLabel)?;
    target.choices = Some(choices(encoding));
    Ok(target)
}

/// The bytes of an answer, if there is one, and its first and last token.
type Located = (Option<Range<usize>>, (usize, usize));

/// The tokens of a part of the context, by its text.
fn located(encoding: &Encoding, text: &str) -> Result<Located> {
    let context = encoding.fields.get(CONTEXT).map_or("", |field| field.text.as_str());
    let missing = || {
        bad_input(
            format!("--target {text:?} is not a part of the context that the model reads"),
            "give some words of the context as they stand there",
        )
    };
    let start = context.find(text).filter(|_| !text.is_empty()).ok_or_else(missing)?;
    let span = start..start + text.len();
    let touches = |t: &usize| {
        let token = &encoding.tokens[*t];
        !token.special && token.field == CONTEXT && token.start < span.end && token.end > span.start
    };
    let tokens: Vec<usize> = (0..encoding.tokens.len()).filter(touches).collect();
    match (tokens.first(), tokens.last()) {
        (Some(&first), Some(&last)) => Ok((Some(span), (first, last))),
        _ => Err(missing()),
    }
}

/// The places where an answer can begin and end: the context's tokens, and the first token of all,
/// which says that there is no answer.
#[must_use]
pub fn choices(encoding: &Encoding) -> Vec<usize> {
    let is_choice = |&t: &usize| {
        let token = &encoding.tokens[t];
        if token.special { t == 0 } else { token.field == CONTEXT }
    };
    (0..encoding.tokens.len()).filter(is_choice).collect()
}

/// Windows over the context, each with the whole question, that overlap by `stride` tokens: `whole`
/// is the question and the context, and a window has at most `limit` tokens.
///
/// # Errors
/// If the question alone is as long as a window.
pub fn windows(whole: Encoding, limit: usize, stride: usize) -> Result<Vec<Encoding>> {
    if whole.tokens.len() <= limit {
        return Ok(vec![whole]);
    }
    let is_context = |t: usize| !whole.tokens[t].special && whole.tokens[t].field == CONTEXT;
    let context: Vec<usize> = (0..whole.tokens.len()).filter(|&t| is_context(t)).collect();
    let fixed = whole.tokens.len() - context.len();
    let room = limit.saturating_sub(fixed);
    if room == 0 {
        return Err(bad_input(
            format!("the question has {fixed} tokens; the model reads {limit}, context included"),
            "shorten the question",
        ));
    }
    let step = room.saturating_sub(stride).max(1);
    let mut made = Vec::new();
    for start in (0..context.len()).step_by(step) {
        let chosen = &context[start..(start + room).min(context.len())];
        let (first, last) = (chosen[0], chosen[chosen.len() - 1]);
        let mut window = whole.clone();
        let mut t = 0;
        window.tokens.retain(|_| {
            let keep = !is_context(t) || (first..=last).contains(&t);
            t += 1;
            keep
        });
        made.push(window);
        if start + room >= context.len() {
            break;
        }
    }
    Ok(made)
}
