//! Every architecture with small sizes, and inputs for it.

use std::fmt;

use glossator_models::classic::{ARCHITECTURES, Architecture};
use glossator_models::text::{Marks, Unit, build_vocabulary};
use glossator_models::{DType, Encoding, LoadOptions, Model, Stored, Task, Trainable, load};
use serde_json::{Value, json};

pub(crate) struct Small {
    pub(crate) id: &'static str,
    pub(crate) task: Task,
    architecture: &'static Architecture,
}

impl fmt::Display for Small {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.id, self.task.id())
    }
}

/// Every architecture on every task of it.
pub(crate) fn every() -> Vec<Small> {
    let of = |architecture: &'static Architecture| {
        architecture.tasks.iter().map(move |&task| Small {
            id: architecture.id,
            task,
            architecture,
        })
    };
    ARCHITECTURES.iter().flat_map(of).collect()
}

const TEXTS: [&str; 2] = ["The cat was good and we loved the film", "a Bad film in 1999"];
const OTHERS: [&str; 2] = ["It was the cat", "the film was not good at all, we said"];

/// One of two inputs of unequal length.
pub(crate) fn encode(model: &dyn Model, which: usize) -> Encoding {
    let (text, other) = (TEXTS[which], OTHERS[which]);
    match model.info().task {
        Task::Seq2SeqLm => {
            let start = model.decoder_start().unwrap();
            let name = model.tokenizer().id_to_token(start).unwrap();
            let ids = model.tokenizer().ids_of(other).unwrap();
            let written = model.tokenizer().written(&ids);
            model.encode(text, false).unwrap().with_written(&written, "w", Some((start, name)))
        }
        _ if model.info().reads_pairs => model.encode_pair(text, other).unwrap(),
        _ => model.encode(text, false).unwrap(),
    }
}

/// Sizes that differ where they may, so that one in the place of another is noticed.
fn sizes(value: &mut Value, next: &mut u64) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "filters" => *value = json!(3),
                    "count" => *value = json!(40),
                    "heads" => *value = json!(2),
                    "attend" | "compare" => *value = json!([5, 4]),
                    "attention" if value.is_u64() => *value = json!(5),
                    "size" | "hidden" | "projection" => {
                        *value = json!(4 + *next % 3);
                        *next += 1;
                    }
                    _ => sizes(value, next),
                }
            }
        }
        Value::Array(list) if list.iter().all(Value::is_u64) => {}
        Value::Array(list) => list.iter_mut().for_each(|value| sizes(value, next)),
        _ => {}
    }
}

impl Small {
    pub(crate) fn trainable(&self) -> Trainable {
        let marks = match self.task {
            Task::Seq2SeqLm => Marks::Decoder,
            _ => Marks::None,
        };
        let texts = TEXTS.into_iter().chain(OTHERS);
        let tokenizer = build_vocabulary(texts, Unit::Word, 20, 1, true, marks).unwrap();
        let labels = ["O", "B-x", "I-x"].map(str::to_owned);
        let mut config = self.architecture.config(self.task, &labels, 20, &Value::Null).unwrap();
        let mut next = 0;
        for key in ["embedding", "encoder", "pooling", "pair", "reader", "decoder"] {
            if let Some(section) = config.get_mut(key) {
                sizes(section, &mut next);
            }
        }
        // What adds its input to its output is as wide as that.
        if matches!(self.id, "gated-cnn" | "cnn-seq2seq" | "transformer" | "transformer-seq2seq") {
            config["embedding"]["words"]["size"] = json!(6);
            for layer in config["encoder"].as_array_mut().unwrap() {
                if layer.get("size").is_some() {
                    layer["size"] = json!(6);
                }
            }
        }
        if let Some(head) = config.get_mut("head") {
            head["sizes"] = json!([5]);
        }
        Trainable::from_config(config, &tokenizer, 7)
            .unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    /// A model with larger weights than at the beginning of a training run, so that everything
    /// matters.
    pub(crate) fn load(&self, dtype: DType) -> Box<dyn Model> {
        let trainable = self.trainable();
        for (name, var) in trainable.variables() {
            // Biases and what scores labels begin at zero.
            let noise: Vec<f32> = (0..var.elem_count())
                .map(|i| ((i * 37 + name.len() * 11) % 23) as f32 / 23.0 - 0.5)
                .collect();
            let noise =
                glossator_models::Tensor::from_vec(noise, var.dims(), var.device()).unwrap();
            var.set(&((var.as_tensor() * 1.5).unwrap() + noise).unwrap()).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        trainable.save(dir.path(), Stored::F32).unwrap();
        load(dir.path(), &LoadOptions { dtype, ..LoadOptions::default() }).unwrap()
    }
}
