//! Exact match and F1 of answers, by the rules of SQuAD's evaluation (Rajpurkar et al. 2016).

use std::collections::HashMap;

use super::mean;

/// `(exact, f1)` of each answer.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// The items.
    pub items: Vec<(f64, f64)>,
}

impl Answers {
    /// Adds an answer (empty: there is none) with all that are right (none: there is none).
    pub fn push(&mut self, predicted: &str, right: &[&str]) {
        let best = |score: fn(&str, &str) -> f64| match right {
            [] => score(predicted, ""),
            right => right.iter().map(|right| score(predicted, right)).fold(0.0, f64::max),
        };
        self.items.push((best(exact), best(f1)));
    }

    /// The share of a sample that is exactly one of the right answers.
    #[must_use]
    pub fn exact(&self, sample: &[usize]) -> f64 {
        mean(sample.iter().map(|&i| self.items[i].0))
    }

    /// The mean overlap with the right answer.
    #[must_use]
    pub fn f1(&self, sample: &[usize]) -> f64 {
        mean(sample.iter().map(|&i| self.items[i].1))
    }
}

/// Lower case, without ASCII punctuation and the articles a, an, the, with single spaces.
#[must_use]
pub fn normalised(text: &str) -> String {
    let lower = text.to_lowercase();
    let bare: String = lower.chars().filter(|c| !c.is_ascii_punctuation()).collect();
    // Articles are words between characters that are no letters, digits or underscores: what joins
    // them to others (a dash that is not ASCII) stays.
    let mut spaced = String::with_capacity(bare.len());
    for piece in pieces(&bare) {
        spaced.push_str(if matches!(piece, "a" | "an" | "the") { " " } else { piece });
    }
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs of word characters and of others, in turns.
fn pieces(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut made = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        if before.is_some_and(|before| before != is_word(c)) {
            made.push(&text[start..at]);
            start = at;
        }
        before = Some(is_word(c));
    }
    made.push(&text[start..]);
    made
}

fn exact(predicted: &str, right: &str) -> f64 {
    f64::from(normalised(predicted) == normalised(right))
}

fn f1(predicted: &str, right: &str) -> f64 {
    let (predicted, right) = (normalised(predicted), normalised(right));
    let (a, b): (Vec<_>, Vec<_>) = (predicted.split(' ').collect(), right.split(' ').collect());
    if predicted.is_empty() || right.is_empty() {
        // No answer agrees with no answer only.
        return f64::from(predicted == right);
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    b.iter().for_each(|word| *left.entry(word).or_default() += 1);
    let mut same = 0;
    for word in &a {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            same += 1;
        }
    }
    2.0 * f64::from(same) / (a.len() + b.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_normalised() {
        assert_eq!(normalised("The  U.S. Army,"), "us army");
        assert_eq!(normalised("an apple a day"), "apple day");
        assert_eq!(normalised("theatre"), "theatre");
        assert_eq!(normalised("Pac-Man – the game"), "pacman – game");
        assert_eq!(normalised("a"), "");
    }

    #[test]
    fn exact_and_f1_by_hand() {
        let mut metric = Answers::default();
        // Two of three words are in the right answer of two: 2 * 2 / 5.
        metric.push("the big red dog", &["red dog"]);
        metric.push("Red Dog", &["a cat", "the red dog"]);
        metric.push("", &[]);
        metric.push("dog", &[]);
        // Each word counts as often as it is there.
        metric.push("dog dog dog", &["dog"]);
        assert_eq!(metric.items, [(0.0, 0.8), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0), (0.0, 0.5)]);
        assert_eq!(metric.exact(&[0, 1]), 0.5);
        assert_eq!(metric.f1(&[0, 1]), 0.9);
    }
}
