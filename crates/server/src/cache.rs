//! Results that are kept for requests that come again, bounded in bytes.

use std::collections::{BTreeMap, HashMap};

use axum::body::Bytes;

/// What a request is known by: the digest of all that its result depends on.
pub(crate) type Key = [u8; 32];

/// What an entry costs besides its bytes.
const OVERHEAD: usize = 256;

/// The results that were asked for last.
pub(crate) struct Cache {
    most: usize,
    bytes: usize,
    entries: HashMap<Key, (Bytes, u64)>,
    /// The entries by when they were asked for.
    ages: BTreeMap<u64, Key>,
    clock: u64,
}

impl Cache {
    /// A cache of at most so many bytes; of none, nothing is kept.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, bytes: 0, entries: HashMap::new(), ages: BTreeMap::new(), clock: 0 }
    }

    /// The result of a request, which then is the youngest.
    pub(crate) fn get(&mut self, key: &Key) -> Option<Bytes> {
        let (result, age) = self.entries.get_mut(key)?;
        self.clock += 1;
        self.ages.remove(age);
        *age = self.clock;
        self.ages.insert(self.clock, *key);
        Some(result.clone())
    }

    /// Keeps a result, and lets go of the oldest until there is room for it.
    pub(crate) fn insert(&mut self, key: Key, result: Bytes) {
        let cost = result.len() + OVERHEAD;
        if cost > self.most {
            return;
        }
        self.remove(&key);
        while self.bytes + cost > self.most {
            let Some((_, oldest)) = self.ages.first_key_value().map(|(age, key)| (*age, *key))
            else {
                break;
            };
            self.remove(&oldest);
        }
        self.clock += 1;
        self.bytes += cost;
        self.ages.insert(self.clock, key);
        self.entries.insert(key, (result, self.clock));
    }

    fn remove(&mut self, key: &Key) {
        if let Some((result, age)) = self.entries.remove(key) {
            self.bytes -= result.len() + OVERHEAD;
            self.ages.remove(&age);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u8) -> Key {
        [n; 32]
    }

    fn result(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    #[test]
    fn the_oldest_goes_first_and_asking_makes_young() {
        let mut cache = Cache::new(3 * (OVERHEAD + 10));
        for n in 0..3 {
            cache.insert(key(n), result(10));
        }
        assert!(cache.get(&key(0)).is_some());
        cache.insert(key(3), result(10));
        assert!(cache.get(&key(1)).is_none(), "the oldest is still there");
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(3)).is_some());
    }

    #[test]
    fn what_is_larger_than_all_is_not_kept() {
        let mut cache = Cache::new(1000);
        cache.insert(key(0), result(10));
        cache.insert(key(1), result(1000));
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(1)).is_none());
        let mut none = Cache::new(0);
        none.insert(key(0), result(0));
        assert_eq!((none.len(), none.bytes()), (0, 0));
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_it_may(
            steps in proptest::collection::vec((0..12_u8, 0..2000_usize, any::<bool>()), 1..200),
        ) {
            let mut cache = Cache::new(5000);
            for (n, len, insert) in steps {
                if insert {
                    cache.insert(key(n), result(len));
                } else if let Some(found) = cache.get(&key(n)) {
                    prop_assert!(found.len() < 2000);
                }
                let sum: usize = cache.entries.values().map(|(r, _)| r.len() + OVERHEAD).sum();
                prop_assert_eq!(sum, cache.bytes());
                prop_assert!(cache.bytes() <= 5000);
                prop_assert_eq!(cache.ages.len(), cache.len());
            }
        }
    }
}
