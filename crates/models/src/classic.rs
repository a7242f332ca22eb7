//! The architectures that can be trained from nothing, with configurations to begin with.
//!
//! Each is a list of layers in a `config.json` of the family `glossator`; `docs/architectures.md`
//! describes the format. What is here is a choice of them by name.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::model::Task;

/// An architecture by name.
#[derive(Debug)]
pub struct Architecture {
    /// The name on the command line.
    pub id: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// What it can be trained for.
    pub tasks: &'static [Task],
    /// Whether it reads pairs of texts, one apart from the other.
    pub reads_pairs: bool,
    /// The sections of its configuration for a task.
    sections: fn(Task) -> Value,
}

/// Every architecture.
pub static ARCHITECTURES: &[Architecture] = &[
    Architecture {
        id: "lstm-attention",
        summary: "LSTM both ways with additive attention (Jain & Wallace 2019)",
        tasks: &[Task::TextClassification],
        reads_pairs: false,
        sections: |_| {
            json!({
                "embedding": {"words": {"size": 100}},
                "encoder": [{"kind": "lstm", "size": 128, "bidirectional": true}],
                "pooling": {"kind": "attention", "score": "additive", "size": 128},
            })
        },
    },
    Architecture {
        id: "lstm-dot-attention",
        summary: "LSTM both ways with scaled product attention (Jain & Wallace 2019)",
        tasks: &[Task::TextClassification],
        reads_pairs: false,
        sections: |_| {
            json!({
                "embedding": {"words": {"size": 100}},
                "encoder": [{"kind": "lstm", "size": 128, "bidirectional": true}],
                "pooling": {"kind": "attention", "score": "scaled"},
            })
        },
    },
    Architecture {
        id: "average-attention",
        summary: "words by themselves with additive attention (Jain & Wallace 2019)",
        tasks: &[Task::TextClassification],
        reads_pairs: false,
        sections: |_| {
            json!({
                "embedding": {"words": {"size": 100}},
                "encoder": [{"kind": "linear", "size": 128, "activation": "tanh"}],
                "pooling": {"kind": "attention", "score": "additive", "size": 64},
            })
        },
    },
    Architecture {
        id: "bilstm",
        summary: "LSTM both ways",
        tasks: &[Task::TextClassification, Task::TokenClassification],
        reads_pairs: false,
        sections: |task| {
            let encoder = json!([{"kind": "lstm", "size": 128, "bidirectional": true}]);
            match task {
                Task::TokenClassification => json!({"embedding": tagged(), "encoder": encoder}),
                _ => json!({
                    "embedding": {"words": {"size": 100}}, "encoder": encoder,
                    "pooling": {"kind": "max"},
                }),
            }
        },
    },
    Architecture {
        id: "bilstm-crf",
        summary: "LSTM both ways with a conditional random field (Lample et al. 2016)",
        tasks: &[Task::TokenClassification],
        reads_pairs: false,
        sections: |_| {
            json!({
                "embedding": tagged(),
                "encoder": [{"kind": "lstm", "size": 128, "bidirectional": true}],
                "crf": true,
            })
        },
    },
    Architecture {
        id: "cnn",
        summary: "convolutions of three widths (Kim 2014)",
        tasks: &[Task::TextClassification],
        reads_pairs: false,
        sections: |_| {
            json!({
                "embedding": {"words": {"size": 100}},
                "encoder": [
                    {"kind": "cnn", "filters": 100, "widths": [3, 4, 5], "activation": "relu"},
                ],
                "pooling": {"kind": "max"},
            })
        },
    },
    Architecture {
        id: "rnn",
        summary: "two layers of tanh units (Karpathy et al. 2016)",
        tasks: &[Task::CausalLm, Task::TextClassification],
        reads_pairs: false,
        sections: |task| recurrent("rnn", task),
    },
    Architecture {
        id: "gru",
        summary: "two layers of gated units (Karpathy et al. 2016)",
        tasks: &[Task::CausalLm, Task::TextClassification],
        reads_pairs: false,
        sections: |task| recurrent("gru", task),
    },
    Architecture {
        id: "lstm",
        summary: "two layers of long short-term memory (Karpathy et al. 2016)",
        tasks: &[Task::CausalLm, Task::TextClassification],
        reads_pairs: false,
        sections: |task| recurrent("lstm", task),
    },
    Architecture {
        id: "lstm-skip-attention",
        summary: "words and two LSTM layers side by side, with attention (Felbo et al. 2017)",
        tasks: &[Task::CausalLm, Task::TextClassification],
        reads_pairs: false,
        sections: |task| {
            let both = task != Task::CausalLm;
            let layer = json!({"kind": "lstm", "size": 128, "bidirectional": both});
            json!({
                "embedding": {"words": {"size": 100}},
                "encoder": [layer, layer],
                "concatenate_layers": true,
                "pooling": {"kind": "attention", "score": "dot"},
            })
        },
    },
    Architecture {
        id: "gated-cnn",
        summary: "gated convolutions (Dauphin et al. 2017)",
        tasks: &[Task::CausalLm],
        reads_pairs: false,
        sections: |_| {
            let layer = json!({"kind": "gated-cnn", "size": 128, "width": 4, "residual": true});
            json!({
                "embedding": {"words": {"size": 128}},
                "encoder": [layer, layer, layer, layer, layer, layer],
            })
        },
    },
    Architecture {
        id: "transformer",
        summary: "Transformer layers (Vaswani et al. 2017)",
        tasks: &[Task::CausalLm, Task::TextClassification, Task::TokenClassification],
        reads_pairs: false,
        sections: |task| {
            // As many parameters as those of gated-cnn: the two are there to be compared.
            let layer = json!({"kind": "transformer", "heads": 4, "hidden": 448});
            let mut sections = json!({
                "embedding": {
                    "words": {"size": 128},
                    "positions": {"kind": "learned", "count": 512},
                },
                "encoder": [layer, layer, layer, layer, {"kind": "layer-norm"}],
            });
            if task == Task::TextClassification {
                sections["pooling"] = json!({"kind": "mean"});
            }
            sections
        },
    },
    Architecture {
        id: "decomposable-attention",
        summary: "pairs compared word by word (Parikh et al. 2016)",
        tasks: &[Task::TextClassification],
        reads_pairs: true,
        sections: |_| {
            json!({
                "embedding": {"words": {"size": 100}},
                "encoder": [{"kind": "linear", "size": 200, "bias": false}],
                "pair": {
                    "kind": "decomposable-attention", "attend": [200, 200], "compare": [200, 200],
                },
                "head": {"sizes": [200, 200]},
            })
        },
    },
    Architecture {
        id: "esim",
        summary: "enhanced sequential inference over pairs (Chen et al. 2017)",
        tasks: &[Task::TextClassification],
        reads_pairs: true,
        sections: |_| {
            let lstm = json!({"kind": "lstm", "size": 128, "bidirectional": true});
            json!({
                "embedding": {"words": {"size": 100}},
                "encoder": [lstm],
                "pair": {"kind": "esim", "projection": 128, "composition": [lstm]},
                "head": {"sizes": [128], "activation": "tanh"},
            })
        },
    },
    Architecture {
        id: "bidaf",
        summary: "bidirectional attention flow (Seo et al. 2017)",
        tasks: &[Task::QuestionAnswering],
        reads_pairs: true,
        sections: |_| {
            let lstm = json!({"kind": "lstm", "size": 100, "bidirectional": true});
            let highway = json!({"kind": "highway"});
            json!({
                "embedding": {
                    "words": {"size": 100},
                    "characters": {
                        "kind": "cnn", "size": 16, "filters": 100, "widths": [5],
                        "alphabet": alphabet(),
                    },
                },
                "encoder": [highway, highway, lstm],
                "reader": {"kind": "bidaf", "modeling": [lstm, lstm], "end": [lstm]},
            })
        },
    },
    Architecture {
        id: "rnn-seq2seq",
        summary: "recurrent encoder and decoder with attention (Bahdanau et al. 2015)",
        tasks: &[Task::Seq2SeqLm],
        reads_pairs: false,
        sections: |_| {
            json!({
                "embedding": {"words": {"size": 128}},
                "encoder": [{"kind": "gru", "size": 128, "bidirectional": true}],
                "decoder": {"kind": "gru", "size": 128, "score": "additive", "attention": 128},
                "decoder_start_token_id": 2,
                "eos_token_id": 3,
            })
        },
    },
    Architecture {
        id: "cnn-seq2seq",
        summary: "convolutional encoder (Gehring et al. 2017), recurrent decoder",
        tasks: &[Task::Seq2SeqLm],
        reads_pairs: false,
        sections: |_| {
            let layer = json!({"kind": "gated-cnn", "size": 128, "width": 3, "residual": true});
            json!({
                "embedding": {
                    "words": {"size": 128},
                    "positions": {"kind": "learned", "count": 512},
                },
                "encoder": [layer, layer, layer],
                "decoder": {"kind": "lstm", "size": 128, "score": "general"},
                "decoder_start_token_id": 2,
                "eos_token_id": 3,
            })
        },
    },
    Architecture {
        id: "transformer-seq2seq",
        summary: "Transformer encoder and decoder (Vaswani et al. 2017)",
        tasks: &[Task::Seq2SeqLm],
        reads_pairs: false,
        sections: |_| {
            let layer = json!({"kind": "transformer", "heads": 4, "hidden": 512});
            json!({
                "embedding": {
                    "words": {"size": 128},
                    "positions": {"kind": "learned", "count": 512},
                },
                "encoder": [layer, layer, {"kind": "layer-norm"}],
                "decoder": {"kind": "transformer", "layers": 2, "heads": 4, "hidden": 512},
                "decoder_start_token_id": 2,
                "eos_token_id": 3,
            })
        },
    },
];

/// The embedding layer of a tagger: words, their characters, how they are written.
fn tagged() -> Value {
    json!({
        "words": {"size": 100},
        "characters": {
            "kind": "cnn", "size": 25, "filters": 30, "widths": [3], "alphabet": alphabet(),
        },
        "casing": {"size": 8},
    })
}

/// The characters of ASCII that can be seen.
fn alphabet() -> String {
    ('!'..='~').collect()
}

fn recurrent(kind: &str, task: Task) -> Value {
    let layer = json!({"kind": kind, "size": 128});
    let mut sections = json!({
        "embedding": {"words": {"size": 64}}, "encoder": [layer, layer],
    });
    if task == Task::TextClassification {
        sections["pooling"] = json!({"kind": "last"});
    }
    sections
}

impl Architecture {
    /// An architecture by its name.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn find(id: &str) -> Result<&'static Self> {
        ARCHITECTURES.iter().find(|known| known.id == id).ok_or_else(|| Error::NoArchitecture {
            got: crate::error::clip(id.to_owned()),
            known: ARCHITECTURES.iter().map(|known| known.id).collect(),
        })
    }

    /// A `config.json` for a task, with these labels and so many tokens in the vocabulary. Language
    /// models and readers have no labels.
    ///
    /// `overrides` is an object whose values take the places of those of the configuration:
    /// objects are merged, and an object in the place of a list names its elements by their
    /// numbers: `{"encoder": {"0": {"size": 64}}}`.
    ///
    /// # Errors
    /// If the architecture cannot be trained for the task, or `overrides` does not fit.
    pub fn config(
        &self,
        task: Task,
        labels: &[String],
        vocabulary: usize,
        overrides: &Value,
    ) -> Result<Value> {
        if !self.tasks.contains(&task) {
            let tasks = self.tasks.to_vec();
            return Err(Error::NoSuchTask { family: self.id, task, tasks });
        }
        let class = match task {
            Task::TokenClassification => "TokenClassifier",
            Task::QuestionAnswering => "QuestionAnswering",
            Task::CausalLm => "CausalLm",
            Task::Seq2SeqLm => "Seq2SeqLm",
            _ if self.reads_pairs => "PairClassifier",
            _ => "TextClassifier",
        };
        let mut config = json!({
            "model_type": "glossator",
            "architectures": [class],
            "vocab_size": vocabulary,
        });
        if matches!(task, Task::TextClassification | Task::TokenClassification) {
            let names = labels.iter().enumerate();
            let names: Map<String, Value> =
                names.map(|(i, name)| (i.to_string(), json!(name))).collect();
            config["id2label"] = Value::Object(names);
        }
        merge(&mut config, &(self.sections)(task), "")?;
        merge(&mut config, overrides, "")?;
        Ok(config)
    }
}

/// Puts the values of `new` in the places of those of `old`.
fn merge(old: &mut Value, new: &Value, place: &str) -> Result<()> {
    let Value::Object(new) = new else {
        if place.is_empty() && !new.is_null() {
            return Err(Error::Override {
                place: "the settings".to_owned(),
                expected: "an object",
            });
        }
        if !new.is_null() || !place.is_empty() {
            *old = new.clone();
        }
        return Ok(());
    };
    for (key, value) in new {
        let here = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        match old {
            Value::Array(list) => {
                let slot = key.parse().ok().and_then(|i: usize| list.get_mut(i));
                let expected = "the number of an element that is there";
                let slot = slot.ok_or(Error::Override { place: here.clone(), expected })?;
                merge(slot, value, &here)?;
            }
            Value::Object(map) => merge(map.entry(key).or_insert(Value::Null), value, &here)?,
            _ => {
                *old = json!({});
                merge(&mut old[key.as_str()], value, &here)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_reach_into_lists_and_objects() {
        let found = Architecture::find("rnn").unwrap();
        let overrides = json!({
            "encoder": {"1": {"size": 7}}, "pooling": {"kind": "mean"}, "max_tokens": 12,
            "embedding": {"words": {"size": 3}, "casing": {"size": 2}},
        });
        let labels = ["a".to_owned(), "b".to_owned()];
        let config = found.config(Task::TextClassification, &labels, 9, &overrides).unwrap();
        assert_eq!(config["encoder"][0]["size"], 128);
        assert_eq!(config["encoder"][1], json!({"kind": "rnn", "size": 7}));
        assert_eq!(config["pooling"]["kind"], "mean");
        assert_eq!(config["embedding"]["casing"]["size"], 2);
        assert_eq!(config["id2label"], json!({"0": "a", "1": "b"}));
        assert_eq!(config["architectures"], json!(["TextClassifier"]));
        let wrong = json!({"encoder": {"2": {"size": 7}}});
        let error = found.config(Task::CausalLm, &[], 9, &wrong).unwrap_err().to_string();
        assert!(error.contains("encoder.2"), "{error}");
        assert!(found.config(Task::CausalLm, &[], 9, &json!(3)).is_err());
        assert!(found.config(Task::CausalLm, &[], 9, &Value::Null).is_ok());
        assert!(found.config(Task::TokenClassification, &labels, 9, &Value::Null).is_err());
        let error = Architecture::find("lstn").unwrap_err().to_string();
        assert!(error.contains("lstm-attention"), "{error}");
    }
}
