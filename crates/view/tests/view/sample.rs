//! Documents to draw. The gallery example uses them too.

use std::collections::BTreeMap;

use glossator_view::wire::{
    Document, Explanation, Field, Input, LabelScore, Labels, Method, Model, Prediction, Target,
    Token, WordScore,
};

/// Makes a document about these fields; `score` gets the word's place and its text.
pub(crate) fn document(fields: &[(&str, &str)], score: impl Fn(usize, &str) -> f64) -> Document {
    let labels = vec![
        LabelScore::new("negative", 0.002, Some(-3.1)),
        LabelScore::new("positive", 0.998, Some(3.25)),
    ];
    labelled(fields, labels, score)
}

/// Makes a document with these labels; the first field bears `[CLS]`, each bears a `[SEP]`.
pub(crate) fn labelled(
    fields: &[(&str, &str)],
    labels: Vec<LabelScore>,
    score: impl Fn(usize, &str) -> f64,
) -> Document {
    let labels = Labels::new(labels).expect("there are labels");
    let target = Target::label(labels.label.as_str(), "logit");
    let mut word_number = 0;
    let (mut input, mut scores, mut words) = (Vec::new(), Vec::new(), Vec::new());
    for (f, (name, text)) in fields.iter().enumerate() {
        let (mut tokens, mut row, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        if f == 0 {
            tokens.push(Token::special("[CLS]", 0));
            row.push(score(word_number, "[CLS]"));
        }
        for (w, (start, end)) in split(text).into_iter().enumerate() {
            let value = score(word_number, &text[start..end]);
            word_number += 1;
            sums.push(WordScore::new(start, end, value));
            // A long word is two pieces, as a tokenizer would have it.
            let cut = text[start..end].char_indices().nth(6).map(|(at, _)| start + at);
            match cut {
                None => {
                    tokens.push(Token::new(&text[start..end], start, end, Some(w)));
                    row.push(value);
                }
                Some(cut) => {
                    tokens.push(Token::new(&text[start..cut], start, cut, Some(w)));
                    tokens.push(Token::new(format!("##{}", &text[cut..end]), cut, end, Some(w)));
                    row.extend([0.75 * value, 0.25 * value]);
                }
            }
        }
        tokens.push(Token::special("[SEP]", text.len()));
        row.push(score(word_number, "[SEP]"));
        input.push(Field::new(*name, *text, tokens));
        scores.push(row);
        words.push(sums);
    }
    let settings =
        BTreeMap::from([("baseline".into(), "mask".into()), ("steps".into(), 50.into())]);
    let mut explanation = Explanation::new(target, scores, words, 3.25);
    let total = explanation.total();
    explanation.baseline_output = Some(3.25 - total + 0.0013);
    explanation.delta = Some(0.0013);
    explanation.error_estimate = Some(0.0004);
    explanation.converged = Some(true);
    explanation.gradient_evaluations = 50;
    let mut document = Document::new(
        Model::new("sst2-tiny", "bert", "text-classification", Some("5f0c".repeat(16))),
        Method::new("integrated-gradients", settings),
        Input::new(input),
        Prediction::single_label(labels),
    );
    document.explanations.push(explanation);
    document
}

/// Splits a text into words; punctuation and Chinese characters stand alone.
fn split(text: &str) -> Vec<(usize, usize)> {
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut open = false;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let alone = c.is_ascii_punctuation() || ('\u{2e80}'..'\u{ff00}').contains(&c);
        match words.last_mut() {
            _ if c.is_whitespace() => open = false,
            Some(word) if open && !alone => word.1 = end,
            _ => {
                words.push((at, end));
                open = !alone;
            }
        }
    }
    words
}

/// The film that all small tests are about.
pub(crate) fn film() -> Document {
    document(&[("text", "A touching film, but not short.")], |_, word| match word {
        "touching" => 2.4,
        "film" => 0.31,
        "but" => -0.42,
        "not" => -1.1,
        "short" => 0.05,
        "[CLS]" => 0.2,
        _ => 0.0,
    })
}
