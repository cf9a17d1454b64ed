//! Sets of drivers as bits: ten thousand of them are 157 words, and "on shift, fast, with room, not busy" is one
//! pass over them.

/// A set of slots.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlotSet {
    words: Vec<u64>,
}

impl SlotSet {
    pub(crate) fn insert(&mut self, slot: u32) {
        let word = (slot / 64) as usize;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (slot % 64);
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        if let Some(word) = self.words.get_mut((slot / 64) as usize) {
            *word &= !(1 << (slot % 64));
        }
    }

    pub(crate) fn set(&mut self, slot: u32, member: bool) {
        if member { self.insert(slot) } else { self.remove(slot) }
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.words.get((slot / 64) as usize).is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }

    pub(crate) fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Keeps what is in the other set too.
    pub(crate) fn keep(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Takes out what is in the other set.
    pub(crate) fn take_out(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// Becomes what is in both sets and not in the third.
    pub(crate) fn become_both_without(&mut self, one: &Self, other: &Self, without: &Self) {
        self.words.clear();
        self.words.extend(one.words.iter().zip(&other.words).map(|(a, b)| a & b));
        self.take_out(without);
    }

    /// Becomes what is in both sets.
    pub(crate) fn become_both(&mut self, one: &Self, other: &Self) {
        self.words.clear();
        self.words.extend(one.words.iter().zip(&other.words).map(|(a, b)| a & b));
    }

    /// Its slots, the lowest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(word, place)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(place * 64 + bit)
            })
        })
    }
}
