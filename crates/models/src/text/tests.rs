use proptest::prelude::*;

use super::*;

const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##b\nfilm\n##s\n我\n.\n'\ne\n";

fn tokenizer() -> Tokenizer {
    Tokenizer::from_vocab_txt(VOCAB, WordPieceOptions::default()).unwrap()
}

fn json() -> serde_json::Value {
    serde_json::from_str(&tokenizer().inner.to_string(false).unwrap()).unwrap()
}

fn from_json(json: &serde_json::Value) -> Result<Tokenizer> {
    Tokenizer::from_bytes(&serde_json::to_vec(json).unwrap())
}

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn message(files: &[(&str, &str)]) -> String {
    Tokenizer::from_dir(dir(files).path()).unwrap_err().to_string()
}

fn shared<T: Send + Sync + 'static>() {}

#[test]
fn tokens_know_their_bytes_and_words() {
    shared::<Tokenizer>();
    let encoding = tokenizer().encode("a Films ab.").unwrap();
    let tokens: Vec<_> = encoding
        .tokens
        .iter()
        .map(|token| (token.text.as_str(), token.start..token.end, token.word, token.special))
        .collect();
    assert_eq!(
        tokens,
        [
            ("[CLS]", 0..0, None, true),
            ("a", 0..1, Some(0), false),
            ("film", 2..6, Some(1), false),
            ("##s", 6..7, Some(1), false),
            ("a", 8..9, Some(2), false),
            ("##b", 9..10, Some(2), false),
            (".", 10..11, Some(3), false),
            ("[SEP]", 0..0, None, true),
        ]
    );
    assert_eq!(encoding.fields[0].name, "text");
}

#[test]
fn a_typed_special_token_is_text_with_a_special_id() {
    let tokenizer = tokenizer();
    let encoding = tokenizer.encode("a [MASK] [SEP]").unwrap();
    assert_eq!(encoding.ids(), [2, 5, 4, 3, 3]);
    let mask = &encoding.tokens[2];
    assert_eq!((mask.start, mask.end, mask.special), (2, 8, false));
    assert!(mask.word.is_some() && tokenizer.is_special(mask.id));
    assert!(encoding.tokens[4].special);
}

#[test]
fn special_tokens_of_pairs_belong_to_the_text_they_close() {
    let fields = |first: &str, second: &str| -> Vec<usize> {
        let encoding = tokenizer().encode_pair(first, second).unwrap();
        assert_eq!(encoding.fields[1].name, "text_pair");
        encoding.tokens.iter().map(|token| token.field).collect()
    };
    assert_eq!(fields("a", "b"), [0, 0, 0, 1, 1]);
    assert_eq!(fields("a", ""), [0, 0, 0, 1]);
    assert_eq!(fields("", ""), [0, 0, 1]);
}

#[test]
fn dropped_characters_keep_offsets_right() {
    for text in ["\u{7}fi\u{200b}lms\u{0}", "e\u{301}\u{301} a\u{300}", "\u{fffd}a", "İ我👩‍👩‍👧é"]
    {
        let encoding = tokenizer().encode(text).unwrap();
        check(&encoding);
    }
    let encoding = tokenizer().encode("fi\u{200b}lm é").unwrap();
    let spans: Vec<_> = encoding.tokens.iter().map(|token| token.start..token.end).collect();
    assert_eq!(spans, [0..0, 0..7, 8..10, 0..0]);
}

#[test]
fn lengths_of_a_training_run_are_forgotten() {
    let mut json = json();
    json["truncation"] = serde_json::json!({
        "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0
    });
    json["padding"] = serde_json::json!({
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
    });
    let tokenizer = from_json(&json).unwrap();
    assert_eq!(tokenizer.encode("a b").unwrap().tokens.len(), 4);
    assert_eq!(tokenizer.encode("a b a b a b").unwrap().tokens.len(), 8);
    let cut = tokenizer.encode("a b a b a b").unwrap().truncate(5).unwrap();
    assert_eq!((cut.ids(), cut.truncated), (vec![2, 5, 6, 5, 3], 3));
    assert!(matches!(cut.truncate(1), Err(Error::NoRoom { max_tokens: 1, special: 2 })));
}

#[test]
fn the_longer_of_a_pair_is_cut_first() {
    let lengths = |first: usize, second: usize, max: usize| {
        let (first, second) = ("a ".repeat(first), "b ".repeat(second));
        let cut = tokenizer().encode_pair(&first, &second).unwrap().truncate(max + 3).unwrap();
        let of = |id: u32| cut.tokens.iter().filter(|token| token.id == id).count();
        (of(5), of(6))
    };
    // As in the tests of the library itself.
    let expected = [(0, 2, 0, 2), (0, 9, 0, 7), (2, 4, 2, 4), (2, 9, 2, 5), (4, 4, 3, 4)];
    for (first, second, left, right) in expected {
        assert_eq!(lengths(first, second, 7), (left, right), "{first} {second}");
    }
    for (first, second, left, right) in [(4, 2, 4, 2), (9, 2, 5, 2), (9, 4, 4, 3), (9, 9, 3, 4)] {
        assert_eq!(lengths(first, second, 7), (left, right), "{first} {second}");
    }
}

#[test]
fn settings_are_read_in_all_their_forms() {
    let vocab = VOCAB.replace("[MASK]", "<hide>").replace("[PAD]", "<fill>");
    let files = dir(&[
        ("vocab.txt", &vocab),
        (
            "tokenizer_config.json",
            r#"{"do_lower_case": false, "strip_accents": true,
            "tokenize_chinese_chars": false, "model_max_length": 1e30,
            "mask_token": {"content": "<hide>", "lstrip": true}, "cls_token": null}"#,
        ),
        ("special_tokens_map.json", r#"{"pad_token": "<fill>", "mask_token": "nowhere"}"#),
    ]);
    let tokenizer = Tokenizer::from_dir(files.path()).unwrap();
    assert_eq!(tokenizer.model_max_length(), None);
    assert_eq!((tokenizer.mask_token(), tokenizer.pad_token()), (Some(4), Some(0)));
    assert_eq!(tokenizer.encode("é E <hide> 我a").unwrap().ids(), [2, 13, 1, 4, 1, 3]);
    let files = dir(&[("vocab.txt", VOCAB)]);
    let tokenizer = Tokenizer::from_dir(files.path()).unwrap();
    assert_eq!(tokenizer.encode("É 我a").unwrap().ids(), [2, 13, 10, 5, 3]);
}

#[test]
fn contradictions_are_errors() {
    let without = |token: &str| VOCAB.replace(&format!("{token}\n"), "");
    assert!(message(&[("vocab.txt", &without("[CLS]"))]).contains("cls token \"[CLS]\""));
    assert!(message(&[("vocab.txt", &without("[UNK]"))]).contains("unk token \"[UNK]\""));
    let config = ("tokenizer_config.json", r#"{"mask_token": "<mask>"}"#);
    assert!(message(&[("vocab.txt", VOCAB), config]).contains("mask token \"<mask>\": expected"));
    let config = ("tokenizer_config.json", r#"{"added_tokens_decoder": {"9": {"content": "a"}}}"#);
    let text = message(&[("vocab.txt", VOCAB), config]);
    assert!(text.contains("added token \"a\": expected id 9, got id 5"), "{text}");
    assert!(tokenizer().mask_token().is_some());
    let plain = Tokenizer::from_vocab_txt(&without("[MASK]"), WordPieceOptions::default());
    assert_eq!(plain.unwrap().mask_token(), None);

    let mut changed = json();
    changed["added_tokens"][0]["id"] = 7.into();
    let text = from_json(&changed).unwrap_err().to_string();
    assert!(text.contains("added token"), "{text}");
    let mut changed = json();
    changed["post_processor"]["cls"][1] = 77.into();
    let text = from_json(&changed).unwrap_err().to_string();
    assert!(text.contains("template token \"[CLS]\": expected id 77, got id 2"), "{text}");
}

#[test]
fn unusable_files_are_errors() {
    assert!(message(&[]).ends_with("no tokenizer; looked for tokenizer.json, vocab.txt"));
    assert!(message(&[("vocab.txt", "")]).ends_with("vocab.txt: the file is empty"));
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    assert!(message(&[("tokenizer.json", pointer)]).contains("got a git-lfs pointer"));
    assert!(message(&[("tokenizer.json", "{")]).contains("tokenizer.json: not a tokenizer"));
    assert!(message(&[("tokenizer.json", "{}")]).contains("tokenizer.json: not a tokenizer"));
    assert!(
        message(&[("tokenizer_config.json", "["), ("vocab.txt", VOCAB)]).contains("_config.json")
    );
    let files = dir(&[]);
    std::fs::write(files.path().join("vocab.txt"), b"[PAD]\n\xff\n").unwrap();
    let text = Tokenizer::from_dir(files.path()).unwrap_err().to_string();
    assert!(text.contains("not UTF-8 after byte 6"), "{text}");
    assert!(Tokenizer::from_dir(&files.path().join("nowhere")).is_err());
}

#[test]
fn a_panic_becomes_an_error() {
    let error = guard("testing", || panic!("{} is wrong", "this")).unwrap_err();
    assert_eq!(error.to_string(), "tokenizers panicked while testing: this is wrong");
    assert!(!error.is_input_error());
}

/// What holds for every encoding.
fn check(encoding: &Encoding) {
    for (index, field) in encoding.fields.iter().enumerate() {
        let mut last = 0..0;
        let mut of_words = vec![0_usize; field.words.len()];
        let tokens = encoding.tokens.iter().filter(|token| token.field == index);
        let mut with_word = 0;
        for token in tokens {
            if token.special {
                assert_eq!((token.start, token.end, token.word), (0, 0, None));
                continue;
            }
            let spelled = &field.text[token.start..token.end];
            assert!(token.start >= last.start && token.end >= last.end, "{encoding:?}");
            last = token.start..token.end;
            assert_eq!(token.word.is_some(), !spelled.trim().is_empty(), "{encoding:?}");
            if let Some(word) = token.word {
                of_words[word] += 1;
                with_word += 1;
                let word = &field.words[word];
                assert!(word.start < token.end && token.start < word.end);
            }
        }
        assert_eq!(of_words.iter().sum::<usize>(), with_word);
        for (word, count) in field.words.iter().zip(of_words) {
            // Only characters that the tokenizer drops, alone too, make a word without tokens.
            let alone = || tokenizer().encode(&field.text[word.clone()]).unwrap();
            assert!(count > 0 || alone().tokens.len() == 2, "{encoding:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_split_within_its_bounds(
        first in "(\\PC|\\pC|[ab\\u{301}我.' \\n\\u{200d}]|\\[MASK\\]|film){0,40}",
        second in "\\PC{0,10}",
    ) {
        let tokenizer = tokenizer();
        check(&tokenizer.encode(&first).unwrap());
        let pair = tokenizer.encode_pair(&first, &second).unwrap();
        check(&pair);
        let cut = pair.clone().truncate(7).unwrap();
        prop_assert_eq!(cut.tokens.len() + cut.truncated, pair.tokens.len());
        prop_assert!(cut.tokens.len() <= 7);
    }

    #[test]
    fn damaged_files_give_a_result(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut bytes = serde_json::to_vec(&json()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Ok(tokenizer) = Tokenizer::from_bytes(&bytes) {
            let _ = tokenizer.encode_pair("a 我 films", "[MASK] b");
        }
    }
}
