//! How does it break? Attacks on what a model says.
//!
//! Everything is done on text. A candidate is the original with some [edits], rendered, split
//! by the model's tokenizer and read again, so that what is reported holds for the text that a user
//! sees and not only for some row of ids.
//!
//! ```
//! use glossator_interpret::attack::{Attacker, HotFlip};
//! use glossator_interpret::Input;
//! use glossator_models::{BUNDLED, LoadOptions, load_bundled};
//!
//! let model = load_bundled(&BUNDLED[0], &LoadOptions::default())?;
//! let attack = HotFlip::default();
//! let attacker = Attacker::new(model.as_ref(), &attack);
//! let attacked = attacker.attack_input(&Input::text("a touching and funny film"))?;
//! let result = &attacked.results[0];
//! assert!(result.success);
//! assert!(!result.texts.edits().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Adding an attack: one file here, one line in [`ATTACKS`]. The recipe is in `CONTRIBUTING.md`.

pub mod attacker;
pub mod case;
pub mod certify;
pub mod constraints;
pub mod dataset;
pub mod edits;
pub mod goal;
pub mod greedy;
pub mod hotflip;
pub mod input_reduction;
pub mod triggers;
pub mod units;
pub mod victim;
pub mod vocabulary;

pub use attacker::{
    ATTACKS, Attack, AttackEntry, AttackInfo, Attacked, Attacker, DecisionChoice, FieldChoice,
    find, useless_setting,
};
pub use case::{AttackResult, Case, Stopped, Tried};
pub use certify::{Certificate, Exhaustive};
pub use constraints::{
    CONSTRAINTS, Constraint, ConstraintEntry, ConstraintInfo, MakeConstraint, Opener,
};
pub use edits::{Edit, EditedTexts};
pub use goal::{Aim, Goal};
pub use greedy::Greedy;
pub use hotflip::{Flip, HotFlip};
pub use input_reduction::{InputReduction, Rule};
pub use triggers::{Trigger, TriggerSearch};
pub use units::Grain;
pub use victim::{Limits, Reading, Victim};
pub use vocabulary::Vocabulary;
