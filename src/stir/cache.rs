//! A bounded memory of things with an end: what was least looked at goes first.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

pub struct Cache<K, V> {
    kept: HashMap<K, Kept<V>>,
    most: usize,
    /// Grows with each look; orders what is kept by its last one.
    looks: u64,
}

struct Kept<V> {
    value: V,
    until: Instant,
    looked: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// Of `most` things at once, at least one.
    pub fn new(most: usize) -> Self {
        Self { kept: HashMap::new(), most: most.max(1), looks: 0 }
    }

    pub fn get(&mut self, key: &K, now: Instant) -> Option<V> {
        self.looks += 1;
        let kept = self.kept.get_mut(key).filter(|kept| now < kept.until)?;
        kept.looked = self.looks;
        Some(kept.value.clone())
    }

    /// Keeps it for so long. Costs a walk over all when there is no room.
    pub fn put(&mut self, key: K, value: V, keep: Duration, now: Instant) {
        if self.kept.len() >= self.most && !self.kept.contains_key(&key) {
            self.kept.retain(|_, kept| now < kept.until);
        }
        if self.kept.len() >= self.most && !self.kept.contains_key(&key) {
            let last = self.kept.iter().min_by_key(|(_, kept)| kept.looked).map(|(key, _)| key.clone());
            last.and_then(|last| self.kept.remove(&last));
        }
        self.looks += 1;
        self.kept.insert(key, Kept { value, until: now + keep, looked: self.looks });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_forgotten_at_their_time_or_when_others_are_looked_at_more() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut cache = Cache::new(2);
        cache.put("a", 1, second, now);
        assert_eq!(cache.get(&"a", now), Some(1));
        assert_eq!(cache.get(&"a", now + second), None);

        cache.put("a", 2, second * 9, now);
        cache.put("b", 3, second * 9, now);
        cache.get(&"a", now);
        cache.put("c", 4, second * 9, now);
        assert_eq!(
            (cache.get(&"a", now), cache.get(&"b", now), cache.get(&"c", now)),
            (Some(2), None, Some(4))
        );

        // What has come to its end makes room first.
        cache.put("c", 5, second, now);
        cache.get(&"c", now);
        cache.put("d", 6, second, now + second);
        assert_eq!((cache.get(&"a", now + second), cache.get(&"d", now + second)), (Some(2), Some(6)));
        assert_eq!(cache.kept.len(), 2);
    }
}
