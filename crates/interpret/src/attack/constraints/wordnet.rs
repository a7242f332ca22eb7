//! Synonyms out of WordNet's database files, as Debian's package `wordnet-base` installs them.
//!
//! The index of each part of speech is sorted by lemma and names byte offsets in the data file,
//! where a line holds the words of one sense (the manual pages wndb(5WN) and senseidx(5WN)).

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{Constraint, ConstraintEntry, ConstraintInfo, Proposal};
use crate::error::{Error, Result};
use crate::method::{ParameterInfo, Setting, Settings};

/// Where Debian puts the files.
const DIR: &str = "/usr/share/wordnet";

/// WordNet's senses.
pub struct WordNet {
    dir: PathBuf,
    parts: Vec<Part>,
    /// The last word with its synonyms: all replacements of a word are looked at in turn.
    last: Mutex<(String, BTreeSet<String>)>,
}

struct Part {
    index: Vec<u8>,
    data: Vec<u8>,
}

static INFO: ConstraintInfo = ConstraintInfo {
    id: "wordnet-synonyms",
    meaning: "Each new word shares a sense with the old one in WordNet, as it stands: inflected \
              forms are not traced back.",
    citation: "Miller 1995, doi:10.1145/219717.219748; Ren, Deng, He & Che 2019, \
               doi:10.18653/v1/P19-1103",
    parameters: &[ParameterInfo {
        name: "synonyms",
        value: "DIR",
        help: "wordnet for Debian's place of the files, or the directory with index.noun, \
               data.noun and the others",
        default: "none",
    }],
};

pub(super) static ENTRY: ConstraintEntry = ConstraintEntry {
    info: &INFO,
    build: |options, _| {
        let Some(name) = options.text("synonyms") else { return Ok(None) };
        Ok(Some(Box::new(WordNet::open(name)?)))
    },
};

/// The largest file that is read; that of the nouns has 16 MB.
const MOST: u64 = 256 << 20;

impl WordNet {
    /// Reads the files of a directory; `wordnet` is where Debian puts them.
    ///
    /// # Errors
    /// If none of the files is there, or one cannot be read.
    pub fn open(name: &str) -> Result<Self> {
        let dir = PathBuf::from(if name == "wordnet" { DIR } else { name });
        let mut parts = Vec::new();
        for part in ["noun", "verb", "adj", "adv"] {
            let index = dir.join(format!("index.{part}"));
            if !index.exists() {
                continue;
            }
            let data = read(&dir.join(format!("data.{part}")))?;
            parts.push(Part { index: read(&index)?, data });
        }
        if parts.is_empty() {
            return Err(Error::Input {
                what: format!("--synonyms {name}: {} has no index.noun of WordNet", dir.display()),
                hint: "on Debian: apt install wordnet-base; or give the directory of the files"
                    .to_owned(),
            });
        }
        Ok(Self { dir, parts, last: Mutex::default() })
    }

    /// The other words of all senses of a word, in lower case.
    #[must_use]
    pub fn synonyms(&self, word: &str) -> BTreeSet<String> {
        let lemma = word.trim().to_lowercase().replace(' ', "_");
        let mut found = BTreeSet::new();
        for part in &self.parts {
            for offset in part.offsets(&lemma) {
                found.extend(part.words(offset));
            }
        }
        found.remove(&lemma.replace('_', " "));
        found
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let bad = |what: String| Error::Input {
        what: format!("{}: {what}", path.display()),
        hint: "install wordnet-base again, or give another directory with --synonyms".to_owned(),
    };
    let file = std::fs::File::open(path).map_err(|error| bad(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| bad(error.to_string()))?;
    if bytes.len() as u64 > MOST {
        Err(bad(format!("longer than {MOST} bytes")))
    } else {
        Ok(bytes)
    }
}

impl Part {
    /// The offsets of a lemma's senses in the data.
    fn offsets(&self, lemma: &str) -> Vec<usize> {
        let Some(line) = self.line(lemma) else { return Vec::new() };
        let mut fields = line.split_ascii_whitespace();
        // lemma, part of speech, number of senses, number of pointer kinds, those, two counts.
        let Some(senses) = fields.nth(2).and_then(|n| n.parse::<usize>().ok()) else {
            return Vec::new();
        };
        let Some(pointers) = fields.next().and_then(|n| n.parse::<usize>().ok()) else {
            return Vec::new();
        };
        fields.skip(pointers + 2).take(senses).filter_map(|field| field.parse().ok()).collect()
    }

    /// The line of a lemma, by bisection: lines are sorted by their bytes. Those of the licence,
    /// which begin with a space, come first.
    fn line(&self, lemma: &str) -> Option<&str> {
        let (mut low, mut high) = (0, self.index.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let before = self.index[..middle].iter().rposition(|&b| b == b'\n');
            let start = before.map_or(0, |at| at + 1);
            let rest = &self.index[start..];
            let length = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
            let line = &rest[..length];
            let key = line.split(|&b| b == b' ').next().unwrap_or_default();
            match key.cmp(lemma.as_bytes()) {
                std::cmp::Ordering::Equal => return std::str::from_utf8(line).ok(),
                std::cmp::Ordering::Less => low = start + length + 1,
                std::cmp::Ordering::Greater => high = start,
            }
        }
        None
    }

    /// The words of the sense at an offset.
    fn words(&self, offset: usize) -> Vec<String> {
        let Some(rest) = self.data.get(offset..) else { return Vec::new() };
        let length = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        let Ok(line) = std::str::from_utf8(&rest[..length]) else { return Vec::new() };
        let mut fields = line.split_ascii_whitespace();
        // offset, file of its lexicographer, kind of sense, number of words in hexadecimal.
        let count = fields.nth(3).and_then(|n| usize::from_str_radix(n, 16).ok()).unwrap_or(0);
        let words = fields.step_by(2).take(count);
        // Adjectives may carry where they stand: `galore(ip)`.
        let bare = |word: &str| word.split('(').next().unwrap_or(word).replace('_', " ");
        words.map(|word| bare(word).to_lowercase()).collect()
    }
}

impl Constraint for WordNet {
    fn info(&self) -> &'static ConstraintInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([("synonyms", Setting::Text(self.dir.display().to_string()))])
    }

    fn allows(&self, proposal: &Proposal<'_>) -> bool {
        let (from, to) = (proposal.edit.from.trim(), proposal.edit.to.trim());
        if from.is_empty() || to.is_empty() {
            return false;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != from {
            *last = (from.to_owned(), self.synonyms(from));
        }
        last.1.contains(&to.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of three senses, made here.
    fn small() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut data = String::from("  1 a licence\n");
        let mut at = Vec::new();
        for words in ["02 good 0 fine(p) 0", "02 good 0 honest 0", "02 movie 0 motion_picture 0"] {
            at.push(data.len());
            data += &format!("{:08} 00 a {words} 000 | what it means\n", data.len());
        }
        let index = format!(
            "  1 a licence\nfine a 1 0 1 0 {0:08}\ngood a 2 1 ! 2 0 {0:08} {1:08}\n\
             honest a 1 0 1 0 {1:08}\nmovie n 1 0 1 0 {2:08}\n",
            at[0], at[1], at[2]
        );
        std::fs::write(dir.path().join("index.adj"), index).unwrap();
        std::fs::write(dir.path().join("data.adj"), data).unwrap();
        dir
    }

    #[test]
    fn synonyms_of_every_sense() {
        let dir = small();
        let wordnet = WordNet::open(dir.path().to_str().unwrap()).unwrap();
        let of = |word: &str| wordnet.synonyms(word).into_iter().collect::<Vec<_>>();
        assert_eq!(of("Good"), ["fine", "honest"]);
        assert_eq!(of("fine"), ["good"]);
        assert_eq!(of("movie"), ["motion picture"]);
        assert_eq!(of("zebra"), Vec::<String>::new());
        assert_eq!(of(""), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_installed_is_said() {
        let error = WordNet::open("no-such-directory").err().unwrap();
        assert!(error.hint().unwrap().contains("wordnet-base"), "{error}");
    }

    #[test]
    fn damaged_files_find_nothing() {
        let dir = small();
        std::fs::write(dir.path().join("data.adj"), "short").unwrap();
        let wordnet = WordNet::open(dir.path().to_str().unwrap()).unwrap();
        assert!(wordnet.synonyms("good").is_empty());
        std::fs::write(dir.path().join("index.adj"), b"good a 9999999999999999999999 x\n").unwrap();
        let wordnet = WordNet::open(dir.path().to_str().unwrap()).unwrap();
        assert!(wordnet.synonyms("good").is_empty());
    }
}
