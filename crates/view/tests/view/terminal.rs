//! What a terminal shows.

use glossator_view::By;
use glossator_view::render::terminal::{Colors, Options, Terminal};
use glossator_view::render::to_string;
use glossator_view::wire::{Document, LabelScore, Prediction, Target};

use crate::sample;

fn show(document: &Document, options: Options) -> String {
    to_string(&mut Terminal::new(options), [document]).unwrap()
}

#[test]
fn words_in_reading_order() {
    insta::assert_snapshot!(show(&sample::film(), Options::default()), @"
    positive 99.8%  negative 0.2%
    why positive · logit · integrated-gradients · baseline=mask · steps=50 ·
      sst2-tiny

      A touching film, but not short.

      A                0.00                  │
      touching        +2.40                  │████████████████
      film            +0.31                  │██▏
      ,                0.00                  │
      but             -0.42               ▐██│
      not             -1.10          ▐███████│
      short           +0.05                  │▍
      .                0.00                  │
      special tokens  +0.20

    F(x) 3.250 · F(baseline) 1.811 · sum +1.440 ·
      completeness error +0.0013 (0.1%) · error estimate 0.00040 ·
      50 gradient evaluations
    ");
}

#[test]
fn tokens_on_a_narrow_terminal_in_ascii() {
    let options = Options { width: 30, unicode: false, by: By::Token, ..Options::default() };
    insta::assert_snapshot!(show(&sample::film(), options), @"
    positive 99.8%  negative 0.2%
    why positive, logit,
      integrated-gradients,
      baseline=mask, steps=50,
      sst2-tiny

      [CLS] A touching film, but
      not short. [SEP]

      [CLS]   +0.20        |#
      A        0.00        |
      touchi  +1.80        |######
      ng      +0.60        |##
      film    +0.31        |#
      ,        0.00        |
      but     -0.42       -|
      not     -1.10    ----|
      short   +0.05        |
      .        0.00        |
      [SEP]    0.00        |

    F(x) 3.250, F(baseline) 1.811,
      sum +1.440, completeness
      error +0.0013 (0.1%),
      error estimate 0.00040,
      50 gradient evaluations
    ");
}

#[test]
fn colours_are_escape_sequences_around_words() {
    let options = Options { colors: Colors::Ansi256, ..Options::default() };
    let text = show(&sample::film(), options);
    let line = text.lines().find(|line| line.contains("but")).unwrap();
    insta::assert_snapshot!(line.replace('\u{1b}', "ESC"), @"  A ESC[1;38;5;16;48;5;166mtouchingESC[0m ESC[38;5;166mfilmESC[0m, ESC[4;38;5;32mbutESC[0m ESC[4;1;38;5;32mnotESC[0m short.");
}

#[test]
fn several_fields_are_named_and_share_one_scale() {
    let fields = [("premise", "A man sleeps"), ("hypothesis", "A man plays")];
    let document = sample::document(&fields, |_, word| match word {
        "plays" => -2.0,
        "sleeps" => 1.0,
        _ => 0.0,
    });
    insta::assert_snapshot!(show(&document, Options { width: 60, ..Options::default() }), @"
    positive 99.8%  negative 0.2%
    why positive · logit · integrated-gradients ·
      baseline=mask · steps=50 · sst2-tiny

    premise
      A man sleeps
    hypothesis
      A man plays

    premise
      A                0.00                  │
      man              0.00                  │
      sleeps          +1.00                  │████████
    hypothesis
      A                0.00                  │
      man              0.00                  │
      plays           -2.00  ████████████████│
    all fields
      special tokens   0.00

    F(x) 3.250 · F(baseline) 4.251 · sum -1.000 ·
      completeness error +0.0013 (0.1%) ·
      error estimate 0.00040 · 50 gradient evaluations
    ");
}

#[test]
fn a_long_text_shows_its_strongest_words() {
    let text = "word ".repeat(100);
    let document =
        sample::document(&[("text", &text)], |n, _| if n % 2 == 0 { 0.01 } else { -0.02 });
    let text = show(&document, Options { width: 60, ..Options::default() });
    assert_eq!(text.lines().filter(|line| line.starts_with("  word   ")).count(), 20);
    insta::assert_snapshot!(text.lines().filter(|l| l.contains(" others ")).collect::<String>(), @"  80 others       -0.1000");
}

#[test]
fn scores_that_did_not_converge_are_marked() {
    let mut document = sample::film();
    document.explanations[0].converged = Some(false);
    document.explanations[0].delta = Some(-0.3);
    let text = show(&document, Options::default());
    insta::assert_snapshot!(text.lines().rev().take(3).collect::<Vec<_>>().join("\n"), @"
      more --max-evaluations, or another --baseline
    NOT CONVERGED: the completeness error is -0.30 (20.9%); use --rule adaptive with
      error estimate 0.00040 · 50 gradient evaluations
    ");
}

#[test]
fn names_of_broken_models_do_not_bury_the_rest() {
    let labels =
        vec![LabelScore::new("x".repeat(100_000), 0.9, None), LabelScore::new("y", 0.1, None)];
    let document = sample::labelled(&[("text", "a film")], labels, |_, _| 1.0);
    let text = show(&document, Options { width: 60, ..Options::default() });
    insta::assert_snapshot!(text.lines().take(5).collect::<Vec<_>>().join("\n"), @"
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
      xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… 90.0%  y 10.0%
    why xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
      xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… · logit ·
      integrated-gradients · baseline=mask · steps=50 ·
    ");
}

#[test]
fn without_a_completeness_error_there_is_none() {
    let mut document = sample::film();
    (document.explanations[0].delta, document.explanations[0].baseline_output) = (None, None);
    document.explanations[0].notes.push("a local approximation".into());
    document.truncated = Some(7);
    let text = show(&document, Options::default());
    insta::assert_snapshot!(text.lines().rev().take(3).collect::<Vec<_>>().join("\n"), @"
    note: 7 tokens did not fit the model and were not read
    note: a local approximation
    F(x) 3.250 · error estimate 0.00040 · 50 gradient evaluations
    ");
}

#[test]
fn all_zero_and_unsigned_scores() {
    let mut zero = sample::document(&[("text", "a b")], |_, _| 0.0);
    zero.explanations[0].magnitudes = true;
    let list = |document: &Document| {
        let text = show(document, Options { width: 40, ..Options::default() });
        text.lines().skip(7).take(3).map(str::trim_start).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(list(&zero), @"
    a               0.00
    b               0.00
    special tokens  0.00
    ");
    let mut unsigned =
        sample::document(&[("text", "a b")], |_, w| if w == "a" { 1.0 } else { 0.25 });
    unsigned.explanations[0].magnitudes = true;
    insta::assert_snapshot!(list(&unsigned), @"
    a               1.00  ████████████████
    b               0.25  ████
    special tokens  0.50
    ");
}

#[test]
fn wide_characters_line_up_and_controls_are_spelled_out() {
    let mut document =
        sample::document(&[("text", "电影 \u{1b}[2J \u{202e}x e\u{301}")], |n, _| n as f64);
    document.explanations[0].target = Target::contrast("gut", "\u{7}", "logit");
    document.prediction = Prediction::regression("score\n", 2.5);
    document.explanations[0].magnitudes = true;
    insta::assert_snapshot!(show(&document, Options { width: 50, ..Options::default() }), @r#"
    score␊ 2.500
    why gut rather than ␇ · difference in logit ·
      integrated-gradients · baseline=mask ·
      steps=50 · sst2-tiny

      电影 ␛[2J \u{202e}x é

      电              0.00
      影              1.00  ███▊
      ␛               2.00  ███████▍
      [               3.00  ███████████▏
      2J              4.00  ██████████████▉
      \u{202e}x       5.00  ██████████████████▋
      é               6.00  ██████████████████████▎
      special tokens  7.00

    F(x) 3.250 · F(baseline) -24.75 · sum +28.00 ·
      completeness error +0.0013 (<0.1%) ·
      error estimate 0.00040 · 50 gradient evaluations
    "#);
}

#[test]
fn error_estimates_stand_beside_the_numbers() {
    let mut document = sample::film();
    let errors =
        document.explanations[0].scores.iter().map(|row| row.iter().map(|_| 0.01).collect());
    document.explanations[0].token_error_estimates = Some(errors.collect());
    let text = show(&document, Options { width: 60, ..Options::default() });
    insta::assert_snapshot!(text.lines().find(|l| l.starts_with("  touching  ")).unwrap(), @"  touching        +2.40  ±0.02               │█████████████");
}
