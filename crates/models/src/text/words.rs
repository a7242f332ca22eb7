//! Tokens to words.
//!
//! Words are the segments between the word boundaries of Unicode that are not white space, so they
//! do not depend on the vocabulary: `don't` is one word, each punctuation mark is one, and so is
//! each Chinese character. A token may cover several of them (a byte-pair merge across a boundary,
//! or an unknown token); then they count as one word, for a score cannot be divided.
//!
//! # References
//! Unicode Standard Annex 29, section 4.1.1.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

/// Finds the words of `text`, and for each of the tokens' spans the word that it belongs to: the
/// one with its first character that is not white space. A span without such a character has none.
///
/// Spans must be within the text and on character boundaries. Time is linear in the text and the
/// sum of the spans' lengths, but for a binary search for each.
pub(super) fn group(text: &str, spans: &[Range<usize>]) -> (Vec<Range<usize>>, Vec<Option<usize>>) {
    let segments: Vec<Range<usize>> = text
        .split_word_bound_indices()
        // A segment can hold space at its ends: a combining mark attaches to a space before it.
        .filter_map(|(start, segment)| trimmed(text, start..start + segment.len()))
        .collect();

    // How many more spans begin than end to reach beyond each segment: above zero, the segment and
    // its right neighbour are one word.
    let mut bridges = vec![0_isize; segments.len() + 1];
    let first_segments: Vec<Option<usize>> = spans
        .iter()
        .map(|span| {
            let span = trimmed(text, span.clone())?;
            // The segments cover every character that is not white space.
            let first = segments.partition_point(|segment| segment.end <= span.start);
            let after = segments.partition_point(|segment| segment.start < span.end);
            let last = after.checked_sub(1)?;
            if first > last {
                return None;
            }
            bridges[first] += 1;
            bridges[last] -= 1;
            Some(first)
        })
        .collect();

    let mut words = Vec::<Range<usize>>::with_capacity(segments.len());
    let mut word_of_segment = Vec::with_capacity(segments.len());
    let mut open = 0;
    for (index, segment) in segments.into_iter().enumerate() {
        match words.last_mut() {
            Some(word) if open > 0 => word.end = segment.end,
            _ => words.push(segment),
        }
        word_of_segment.push(words.len() - 1);
        open += bridges[index];
    }
    let of_span =
        first_segments.into_iter().map(|first| word_of_segment.get(first?).copied()).collect();
    (words, of_span)
}

/// The part of a span without white space at its ends, if there is one.
fn trimmed(text: &str, span: Range<usize>) -> Option<Range<usize>> {
    let part = text.get(span.clone())?;
    let start = span.start + (part.len() - part.trim_start().len());
    let end = span.start + part.trim_end().len();
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelled<'a>(text: &'a str, spans: &[Range<usize>]) -> (Vec<&'a str>, Vec<Option<usize>>) {
        let (words, of_span) = group(text, spans);
        (words.into_iter().map(|word| &text[word]).collect(), of_span)
    }

    #[test]
    fn pieces_share_their_word() {
        // don ' t like it .
        let spans = [0..3, 3..4, 4..5, 6..10, 11..13, 13..14];
        let (words, of_span) = spelled("don't like it.", &spans);
        assert_eq!(words, ["don't", "like", "it", "."]);
        assert_eq!(of_span, [0, 0, 0, 1, 2, 3].map(Some));
    }

    #[test]
    fn a_token_over_several_words_makes_them_one() {
        let (words, of_span) = spelled("a (b) c", &[0..1, 1..4, 4..5, 5..7]);
        assert_eq!(words, ["a", "(b", ")", "c"]);
        assert_eq!(of_span, [Some(0), Some(1), Some(2), Some(3)]);
        let (words, of_span) = spelled("a b c d", &[0..5, 4..7]);
        assert_eq!(words, ["a b c d"]);
        assert_eq!(of_span, [Some(0), Some(0)]);
    }

    #[test]
    fn space_has_no_word() {
        let (words, of_span) = spelled(" \u{301}a \u{3000}", &[0..1, 1..3, 3..4, 4..8, 8..8]);
        assert_eq!(words, ["\u{301}", "a"]);
        assert_eq!(of_span, [None, Some(0), Some(1), None, None]);
        assert_eq!(spelled("", &[]), (vec![], vec![]));
        assert_eq!(spelled(" \n", &[Range { start: 0, end: 2 }]), (vec![], vec![None]));
    }

    #[test]
    fn scripts_without_spaces_are_split() {
        let text = "我爱 I'm 3.5";
        assert_eq!(spelled(text, &[]).0, ["我", "爱", "I'm", "3.5"]);
    }

    /// A text and spans on its character boundaries, in any order.
    fn text_and_spans() -> impl Strategy<Value = (String, Vec<Range<usize>>)> {
        (
            "(\\PC|[ \\n\\u{301}a-c'.我]){0,30}",
            prop::collection::vec((any::<u16>(), 0_usize..9), 0..12),
        )
            .prop_map(|(text, picks)| {
                let mut bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
                bounds.push(text.len());
                let span = |(start, length): (u16, usize)| {
                    let start = usize::from(start) % bounds.len();
                    bounds[start]..bounds[(start + length).min(bounds.len() - 1)]
                };
                let spans = picks.into_iter().map(span).collect();
                (text, spans)
            })
    }

    proptest! {
        #[test]
        fn words_cover_the_text_once((text, spans) in text_and_spans()) {
            let (words, of_span) = group(&text, &spans);
            let mut end = 0;
            for word in &words {
                prop_assert!(word.start >= end && word.end > word.start);
                prop_assert!(text[end..word.start].trim().is_empty());
                prop_assert_eq!(text[word.clone()].trim(), &text[word.clone()]);
                end = word.end;
            }
            prop_assert!(text[end..].trim().is_empty());
            prop_assert_eq!(of_span.len(), spans.len());
            for (span, word) in spans.iter().zip(of_span) {
                prop_assert_eq!(word.is_some(), !text[span.clone()].trim().is_empty());
                if let Some(word) = word {
                    let span = trimmed(&text, span.clone()).unwrap();
                    prop_assert!(words[word].start <= span.start && span.end <= words[word].end);
                }
            }
        }
    }
}
