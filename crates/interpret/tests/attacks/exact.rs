//! Against brute force and closed forms: what is proven, and what the gradient promises.

use crate::*;

proptest! {
    #![proptest_config(few(12))]

    /// (36) On a linear model the first-order score is the true change, for every flip.
    #[test]
    fn first_order_is_exact_on_linear_models(seed in 0_u64..1000, text in sentence()) {
        let model = linear(seed);
        let settings = HotFlip { insert: false, ..HotFlip::default() };
        let attacker = Attacker::new(&model, &settings);
        let logits = |text: &str| {
            let prediction = predict(&model, &Input::text(text), &TaskOptions::default());
            prediction.labels().iter().map(|label| label.logit).collect::<Vec<_>>()
        };
        let before = logits(&text);
        let best = label(&model, &text);
        let mut order: Vec<usize> = (0..before.len()).filter(|&c| c != best).collect();
        order.sort_by(|&a, &b| before[b].total_cmp(&before[a]));
        let rival = order[0];
        let (_, flips) = attacker
            .each(&Input::text(text.as_str()), |case| {
                let flips = hotflip::first_order(case, &settings, 1000)?;
                Ok(flips.into_iter().map(|f| (case.texts.with(f.edit).unwrap(), f.gain)).collect::<Vec<_>>())
            })
            .unwrap();
        let words = text.split(' ').count();
        // Every other word at each place; no place may be missing, no own word may be there.
        prop_assert_eq!(flips[0].len(), words * (WORDS.len() - 1));
        for (texts, gain) in &flips[0] {
            let after = logits(&texts.render()[0]);
            let change = (after[rival] - after[best]) - (before[rival] - before[best]);
            // The products with the vocabulary are in f32.
            prop_assert!((change - gain).abs() < 1e-5, "{gain} {change}");
        }
    }

    /// (37, 40) A success is one for whoever reads the text; a wider beam never needs more edits
    /// than the certificate of a narrow one allows.
    #[test]
    fn successes_hold_on_the_text(seed in 0_u64..1000, text in sentence(), beam in 1_usize..4) {
        let model = curved(seed);
        let attack = HotFlip { beam, ..HotFlip::default() };
        let result = run(&model, &attack, &Input::text(text.as_str())).results.remove(0);
        let turned = label(&model, &result.texts.render()[0]) != label(&model, &text);
        prop_assert_eq!(result.success, turned);
        prop_assert!(result.texts.edits().iter().all(|edit| edit.from != edit.to));
    }

    /// Brute force over all replacements finds the same smallest number of flips.
    #[test]
    fn certificates_agree_with_brute_force(seed in 0_u64..300, text in sentence()) {
        let model = curved(seed);
        let certify = Some(Exhaustive { replacements: 3, passes: 100_000 });
        let attack = HotFlip { max_edits: 3, certify, ..HotFlip::default() };
        let input = Input::text(text.as_str());
        let result = run(&model, &attack, &input).results.remove(0);
        // The stated set: three replacements of each word, by the first-order score.
        let single = HotFlip::default();
        let (_, sets) = Attacker::new(&model, &single)
            .each(&input, |case| {
                let flips = hotflip::first_order(case, &single, 10_000)?;
                let mut sets = std::collections::BTreeMap::<usize, Vec<String>>::new();
                for flip in flips {
                    let set = sets.entry(flip.edit.start).or_default();
                    if set.len() < 3 {
                        set.push(flip.edit.to);
                    }
                }
                Ok(sets)
            })
            .unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let own = label(&model, &text);
        // Every text with any of its words replaced: base 4 numbers.
        let mut smallest = None;
        for code in 1..4_usize.pow(words.len() as u32) {
            let mut rest = code;
            let mut edited: Vec<String> = words.iter().map(|&w| w.to_owned()).collect();
            let (mut edits, mut at) = (0, 0);
            for word in &mut edited {
                let digit = rest % 4;
                rest /= 4;
                let start = at;
                at += word.len() + 1;
                if digit > 0 {
                    edits += 1;
                    word.clone_from(&sets[0][&start][digit - 1]);
                }
            }
            if edits <= 3 && smallest.is_none_or(|least| edits < least) && label(&model, &edited.join(" ")) != own {
                smallest = Some(edits);
            }
        }
        match (result.success, result.certificate.unwrap()) {
            (true, Certificate::Minimal { size, .. }) => {
                prop_assert_eq!(size, result.texts.edits().len());
                // The beam may also have left the stated set for something smaller.
                prop_assert!(smallest.is_none_or(|least| size <= least), "{size} {smallest:?}");
            }
            (false, Certificate::Nothing { .. }) => prop_assert_eq!(smallest, None),
            (success, other) => prop_assert!(false, "{success} {other:?}"),
        }
    }

    /// (39, 40) A reduction keeps the prediction, is a part of the text in its order, has a word
    /// left, and finds nothing more in its own output; certified it is as short as brute force.
    #[test]
    fn reductions_are_shortest(seed in 0_u64..1000, text in sentence(), allennlp in any::<bool>()) {
        let model = curved(seed);
        let rule = if allennlp { Rule::AllenNlp } else { Rule::Feng };
        let words: Vec<&str> = text.split(' ').collect();
        let own = label(&model, &text);
        let mut shortest = words.len();
        for mask in 1..1_usize << words.len() {
            let left: Vec<&str> = (0..words.len()).filter(|w| mask >> w & 1 == 1).map(|w| words[w]).collect();
            if left.len() < shortest && label(&model, &left.join(" ")) == own {
                shortest = left.len();
            }
        }
        for certify in [None, Some(Exhaustive::default())] {
            let attack = InputReduction { rule, certify, ..InputReduction::default() };
            let result = run(&model, &attack, &Input::text(text.as_str())).results.remove(0);
            let reduced = result.texts.render().remove(0);
            let left: Vec<&str> = reduced.split(' ').collect();
            prop_assert_eq!(label(&model, &reduced), own);
            prop_assert!(!reduced.is_empty());
            // A part of the text in its order, and exactly the tokens that are said to be kept.
            let encoding = model.encode(&text, false).unwrap();
            let kept = result.kept.clone().unwrap();
            let spelled: Vec<&str> = kept.iter().map(|&t| &text[encoding.tokens[t].start..encoding.tokens[t].end]).collect();
            prop_assert_eq!(&spelled, &left);
            prop_assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(result.success, left.len() < words.len());
            prop_assert!(left.len() >= shortest);
            for other in &result.others {
                prop_assert_eq!(other.render()[0].split(' ').count(), left.len());
                prop_assert_eq!(label(&model, &other.render()[0]), own);
            }
            let again = run(&model, &attack, &Input::text(reduced.as_str())).results.remove(0);
            prop_assert_eq!(&again.texts.render()[0], &reduced, "idempotent");
            if certify.is_some() && words.len() > 1 {
                prop_assert_eq!(left.len(), shortest);
                let proven = matches!(result.certificate, Some(Certificate::Minimal { size, .. }) if size == shortest);
                prop_assert!(proven, "{:?}", result.certificate);
            }
        }
    }
}
