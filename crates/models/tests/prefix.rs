//! What is read once serves every input with the same beginning.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod common;

use common::{testdata, values};
use glossator_models::{Batch, DType, LoadOptions, Task, Tensor, Trace, load};

/// Two ways to the same sums, in f64.
const TOLERANCE: f64 = 1e-12;

#[test]
fn passes_behind_a_prefix_are_whole_passes() {
    let mut causal = Vec::new();
    for entry in std::fs::read_dir(testdata("models")).unwrap() {
        let path = entry.unwrap().path();
        let options = LoadOptions { dtype: DType::F64, ..LoadOptions::default() };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // An adapter needs the model that it adapts.
        let Ok(model) = load(&path, &options) else { continue };
        let encoding = model.encode("the cat sat on the mat, and the dog", true).unwrap();
        let tokens = encoding.tokens.len();
        assert!(tokens > 4, "{name}");
        let one = Batch::repeat(&encoding, 1);
        let input = model.embed(&one).unwrap();
        let prefix = model.prefix(&input, &one).unwrap();
        if model.info().task != Task::CausalLm {
            assert!(prefix.is_none(), "{name}");
            continue;
        }
        let Some(prefix) = prefix else { continue };
        for start in [0, 1, tokens / 2, tokens - 1] {
            // Two rows that differ from the input, and from each other, behind the start.
            let rest = input.narrow(1, start, tokens - start).unwrap();
            let rest = [(&rest * 0.5).unwrap(), (&rest * -1.5).unwrap()];
            let rest = Tensor::cat(&rest, 0).unwrap();
            let begin = input.narrow(1, 0, start).unwrap();
            let begin = Tensor::cat(&[&begin, &begin], 0).unwrap();
            let whole = match start {
                0 => rest.clone(),
                _ => Tensor::cat(&[&begin, &rest], 1).unwrap(),
            };
            let batch = Batch::repeat(&encoding, 2).reading(&[tokens - 1]);
            let right = model.forward(&whole, &batch, &mut Trace::new()).unwrap();
            let got = prefix.forward(start, &rest, &batch.behind(start)).unwrap();
            let (right, got) = (values(&right.logits), values(&got.logits));
            let largest = right.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
            let apart = right.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert_eq!(right.len(), got.len(), "{name}");
            assert!(apart <= TOLERANCE * largest, "{name}, start {start}: {apart:e}");
        }
        // More than was read cannot be shared.
        assert!(prefix.forward(tokens + 1, &input, &one).is_err(), "{name}");
        causal.push(name);
    }
    for family in ["gpt2", "gpt-neox", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3"] {
        assert!(causal.iter().any(|name| name == family), "{family} reads everything each time");
    }
}
