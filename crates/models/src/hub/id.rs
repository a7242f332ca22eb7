//! The names of models.

use crate::error::{Error, Result, clip};

/// The longest part of a name that the hub allows.
const MAX_PART: usize = 96;

/// What a model is called: `org/name` or, of the oldest models, `name`, with a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId {
    repository: String,
    revision: String,
}

impl ModelId {
    /// Reads `org/name` or `org/name@revision`.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, "main"));
        let parts: Vec<&str> = repository.split('/').collect();
        // Nothing here can leave the cache's directory, or be taken for something else in an address.
        let good = parts.len() <= 2 && parts.iter().chain([&revision]).all(|part| is_part(part));
        if !good || repository.contains("--") {
            return Err(Error::BadModelId { id: clip(text.to_owned()) });
        }
        Ok(Self { repository: repository.to_owned(), revision: revision.to_owned() })
    }

    /// `org/name`
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The name of a branch, a tag or a commit.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.repository)?;
        if self.revision == "main" { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

fn is_part(part: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=MAX_PART).contains(&part.len())
        && part.bytes().all(known)
        && !part.starts_with(['.', '-'])
        && !part.contains("..")
}

/// Whether a text is a hash, of a commit or a file.
pub(super) fn is_hash(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(text.len(), 40 | 64) && text.bytes().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        let id = ModelId::parse("HuggingFaceTB/SmolLM2-135M_x.1@v1.0").unwrap();
        assert_eq!((id.repository(), id.revision()), ("HuggingFaceTB/SmolLM2-135M_x.1", "v1.0"));
        assert_eq!(id.to_string(), "HuggingFaceTB/SmolLM2-135M_x.1@v1.0");
        assert_eq!(ModelId::parse("gpt2").unwrap().to_string(), "gpt2");
        let bad = [
            "", "/", "a/", "/a", "a/b/c", "../a", "a/..", "./a", "a/b@", "a/b@..", "a b", "a/b?c",
            "a/b@c/d", "a--b/c", "ä/b", "a\\b", "-a/b", "a/b@c@d",
        ];
        for text in bad {
            let error = ModelId::parse(text).unwrap_err();
            assert!(error.hint().is_some_and(|hint| hint.contains("org/name")), "{text}");
        }
    }
}
