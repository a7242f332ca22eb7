//! What constraints demand holds for every output.

use crate::*;

/// (38) Whatever a constraint demands holds for every output.
#[test]
fn constraints_hold_on_every_output() {
    let model = bundled();
    let texts = ["a touching and funny film", "it is boring and much too long", "A GOOD Story"];
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("words.txt");
    std::fs::write(&list, "bad\nfilm\ngreat\nawful\nwonderful\nshort\n").unwrap();
    let list = list.to_str().unwrap();
    for (name, value) in [
        ("max-distance", "2"),
        ("min-cosine", "0.3"),
        ("dictionary", "vocabulary"),
        ("dictionary", list),
    ] {
        let constraints = built(&Options::new().with(name, value));
        assert_eq!(constraints.len(), 1);
        for attack in [&HotFlip::default() as &dyn Attack, &Greedy::default()] {
            let attacker = Attacker::new(model.as_ref(), attack).with_constraints(&constraints);
            for text in texts {
                let result = attacker.attack_input(&Input::text(text)).unwrap().results.remove(0);
                for edit in result.texts.edits() {
                    let to = edit.to.to_lowercase();
                    match (name, value) {
                        ("max-distance", _) => assert!(edit.from.len().abs_diff(to.len()) <= 2),
                        ("dictionary", "vocabulary") => {
                            let ids = model.tokenizer().ids_of(&to).unwrap();
                            assert_eq!(ids.len(), 1, "{edit:?}");
                        }
                        ("dictionary", _) => assert!(
                            ["bad", "film", "great", "awful", "wonderful", "short"]
                                .contains(&to.as_str()),
                            "{edit:?}"
                        ),
                        _ => {}
                    }
                }
            }
        }
    }
}

#[test]
fn models_judge_edits() {
    let model = tiny("bert-cls");
    let text = "the film was good and we loved it";
    for (name, other) in
        [("plausible-by", "bert-masked-lm"), ("similar-by", "bert-sentence-similarity")]
    {
        let loose = Options::new().with(name, other);
        let strict = match name {
            "plausible-by" => loose.clone().with("plausible-rank", "1"),
            _ => loose.clone().with("min-similarity", "1"),
        };
        let count = |options: &Options| {
            let constraints = built(options);
            let attack = HotFlip { max_edits: 1, candidates: 40, ..HotFlip::default() };
            let (_, allowed) = Attacker::new(model.as_ref(), &attack)
                .each(&Input::text(text), |case| {
                    let flips = hotflip::first_order(case, &attack, 40)?;
                    let texts: Vec<_> =
                        flips.into_iter().map(|f| case.texts.with(f.edit).unwrap()).collect();
                    let allowed = constraints[0].allows_texts(&texts.iter().collect::<Vec<_>>())?;
                    Ok(allowed.into_iter().filter(|&allowed| allowed).count())
                })
                .unwrap();
            allowed[0]
        };
        let (few, many) = (
            count(&strict),
            count(&loose.with(
                if name == "plausible-by" { "plausible-rank" } else { "min-similarity" },
                if name == "plausible-by" { "100000" } else { "-1" },
            )),
        );
        assert_eq!(many, 40, "{name}");
        assert!(few < 40, "{name}: {few}");
    }
    // A model of another kind is told apart, and what is missing is said.
    for (options, expected) in [
        (Options::new().with("tagger", "bert-cls"), "expected a token classifier"),
        (
            Options::new().with("tagger", "bert-token-classification"),
            "expected labels such as NOUN",
        ),
        (Options::new().with("plausible-by", "bert-cls"), "expected a masked language model"),
        (Options::new().with("similar-by", "bert-cls"), "expected a sentence encoder"),
        (Options::new().with("plausible-rank", "3"), "without --plausible-by"),
        (Options::new().with("min-similarity", "0.5"), "without --similar-by"),
        (Options::new().with("min-cosine", "2"), "--min-cosine: expected"),
        (Options::new().with("max-distance", "0"), "--max-distance: expected"),
        (Options::new().with("dictionary", "no-such-file"), "--dictionary no-such-file"),
        (Options::new().with("synonyms", "no-such-directory"), "no index.noun"),
    ] {
        let error = constraints::build(&options, &|name| Ok(tiny(name))).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_tagger_keeps_parts_of_speech() {
    // Tiny taggers with their labels named as parts of speech.
    let names = [("B-PER", "NOUN"), ("I-PER", "VERB"), ("B-LOC", "ADJ"), ("I-LOC", "DET")];
    let mut seen = [0, 0];
    for name in ["bert", "electra", "distilbert", "mpnet"] {
        let dir = renamed(&format!("{name}-token-classification"), &names);
        tags_stay(dir.path(), &mut seen);
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

fn tags_stay(dir: &std::path::Path, seen: &mut [usize; 2]) {
    let options = Options::new().with("tagger", dir.to_str().unwrap());
    let constraints =
        constraints::build(&options, &|name| Ok(open(name.as_ref(), DType::F64))).unwrap();
    let model = tiny("bert-cls");
    let attack = HotFlip::default();
    let (_, allowed) = Attacker::new(model.as_ref(), &attack)
        .each(&Input::text("the film was good and we loved it"), |case| {
            let flips = hotflip::first_order(case, &attack, 60)?;
            let texts: Vec<_> =
                flips.into_iter().map(|f| case.texts.with(f.edit).unwrap()).collect();
            let allowed = constraints[0].allows_texts(&texts.iter().collect::<Vec<_>>())?;
            Ok(texts.into_iter().zip(allowed).collect::<Vec<_>>())
        })
        .unwrap();
    let tagger = open(dir, DType::F64);
    let tag = |text: &str, at: usize| {
        let encoding = tagger.encode(text, false).unwrap();
        let t = encoding.tokens.iter().position(|t| !t.special && t.end > at).unwrap();
        let batch = Batch::repeat(&encoding, 1);
        let embeddings = tagger.embed(&batch).unwrap();
        let output = tagger.forward(&embeddings, &batch, &mut Trace::new()).unwrap();
        let rows = output.logits.squeeze(0).unwrap().to_vec2::<f64>().unwrap();
        (0..rows[t].len()).max_by(|&a, &b| rows[t][a].total_cmp(&rows[t][b])).unwrap()
    };
    for (texts, allowed) in &allowed[0] {
        let at = texts.edits()[0].start;
        let same = tag(&texts.originals()[0], at) == tag(&texts.render()[0], at);
        assert_eq!(same, *allowed, "{texts:?}");
        seen[usize::from(*allowed)] += 1;
    }
}
