//! Why did the model say that? Attribution methods over any [`Model`](glossator_models::Model).
//!
//! What is explained (a [`Target`]: which output, measured how) and how (a [`Method`]) vary
//! freely. A method returns raw signed scores with what they mean: the outputs at both ends, the
//! completeness error, error estimates, the number of evaluations. Normalising, colouring and
//! rounding belong to `glossator-view`.
//!
//! ```
//! use glossator_interpret::{Explainer, IntegratedGradients, Quantity, TargetSpec};
//! use glossator_models::{BUNDLED, LoadOptions, load_bundled};
//!
//! let model = load_bundled(&BUNDLED[0], &LoadOptions::default())?;
//! let encoding = model.encode("a touching , funny and wise film", false)?;
//! let method = IntegratedGradients::default();
//! let explainer = Explainer::new(model.as_ref(), &method);
//! let answer = explainer.explain(&encoding, &TargetSpec::Predicted, Quantity::Logit)?;
//! let attribution = &answer.explanations[0].attribution;
//! assert_eq!(attribution.scores.len(), encoding.tokens.len());
//! assert_eq!(attribution.converged, Some(true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Adding a method: one file in `saliency/` or `perturb/`, one line in [`METHODS`]. The recipe is
//! in `CONTRIBUTING.md`.

pub mod attack;
pub mod attention;
pub mod baseline;
pub mod error;
pub mod explain;
pub mod method;
pub mod options;
pub mod perturb;
pub mod predict;
pub mod prediction;
pub mod progress;
pub mod quadrature;
pub mod registry;
pub mod saliency;
pub mod subject;
pub mod target;
pub mod tasks;
pub mod words;

pub use attention::Attention;
pub use baseline::{Baseline, BaselineKind, SpecialTokens};
pub use error::{Error, Result};
pub use explain::{Answer, Explainer, Explanation};
pub use method::{Attribution, Method, MethodInfo, ParameterInfo, Setting, Settings};
pub use options::Options;
pub use perturb::occlusion::Occlusion;
pub use predict::{Predicted, predict};
pub use prediction::{Candidate, Choice, Classification, Entity, LabelScore, Prediction};
pub use progress::{Progress, Silent};
pub use registry::{Entry, METHODS, find};
pub use saliency::gradient::Gradient;
pub use saliency::input_x_gradient::InputXGradient;
pub use saliency::integrated_gradients::IntegratedGradients;
pub use saliency::reduction::Reduction;
pub use saliency::smoothgrad::SmoothGrad;
pub use subject::Subject;
pub use target::{Decision, Element, Quantity, Target, TargetSpec};
pub use tasks::{Aggregation, Input, TASKS, TaskOptions, uses};
