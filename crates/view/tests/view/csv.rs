//! CSV: the rows, and that they read back.

use glossator_view::By;
use glossator_view::render::{csv, to_string};
use glossator_view::wire::Document;
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};

use crate::sample;

/// Checks that a table of the same document twice says what the document says.
pub(crate) fn check(table: &str, document: &Document, by: By) -> Result<(), TestCaseError> {
    let mut reader = ::csv::Reader::from_reader(table.as_bytes());
    prop_assert_eq!(reader.headers().unwrap(), &csv::COLUMNS[..]);
    let column = |name: &str| csv::COLUMNS.iter().position(|c| *c == name).unwrap();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let mut rows = rows.iter();
    for input in 0..2 {
        for (e, explanation) in document.explanations.iter().enumerate() {
            for (f, field) in document.input.fields.iter().enumerate() {
                let words = explanation.words[f].iter();
                let words = words.map(|w| (&field.text[w.start..w.end], w.start, w.score, "word"));
                let tokens = field.tokens.iter().zip(&explanation.scores[f]);
                let tokens: Vec<_> = match by {
                    By::Token => tokens.collect(),
                    By::Word => tokens.filter(|(t, _)| t.word.is_none()).collect(),
                };
                let tokens = tokens.iter().map(|(t, s)| (t.text.as_str(), t.start, **s, "token"));
                let words: Vec<_> = if by == By::Word { words.collect() } else { Vec::new() };
                for (text, start, score, unit) in words.into_iter().chain(tokens) {
                    let row = rows.next().unwrap();
                    prop_assert_eq!(row[column("input")].parse::<usize>().unwrap(), input);
                    prop_assert_eq!(row[column("explanation")].parse::<usize>().unwrap(), e);
                    prop_assert_eq!(&row[column("field")], &field.name);
                    prop_assert_eq!(&row[column("text")], text);
                    prop_assert_eq!(&row[column("unit")], unit);
                    prop_assert_eq!(row[column("start")].parse::<usize>().unwrap(), start);
                    let read = row[column("score")].parse::<f64>().unwrap();
                    prop_assert_eq!(read.to_bits(), score.to_bits());
                    prop_assert_eq!(row[column("delta")].parse::<f64>().ok(), explanation.delta);
                    prop_assert_eq!(&row[column("model")], &document.model.id);
                }
            }
        }
    }
    prop_assert!(rows.next().is_none());
    Ok(())
}

#[test]
fn rows_by_word() {
    let table = to_string(&mut csv::Csv::default(), [&sample::film()]).unwrap();
    insta::assert_snapshot!(table.lines().take(4).collect::<Vec<_>>().join("\n"), @"
    input,explanation,target,quantity,field,unit,index,text,start,end,special,score,error_estimate,output,baseline_output,delta,converged,gradient_evaluations,method,model
    0,0,positive,logit,text,word,0,A,0,1,false,0.0,,3.25,1.8113000000000004,0.0013,true,50,integrated-gradients,sst2-tiny
    0,0,positive,logit,text,word,1,touching,2,10,false,2.4,,3.25,1.8113000000000004,0.0013,true,50,integrated-gradients,sst2-tiny
    0,0,positive,logit,text,word,2,film,11,15,false,0.31,,3.25,1.8113000000000004,0.0013,true,50,integrated-gradients,sst2-tiny
    ");
    assert!(table.contains("token,0,[CLS],0,0,true,0.2,"));
}

#[test]
fn the_header_is_written_once_and_inputs_are_counted() {
    let film = sample::film();
    let table = to_string(&mut csv::Csv::default(), [&film, &film]).unwrap();
    assert_eq!(table.matches("input,explanation").count(), 1);
    assert_eq!(table.lines().filter(|line| line.starts_with("1,0,positive,")).count(), 10);
}

/// A pipe that nobody reads.
struct Broken;

impl std::io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_broken_pipe_looks_like_one() {
    use glossator_view::render::Renderer;
    // More rows than are collected before they are written.
    let words = "film ".repeat(2000);
    let document = sample::document(&[("text", &words)], |_, _| 1.0);
    let mut renderer = csv::Csv::default();
    let error = renderer.begin(&mut Broken).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    let error = renderer.document(&document, &mut Broken).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}
