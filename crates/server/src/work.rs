//! What is computed for a request: the same as on the command line, within the server's limits.

mod attack;
mod attention;
mod explain;
mod predict;

use std::sync::Arc;

use axum::body::Bytes;
use glossator_interpret::{Input, Progress, TaskOptions, uses};
use glossator_models::Model;
use glossator_view::convert;
use glossator_view::wire::{
    AttackRequest, AttentionRequest, ExplainRequest, InputRequest, OptionsRequest, PredictRequest,
    SettingRequest, SettingsRequest,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

pub(crate) use self::explain::DEFAULT as DEFAULT_METHOD;
use crate::models::{Catalogue, Entry};
use crate::problem::{Code, Failure};
use crate::settings::{Limits, PLACES};
use crate::task::{Asked, Done};

/// What can be asked.
pub(crate) enum Request {
    Predict(PredictRequest),
    Explain(ExplainRequest),
    Attack(AttackRequest),
    Attention(AttentionRequest),
}

/// What the computation of any request needs.
struct Desk {
    catalogue: Catalogue,
    entry: Arc<Entry>,
    limits: Limits,
}

impl Request {
    fn kind(&self) -> &'static str {
        match self {
            Self::Predict(_) => "predict",
            Self::Explain(_) => "explain",
            Self::Attack(_) => "attack",
            Self::Attention(_) => "attention",
        }
    }

    fn model(&mut self) -> &mut Option<String> {
        match self {
            Self::Predict(request) => &mut request.model,
            Self::Explain(request) => &mut request.model,
            Self::Attack(request) => &mut request.model,
            Self::Attention(request) => &mut request.model,
        }
    }

    /// Checks what can be checked without reading a model, and makes a task of the rest.
    pub(crate) fn asked(
        mut self,
        catalogue: &Catalogue,
        limits: &Limits,
    ) -> Result<Asked, Failure> {
        let entry = Arc::clone(catalogue.find(self.model().as_deref())?);
        // Requests that mean the same are the same.
        *self.model() = Some(entry.id.clone());
        let kind = self.kind();
        let key = match &mut self {
            Self::Predict(request) => {
                check_options(&request.options, limits)?;
                digest(kind, request)
            }
            Self::Explain(request) => {
                explain::check(request, limits)?;
                digest(kind, request)
            }
            Self::Attack(request) => {
                attack::check(request, limits)?;
                digest(kind, request)
            }
            Self::Attention(request) => {
                check_options(&request.options, limits)?;
                digest(kind, request)
            }
        };
        let desk = Desk { catalogue: catalogue.clone(), entry, limits: limits.clone() };
        let work = move |progress: &dyn Progress| match self {
            Self::Predict(request) => predict::run(&desk, request, progress),
            Self::Explain(request) => explain::run(&desk, request, progress),
            Self::Attack(request) => attack::run(&desk, request, progress),
            Self::Attention(request) => attention::run(&desk, request, progress),
        };
        Ok(Asked { kind, key: key?, work: Box::new(work) })
    }
}

/// What a request is known by. Maps are sorted, so the order of keys does not matter.
fn digest(kind: &str, request: &impl Serialize) -> Result<[u8; 32], Failure> {
    let text = serde_json::to_vec(request).map_err(|_| Failure::internal())?;
    Ok(Sha256::new().chain_update(kind).chain_update([0]).chain_update(text).finalize().into())
}

/// Checks that no option asks for more than the server gives.
fn check_options(options: &OptionsRequest, limits: &Limits) -> Result<(), Failure> {
    let OptionsRequest { top, generate, stride, max_answer, .. } = options;
    let given =
        [("top", top), ("generate", generate), ("stride", stride), ("max_answer", max_answer)];
    for (name, value) in given {
        let least = u64::from(name != "stride");
        if let (Some(value), Some(most)) = (value, limits.most(name))
            && !(least..=most).contains(&u64::from(*value))
        {
            let expected = format!("a number from {least} to {most} on this server");
            return Err(Failure::setting(name, &expected, &value.to_string()));
        }
    }
    Ok(())
}

/// Checks that no setting asks for more than the server gives, or for a file of its. What means the
/// same is then written in the same way.
fn check_settings(settings: &mut SettingsRequest, limits: &Limits) -> Result<(), Failure> {
    let options = convert::settings(&*settings);
    for name in options.names() {
        let Some(text) = options.text(name) else { continue };
        if let Some((_, only)) = PLACES.iter().find(|(place, _)| *place == name)
            && text != *only
        {
            let expected = format!("{only}: a server reads no other file");
            return Err(Failure::setting(name, &expected, text));
        }
        // What is no number at all is for the library to say.
        if let (Ok(value), Some(most)) = (text.parse::<u64>(), limits.most(name))
            && value > most
        {
            let expected = format!("at most {most} on this server");
            return Err(Failure::setting(name, &expected, text));
        }
    }
    for (name, value) in settings {
        if let Some(text) = options.text(name) {
            *value = SettingRequest::Text(text.to_owned());
        }
    }
    Ok(())
}

/// Reads the texts, after checking that the model's task has a use for all that was given.
fn read(
    model: &dyn Model,
    input: InputRequest,
    options: &OptionsRequest,
    limits: &Limits,
) -> Result<(Input, TaskOptions), Failure> {
    let info = model.info();
    if let Some(name) = convert::useless(&input, options, info.task) {
        let tasks = uses::list(uses::of(name));
        let detail = format!("{name} is for {tasks}; {} does {}", info.id, info.task.id());
        let failure = Failure::new(Code::BadInput, detail);
        return Err(failure.with_hint(format!("leave out {name}, or name another model")));
    }
    let input = convert::input(input).map_err(|error| {
        let hint = "an input has the key text, and pair, question (with context) or continuation \
                    where the task has a use for them";
        Failure::new(Code::BadInput, error.to_string()).with_hint(hint)
    })?;
    let parts = [Some(&input.text), input.pair.as_ref(), input.continuation.as_ref()];
    let mut tokens = 0;
    for text in parts.into_iter().flatten() {
        let encoding = model.tokenizer().encode(text).map_err(glossator_interpret::Error::from)?;
        tokens += encoding.tokens.len();
    }
    if tokens > limits.tokens {
        let detail = format!("{tokens} tokens; this server reads at most {}", limits.tokens);
        return Err(Failure::new(Code::TooLong, detail).with_hint("shorten the text"));
    }
    Ok((input, convert::options(options)))
}

/// The document as JSON.
fn done(document: &impl Serialize, keep: bool) -> Result<Done, Failure> {
    let json = serde_json::to_vec(document).map_err(|_| Failure::internal())?;
    Ok(Done { json: Bytes::from(json), keep })
}
