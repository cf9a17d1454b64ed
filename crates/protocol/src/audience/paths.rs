//! What `tests/paths/run` counts the instructions of: an order as its merchant sees it, written as the answer's JSON.

use posthaste_domain::ids::{Id, MerchantId};
use posthaste_domain::order::Order;

use super::Audience;
use super::tests::order;
use crate::orders::OrderView;

/// How often: what stands in `tests/paths/counts.json` is a hundredth.
const TIMES: usize = 100;

#[inline(never)]
fn counted_answers(order: &Order, audience: Audience) -> Vec<Vec<u8>> {
    let answer = |_| serde_json::to_vec(&OrderView::of(order, audience)).expect("can be written");
    (0..TIMES).map(answer).collect()
}

#[test]
#[ignore = "counted by tests/paths/run"]
fn answers() {
    let merchant = Audience::Merchant(MerchantId::from_uuid(uuid::Uuid::from_u128(1)));
    assert!(counted_answers(&order(), merchant).iter().all(|answer| answer.len() > 100));
}
