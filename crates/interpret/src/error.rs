//! What can go wrong between a model and an explanation.

/// The error of this crate.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model's own error.
    #[error(transparent)]
    Model(#[from] glossator_models::Error),
    /// A method that is not in the list.
    #[error("unknown method {id:?}; methods are {}", .known.join(", "))]
    UnknownMethod {
        /// What was asked for.
        id: String,
        /// The ids there are.
        known: Vec<&'static str>,
    },
    /// A setting that the method does not have.
    #[error("--{setting} does not apply to the method {method}")]
    UnknownSetting {
        /// The method.
        method: &'static str,
        /// The setting.
        setting: String,
    },
    /// A setting with a value that it cannot have.
    #[error("--{setting}: expected {expected}, got {got:?}")]
    BadSetting {
        /// The setting.
        setting: String,
        /// The values it can have.
        expected: String,
        /// What came.
        got: String,
    },
    /// Two settings that contradict each other.
    #[error("{what}")]
    Conflict {
        /// Which, and why.
        what: String,
    },
    /// A quantity that the model's outputs do not have.
    #[error("the quantity {quantity} is not defined for {outputs}")]
    Quantity {
        /// What was asked for.
        quantity: &'static str,
        /// What the outputs are.
        outputs: &'static str,
    },
    /// An input that the task cannot use.
    #[error("{what}")]
    Input {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A baseline that the tokenizer has no token for.
    #[error("the tokenizer has no {token} token for the baseline")]
    NoBaselineToken {
        /// `pad` or `mask`.
        token: &'static str,
    },
    /// A baseline text that is longer than the input.
    #[error("the baseline text has {got} tokens, more than the input's {room}")]
    BaselineTooLong {
        /// Tokens of the baseline text.
        got: usize,
        /// Tokens of the input, special ones apart.
        room: usize,
    },
    /// An output or a gradient that is NaN or infinite.
    #[error("{what} is not a finite number{at}")]
    NotFinite {
        /// `the output` or `the gradient`.
        what: &'static str,
        /// Where on a path, or which weight is to blame.
        at: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// One line of what to do, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Model(error) => return error.hint(),
            Self::Input { hint, .. } => hint.clone(),
            Self::UnknownMethod { .. } => "`glossator methods` describes them".to_owned(),
            Self::UnknownSetting { method, .. } => {
                format!("`glossator methods {method}` lists the settings it has")
            }
            Self::Quantity { outputs, .. } if outputs.contains("regression") => {
                "explain the value itself: --quantity logit".to_owned()
            }
            Self::NoBaselineToken { .. } => "choose --baseline zero or mean".to_owned(),
            Self::BaselineTooLong { .. } => "use a shorter --baseline text:...".to_owned(),
            Self::NotFinite { at, .. } if at.contains("tensor") => {
                "the weights are damaged: download or save the model again".to_owned()
            }
            Self::NotFinite { .. } => {
                "choose another --rule or --baseline, which keep away from that point".to_owned()
            }
            _ => return None,
        })
    }

    /// Whether the user's input is at fault (exit code 2) rather than this program (3).
    #[must_use]
    pub fn is_input_error(&self) -> bool {
        match self {
            Self::Model(error) => error.is_input_error(),
            _ => true,
        }
    }
}

impl From<glossator_ops::Error> for Error {
    fn from(error: glossator_ops::Error) -> Self {
        Self::Model(error.into())
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.into())
    }
}
