//! Tokens, ids and byte offsets are those of the Python library.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::Range;
use std::path::PathBuf;

use glossator_models::text::{Encoding, Tokenizer, WordPieceOptions};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    text: String,
    pair: Option<String>,
    max_length: Option<usize>,
    lower: Expected,
    cased: Expected,
}

#[derive(Deserialize)]
struct Expected {
    ids: Vec<u32>,
    tokens: Vec<String>,
    type_ids: Vec<u32>,
    special: Vec<u8>,
    field: Vec<Option<usize>>,
    offsets: Vec<(usize, usize)>,
}

fn testdata(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata")).join(path)
}

fn golden() -> Vec<Case> {
    let json = std::fs::read(testdata("golden/tokenizer.json")).unwrap();
    serde_json::from_slice::<Golden>(&json).unwrap().cases
}

fn encode(tokenizer: &Tokenizer, case: &Case) -> Encoding {
    let encoding = match &case.pair {
        Some(pair) => tokenizer.encode_pair(&case.text, pair),
        None => tokenizer.encode(&case.text),
    };
    let encoding = encoding.unwrap();
    match case.max_length {
        Some(max_length) => encoding.truncate(max_length).unwrap(),
        None => encoding,
    }
}

fn check(case: &Case, encoding: &Encoding, expected: &Expected) {
    let name = &case.name;
    let tokens = &encoding.tokens;
    assert_eq!(encoding.ids(), expected.ids, "{name}: ids");
    assert_eq!(encoding.segments(), expected.type_ids, "{name}: segments");
    assert_eq!(
        tokens.iter().map(|token| &token.text).collect::<Vec<_>>(),
        expected.tokens.iter().collect::<Vec<_>>(),
        "{name}: tokens"
    );
    for (index, token) in tokens.iter().enumerate() {
        let at = format!("{name}: token {index} {:?}", token.text);
        assert_eq!((token.start, token.end), expected.offsets[index], "{at}");
        assert_eq!(token.special, expected.special[index] == 1, "{at}");
        if let Some(field) = expected.field[index] {
            assert_eq!(token.field, field, "{at}");
        }
        check_word(encoding, index, &at);
    }
}

fn check_word(encoding: &Encoding, index: usize, at: &str) {
    let token = &encoding.tokens[index];
    let field = &encoding.fields[token.field];
    let spelled = &field.text[token.start..token.end];
    assert_eq!(token.word.is_some(), !spelled.trim().is_empty(), "{at}: word of {spelled:?}");
    if let Some(word) = token.word {
        let Range { start, end } = field.words[word];
        let first = token.start + (spelled.len() - spelled.trim_start().len());
        assert!((start..end).contains(&first), "{at}: in word {start}..{end}");
        assert!(end >= token.start + spelled.trim_end().len(), "{at}: in word {start}..{end}");
    }
}

#[test]
fn vocab_txt_gives_the_tokens_of_python() {
    let vocab = std::fs::read_to_string(testdata("models/bert-vocab-txt/vocab.txt")).unwrap();
    let lower = Tokenizer::from_vocab_txt(&vocab, WordPieceOptions::default()).unwrap();
    let options = WordPieceOptions { lowercase: false, ..WordPieceOptions::default() };
    let cased = Tokenizer::from_vocab_txt(&vocab, options).unwrap();
    let cases = golden();
    assert!(cases.len() > 40, "{} cases", cases.len());
    for case in cases {
        check(&case, &encode(&lower, &case), &case.lower);
        check(&case, &encode(&cased, &case), &case.cased);
    }
}

#[test]
fn model_directories_give_the_tokens_of_python() {
    let with_json = Tokenizer::from_dir(&testdata("models/bert-cls")).unwrap();
    let with_vocab = Tokenizer::from_dir(&testdata("models/bert-vocab-txt")).unwrap();
    for case in golden() {
        check(&case, &encode(&with_json, &case), &case.lower);
        assert_eq!(encode(&with_json, &case), encode(&with_vocab, &case), "{}", case.name);
    }
    assert_eq!(with_json.model_max_length(), Some(40));
    for tokenizer in [with_json, with_vocab] {
        assert_eq!(tokenizer.vocab_size(), 183);
        assert_eq!(tokenizer.pad_token(), Some(0));
        assert_eq!(tokenizer.unk_token(), Some(1));
        assert_eq!(tokenizer.cls_token(), Some(2));
        assert_eq!(tokenizer.sep_token(), Some(3));
        assert_eq!(tokenizer.mask_token(), Some(4));
        assert_eq!(tokenizer.id_to_token(33).as_deref(), Some("film"));
        assert!(tokenizer.is_special(4) && !tokenizer.is_special(33));
    }
}

#[test]
fn truncation_counts_what_it_drops() {
    let tokenizer = Tokenizer::from_dir(&testdata("models/bert-cls")).unwrap();
    for case in golden().iter().filter(|case| case.max_length.is_none()) {
        let whole = encode(&tokenizer, case);
        let special = whole.tokens.iter().filter(|token| token.special).count();
        for max_tokens in 0..whole.tokens.len() + 2 {
            let cut = whole.clone().truncate(max_tokens);
            if max_tokens < special {
                assert!(cut.is_err());
                continue;
            }
            let cut = cut.unwrap();
            assert_eq!(cut.tokens.len(), whole.tokens.len().min(max_tokens), "{}", case.name);
            assert_eq!(cut.truncated, whole.tokens.len() - cut.tokens.len());
            assert_eq!(cut.tokens.iter().filter(|token| token.special).count(), special);
        }
    }
}
