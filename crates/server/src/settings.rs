//! What a server is started with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Tells whoever runs the server of something that no client is told, such as a panic.
pub type Report = Arc<dyn Fn(&str) + Send + Sync>;

/// How a server behaves.
#[derive(Clone)]
pub struct Settings {
    /// The address that it listens on. Names of this machine are told from it.
    pub address: SocketAddr,
    /// Other names by which clients may call it, each with or without a port.
    pub hosts: Vec<String>,
    /// What a client must know to ask anything; none: nothing.
    pub token: Option<String>,
    /// Jobs that are computed side by side.
    pub workers: usize,
    /// Jobs that may wait beyond those; more are turned away with 429.
    pub queue: usize,
    /// Bytes of results that are kept for requests that come again.
    pub cache: usize,
    /// What one request may ask for.
    pub limits: Limits,
    /// How long running jobs may go on when the server is asked to stop.
    pub grace: Duration,
    /// Where failures of the server itself are told.
    pub report: Report,
}

impl Settings {
    /// Usual settings for an address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            hosts: Vec::new(),
            token: None,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            queue: 32,
            cache: 64 << 20,
            limits: Limits::default(),
            grace: Duration::from_secs(10),
            report: Arc::new(|_| {}),
        }
    }
}

impl Default for Settings {
    /// Any port of this machine's own address.
    fn default() -> Self {
        Self::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))
    }
}

/// What one request may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its body.
    pub body: usize,
    /// Tokens of all its texts together.
    pub tokens: usize,
    /// Tokens whose attention is told: the answer grows with their square.
    pub attention_tokens: usize,
    /// Gradients that a method may be set to compute. Forward passes of an attack may be four times
    /// as many.
    pub evaluations: u64,
    /// How long it may wait for its turn, and then be computed.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 256 << 10,
            tokens: 4096,
            attention_tokens: 128,
            evaluations: 5000,
            timeout: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// Forward passes of an attack.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.evaluations.saturating_mul(4)
    }

    /// The largest value that a setting of a method, attack or task may have; none: as large as the
    /// library takes it.
    #[must_use]
    pub fn most(&self, setting: &str) -> Option<u64> {
        Some(match setting {
            "samples" | "steps" | "max-evaluations" => self.evaluations,
            "certify-passes" | "max_passes" => self.passes(),
            "certify-replacements" => 100,
            "candidates" => 1000,
            "beam" => 32,
            "max-edits" => 64,
            "plausible-rank" => 10_000,
            "generate" => 64,
            "top" | "max_answer" => 100,
            "stride" => 4096,
            _ => return None,
        })
    }
}

/// Settings that name a file or a directory, with the one value that is taken over HTTP: nothing
/// that a client writes is ever a path.
pub(crate) const PLACES: &[(&str, &str)] = &[("dictionary", "vocabulary"), ("synonyms", "wordnet")];

#[cfg(test)]
mod tests {
    use super::*;
    use glossator_interpret::METHODS;
    use glossator_interpret::attack::{ATTACKS, CONSTRAINTS};

    /// A new setting with a number or a path has to be thought of here.
    #[test]
    fn every_count_and_place_of_the_lists_is_bounded() {
        let unbounded = ["seed", "max-distance"];
        let limits = Limits::default();
        let methods = METHODS.iter().map(|entry| entry.info.parameters);
        let attacks = ATTACKS.iter().map(|entry| entry.info.parameters);
        let constraints = CONSTRAINTS.iter().map(|entry| entry.info.parameters);
        for parameter in methods.chain(attacks).chain(constraints).flatten() {
            let name = parameter.name;
            match parameter.value {
                "N" | "K" => {
                    assert!(limits.most(name).is_some() || unbounded.contains(&name), "{name}");
                }
                "DIR" | "LIST" | "PATH" | "FILE" => {
                    assert!(PLACES.iter().any(|(known, _)| *known == name), "{name}");
                }
                _ => {}
            }
        }
    }
}
