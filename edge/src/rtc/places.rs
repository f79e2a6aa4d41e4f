//! Numbered places whose numbers are used again: what a readiness event names.

/// Things by small numbers.
#[derive(Debug)]
pub(super) struct Places<T> {
    all: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { all: Vec::new(), free: Vec::new() }
    }
}

impl<T> Places<T> {
    pub(super) fn put(&mut self, what: T) -> usize {
        match self.free.pop() {
            Some(at) => {
                if let Some(place) = self.all.get_mut(at) {
                    *place = Some(what);
                }
                at
            }
            None => {
                self.all.push(Some(what));
                self.all.len() - 1
            }
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.all.get(at).and_then(Option::as_ref)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.all.get_mut(at).and_then(Option::as_mut)
    }

    pub(super) fn take(&mut self, at: usize) -> Option<T> {
        let what = self.all.get_mut(at).and_then(Option::take);
        if what.is_some() {
            self.free.push(at);
        }
        what
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.all.iter().enumerate().filter_map(|(at, place)| Some((at, place.as_ref()?)))
    }

    pub(super) fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }
}
