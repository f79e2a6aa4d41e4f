//! Places for values, in pieces of a fixed size: growing copies nothing and leaves no half-empty vector of a million slots behind.

/// Values in one piece.
const PIECE: usize = 4_096;

/// Values by number.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    pieces: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { pieces: Vec::new(), free: Vec::new(), len: 0 }
    }

    fn place(at: u32) -> (usize, usize) {
        let at = at as usize;
        (at.checked_div(PIECE).unwrap_or(0), at.checked_rem(PIECE).unwrap_or(0))
    }

    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        let (piece, within) = Self::place(at);
        self.pieces.get(piece)?.get(within)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        let (piece, within) = Self::place(at);
        self.pieces.get_mut(piece)?.get_mut(within)?.as_mut()
    }

    /// Puts a value in and gives its number.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len = self.len.saturating_add(1);
        if let Some(at) = self.free.pop() {
            let (piece, within) = Self::place(at);
            if let Some(place) = self.pieces.get_mut(piece).and_then(|piece| piece.get_mut(within)) {
                *place = Some(value);
            }
            return at;
        }
        if self.pieces.last().is_none_or(|last| last.len() >= PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let full = self.pieces.len().saturating_sub(1).saturating_mul(PIECE);
        let Some(last) = self.pieces.last_mut() else { return u32::MAX };
        last.push(Some(value));
        u32::try_from(full.saturating_add(last.len()).saturating_sub(1)).unwrap_or(u32::MAX)
    }

    pub(crate) fn remove(&mut self, at: u32) -> Option<T> {
        let (piece, within) = Self::place(at);
        let value = self.pieces.get_mut(piece)?.get_mut(within)?.take()?;
        self.free.push(at);
        self.len = self.len.saturating_sub(1);
        Some(value)
    }

    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Numbers of all values.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        let all = self.pieces.iter().flatten().zip(0_u32..);
        all.filter_map(|(value, at)| value.is_some().then_some(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_pieces_follow_each_other() {
        let mut slab = Slab::new();
        let n = PIECE * 2 + 3;
        for i in 0..n {
            assert_eq!(slab.insert(i), u32::try_from(i).unwrap());
        }
        assert_eq!(slab.remove(5000), Some(5000));
        assert_eq!(slab.remove(5000), None);
        assert_eq!((slab.get(5000), slab.len()), (None, n - 1));
        assert_eq!(slab.insert(7), 5000);
        assert_eq!(slab.get(u32::MAX), None);
        assert_eq!(slab.numbers().count(), n);
    }
}
