//! Budgets, cancelling, what a pass is kept for, and settings.

use crate::*;

struct Counter {
    passes: AtomicUsize,
    cancel_after: usize,
}

impl Progress for Counter {
    fn evaluated(&self, count: usize) {
        self.passes.fetch_add(count, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.passes.load(Ordering::Relaxed) >= self.cancel_after
    }
}

/// H12: budgets of passes and of time hold, progress is told, and a caller can stop it.
#[test]
fn h12_budgets_progress_and_cancelling() {
    let model = tiny("bert-cls");
    let input = Input::text("the film was good and we loved it");
    for entry in attack::ATTACKS {
        let attack = (entry.build)(&Options::new()).unwrap();
        for limit in [1, 2, 7, 30] {
            let counter = Counter { passes: AtomicUsize::new(0), cancel_after: usize::MAX };
            let mut attacker =
                Attacker::new(model.as_ref(), attack.as_ref()).with_progress(&counter);
            attacker.limits = Limits { passes: Some(limit), time: None };
            let result = attacker.attack_input(&input).unwrap().results.remove(0);
            // Reading the text at first and the final one by itself are beyond it.
            assert!(
                result.forward_passes <= limit + 3,
                "{} {limit}: {}",
                entry.info.id,
                result.forward_passes
            );
            assert_eq!(counter.passes.load(Ordering::Relaxed), result.forward_passes + 1);
            if !result.success && result.stopped != Stopped::Searched {
                assert_eq!(result.stopped, Stopped::Spent, "{} {limit}", entry.info.id);
            }
        }
        let mut attacker = Attacker::new(model.as_ref(), attack.as_ref());
        attacker.limits = Limits { passes: None, time: Some(Duration::ZERO) };
        let result = attacker.attack_input(&input).unwrap().results.remove(0);
        assert!(!result.success);
        assert_eq!(result.stopped, Stopped::Spent, "{}", entry.info.id);
        let counter = Counter { passes: AtomicUsize::new(0), cancel_after: 2 };
        let attacker = Attacker::new(model.as_ref(), attack.as_ref()).with_progress(&counter);
        assert!(matches!(fails(&attacker, &input), Error::Cancelled), "{}", entry.info.id);
    }
}

/// A gradient at a text that was just read by itself needs no second pass, and is the same.
#[test]
fn kept_passes_serve_the_next_gradient() {
    for (name, input) in [
        ("bert-cls", Input::text("the film was good")),
        ("gpt2", Input::text("the film was good")),
        ("bert-masked-lm", Input::text("the [MASK] was good")),
    ] {
        let (model, options) = (tiny(name), TaskOptions::default());
        let victim =
            || attack::Victim::new(model.as_ref(), &input, &options, Limits::default(), &Silent);
        let (plain, keeping) = (victim(), victim().keeping_passes());
        let texts = [input.text.clone()];
        let method = Gradient { reduction: glossator_interpret::Reduction::L2 };
        let explainer = Explainer::new(model.as_ref(), &method);
        let (spec, quantity) = (TargetSpec::Predicted, Quantity::Logit);
        let mut answer = explainer.explain_input(&input, &options, &spec, quantity).unwrap();
        let target = answer.explanations.swap_remove(0).target;
        let mut slopes = Vec::new();
        for (victim, passes) in [(&plain, 2), (&keeping, 1)] {
            let reading = victim.read(&texts).unwrap();
            slopes.push(victim.gradients(&[(&reading.windows[0], target.clone())]).unwrap());
            assert_eq!((victim.passes(), victim.gradient_evaluations()), (passes, 1), "{name}");
        }
        assert_eq!(slopes[0][0].gradient, slopes[1][0].gradient, "{name}");
        // Another text's gradient is not that of the text that was kept.
        let other = keeping.encode(&[input.text.replace("good", "bad")]).unwrap();
        let other = keeping.gradients(&[(&other.windows[0], target.clone())]).unwrap();
        assert_ne!(other[0].gradient, slopes[1][0].gradient, "{name}");
        assert_eq!(keeping.passes(), 2, "{name}");
    }
}

#[test]
fn confidence_is_kept() {
    let model = bundled();
    let text = "a touching , funny and wise film that nobody should miss";
    for confidence in [0.5, 0.9] {
        let attack = InputReduction { confidence, ..InputReduction::default() };
        let result = run(model.as_ref(), &attack, &Input::text(text)).results.remove(0);
        let prediction = predict(
            model.as_ref(),
            &Input::text(result.texts.render().remove(0)),
            &TaskOptions::default(),
        );
        let best = &prediction.labels()[prediction.best()];
        assert!(best.probability.unwrap() >= confidence, "{best:?}");
    }
    let attack = InputReduction { confidence: 1.0, ..InputReduction::default() };
    let result = run(model.as_ref(), &attack, &Input::text(text)).results.remove(0);
    assert!(!result.success && result.notes[0].contains("--confidence"), "{result:?}");
}

#[test]
fn a_budget_that_ends_is_in_the_certificate() {
    let model = bundled();
    let certify = Some(Exhaustive { replacements: 10, passes: 50 });
    let attack = HotFlip { max_edits: 2, certify, ..HotFlip::default() };
    let constraints = built(&Options::new().with("min-cosine", "0.2"));
    let attacker = Attacker::new(model.as_ref(), &attack).with_constraints(&constraints);
    let text = "a wonderful , warm , touching , funny and wise film that everyone will love";
    let result = attacker.attack_input(&Input::text(text)).unwrap().results.remove(0);
    match result.certificate.unwrap() {
        Certificate::Spent { evaluated, of, .. } => assert!(evaluated >= 50 && of > 50),
        Certificate::Minimal { size, .. } => assert_eq!(size, 1),
        other @ Certificate::Nothing { .. } => panic!("{other:?}"),
    }
}

#[test]
fn the_same_attack_twice_and_on_any_number_of_threads_is_the_same() {
    let model = bundled();
    let text = "it is not bad at all , but the ending drags and drags";
    for entry in attack::ATTACKS {
        let attack = (entry.build)(&Options::new()).unwrap();
        let one = run(model.as_ref(), attack.as_ref(), &Input::text(text)).results.remove(0);
        let serial = glossator_ops::threads::serial(|| {
            run(model.as_ref(), attack.as_ref(), &Input::text(text)).results.remove(0)
        });
        assert_eq!(one.texts, serial.texts, "{}", entry.info.id);
        assert_eq!(one.forward_passes, serial.forward_passes, "{}", entry.info.id);
    }
}

#[test]
fn settings_are_checked() {
    for (id, name, value) in [
        ("hotflip", "max-edits", "0"),
        ("hotflip", "beam", "x"),
        ("hotflip", "unit", "letter"),
        ("hotflip", "certify-passes", "5"),
        ("input-reduction", "rule", "none"),
        ("input-reduction", "confidence", "2"),
        ("greedy", "source", "thesaurus"),
        ("greedy", "candidates", "0"),
    ] {
        let entry = attack::find(id).unwrap();
        let error = (entry.build)(&Options::new().with(name, value)).err().unwrap();
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(attack::find("magic").err().unwrap().to_string().contains("hotflip, input-reduction"));
}
