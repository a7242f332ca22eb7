//! Predictions and attention by themselves.

use glossator_interpret::{Attention, Predicted};
use glossator_models::Encoding;

use super::{decision, fields};
use crate::wire;

/// The document of a prediction.
pub fn predict_document(model: wire::Model, predicted: &Predicted) -> wire::PredictDocument {
    let encoding = &predicted.encoding;
    let prediction = decision::prediction(encoding, &predicted.prediction);
    let input = wire::Input::new(fields(encoding));
    let mut document = wire::PredictDocument::new(model, input, prediction);
    document.truncated = truncated(encoding);
    document
}

/// The document of an input's attention.
pub fn attention_document(model: wire::Model, attention: &Attention) -> wire::AttentionDocument {
    let encoding = &attention.encoding;
    let n = encoding.tokens.len();
    let square = |flat: &[f64]| -> Vec<Vec<f64>> {
        flat.chunks(n.max(1)).map(|row| row.iter().map(|&x| rounded(x)).collect()).collect()
    };
    let size = (n * n).max(1);
    let layers = attention.layers.iter();
    let layers = layers.map(|layer| layer.chunks(size).map(square).collect()).collect();
    let queries = (0..n).map(|at| decision::position(encoding, at)).collect();
    let input = wire::Input::new(fields(encoding));
    let rollout = square(&attention.rollout());
    let mut document = wire::AttentionDocument::new(model, input, queries, layers, rollout);
    document.truncated = truncated(encoding);
    document
}

fn truncated(encoding: &Encoding) -> Option<usize> {
    (encoding.truncated > 0).then_some(encoding.truncated)
}

/// To five digits behind the point: more than any picture shows, in a third of the bytes.
fn rounded(share: f64) -> f64 {
    (share * 1e5).round() / 1e5
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossator_models::{Field, Token};

    #[test]
    fn attention_is_told_by_layer_head_query_and_key() {
        let token = |id, field| Token {
            id,
            text: format!("t{id}"),
            start: 0,
            end: 1,
            word: None,
            special: false,
            field,
            segment: 0,
        };
        let field = |name: &str| Field { name: name.into(), text: "x".into(), words: Vec::new() };
        // The model reads the second field first.
        let tokens = vec![token(7, 1), token(8, 0)];
        let fields = vec![field("text"), field("text_pair")];
        let encoding = Encoding { tokens, fields, truncated: 3, second: None };
        let layers = vec![vec![1.0, 0.0, 1.0 / 3.0, 2.0 / 3.0]];
        let attention = Attention { encoding, heads: 1, layers };
        let model = wire::Model::new("m", "bert", "text-classification", None);
        let document = attention_document(model, &attention);
        document.check().unwrap();
        assert_eq!((document.layers, document.heads), (1, 1));
        assert_eq!(document.queries, [1, 0]);
        assert_eq!(document.attention, [[[[1.0, 0.0], [0.33333, 0.66667]]]]);
        assert_eq!(document.rollout, [[1.0, 0.0], [0.16667, 0.83333]]);
        assert_eq!(document.truncated, Some(3));
    }
}
