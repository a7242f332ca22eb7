//! Any document at all that passes its check.

use glossator_view::wire::{
    Answer, Answers, Candidate, Document, Entities, Entity, Explanation, Field, Input, LabelScore,
    Labels, Mask, Masks, Method, Model, Next, NextToken, Prediction, Similarity, Target, Token,
    WordScore,
};
use proptest::prelude::*;
use proptest::sample::select;

/// Text that wants to be something else: markup, controls, marks, both directions.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let nasty = select(vec![
        "<script>alert(1)</script>",
        "</style>",
        "\"'&><!--",
        "]]>",
        "\u{1b}[31m",
        "\u{1b}]0;x\u{7}",
        "\u{9b}2J",
        "\u{202e}abc\u{202c}",
        "\u{2066}\u{2069}\u{200e}\u{200f}",
        "\r\n",
        "\n",
        "\t",
        "\r",
        "\u{0}",
        "\u{8}\u{8}",
        "\u{7f}",
        "\u{feff}",
        "\u{fffe}\u{ffff}",
        "e\u{301}\u{327}",
        "\u{301}",
        "👩\u{200d}👩\u{200d}👧",
        "☺\u{fe0f}",
        "🇩🇪",
        "电影，很感人。",
        "שלום",
        "لا إله",
        "क्षत्रिय",
        "한국어",
        "word",
        " ",
        "  ",
        ",",
        "=1+1",
        "a-very-long-word-that-no-line-of-thirty-columns-can-hold",
    ]);
    let any = prop_oneof![4 => nasty.prop_map(str::to_owned), 1 => ".{0,8}", 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(any, 0..24).prop_map(|parts| parts.concat())
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -3.0..3.0f64,
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => -1e-9..1e-9f64,
        1 => -1e12..1e12f64,
        1 => Just(1e300),
        1 => Just(5e-324),
    ]
}

/// Where a field is cut, how its pieces are grouped, and what they score.
#[derive(Debug, Clone)]
struct Cut {
    name: String,
    text: String,
    steps: Vec<(usize, bool, f64)>,
    overlap: bool,
}

fn cut() -> impl Strategy<Value = Cut> {
    let steps = prop::collection::vec((1..7usize, any::<bool>(), score()), 60);
    (text(), text(), steps, prop::bool::weighted(0.2))
        .prop_map(|(name, text, steps, overlap)| Cut { name, text, steps, overlap })
}

fn field(cut: Cut) -> (Field, Vec<f64>, Vec<WordScore>) {
    let mut bounds: Vec<usize> = cut.text.char_indices().map(|(at, _)| at).collect();
    bounds.push(cut.text.len());
    let mut tokens = vec![Token::special("[CLS]", 0)];
    let mut scores = vec![cut.steps[0].2];
    let mut words: Vec<WordScore> = Vec::new();
    let mut at = 0;
    for (length, joined, score) in cut.steps {
        let to = (at + length).min(bounds.len() - 1);
        if to == at {
            break;
        }
        let from = if cut.overlap { at.saturating_sub(1) } else { at };
        let (start, end) = (bounds[from], bounds[to]);
        at = to;
        match words.last_mut() {
            Some(word) if joined => {
                word.end = end;
                word.score += score;
            }
            _ => words.push(WordScore::new(start, end, score)),
        }
        tokens.push(Token::new(&cut.text[start..end], start, end, Some(words.len() - 1)));
        scores.push(score);
    }
    tokens.push(Token::special("[SEP]", 0));
    scores.push(0.0);
    (Field::new(cut.name, cut.text, tokens), scores, words)
}

/// Any document of any task.
pub(crate) fn document() -> impl Strategy<Value = Document> {
    let facts = (text(), score(), 0.0..=1.0f64, any::<u32>());
    (labelled(), 0..9usize, any::<usize>(), facts)
        .prop_map(|(document, task, seed, facts)| of_task(document, task, seed, &facts))
}

/// Makes a document of a text classifier one of another task, about one of its tokens and one of
/// its words.
fn of_task(
    mut document: Document,
    task: usize,
    seed: usize,
    (text, number, share, id): &(String, f64, f64, u32),
) -> Document {
    let fields = &document.input.fields;
    let f = seed % fields.len();
    let field = &fields[f];
    let t = seed / 7 % field.tokens.len();
    let token = &field.tokens[t];
    let total: usize = fields.iter().map(|field| field.tokens.len()).sum();
    let at: usize = fields[..f].iter().map(|field| field.tokens.len()).sum::<usize>() + t;
    // From one token to another, in whatever order they stand.
    let other = &field.tokens[seed / 31 % field.tokens.len()];
    let (start, end) = (token.start.min(other.start), token.end.max(other.end));
    let quote = &field.text[start..end];
    let candidate = |token: &str| Candidate::new(token, *id, *share, *number);
    let candidates = vec![candidate(text), candidate(" ")];
    let next = |count| Next::new(vec![NextToken::new(candidate(text), candidates.clone()); count]);
    let (prediction, targets) = match task {
        0 => {
            let entities = vec![Entity::new(text, *share, f, start, quote); seed % 3];
            let target = Target::entity(text, f, (start, end), "logit");
            let targets = vec![target; entities.len()];
            (Prediction::TokenClassification(Entities::new(entities)), targets)
        }
        1 => {
            let answers = vec![Answer::new(start, quote, *share), Answer::none(*share)];
            let target = Target::answer(f, start, quote, "logit");
            (Prediction::QuestionAnswering(Answers::new(f, answers)), vec![target])
        }
        2 => {
            let answers = Answers::new(f, vec![Answer::none(*share)]);
            (Prediction::QuestionAnswering(answers), vec![Target::no_answer(f, "loss")])
        }
        3 => {
            let mask = Mask::new(f, t, (token.start, token.end), candidates);
            let target = Target::token(text, at, "probability");
            (Prediction::MaskedLm(Masks::new(vec![mask; 1 + seed % 2])), vec![target])
        }
        4 => {
            let target = Target::token_contrast(text, quote, total, "logit");
            (Prediction::CausalLm(next(1)), vec![target])
        }
        5 | 6 => {
            let targets = (at..=total).map(|at| Target::token(text, at, "logit"));
            let targets: Vec<_> = targets.take(4).collect();
            let next = next(targets.len());
            let written = if task == 5 { Prediction::CausalLm } else { Prediction::Seq2SeqLm };
            (written(next), targets)
        }
        7 => {
            let said = Prediction::SentenceSimilarity(Similarity::new(*number));
            (said, vec![Target::similarity("value")])
        }
        _ => return document,
    };
    let one = document.explanations.remove(0);
    document.prediction = prediction;
    let explanation = |target| {
        let mut explanation = one.clone();
        explanation.target = target;
        explanation
    };
    document.explanations = targets.into_iter().map(explanation).collect();
    document
}

/// A document of a classifier: one to three fields, one or two explanations of the same tokens.
fn labelled() -> impl Strategy<Value = Document> {
    let labels = prop::collection::vec((text(), 0.0..=1.0f64, score()), 1..8);
    let facts = (
        prop::option::of(score()),
        prop::option::of(score()),
        prop::option::of(score()),
        prop::option::of(any::<bool>()),
        any::<u64>(),
        prop::option::of(0..5usize),
    );
    let names = (text(), text(), text(), text(), text());
    (prop::collection::vec(cut(), 1..4), labels, facts, names, any::<[bool; 4]>()).prop_map(
        |(cuts, labels, facts, names, [contrast, multi, estimates, unsigned])| {
            let labels =
                labels.into_iter().map(|(l, p, s)| LabelScore::new(l, p, Some(s))).collect();
            let labels = Labels::new(labels).expect("at least one");
            let prediction = match multi {
                true => Prediction::multi_label(labels),
                false => Prediction::single_label(labels),
            };
            let (mut fields, mut scores, mut words) = (Vec::new(), Vec::new(), Vec::new());
            for mut cut in cuts {
                if unsigned {
                    cut.steps.iter_mut().for_each(|step| step.2 = step.2.abs());
                }
                let (field, row, sums) = field(cut);
                fields.push(field);
                scores.push(row);
                words.push(sums);
            }
            let target = match contrast {
                true => Target::contrast(names.0, names.1.clone(), "logit"),
                false => Target::label(names.0, names.1.clone()),
            };
            let mut one = Explanation::new(target, scores, words, facts.0.unwrap_or(1.0));
            (one.baseline_output, one.delta, one.error_estimate) = (facts.0, facts.1, facts.2);
            (one.converged, one.gradient_evaluations) = (facts.3, facts.4);
            if estimates {
                let halves = one.scores.iter().map(|row| row.iter().map(|s| s.abs() / 2.0));
                one.token_error_estimates = Some(halves.map(Iterator::collect).collect());
            }
            one.notes = vec![names.1];
            let settings = [(names.2.clone(), names.3.into())].into();
            let mut document = Document::new(
                Model::new(names.2, "bert", "text-classification", None),
                Method::new(names.4, settings),
                Input::new(fields),
                prediction,
            );
            document.truncated = facts.5;
            document.explanations = vec![one; 1 + usize::from(contrast)];
            document
        },
    )
}
