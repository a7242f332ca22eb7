//! Texts as one stream of tokens, cut into blocks.

use crate::item::{Gold, Item};

/// Blocks that follow each other: each token but the first of all is predicted once, from what is
/// before it in its block.
pub(crate) struct Stream {
    block: usize,
    /// What stands between two documents.
    end: Option<u32>,
    ids: Vec<u32>,
}

impl Stream {
    pub(super) fn new(block: usize, end: Option<u32>) -> Self {
        Self { block, end, ids: Vec::new() }
    }

    /// Adds a piece of text.
    pub(super) fn push(&mut self, ids: &[u32], goes_on: bool) {
        self.ids.extend_from_slice(ids);
        if !goes_on {
            self.ids.extend(self.end);
        }
    }

    /// The whole blocks.
    pub(super) fn blocks(&mut self) -> Vec<Item> {
        let mut start = 0;
        let mut made = Vec::new();
        while self.ids.len() - start > self.block {
            made.push(block(&self.ids[start..=start + self.block]));
            start += self.block;
        }
        self.ids.drain(..start);
        made
    }

    /// What is left.
    pub(super) fn rest(&mut self) -> Option<Item> {
        let ids = std::mem::take(&mut self.ids);
        (ids.len() > 1).then(|| block(&ids))
    }
}

/// Reads all but the last, and is to say all but the first.
fn block(ids: &[u32]) -> Item {
    Item::of_ids(ids[..ids.len() - 1].to_vec(), Gold::Tokens(ids[1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_but_the_first_is_predicted_once() {
        let mut stream = Stream::new(4, Some(99));
        stream.push(&[0, 1, 2, 3, 4, 5], true);
        let mut items = stream.blocks();
        stream.push(&[6, 7, 8, 9], false);
        items.extend(stream.blocks());
        items.extend(stream.rest());
        let right: Vec<u32> = items
            .iter()
            .flat_map(|item| match &item.gold {
                Gold::Tokens(right) => right.clone(),
                gold => panic!("{gold:?}"),
            })
            .collect();
        assert_eq!(right, [1, 2, 3, 4, 5, 6, 7, 8, 9, 99]);
        assert_eq!(items[1].encoding().ids(), [4, 5, 6, 7]);
        assert_eq!(stream.rest(), None);
    }
}
