//! Inputs to begin with: for models that are known by name, else for the task.

use glossator_models::Task;
use glossator_view::wire::{ExampleEntry, InputRequest};

/// The examples of a model. `mask` is how it writes a mask.
pub(crate) fn of(id: &str, task: Task, mask: Option<&str>) -> Vec<ExampleEntry> {
    let text = |text: &str| InputRequest::text(text);
    let of = |titled: &[(&str, InputRequest)]| {
        let entry = |(title, input): &(&str, InputRequest)| ExampleEntry {
            title: (*title).to_owned(),
            input: input.clone(),
        };
        titled.iter().map(entry).collect()
    };
    match id {
        "sentiment-en" | "sentiment-lstm-en" => of(&[
            ("Praise", text("a touching , funny and wise film")),
            ("A turn", text("it is not bad at all , but the ending drags and drags")),
            ("Negation", text("not once did i wish that it were over")),
        ]),
        "sentiment-zh" => of(&[
            ("称赞", text("房间很干净，服务员也很热情")),
            ("抱怨", text("酒店位置不错，但是隔音太差，一晚上没睡好")),
        ]),
        "nli-en" => of(&[
            (
                "Entailment",
                InputRequest::pair("A man is playing a guitar on stage.", "A man makes music."),
            ),
            (
                "Contradiction",
                InputRequest::pair("A man is playing a guitar on stage.", "The man is asleep."),
            ),
        ]),
        "ner-en" => of(&[("Persons", text("Angela Merkel met Barack Obama in Berlin"))]),
        "masked-en" => {
            of(&[("A blank", text("The film was released in the United [MASK] in 2005 ."))])
        }
        "qa-en" => of(&[(
            "How?",
            InputRequest::question(
                "How is the battery?",
                "The screen is bright but the battery life is very short.",
            ),
        )]),
        "characters-en" => of(&[("Next character", text("the prin"))]),
        _ => match task {
            Task::TextClassification => of(&[("A sentence", text("a touching and funny film"))]),
            Task::TokenClassification => {
                of(&[("Names", text("Ada Lovelace met Charles Babbage in London."))])
            }
            Task::QuestionAnswering => of(&[(
                "Who?",
                InputRequest::question(
                    "Who wrote the first program?",
                    "Ada Lovelace wrote the first program for Babbage's engine in 1843.",
                ),
            )]),
            Task::MaskedLm => {
                let mask = mask.unwrap_or("[MASK]");
                of(&[("A blank", text(&format!("The capital of France is {mask}.")))])
            }
            Task::CausalLm => of(&[("Next word", text("The capital of France is"))]),
            Task::Seq2SeqLm => of(&[("A sentence", text("The house is small."))]),
            Task::SentenceSimilarity => of(&[(
                "Alike",
                InputRequest::pair("A cat sits on the mat.", "There is a cat on a rug."),
            )]),
            _ => Vec::new(),
        },
    }
}
