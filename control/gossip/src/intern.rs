//! Names that many sessions share are kept once, and a session holds a number of 4 bytes.

use hashbrown::HashTable;
use std::hash::{Hash, Hasher};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// No name.
pub(crate) const NONE: u32 = u32::MAX;

/// Feeds what a name writes into one buffer, so that short names are hashed in one go.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// The hash of a value under a seed.
pub(crate) fn hash_of<T: Hash + ?Sized>(value: &T, seed: u64) -> u64 {
    let mut bytes = Bytes::default();
    value.hash(&mut bytes);
    xxh3_64_with_seed(&bytes.0, seed)
}

#[derive(Debug)]
struct Item<T, D> {
    name: T,
    users: u32,
    data: D,
}

/// Names with a number each, forgotten when their last user is gone; every name carries data.
#[derive(Debug)]
pub(crate) struct Names<T, D = ()> {
    items: Vec<Option<Item<T, D>>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    seed: u64,
}

impl<T: Hash + Eq + Clone, D: Default> Names<T, D> {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { items: Vec::new(), free: Vec::new(), index: HashTable::new(), seed }
    }

    fn item(&self, at: u32) -> Option<&Item<T, D>> {
        self.items.get(at as usize)?.as_ref()
    }

    /// The number of a name that is there.
    pub(crate) fn find(&self, name: &T) -> Option<u32> {
        let hash = hash_of(name, self.seed);
        self.index.find(hash, |at| self.item(*at).is_some_and(|item| item.name == *name)).copied()
    }

    /// The number of a name, with one more user.
    pub(crate) fn take(&mut self, name: &T) -> u32 {
        let at = match self.find(name) {
            Some(at) => at,
            None => self.insert(name),
        };
        if let Some(Some(item)) = self.items.get_mut(at as usize) {
            item.users = item.users.saturating_add(1);
        }
        at
    }

    fn insert(&mut self, name: &T) -> u32 {
        let item = Item { name: name.clone(), users: 0, data: D::default() };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.items.push(None);
                u32::try_from(self.items.len().saturating_sub(1)).unwrap_or(NONE)
            }
        };
        if let Some(place) = self.items.get_mut(at as usize) {
            *place = Some(item);
        }
        let (items, seed) = (&self.items, self.seed);
        self.index.insert_unique(hash_of(name, seed), at, |at| {
            items.get(*at as usize).and_then(Option::as_ref).map_or(0, |item| hash_of(&item.name, seed))
        });
        at
    }

    /// One more user of a number.
    pub(crate) fn hold(&mut self, at: u32) {
        if let Some(Some(item)) = self.items.get_mut(at as usize) {
            item.users = item.users.saturating_add(1);
        }
    }

    /// One user less; the name goes with the last one.
    pub(crate) fn release(&mut self, at: u32) {
        let Some(Some(item)) = self.items.get_mut(at as usize) else { return };
        item.users = item.users.saturating_sub(1);
        if item.users > 0 {
            return;
        }
        let hash = hash_of(&item.name, self.seed);
        if let Ok(found) = self.index.find_entry(hash, |other| *other == at) {
            found.remove();
        }
        if let Some(place) = self.items.get_mut(at as usize) {
            *place = None;
        }
        self.free.push(at);
    }

    pub(crate) fn name(&self, at: u32) -> Option<&T> {
        self.item(at).map(|item| &item.name)
    }

    pub(crate) fn data(&self, at: u32) -> Option<&D> {
        self.item(at).map(|item| &item.data)
    }

    pub(crate) fn data_mut(&mut self, at: u32) -> Option<&mut D> {
        self.items.get_mut(at as usize)?.as_mut().map(|item| &mut item.data)
    }

    /// All names with their data.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T, &D)> {
        self.items.iter().zip(0_u32..).filter_map(|(item, at)| {
            let item = item.as_ref()?;
            Some((at, &item.name, &item.data))
        })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_while_it_has_users() {
        let mut names: Names<String, u8> = Names::new(1);
        let (a, b) = (names.take(&"a".into()), names.take(&"b".into()));
        assert_eq!(names.take(&"a".into()), a);
        names.release(a);
        assert_eq!(names.name(a).map(String::as_str), Some("a"));
        names.release(a);
        assert_eq!((names.find(&"a".into()), names.len()), (None, 1));
        assert_eq!(names.take(&"c".into()), a, "its number is used again");
        assert_eq!(names.find(&"b".into()), Some(b));
    }
}
