//! The defects of an earlier toolkit, H1 to H15 and F5: each has a test that shows that it is not here.

use crate::*;

#[test]
fn every_tokenizer_and_script_holds_its_promises() {
    for name in CLASSIFIERS {
        let model = tiny(name);
        let model = model.as_ref();
        for text in TEXTS {
            for grain in [Grain::Word, Grain::Token] {
                let attack = HotFlip {
                    grain,
                    insert: true,
                    delete: true,
                    punctuation: true,
                    max_edits: 2,
                    candidates: 12,
                    ..HotFlip::default()
                };
                let result = run(model, &attack, &Input::text(text)).results.remove(0);
                check_flip(model, text, &result, name);
            }
            let result =
                run(model, &InputReduction::default(), &Input::text(text)).results.remove(0);
            let reduced = &result.texts.render()[0];
            assert_eq!(label(model, reduced), label(model, text), "{name} {text:?} {reduced:?}");
            assert!(!reduced.trim().is_empty());
            let greedy = Greedy { candidates: 5, max_edits: 2, ..Greedy::default() };
            let result = run(model, &greedy, &Input::text(text)).results.remove(0);
            check_flip(model, text, &result, name);
        }
    }
}

#[track_caller]
fn check_flip(model: &dyn Model, text: &str, result: &AttackResult, name: &str) {
    let edited = &result.texts.render()[0];
    let turned = label(model, edited) != label(model, text);
    assert_eq!(result.success, turned, "{name}: {text:?} -> {edited:?}");
    let ids = |text: &str| model.encode(text, false).unwrap().ids();
    if !result.texts.edits().is_empty() {
        assert_ne!(ids(text), ids(edited), "{name}: a flip that changes nothing: {edited:?}");
    }
    for edit in result.texts.edits() {
        // H9: no special token, no replacement character, and the edit is of whole characters.
        let added = ids(&format!(" {}", edit.to));
        let special = |id: &u32| model.tokenizer().is_special(*id);
        let known = ids("");
        assert!(added.iter().all(|id| !special(id) || known.contains(id)), "{name}: {edit:?}");
        assert!(!edit.to.contains('\u{fffd}') && !edit.to.contains("##"), "{name}: {edit:?}");
        assert_eq!(&text[edit.start..edit.end], edit.from);
    }
}

/// H1: AllenNLP's greedy search put the same word everywhere and gave up without saying so.
#[test]
fn h1_failure_is_said_and_words_differ() {
    let model = tiny("bert-cls");
    // A target that a constraint keeps out of reach.
    let options = Options::new().with("min-cosine", "0.999");
    let constraints = constraints::build(&options, &|_| unreachable!()).unwrap();
    let attack = HotFlip::default();
    let attacker = Attacker::new(model.as_ref(), &attack).with_constraints(&constraints);
    let result =
        attacker.attack_input(&Input::text("the film was good")).unwrap().results.remove(0);
    assert!(!result.success);
    assert_eq!(result.stopped, Stopped::Fixed);
    assert!(!result.notes.is_empty());
    let (_, flips) = Attacker::new(model.as_ref(), &attack)
        .each(&Input::text("the film was good and we loved it"), |case| {
            hotflip::first_order(case, &attack, 30)
        })
        .unwrap();
    for part in [|f: &attack::Flip| f.edit.to.clone(), |f: &attack::Flip| f.edit.start.to_string()]
    {
        let distinct: std::collections::BTreeSet<_> = flips[0].iter().map(part).collect();
        assert!(distinct.len() >= 3, "one of a kind: {distinct:?}");
    }
}

/// H2: a flip is never a no-op, not even after letters are made small.
#[test]
fn h2_no_flip_changes_nothing() {
    let model = tiny("bert-cls");
    let attack = HotFlip { candidates: 100_000, ..HotFlip::default() };
    let input = Input::text("The FILM was Good");
    let (_, edited) = Attacker::new(model.as_ref(), &attack)
        .each(&input, |case| {
            let flips = hotflip::first_order(case, &attack, 100_000)?;
            Ok(flips.into_iter().map(|f| case.texts.with(f.edit).unwrap()).collect::<Vec<_>>())
        })
        .unwrap();
    let own = model.encode(&input.text, false).unwrap().ids();
    assert!(edited[0].len() > 100);
    for texts in &edited[0] {
        assert_ne!(model.encode(&texts.render()[0], false).unwrap().ids(), own, "{texts:?}");
    }
    let capital = edited[0].iter().filter(|texts| texts.edits()[0].start == 0);
    for texts in capital {
        assert!(texts.edits()[0].to.starts_with(char::is_uppercase), "{texts:?}");
    }
}

/// H3: the target of a masked language model is a token, not its first character.
#[test]
fn h3_a_target_is_a_whole_token() {
    let model = masked();
    let attack = HotFlip { max_edits: 6, ..HotFlip::default() };
    let input = Input::text("the [MASK] was good and we loved it");
    let attacker = aimed(model.as_ref(), &attack, "film");
    let results = attacker.attack_input(&input).unwrap().results;
    for result in results.iter().filter(|result| result.success) {
        let edited = final_input(model.as_ref(), &input, result);
        let prediction = predict(model.as_ref(), &edited, &TaskOptions::default());
        let Prediction::MaskedLm(choices) = prediction else { panic!("{prediction:?}") };
        assert_eq!(choices[0].chosen.text, "film");
    }
    let error = fails(&aimed(model.as_ref(), &attack, "zebracrossing"), &input);
    assert!(error.to_string().contains("zebracrossing"), "{error}");
}

/// H4, H11: each entity is attacked by itself; none is no crash; plain, IO and BIO tags all do.
#[test]
fn h4_h11_each_entity_by_itself() {
    for name in [
        "bert-token-classification",
        "roberta-token-classification",
        "xlm-roberta-token-classification",
        "electra-token-classification",
    ] {
        let model = tiny(name);
        let model = model.as_ref();
        for text in ["we loved the film and the cat was good", "我电 the cat", "cat"] {
            let input = Input::text(text);
            let before = entities(model, &input);
            let attack = HotFlip { max_edits: 3, ..HotFlip::default() };
            let attacked = run(model, &attack, &input);
            assert_eq!(attacked.results.len(), before.len(), "{name}: one result an entity");
            for (result, entity) in attacked.results.iter().zip(&before) {
                let edited = final_input(model, &input, result);
                let still = entities(model, &edited).contains(entity);
                if result.success {
                    assert!(
                        !still || edited.text.matches(&entity.0).count() > 1,
                        "{name} {entity:?}"
                    );
                }
                // Its own words are there in any case.
                assert!(edited.text.contains(&entity.0), "{name}: {entity:?} in {edited:?}");
            }
            let reduced = run(model, &InputReduction::default(), &input);
            for (result, entity) in reduced.results.iter().zip(&before) {
                let edited = final_input(model, &input, result);
                assert!(entities(model, &edited).contains(entity), "{name} {entity:?} {edited:?}");
            }
        }
    }
}

/// A text without entities: an empty answer.
#[test]
fn no_entity_is_an_answer() {
    let name = "bert-token-classification";
    let own = entities(tiny(name).as_ref(), &Input::text("cat"));
    // The label of this word and that of no entity change their names.
    let begin = format!("B-{}", own[0].1);
    let inside = format!("I-{}", own[0].1);
    let none = [begin, inside].into_iter().find_map(|label| {
        let dir = renamed(name, &[(label.as_str(), "O"), ("O", label.as_str())]);
        let model = open(dir.path(), DType::F64);
        entities(model.as_ref(), &Input::text("cat")).is_empty().then_some(model)
    });
    let model = none.unwrap();
    for attack in attack::ATTACKS {
        let attack = (attack.build)(&Options::new()).unwrap();
        let attacked = run(model.as_ref(), attack.as_ref(), &Input::text("cat"));
        assert!(attacked.results.is_empty());
    }
}

/// H5: answers are compared by their text, whichever field is attacked.
#[test]
fn h5_answers_are_told_apart_by_their_text() {
    for name in
        ["bert-question-answering", "roberta-question-answering", "albert-question-answering"]
    {
        let model = tiny(name);
        let model = model.as_ref();
        let context = "the film was good and we loved it . the cat was a film";
        let input = Input::question("was the cat good", context);
        let own = answer(model, &input);
        for field in ["question", "context"] {
            let reduction = InputReduction::default();
            let mut attacker = Attacker::new(model, &reduction);
            attacker.fields = FieldChoice::parse(field);
            let result = attacker.attack_input(&input).unwrap().results.remove(0);
            let reduced = final_input(model, &input, &result);
            assert_eq!(answer(model, &reduced), own, "{name} {field}");
            if field == "context" {
                assert!(reduced.text.contains(&own));
                assert_eq!(reduced.pair, input.pair);
                // AllenNLP took none away: any change of the context was a change of the answer.
                assert!(result.success || own.len() * 2 > context.len(), "{name}: {reduced:?}");
            } else {
                assert_eq!(reduced.text, input.text);
            }
            let hotflip = HotFlip { max_edits: 2, ..HotFlip::default() };
            let mut attacker = Attacker::new(model, &hotflip);
            attacker.fields = FieldChoice::parse(field);
            let result = attacker.attack_input(&input).unwrap().results.remove(0);
            let edited = final_input(model, &input, &result);
            assert_eq!(answer(model, &edited) != own, result.success, "{name} {field}");
        }
    }
}

/// H6: masks are found again by their order, so that texts can be reduced.
#[test]
fn h6_masked_texts_are_reduced() {
    for (name, mask) in [("bert-masked-lm", "[MASK]"), ("roberta-masked-lm", "<mask>")] {
        let model = tiny(name);
        let text = format!("we loved the {mask} and the cat was {mask} and good");
        let input = Input::text(text);
        let fillers = |input: &Input| {
            let prediction = predict(model.as_ref(), input, &TaskOptions::default());
            let Prediction::MaskedLm(choices) = prediction else { panic!("{prediction:?}") };
            choices.into_iter().map(|choice| choice.chosen.id).collect::<Vec<_>>()
        };
        let before = fillers(&input);
        let attacked = run(model.as_ref(), &InputReduction::default(), &input);
        assert_eq!(attacked.results.len(), 2);
        for (order, result) in attacked.results.iter().enumerate() {
            let reduced = final_input(model.as_ref(), &input, result);
            assert_eq!(reduced.text.matches(mask).count(), 2, "{reduced:?}");
            assert_eq!(fillers(&reduced)[order], before[order]);
        }
        assert!(attacked.results.iter().any(|result| result.success), "{name}");
    }
}

/// H7: protected words stay, in every attack.
#[test]
fn h7_protected_words_stay() {
    let model = tiny("bert-cls");
    let text = "the film was not good but very touching";
    let constraints = built(&Options::new().with("protect", "Not, touching,film"));
    for entry in attack::ATTACKS {
        let attack = (entry.build)(&Options::new()).unwrap();
        let attacker =
            Attacker::new(model.as_ref(), attack.as_ref()).with_constraints(&constraints);
        let result = attacker.attack_input(&Input::text(text)).unwrap().results.remove(0);
        for word in ["not", "touching", "film"] {
            let edited = &result.texts.render()[0];
            assert!(edited.split(' ').any(|w| w == word), "{}: {edited}", entry.info.id);
        }
    }
    let all = built(&Options::new().with("protect", &text.replace(' ', ",")));
    for entry in attack::ATTACKS {
        let attack = (entry.build)(&Options::new()).unwrap();
        let attacker = Attacker::new(model.as_ref(), attack.as_ref()).with_constraints(&all);
        let result = attacker.attack_input(&Input::text(text)).unwrap().results.remove(0);
        assert!(!result.success, "{}", entry.info.id);
        assert_eq!(result.stopped, Stopped::Fixed);
        assert_eq!(result.texts.render()[0], text);
        assert!(!result.notes.is_empty());
    }
}

/// H8: a beam's survivors are its best, whoever their parent is: a wider beam is at least as good
/// on average, and reversed word order changes nothing about which words can be left.
#[test]
fn h8_the_beam_keeps_the_best() {
    let mut lengths = [0, 0];
    for seed in 0..20 {
        let model = curved(seed);
        for (beam, length) in [1, 5].into_iter().zip(&mut lengths) {
            let attack = InputReduction { beam, ..InputReduction::default() };
            let input = Input::text("a b c d e f g h");
            let result = run(&model, &attack, &input).results.remove(0);
            *length += result.texts.render()[0].split(' ').count();
        }
    }
    assert!(lengths[1] <= lengths[0], "{lengths:?}");
}

/// H10, H14: the candidates come from the model's own vocabulary, whatever its tokenizer, and an id
/// is never taken for another's.
#[test]
fn h10_h14_every_vocabulary_is_its_own() {
    for name in CLASSIFIERS {
        let model = tiny(name);
        let vocabulary = attack::Vocabulary::new(model.as_ref()).unwrap();
        assert!(vocabulary.entries().len() > 20, "{name}: {vocabulary:?}");
        for (place, entry) in vocabulary.entries().iter().enumerate() {
            assert_eq!(vocabulary.place(entry.id), Some(place));
            assert!(!model.tokenizer().is_special(entry.id), "{name}: {entry:?}");
            let name_of = model.tokenizer().id_to_token(entry.id).unwrap();
            let plain = name_of.trim_start_matches(['Ġ', '▁']).trim_start_matches("##").to_owned();
            if entry.text.is_ascii() {
                assert_eq!(entry.text, plain, "{name}");
            }
        }
        // A word in the middle of a text is the token that the vocabulary says.
        let words =
            vocabulary.entries().iter().filter(|e| e.form == attack::vocabulary::Form::Begins);
        let mut same = 0;
        let words: Vec<_> = words.filter(|e| e.text.is_ascii()).take(30).collect();
        for entry in &words {
            let ids = model.encode(&format!("the {} the", entry.text), false).unwrap().ids();
            same += usize::from(ids.contains(&entry.id));
        }
        assert!(same * 2 >= words.len(), "{name}: {same} of {}", words.len());
    }
}

/// H13: of several masks each is a decision of its own, and can be chosen.
#[test]
fn h13_every_decision_counts() {
    let model = masked();
    let attack = HotFlip { max_edits: 4, ..HotFlip::default() };
    let input = Input::text("we [MASK] the film and the [MASK] was good");
    let all = run(model.as_ref(), &attack, &input);
    assert_eq!(all.results.len(), 2);
    let mut attacker = Attacker::new(model.as_ref(), &attack);
    attacker.decision = DecisionChoice::parse("2");
    let second = attacker.attack_input(&input).unwrap().results;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].texts, all.results[1].texts);
    attacker.decision = DecisionChoice::parse("3");
    assert!(fails(&attacker, &input).to_string().contains("no such decision"));
}

/// H15: the next token of a language model is a token too.
#[test]
fn h15_the_next_token_is_a_whole_token() {
    for name in ["gpt2", "llama", "mistral"] {
        let model = tiny(name);
        let model = model.as_ref();
        let input = Input::text("the film was good and the");
        let next = |input: &Input| {
            let prediction = predict(model, input, &TaskOptions::default());
            let Prediction::CausalLm(choices) = prediction else { panic!("{prediction:?}") };
            choices[0].chosen.clone()
        };
        let attack = HotFlip { max_edits: 4, ..HotFlip::default() };
        let result = run(model, &attack, &input).results.remove(0);
        let edited = final_input(model, &input, &result);
        assert_eq!(next(&edited).id != next(&input).id, result.success, "{name}");
        // A target that the flip itself showed to be in reach.
        let wanted = next(&edited);
        let named = model.tokenizer().id_to_token(wanted.id).unwrap();
        if result.success && model.tokenizer().token_to_id(&named) == Some(wanted.id) {
            let mut attacker = Attacker::new(model, &attack);
            attacker.aim = Aim::Become(named.clone());
            if let Ok(attacked) = attacker.attack_input(&input) {
                let result = &attacked.results[0];
                if result.success {
                    let last = next(&final_input(model, &input, result));
                    assert_eq!(model.tokenizer().id_to_token(last.id).unwrap(), named);
                }
            }
        }
    }
}

/// F5: what is left is told by index, so that of two equal words the right one is meant.
#[test]
fn f5_kept_words_are_told_by_index() {
    let model = bundled();
    let text = "good , bad , good , bad and bad , good , bad";
    let result =
        run(model.as_ref(), &InputReduction::default(), &Input::text(text)).results.remove(0);
    let encoding = model.encode(text, false).unwrap();
    let kept = result.kept.unwrap();
    let at: Vec<usize> = kept.iter().map(|&t| encoding.tokens[t].start).collect();
    for edit in result.texts.edits() {
        assert!(at.iter().all(|start| !(edit.start..edit.end).contains(start)), "{edit:?} {at:?}");
    }
    let spelled: Vec<&str> =
        kept.iter().map(|&t| &text[encoding.tokens[t].start..encoding.tokens[t].end]).collect();
    assert_eq!(spelled.join(" "), result.texts.render()[0]);
}
