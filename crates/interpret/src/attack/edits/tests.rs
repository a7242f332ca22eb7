use proptest::prelude::*;

use super::*;

fn texts(text: &str) -> EditedTexts {
    EditedTexts::new(vec![text.to_owned()])
}

fn edit(start: usize, from: &str, to: &str) -> Edit {
    Edit { field: 0, start, end: start + from.len(), from: from.into(), to: to.into() }
}

#[test]
fn edits_keep_their_places_in_the_original() {
    let one = texts("a good film").with(edit(2, "good", "very bad")).unwrap();
    let two = one.with(edit(7, "film", "x")).unwrap();
    assert_eq!(two.render(), ["a very bad x"]);
    assert_eq!(two.to_edited(0, 0..1), Some(0..1));
    assert_eq!(two.to_edited(0, 2..6), None);
    assert_eq!(one.to_edited(0, 7..11), Some(11..15));
    assert_eq!(one.to_original(0, 11..15), Some(7..11));
    assert_eq!(one.to_original(0, 2..6), None);
    assert_eq!(two.without(0).render(), ["a good x"]);
}

#[test]
fn what_collides_is_refused() {
    let one = texts("a good film").with(edit(2, "good", "bad")).unwrap();
    assert_eq!(one.with(edit(3, "oo", "")), None);
    assert_eq!(one.with(edit(3, "", "x")), None);
    assert_eq!(one.with(edit(2, "bad", "x")), None, "not what stands there");
    assert_eq!(one.with(edit(20, "", "x")), None);
    let inserted = one.with(edit(6, "", " old")).unwrap();
    assert_eq!(inserted.render(), ["a bad old film"]);
    assert_eq!(inserted.with(edit(6, "", " new")), None);
    assert_eq!(texts("é").with(edit(1, "", "x")), None, "inside of a character");
}

#[test]
fn deletions_take_one_space_and_never_join_words() {
    let cut = |text: &str, words: &[(usize, usize)], gone: &[usize]| {
        let words: Vec<_> = words.iter().map(|&(a, b)| a..b).collect();
        let edits = deletions(0, text, &words, |word| gone.contains(&word));
        texts(text).replaced(edits).unwrap().render().remove(0)
    };
    let words = [(0, 1), (2, 6), (7, 11)];
    assert_eq!(cut("a good film", &words, &[0]), "good film");
    assert_eq!(cut("a good film", &words, &[1]), "a film");
    assert_eq!(cut("a good film", &words, &[2]), "a good");
    assert_eq!(cut("a good film", &words, &[0, 1]), "film");
    assert_eq!(cut("a good film", &words, &[0, 1, 2]), "");
    assert_eq!(cut("a good film", &words, &[0, 2]), "good");
    assert_eq!(cut("good, bad", &[(0, 4), (4, 5), (6, 9)], &[1]), "good bad");
    assert_eq!(cut("a-b", &[(0, 1), (1, 2), (2, 3)], &[1]), "a b");
    assert_eq!(cut("我爱你", &[(0, 3), (3, 6), (6, 9)], &[1]), "我你");
    assert_eq!(cut(" a  b ", &[(1, 2), (4, 5)], &[1]), " a");
}

proptest! {
    #[test]
    fn ranges_go_there_and_back(
        text in "[a-c我é ]{0,20}",
        picks in prop::collection::vec((any::<u16>(), 0_usize..4, "[x我 ]{0,3}"), 0..5),
    ) {
        let mut edited = texts(&text);
        let mut bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        bounds.push(text.len());
        for (start, length, to) in picks {
            let start = usize::from(start) % bounds.len();
            let end = bounds[(start + length).min(bounds.len() - 1)];
            let from = &text[bounds[start]..end];
            if let Some(next) = edited.with(edit(bounds[start], from, &to)) {
                edited = next;
            }
        }
        let rendered = edited.render().remove(0);
        let ends = |of: &str| -> Vec<usize> { (0..=of.len()).filter(|&at| of.is_char_boundary(at)).collect() };
        for (i, &start) in ends(&text).iter().enumerate() {
            for &end in &ends(&text)[i + 1..] {
                if let Some(there) = edited.to_edited(0, start..end) {
                    prop_assert_eq!(&rendered[there.clone()], &text[start..end]);
                    prop_assert_eq!(edited.to_original(0, there), Some(start..end));
                }
            }
        }
        for (i, &start) in ends(&rendered).iter().enumerate() {
            for &end in &ends(&rendered)[i + 1..] {
                if let Some(back) = edited.to_original(0, start..end) {
                    prop_assert_eq!(&rendered[start..end], &text[back]);
                }
            }
        }
    }

    #[test]
    fn what_is_left_keeps_its_order(text in "[a-c,我 -]{0,20}", gone in any::<u32>()) {
        // Words as a tokenizer of letters would have them.
        let words: Vec<Range<usize>> = text
            .char_indices()
            .filter(|(_, c)| !c.is_whitespace())
            .map(|(at, c)| at..at + c.len_utf8())
            .collect();
        let removed = |word: usize| gone >> (word % 32) & 1 == 1;
        let edits = deletions(0, &text, &words, removed);
        let left: String = texts(&text).replaced(edits).unwrap().render().remove(0);
        let kept: String = words
            .iter()
            .enumerate()
            .filter(|(word, _)| !removed(*word))
            .map(|(_, range)| &text[range.clone()])
            .collect();
        prop_assert_eq!(left.replace(' ', ""), kept.replace(' ', ""));
    }
}
