//! What went wrong, as `application/problem+json` (RFC 9457) with a code that stays.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use glossator_interpret::Error;
use glossator_view::wire::Problem;

/// The kinds of problems. A code never changes its meaning; new ones may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    BadRequest,
    BadInput,
    BadSetting,
    BadTarget,
    TooLong,
    AttentionTooLarge,
    UnknownModel,
    UnknownMethod,
    UnknownAttack,
    ModelUnusable,
    NotFinite,
    BodyTooLarge,
    UnsupportedMediaType,
    NotFound,
    MethodNotAllowed,
    ForbiddenHost,
    ForbiddenOrigin,
    Unauthorized,
    SlowRequest,
    Busy,
    Timeout,
    Cancelled,
    ShuttingDown,
    Internal,
}

impl Code {
    /// Every code.
    pub(crate) const ALL: [Self; 24] = [
        Self::BadRequest,
        Self::BadInput,
        Self::BadSetting,
        Self::BadTarget,
        Self::TooLong,
        Self::AttentionTooLarge,
        Self::UnknownModel,
        Self::UnknownMethod,
        Self::UnknownAttack,
        Self::ModelUnusable,
        Self::NotFinite,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::ForbiddenHost,
        Self::ForbiddenOrigin,
        Self::Unauthorized,
        Self::SlowRequest,
        Self::Busy,
        Self::Timeout,
        Self::Cancelled,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// The code, the status and the title.
    fn describe(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::BadRequest => ("bad_request", S::BAD_REQUEST, "The request cannot be read"),
            Self::BadInput => ("bad_input", S::UNPROCESSABLE_ENTITY, "The input cannot be used"),
            Self::BadSetting => {
                ("bad_setting", S::UNPROCESSABLE_ENTITY, "A setting cannot have that value")
            }
            Self::BadTarget => {
                ("bad_target", S::UNPROCESSABLE_ENTITY, "That cannot be explained or reached")
            }
            Self::TooLong => ("too_long", S::UNPROCESSABLE_ENTITY, "The input is too long"),
            Self::AttentionTooLarge => {
                ("attention_too_large", S::UNPROCESSABLE_ENTITY, "The attention is too large")
            }
            Self::UnknownModel => {
                ("unknown_model", S::UNPROCESSABLE_ENTITY, "There is no such model")
            }
            Self::UnknownMethod => {
                ("unknown_method", S::UNPROCESSABLE_ENTITY, "There is no such method")
            }
            Self::UnknownAttack => {
                ("unknown_attack", S::UNPROCESSABLE_ENTITY, "There is no such attack")
            }
            Self::ModelUnusable => {
                ("model_unusable", S::UNPROCESSABLE_ENTITY, "The model cannot be used")
            }
            Self::NotFinite => ("not_finite", S::UNPROCESSABLE_ENTITY, "A number is not finite"),
            Self::BodyTooLarge => {
                ("body_too_large", S::PAYLOAD_TOO_LARGE, "The request is too large")
            }
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", S::UNSUPPORTED_MEDIA_TYPE, "The request is not JSON")
            }
            Self::NotFound => ("not_found", S::NOT_FOUND, "There is nothing here"),
            Self::MethodNotAllowed => {
                ("method_not_allowed", S::METHOD_NOT_ALLOWED, "That cannot be done here")
            }
            Self::ForbiddenHost => ("forbidden_host", S::FORBIDDEN, "The host is not this server"),
            Self::ForbiddenOrigin => {
                ("forbidden_origin", S::FORBIDDEN, "Another site may not ask this server")
            }
            Self::Unauthorized => ("unauthorized", S::UNAUTHORIZED, "A token is needed"),
            Self::SlowRequest => {
                ("slow_request", S::REQUEST_TIMEOUT, "The request came too slowly")
            }
            Self::Busy => ("busy", S::TOO_MANY_REQUESTS, "The server is busy"),
            Self::Timeout => ("timeout", S::GATEWAY_TIMEOUT, "The answer took too long"),
            Self::Cancelled => ("cancelled", S::CONFLICT, "The job was cancelled"),
            Self::ShuttingDown => {
                ("shutting_down", S::SERVICE_UNAVAILABLE, "The server is shutting down")
            }
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "The server failed"),
        }
    }

    pub(crate) fn id(self) -> &'static str {
        self.describe().0
    }

    pub(crate) fn status(self) -> StatusCode {
        self.describe().1
    }
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    detail: String,
    hint: Option<String>,
    /// Seconds after which to try again.
    retry_after: Option<u64>,
}

impl Failure {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: clip(detail.into()), hint: None, retry_after: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(clip(hint.into()));
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// A setting with a value beyond what this server takes, or that it does not take at all.
    pub(crate) fn setting(name: &str, expected: &str, got: &str) -> Self {
        Self::new(Code::BadSetting, format!("{name}: expected {expected}, got {got:?}"))
    }

    /// A failure of ours; the cause is for the log, not for the client.
    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "something of the server's own failed")
            .with_hint("this is a bug in glossator; please report it with the request")
    }

    /// As it is told.
    pub(crate) fn problem(&self) -> Problem {
        let (code, status, title) = self.code.describe();
        Problem {
            r#type: format!("urn:glossator:problem:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: code.to_owned(),
            hint: self.hint.clone(),
        }
    }
}

/// Cuts what may be as long as a request.
fn clip(mut text: String) -> String {
    const MOST: usize = 2000;
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push_str("...");
    }
    text
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let problem = self.problem();
        // A map of texts and a number: nothing that could fail.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (self.code.status(), body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = code_of(&error);
        if code == Code::Internal {
            return Self::internal();
        }
        // Not as flags of a command line.
        let detail = match &error {
            Error::BadSetting { setting, expected, got } => {
                return Self::setting(setting, expected, got);
            }
            Error::UnknownSetting { method, setting } => {
                format!("{setting} is no setting of {method}")
            }
            error => over_http(&error.to_string()),
        };
        let failure = Self::new(code, detail);
        match error.hint() {
            Some(hint) => failure.with_hint(over_http(&hint)),
            None => failure,
        }
    }
}

fn code_of(error: &Error) -> Code {
    use glossator_models::Error as Model;
    match error {
        error if !error.is_input_error() => Code::Internal,
        Error::Model(Model::TooLong { .. }) => Code::TooLong,
        Error::Model(Model::UnknownLabel { .. }) => Code::BadTarget,
        Error::Model(
            Model::Encode { .. } | Model::NoRoom { .. } | Model::NoTokens | Model::OnePart,
        ) => Code::BadInput,
        Error::Model(_) => Code::ModelUnusable,
        Error::UnknownMethod { .. } => Code::UnknownMethod,
        Error::UnknownSetting { .. }
        | Error::BadSetting { .. }
        | Error::Conflict { .. }
        | Error::Quantity { .. }
        | Error::NoBaselineToken { .. }
        | Error::BaselineTooLong { .. } => Code::BadSetting,
        Error::Input { what, .. } if what.starts_with("--target") => Code::BadTarget,
        Error::Input { what, .. } if what.starts_with("--") => Code::BadSetting,
        Error::NotFinite { .. } => Code::NotFinite,
        Error::Cancelled => Code::Cancelled,
        _ => Code::BadInput,
    }
}

/// Says of keys and routes what the library's messages say of flags and commands.
fn over_http(text: &str) -> String {
    let mut text = text.to_owned();
    for (command, route) in [
        ("`glossator methods`", "`GET /v1/methods`"),
        ("`glossator attacks`", "`GET /v1/attacks`"),
        ("`glossator models`", "`GET /v1/models`"),
    ] {
        text = text.replace(command, route);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("--") {
        let (before, after) = rest.split_at(at);
        let flag = before.chars().next_back().is_none_or(|c| c == ' ' || c == '`' || c == '(')
            && after[2..].starts_with(|c: char| c.is_ascii_lowercase());
        out.push_str(before);
        if !flag {
            out.push_str("--");
        }
        rest = &after[2..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_code_of_its_own() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.id()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
    }

    #[test]
    fn errors_speak_of_keys_and_routes() {
        assert_eq!(
            over_http("give the question with --question TEXT"),
            "give the question with question TEXT"
        );
        assert_eq!(
            over_http("`glossator methods` describes them"),
            "`GET /v1/methods` describes them"
        );
        assert_eq!(over_http("a -- b, --- and x--y"), "a -- b, --- and x--y");
        let failure = Failure::from(Error::BadSetting {
            setting: "samples".into(),
            expected: "a number".into(),
            got: "<b>".into(),
        });
        assert_eq!(failure.problem().detail, r#"samples: expected a number, got "<b>""#);
        assert_eq!(failure.problem().status, 422);
    }

    #[test]
    fn a_detail_is_never_as_long_as_a_request() {
        let failure = Failure::new(Code::BadInput, "é".repeat(5000));
        assert!(failure.problem().detail.len() <= 2003);
    }
}
