//! Which numbers are drawn, and up to which one the feed can be read. Values only: what is written and what came of it is
//! told to it.

use std::collections::BTreeMap;

/// Numbers of the feed, and the batches that are not decided.
#[derive(Debug)]
pub(super) struct Numbers {
    next: i64,
    /// By the first number of each batch.
    open: BTreeMap<i64, Open>,
}

/// A batch of which it is not known what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Open {
    /// It is being written.
    InFlight,
    /// The connection broke: of these numbers nobody knows whether they were written, or still will be.
    InDoubt(Vec<i64>),
}

impl Numbers {
    /// Everything up to `stored` is stored for good, or will never be.
    pub(super) fn after(stored: i64) -> Self {
        Self { next: stored + 1, open: BTreeMap::new() }
    }

    /// So many numbers for a batch that is about to be written: the first of them. A batch without events holds nothing.
    pub(super) fn draw(&mut self, count: i64) -> i64 {
        let first = self.next;
        if count > 0 {
            self.next += count;
            self.open.insert(first, Open::InFlight);
        }
        first
    }

    /// The batch with this first number is stored, or certainly is not: none of its numbers will come any more.
    pub(super) fn decide(&mut self, first: i64) {
        self.open.remove(&first);
    }

    /// Nobody knows of these numbers of the batch. They hold the mark until the batch is decided.
    pub(super) fn doubt(&mut self, first: i64, numbers: Vec<i64>) {
        if let Some(open) = self.open.get_mut(&first) {
            *open = Open::InDoubt(numbers);
        }
    }

    /// The batches that have to be looked up: the first number of each, and what nobody knows of.
    pub(super) fn in_doubt(&self) -> Vec<(i64, Vec<i64>)> {
        let in_doubt = self.open.iter().filter_map(|(first, open)| match open {
            Open::InFlight => None,
            Open::InDoubt(numbers) => Some((*first, numbers.clone())),
        });
        in_doubt.collect()
    }

    /// Somebody else has stored numbers up to this one: no smaller one is drawn again.
    pub(super) fn skip_to(&mut self, stored: i64) {
        self.next = self.next.max(stored + 1);
    }

    /// The mark: up to here the feed can be read, as nothing can come below any more.
    pub(super) fn mark(&self) -> i64 {
        self.open.keys().next().map_or(self.next, |first| *first) - 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What may happen to batches. Which one, where there are several: counted from the oldest, modulo their number.
    #[derive(Debug, Clone, Copy)]
    enum Happens {
        Begins(i64),
        Ends(usize),
        FailsForSure(usize),
        BreaksOff(usize),
        IsLookedUp(usize),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            4 => (0i64..5).prop_map(Happens::Begins),
            2 => any::<usize>().prop_map(Happens::Ends),
            1 => any::<usize>().prop_map(Happens::FailsForSure),
            2 => any::<usize>().prop_map(Happens::BreaksOff),
            2 => any::<usize>().prop_map(Happens::IsLookedUp),
        ]
    }

    /// What is true, beside what [`Numbers`] says: which numbers may still come or may be there unseen.
    #[derive(Default)]
    struct Truth {
        in_flight: Vec<(i64, i64)>,
        in_doubt: Vec<(i64, i64)>,
        drawn: i64,
    }

    impl Truth {
        fn undecided(&self) -> BTreeSet<i64> {
            self.in_flight.iter().chain(&self.in_doubt).flat_map(|(first, count)| *first..first + count).collect()
        }
    }

    fn take(from: &mut Vec<(i64, i64)>, which: usize) -> Option<(i64, i64)> {
        (!from.is_empty()).then(|| from.remove(which % from.len()))
    }

    proptest! {
        #[test]
        fn nothing_undecided_is_ever_readable_and_nothing_decided_is_held_for_ever(
            stored in 0i64..1000,
            story in proptest::collection::vec(happens(), 0..60),
        ) {
            let (mut numbers, mut truth) = (Numbers::after(stored), Truth { drawn: stored, ..Truth::default() });
            let mut before = numbers.mark();
            prop_assert_eq!(before, stored);
            for step in story {
                match step {
                    Happens::Begins(count) => {
                        let first = numbers.draw(count);
                        prop_assert_eq!(first, truth.drawn + 1, "one after the other");
                        truth.drawn += count;
                        if count > 0 {
                            truth.in_flight.push((first, count));
                        }
                    }
                    Happens::Ends(which) | Happens::FailsForSure(which) => {
                        if let Some((first, _)) = take(&mut truth.in_flight, which) {
                            numbers.decide(first);
                        }
                    }
                    Happens::BreaksOff(which) => {
                        if let Some((first, count)) = take(&mut truth.in_flight, which) {
                            numbers.doubt(first, (first..first + count).collect());
                            truth.in_doubt.push((first, count));
                        }
                    }
                    Happens::IsLookedUp(which) => {
                        if let Some((first, count)) = take(&mut truth.in_doubt, which) {
                            let (_, said) = numbers.in_doubt().into_iter().find(|(of, _)| *of == first).unwrap();
                            prop_assert_eq!(said, (first..first + count).collect::<Vec<_>>());
                            numbers.decide(first);
                        }
                    }
                }
                let (mark, undecided) = (numbers.mark(), truth.undecided());
                prop_assert!(mark >= before, "it goes back from {before} to {mark}");
                before = mark;
                // Right below the first that is undecided: nothing undecided is read, and nothing waits without need.
                prop_assert_eq!(mark, undecided.first().map_or(truth.drawn, |first| first - 1));
                prop_assert_eq!(numbers.in_doubt().len(), truth.in_doubt.len());
            }
            for (first, _) in truth.in_flight.into_iter().chain(truth.in_doubt) {
                numbers.decide(first);
            }
            prop_assert_eq!(numbers.mark(), truth.drawn, "all are decided");
        }
    }

    #[test]
    fn a_younger_batch_that_ended_first_waits_for_the_older() {
        let mut numbers = Numbers::after(10);
        let (older, younger) = (numbers.draw(3), numbers.draw(2));
        numbers.decide(younger);
        assert_eq!(numbers.mark(), 10);
        numbers.doubt(older, vec![11, 13]);
        assert_eq!((numbers.mark(), numbers.in_doubt()), (10, vec![(11, vec![11, 13])]));
        numbers.decide(older);
        assert_eq!(numbers.mark(), 15);
    }

    #[test]
    fn numbers_that_somebody_else_has_stored_are_not_drawn_and_what_is_open_still_holds() {
        let mut numbers = Numbers::after(0);
        let open = numbers.draw(1);
        numbers.skip_to(40);
        assert_eq!((numbers.mark(), numbers.draw(1)), (0, 41));
        numbers.skip_to(7);
        assert_eq!(numbers.draw(1), 42, "never back");
        numbers.decide(open);
        assert_eq!(numbers.mark(), 40);
    }
}
