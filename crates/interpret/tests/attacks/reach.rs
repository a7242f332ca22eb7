//! What can be attacked, and with what: pairs, targets, windows, phrases, a black box.

use crate::*;

#[test]
fn pairs_are_attacked_in_either_field() {
    let model = tiny("bert-cls");
    let model = model.as_ref();
    let input = Input::pair("the film was good", "we loved it very much");
    let own = predict(model, &input, &TaskOptions::default()).best();
    for (field, index) in [("text", 0), ("premise", 0), ("pair", 1), ("hypothesis", 1)] {
        for attack in [&HotFlip::default() as &dyn Attack, &InputReduction::default()] {
            let mut attacker = Attacker::new(model, attack);
            attacker.fields = FieldChoice::parse(field);
            let result = attacker.attack_input(&input).unwrap().results.remove(0);
            assert!(result.texts.edits().iter().all(|edit| edit.field == index));
            let edited = final_input(model, &input, &result);
            let turned = predict(model, &edited, &TaskOptions::default()).best() != own;
            assert_eq!(turned, attack.changes() && result.success);
        }
    }
    let attack = HotFlip::default();
    let mut attacker = Attacker::new(model, &attack);
    attacker.fields = FieldChoice::parse("question");
    assert!(fails(&attacker, &input).to_string().contains("expected text, premise, pair"));
}

#[test]
fn targets_are_reached_or_refused() {
    let model = bundled();
    let model = model.as_ref();
    let attack = HotFlip::default();
    let input = Input::text("a touching and funny film");
    let result = aimed(model, &attack, "negative").attack_input(&input).unwrap().results.remove(0);
    assert!(result.success);
    assert_eq!(label(model, &result.texts.render()[0]), 0);
    let already = fails(&aimed(model, &attack, "positive"), &input);
    assert!(already.to_string().contains("says so already"), "{already}");
    let unknown = fails(&aimed(model, &attack, "sad"), &input);
    assert!(unknown.to_string().contains("sad"), "{unknown}");
    let reduction = InputReduction::default();
    let error = fails(&aimed(model, &reduction, "negative"), &input);
    assert!(error.to_string().contains("keeps the prediction"), "{error}");
}

#[test]
fn what_cannot_be_attacked_is_said() {
    let attack = HotFlip::default();
    for (name, input, expected) in [
        ("bert-regression", Input::text("the film"), "regression"),
        ("bert-sentence-similarity", Input::pair("the film", "a film"), "sentence-similarity"),
        ("t5", Input::text("the film"), "seq2seq-lm"),
    ] {
        let model = tiny(name);
        let error = fails(&Attacker::new(model.as_ref(), &attack), &input);
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(error.is_input_error() && error.hint().is_some());
    }
}

#[test]
fn multi_label_models_switch_one_label() {
    let model = tiny("bert-multilabel");
    let model = model.as_ref();
    let input = Input::text("the film was good and we loved it");
    let on = |input: &Input| {
        let prediction = predict(model, input, &TaskOptions::default());
        prediction.labels().iter().map(|label| label.logit >= 0.0).collect::<Vec<_>>()
    };
    let attack = HotFlip::default();
    let result = run(model, &attack, &input).results.remove(0);
    assert_eq!(on(&final_input(model, &input, &result)) != on(&input), result.success);
    let reduced = run(model, &InputReduction::default(), &input).results.remove(0);
    assert_eq!(on(&final_input(model, &input, &reduced)), on(&input));
    for (label, on) in model.info().labels.names.iter().zip(on(&input)) {
        let attacker = aimed(model, &attack, label);
        match attacker.attack_input(&input) {
            Ok(_) => assert!(!on),
            Err(error) => assert!(on && error.to_string().contains("already"), "{error}"),
        }
    }
}

#[test]
fn long_contexts_are_attacked_in_windows() {
    let model = tiny("bert-question-answering");
    let context = "the film was good and we loved it . a cat b c d e f g h ".repeat(12);
    let input = Input::question("was the film good", context);
    let mut options = TaskOptions { stride: 8, ..TaskOptions::default() };
    options.max_answer = 3;
    let limit = model.info().max_tokens;
    let windows = model.tokenizer().encode(&input.text).unwrap().tokens.len() > limit;
    assert!(windows, "the context is longer than the model reads: {limit}");
    let attack = HotFlip { max_edits: 1, candidates: 8, ..HotFlip::default() };
    let mut attacker = Attacker::new(model.as_ref(), &attack);
    attacker.options = options.clone();
    let result = attacker.attack_input(&input).unwrap().results.remove(0);
    let text = |input: &Input| {
        let prediction = predict(model.as_ref(), input, &options);
        let Prediction::QuestionAnswering(answers) = prediction else { panic!("{prediction:?}") };
        input.text[answers[0].span.clone().unwrap()].trim().to_owned()
    };
    let edited = final_input(model.as_ref(), &input, &result);
    assert_eq!(text(&edited) != text(&input), result.success);
}

#[test]
fn triggers_turn_many_texts() {
    let model = bundled();
    let texts = [
        "a touching , funny and wise film",
        "one of the best films of the year",
        "a warm and moving story",
        "wonderful performances from everyone",
        "smart , fresh and very funny",
        "an honest and beautiful picture",
    ];
    let inputs: Vec<Input> = texts.iter().map(|text| Input::text(*text)).collect();
    let search = TriggerSearch {
        words: 2,
        candidates: 8,
        beam: 1,
        rounds: 1,
        aim: Aim::Become("negative".to_owned()),
        ..TriggerSearch::default()
    };
    let options = TaskOptions::default();
    let trigger = search.search(model.as_ref(), &inputs, &options, &[], &Silent).unwrap();
    assert_eq!((trigger.searched_on, trigger.tested_on, trigger.skipped), (3, 3, 0));
    assert_eq!(trigger.text.split(' ').count(), 2);
    // (41) What is reported is what the phrase does.
    let turned = texts
        .iter()
        .enumerate()
        .filter(|(i, text)| {
            i % 2 == 0 && label(model.as_ref(), &format!("{} {text}", trigger.text)) == 0
        })
        .count();
    assert_eq!((trigger.seen.mean * 3.0).round() as usize, turned);
    assert!(turned > 0, "{trigger:?}");
    let regression = tiny("gpt2");
    assert!(search.search(regression.as_ref(), &inputs, &options, &[], &Silent).is_err());
    assert!(search.search(model.as_ref(), &[], &options, &[], &Silent).is_err());
}

/// The greedy search asks anything that judges texts: here, whether "good" and "fine" are gone.
#[test]
fn a_black_box_of_ones_own_is_searched() {
    let texts = attack::EditedTexts::new(vec!["a good and fine film".to_owned()]);
    let word = |from: &str, to: &str| {
        let start = texts.originals()[0].find(from).unwrap();
        let (from, to) = (from.to_owned(), to.to_owned());
        attack::Edit { field: 0, start, end: start + from.len(), from, to }
    };
    let proposals =
        [vec![word("good", "bad")], vec![word("fine", "foul")], vec![word("film", "movie")]];
    let places: Vec<_> = proposals.iter().map(|p| (0, p[0].start..p[0].end)).collect();
    let mut asked = 0;
    let mut judge = |tried: Vec<attack::EditedTexts>| {
        asked += tried.len();
        let judged = tried.into_iter().map(|texts| {
            let text = texts.render().swap_remove(0);
            let left = ["good", "fine"].iter().filter(|word| text.contains(**word)).count();
            attack::Tried::new(texts, left == 0, -(left as f64))
        });
        Ok((judged.collect(), false))
    };
    let found = attack::greedy::search(&texts, &places, &proposals, 3, &mut judge).unwrap();
    assert!(found.reached && !found.spent);
    assert_eq!(found.texts.render(), ["a bad and foul film"]);
    // Each word left out, two replacements, and each of them taken back.
    assert_eq!(asked, 3 + 2 + 2);
}
