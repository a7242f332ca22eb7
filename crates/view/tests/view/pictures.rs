//! What the tasks look like: two fields, several explanations, none, marks, the grid.

use glossator_view::By;
use glossator_view::render::terminal::{Colors, Options, Terminal};
use glossator_view::render::{csv, html, svg, to_string};
use glossator_view::wire::{Candidate, Document, Entities, Entity, Prediction, Target};

use crate::tasks;

fn show(document: &Document, options: Options) -> String {
    to_string(&mut Terminal::new(options), [document]).unwrap()
}

/// The lines before each list of words, and those without numbers of a method.
fn heads(text: &str) -> String {
    let keep = |line: &&str| {
        !line.contains("steps=50") && !line.contains("sst2-tiny") && !line.starts_with("F(x)")
    };
    text.lines().filter(keep).collect::<Vec<_>>().join("\n")
}

fn narrow() -> Options {
    Options { width: 60, ..Options::default() }
}

#[test]
fn each_entity_is_marked_in_the_text() {
    let document =
        tasks::entities("Marie Curie saw Paris", &[("PER", "Marie Curie"), ("LOC", "Paris")]);
    insta::assert_snapshot!(show(&document, narrow()), @"
    “Marie Curie” PER 97.0%  “Paris” LOC 97.0%
    why “Marie Curie” is PER · logit of its tokens together ·
      integrated-gradients · baseline=mask · steps=50 ·
      sst2-tiny

      ⟦Marie Curie⟧ saw Paris
      ⟦⟧ the entity

      Marie           +0.925                  │████████████████
      Curie           +0.104                  │█▊
      saw             -0.407           ███████│
      Paris           -0.057                 █│
      special tokens  +0.230

    F(x) 3.250 · F(baseline) 2.457 · sum +0.7942 ·
      completeness error +0.0013 (0.2%) ·
      error estimate 0.00040 · 50 gradient evaluations

    why “Paris” is LOC · logit of its tokens together ·
      integrated-gradients · baseline=mask · steps=50 ·
      sst2-tiny

      Marie Curie saw ⟦Paris⟧
      ⟦⟧ the entity

      Marie           -0.904  ████████████████│
      Curie           -0.024                 ▐│
      saw             +0.418                  │███████▍
      Paris           +0.046                  │▊
      special tokens  -0.300

    F(x) 3.250 · F(baseline) 4.015 · sum -0.7635 ·
      completeness error +0.0013 (0.2%) ·
      error estimate 0.00040 · 50 gradient evaluations
    ");
}

#[test]
fn no_entities_are_no_error() {
    insta::assert_snapshot!(show(&tasks::entities("nothing here", &[]), narrow()), @"
    no entities
      nothing here
    there is nothing to explain
    ");
    let mut unasked = tasks::entities("Marie Curie", &[("PER", "Marie Curie")]);
    unasked.explanations.clear();
    insta::assert_snapshot!(show(&unasked, narrow()), @"
    “Marie Curie” PER 97.0%
      Marie Curie
    none of these entities was to be explained
    ");
    let page = to_string(&mut html::Html::default(), [&tasks::entities("nothing", &[])]).unwrap();
    let page = crate::without_scripts(&page);
    assert!(page.contains("<h2><bdi>no entities</bdi></h2>"), "{page}");
    let table = to_string(&mut csv::Csv::default(), [&unasked]).unwrap();
    assert_eq!(table.lines().count(), 1);
}

#[test]
fn an_answer_is_marked_in_its_context() {
    let document = tasks::answer("Where?", "She was born in Warsaw, in 1867.", Some("Warsaw"));
    insta::assert_snapshot!(heads(&show(&document, narrow())), @"
    “Warsaw” 93.0%  “She” 4.0%
    why the answer “Warsaw” · logit of start and end together ·

    question
      Where?
    context
      She was born in ⟦Warsaw⟧, in 1867.
      ⟦⟧ the answer

    question
      Where           +0.925                  │███████████████▍
      ?               +0.104                  │█▊
    context
      She             -0.057                 █│
      was             -0.159               ▐██│
      born            -0.569        ▐█████████│
      in              +0.064                  │█
      Warsaw          +0.965                  │████████████████
      ,               +0.442                  │███████▍
      in              -0.628       ▐██████████│
      1867            -0.507         ▐████████│
      .               +0.077                  │█▎
    all fields
      special tokens  -0.115

      completeness error +0.0013 (0.2%) ·
      error estimate 0.00040 · 50 gradient evaluations
    ");
    let none = tasks::answer("Who sang?", "Nobody.", None);
    insta::assert_snapshot!(show(&none, narrow()).lines().take(5).collect::<Vec<_>>().join("\n"), @"
    no answer 71.0%  “Nobody.” 4.0%
    why there is no answer · logit of start and end together ·
      integrated-gradients · baseline=mask · steps=50 ·
      sst2-tiny
    ");
    let page = to_string(&mut html::Html::default(), [&document]).unwrap();
    let page = crate::without_scripts(&page);
    insta::assert_snapshot!(page.lines().find(|line| line.contains("</mark></p>") || line.contains("<mark><span")).unwrap(), @r#"<p class="text" dir="auto"><span class="w n1" title="-0.057237971526006445" data-v="−.06">She</span> <span class="w n2" title="-0.1594123574408572" data-v="−.16">was</span> <span class="w n6" title="-0.5687207944943465" data-v="−.57">born</span> <span class="w p1 k2" title="0.06400553154593348" data-v="+.06">in</span> <mark><span class="w p10" title="0.9648070027019063" data-v="+.96">Warsaw</span></mark><span class="w p5 k4" title="0.4416904024332486" data-v="+.44">,</span> <span class="w n7 k2" title="-0.6279128157462932" data-v="−.63">in</span> <span class="w n5" title="-0.5066953217655756" data-v="−.51">1867</span><span class="w p1 k4" title="0.07745552268019396" data-v="+.08">.</span></p>"#);
}

#[test]
fn each_mask_has_its_candidates() {
    let document = tasks::masks("The MASK and the MASK");
    insta::assert_snapshot!(heads(&show(&document, narrow())), @"
    mask 1:  cat 60.0%  dog 30.0%  ##s 15.0%  the 7.5%
    mask 2:  cat 60.0%  dog 30.0%  ##s 15.0%  the 7.5%
    why “cat” (mask 1 of 2) · logit · integrated-gradients ·

      The ⟦MASK⟧ and the MASK
      ⟦⟧ the mask

      The             +0.925                  │████████████████
      MASK            +0.104                  │█▊
      and             -0.407           ███████│
      the             -0.057                 █│
      MASK            -0.159               ▐██│
      special tokens  -0.179

      completeness error +0.0013 (0.6%) ·
      error estimate 0.00040 · 50 gradient evaluations

    why “cat” (mask 2 of 2) · logit · integrated-gradients ·

      The MASK and the ⟦MASK⟧
      ⟦⟧ the mask

      The             -0.904  ████████████████│
      MASK            -0.024                 ▐│
      and             +0.418                  │███████▍
      the             +0.046                  │▊
      MASK            +0.187                  │███▍
      special tokens  +0.061

      completeness error +0.0013 (0.6%) ·
      error estimate 0.00040 · 50 gradient evaluations
    ");
}

#[test]
fn the_next_token_stands_nowhere_yet() {
    let document = tasks::next("It is");
    insta::assert_snapshot!(show(&document, narrow()), @"
    ␣Paris 60.0%  ␣the 30.0%  ␣a 15.0%  ␊ 7.5%
    why “Paris” rather than “the” · difference in logit ·
      integrated-gradients · baseline=mask · steps=50 ·
      sst2-tiny

      It is

      It              +0.925                  │████████████████
      is              +0.104                  │█▊
      special tokens  -0.018

    F(x) 3.250 · F(baseline) 2.240 · sum +1.011 ·
      completeness error +0.0013 (0.1%) ·
      error estimate 0.00040 · 50 gradient evaluations
    ");
}

#[test]
fn two_texts_are_compared() {
    let document = tasks::similarity("A cat", "Cats");
    insta::assert_snapshot!(show(&document, narrow()).lines().take(9).collect::<Vec<_>>().join("\n"), @"
    similarity 0.8123
    why this similarity · value · integrated-gradients ·
      baseline=mask · steps=50 · sst2-tiny

    text
      A cat
    text_pair
      Cats
    ");
}

#[test]
fn written_tokens_are_a_grid_and_know_nothing_of_what_follows() {
    let document = tasks::written("The capital is", "Paris, of course");
    let text = show(&document, Options::default());
    let (grid, rest) = text.split_at(text.find("\nwhy ").unwrap());
    insta::assert_snapshot!(grid, @"
    “Paris, of course”
    token 1:  ␣Paris 31.0%  ␣the 60.0%  ␣a 30.0%  ␊ 15.0%
    token 2:  ␣, 31.0%  ␣the 60.0%  ␣a 30.0%  ␊ 15.0%
    token 3:  ␣of 31.0%  ␣the 60.0%  ␣a 30.0%  ␊ 15.0%
    token 4:  ␣course 31.0%  ␣the 60.0%  ␣a 30.0%  ␊ 15.0%

    each written token's logit by the tokens before it

             text                        continuation
             [CLS]  The capita    l   is Paris    ,   of
      Paris   +.39 +.92   +.10 -.41 -.06     ·    ·    ·
      ,       -.49 -.90   -.02 +.42 +.05  +.19    ·    ·
      of      +.58 +.87   -.06 -.42 -.03  -.21 -.52    ·
      course  -.66 -.83   +.13 +.42 +.02  +.24 +.49 -.34
    ");
    let second = rest.split("\nwhy ").nth(2).unwrap();
    insta::assert_snapshot!(second.lines().skip(3).take(12).collect::<Vec<_>>().join("\n"), @"
    text
      The capital is
    continuation
      Paris⟦,⟧ of course
      ⟦⟧ the token

    text
      The            -0.904  ████████████████│
      capital        +0.394                  │███████
      is             +0.046                  │▊
    continuation
      Paris          +0.187                  │███▍
    ");
}

#[test]
fn a_grid_fits_and_shows_the_strongest_of_many() {
    let document = tasks::written(&"many words of a long prompt ".repeat(20), "go on, 继续");
    for (width, unicode) in [(30, false), (50, true), (80, true)] {
        let text = show(&document, Options { width, unicode, ..Options::default() });
        let said = text.replace("\n  ", " ");
        assert!(said.contains("(the strongest 40 of "), "{text}");
    }
    // The page and the table have them all.
    let page = to_string(&mut html::Html::default(), [&document]).unwrap();
    let page = crate::without_scripts(&page);
    let head = page.lines().find(|line| line.contains("<th scope=\"col\"")).unwrap();
    let tokens: usize = document.input.fields.iter().map(|field| field.tokens.len()).sum();
    assert_eq!(head.matches("<th scope=\"col\"").count(), tokens - 1);
}

#[test]
fn a_grid_has_its_signs_in_its_numbers() {
    let document = tasks::written("It is", "so good");
    let plain = show(&document, Options::default());
    let coloured = show(&document, Options { colors: Colors::Ansi256, ..Options::default() });
    assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'));
    let page = to_string(&mut html::Html::default(), [&document]).unwrap();
    let page = crate::without_scripts(&page);
    let row =
        page.lines().find(|line| line.starts_with("<tr><th scope=\"row\"><bdi>good")).unwrap();
    insta::assert_snapshot!(row.replace("<td", "\n<td"), @r#"
    <tr><th scope="row"><bdi>good</bdi></th>
    <td class="n5" title="-0.4871632003027944">−.49</td>
    <td class="n10" title="-0.9036184448169003">−.90</td>
    <td title="-0.024023067042976857">−.02</td>
    <td class="p5" title="0.41849917793384683">+.42</td></tr>
    "#);
    let image = to_string(&mut svg::Svg::default(), [&document]).unwrap();
    assert_eq!(image.matches("height=\"18.0\"").count(), 3 + 4);
    let table = to_string(&mut csv::Csv::new(csv::Options { by: By::Token }), [&document]).unwrap();
    // Two written tokens, each with a number for each of the five tokens.
    assert_eq!(table.lines().count(), 1 + 2 * 5);
}

#[test]
fn targets_in_a_table() {
    let target = |document: &Document| {
        let table = to_string(&mut csv::Csv::default(), [document]).unwrap();
        let mut reader = ::csv::Reader::from_reader(table.as_bytes());
        let row = reader.records().next().unwrap().unwrap();
        format!("{} | {}", &row[2], &row[3])
    };
    let documents = tasks::all();
    let targets = documents.iter().filter(|(_, document)| !document.explanations.is_empty());
    let targets = targets.map(|(name, document)| format!("{name}: {}", target(document)));
    insta::assert_snapshot!(targets.collect::<Vec<_>>().join("\n"), @"
    entities: PER: Marie Curie | logit
    answer: Warsaw, which then belonged to Russia | logit
    no answer: no answer | logit
    chinese answer: 华沙 | logit
    arabic answer: وارسو | logit
    one mask: cat | logit
    two masks: cat | logit
    next:  Paris -  the | logit
    written:  Paris | logit
    long written:  a | logit
    similarity: similarity | value
    ");
}

#[test]
fn an_answer_may_be_compared_with_another() {
    let mut document = tasks::answer("Where?", "In Warsaw or in Paris", Some("Warsaw"));
    if let Target::Answer { versus, .. } = &mut document.explanations[0].target {
        *versus = Some("Paris".into());
    }
    let text = show(&document, Options { width: 120, ..Options::default() });
    let question = text.lines().find(|line| line.starts_with("why ")).unwrap();
    insta::assert_snapshot!(question, @"why the answer “Warsaw” rather than “Paris” · difference in logit of start and end together ·");
}

#[test]
fn a_unit_read_in_part_ends_there() {
    // The second piece of the long word was not read when it was written.
    let document = tasks::written("so", "unbelievable");
    let text = show(&document, narrow());
    let second = text.split("\nwhy ").nth(2).unwrap();
    assert!(second.contains("  unbeli "), "{second}");
    assert!(!second.lines().skip(8).any(|line| line.contains("evable")), "{second}");
}

#[test]
fn what_is_left_out_is_counted() {
    let said = |document: &Document| show(document, narrow()).replace("\n  ", " ");
    let mut document = tasks::next("It is");
    let Prediction::CausalLm(next) = &mut document.prediction else { panic!("a language model") };
    let more: Vec<_> = (0..26).map(|i| Candidate::new(format!("x{i}"), i, 0.01, 0.0)).collect();
    next.next[0].candidates.extend(more);
    assert!(said(&document).contains("x15 1.0%  +10 more\n"), "{}", said(&document));
    let text = "Ann ".repeat(30);
    let entities: Vec<_> = (0..30).map(|i| Entity::new("PER", 0.9, 0, 4 * i, "Ann")).collect();
    let mut document = tasks::entities(&text, &[]);
    document.prediction = Prediction::TokenClassification(Entities::new(entities));
    assert!(said(&document).contains("“Ann” PER 90.0%  +10 more"), "{}", said(&document));
    let page = to_string(&mut html::Html::default(), [&document]).unwrap();
    let page = crate::without_scripts(&page);
    assert!(page.contains("</span>, 25 more</h2>"), "{page}");
}
