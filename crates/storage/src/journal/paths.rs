//! What `tests/paths/run` counts the instructions of: entries become the columns of the journal's statement.

use super::batch::Batch;
use super::entry::Entry;
use crate::feed::Feed;
use crate::tests::story::{answer, assigning, order, placing, window};

/// Entries of one batch: what stands in `tests/paths/counts.json` is a hundredth.
const TIMES: u128 = 100;

fn columns(entries: &[Entry], all: &[usize]) -> usize {
    Batch::of(entries, all, &Feed::after(0).draw(entries)).expect("entries that can be written down").orders.id.len()
}

#[inline(never)]
fn counted_of_placed_orders(entries: &[Entry], all: &[usize]) -> usize {
    columns(entries, all)
}

#[test]
#[ignore = "counted by tests/paths/run"]
fn of_placed_orders() {
    let entry = |n| placing(&order(n)).idempotency(answer(&n.to_string()));
    let entries: Vec<_> = (1..=TIMES).map(entry).collect();
    assert_eq!(counted_of_placed_orders(&entries, &all(&entries)), entries.len());
}

#[inline(never)]
fn counted_of_accepted_offers(entries: &[Entry], all: &[usize]) -> usize {
    columns(entries, all)
}

#[test]
#[ignore = "counted by tests/paths/run"]
fn of_accepted_offers() {
    let entries: Vec<_> = (1..=TIMES).map(|n| assigning(&mut order(n), n, window(1, 30))).collect();
    assert_eq!(counted_of_accepted_offers(&entries, &all(&entries)), entries.len());
}

fn all(entries: &[Entry]) -> Vec<usize> {
    (0..entries.len()).collect()
}
