//! Comparison with scikit-learn, seqeval and SciPy, see `tools/reference/metrics_golden.py`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use glossator_train::metrics::classification::{MultiLabel, SingleLabel};
use glossator_train::metrics::regression::Numbers;
use glossator_train::metrics::spans::{Mode, Spans};
use serde_json::Value;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/metrics.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Sums of a few dozen numbers in another order.
fn close(got: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((got - expected).abs() < 1e-12, "{what}: {got} {expected}");
}

fn rows(value: &Value) -> Vec<Vec<&str>> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect())
        .collect()
}

#[test]
fn entities_agree_with_seqeval() {
    let golden = golden();
    for (name, mode) in Mode::ALL {
        let case = &golden["spans"][name];
        let mut metric = Spans::default();
        for (right, predicted) in rows(&case["right"]).iter().zip(rows(&case["predicted"])) {
            metric.push(right, &predicted, mode);
        }
        let all: Vec<usize> = (0..metric.items.len()).collect();
        close(metric.f1(&all), &case["micro"]["f1"], name);
        close(metric.precision(&all), &case["micro"]["precision"], name);
        close(metric.recall(&all), &case["micro"]["recall"], name);
        close(metric.macro_f1(&all), &case["macro"]["f1"], name);
        close(metric.accuracy(&all), &case["accuracy"], name);
    }
}

#[test]
fn labels_agree_with_scikit_learn() {
    let golden = golden();
    let case = &golden["single-label"];
    let indices = |key: &str| -> Vec<usize> { serde_json::from_value(case[key].clone()).unwrap() };
    let items: Vec<_> = indices("right").into_iter().zip(indices("predicted")).collect();
    let all: Vec<usize> = (0..items.len()).collect();
    let metric = SingleLabel { items, labels: 4 };
    close(metric.accuracy(&all), &case["accuracy"], "accuracy");
    close(metric.macro_f1(&all), &case["macro-f1"], "macro-f1");
    let names = ["a", "b", "c", "d"].map(str::to_owned);
    for (class, f1) in metric.classes(&names).iter().zip(case["f1"].as_array().unwrap()) {
        close(class.f1, f1, &class.label);
    }
    let confusion: Vec<Vec<u64>> = serde_json::from_value(case["confusion"].clone()).unwrap();
    assert_eq!(metric.confusion(), confusion);

    let case = &golden["multi-label"];
    let flags =
        |key: &str| -> Vec<Vec<bool>> { serde_json::from_value(case[key].clone()).unwrap() };
    let items: Vec<_> = flags("right").into_iter().zip(flags("predicted")).collect();
    let all: Vec<usize> = (0..items.len()).collect();
    let metric = MultiLabel { items, labels: 3 };
    close(metric.subset_accuracy(&all), &case["subset-accuracy"], "subset accuracy");
    close(metric.micro_f1(&all), &case["micro-f1"], "micro-f1");
    close(metric.macro_f1(&all), &case["macro-f1"], "macro-f1");
}

#[test]
fn numbers_agree_with_scipy() {
    let golden = golden();
    let case = &golden["numbers"];
    let numbers = |key: &str| -> Vec<f64> { serde_json::from_value(case[key].clone()).unwrap() };
    let items: Vec<_> = numbers("right").into_iter().zip(numbers("predicted")).collect();
    let all: Vec<usize> = (0..items.len()).collect();
    let metric = Numbers { items };
    close(metric.pearson(&all), &case["pearson"], "pearson");
    close(metric.spearman(&all), &case["spearman"], "spearman");
    close(metric.absolute_error(&all), &case["mae"], "mae");
    close(metric.root_squared_error(&all), &case["rmse"], "rmse");
}
