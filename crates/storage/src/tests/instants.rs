//! What is accepted is stored: no instant that the rules take is too fine for Postgres.

use posthaste_domain::ids::Id;
use posthaste_domain::order::Speed;
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::story::{Wanted, answer_of, assigning, at, new_order_like, placing, written};
use crate::orders;
use crate::testing::TestDatabase;

/// Orders that are handed in at once.
const ORDERS: usize = 96;

/// An instant of the next hours, to the nanosecond.
fn instant() -> impl Strategy<Value = Timestamp> {
    (1..4 * 3600_i64, 0..1_000_000_000_i64).prop_map(|(s, nanos)| at(60) + Span::seconds(s) + Span::nanoseconds(nanos))
}

/// A window of any length: most of them long enough, some shorter than a microsecond.
fn window() -> impl Strategy<Value = (Timestamp, Timestamp)> {
    let length = prop_oneof![1..1_500_i64, 3_600_000_000_000..9_000_000_000_000_i64];
    (instant(), length).prop_map(|(start, nanos)| (start, start + Span::nanoseconds(nanos)))
}

#[tokio::test]
async fn whatever_instants_are_accepted_are_stored_and_read_back_equal() {
    let pool = TestDatabase::new().await.pool;
    let mut runner = TestRunner::deterministic();
    let (mut placed, mut refused) = (0, 0);
    for n in 0..ORDERS as u128 {
        let ((start, end), ready) =
            (window(), prop::option::of(instant())).new_tree(&mut runner).expect("a tree").current();
        let mut new = new_order_like(n + 1, &Wanted { speed: Speed::Slow, ..Wanted::default() });
        new.pickups[0].stop.window = None;
        new.pickups[0].ready_at = ready;
        new.delivery.window = Some((start, end));
        let Ok(mut order) = answer_of(new, at(0)) else {
            refused += 1;
            continue;
        };
        placed += 1;
        written(&pool, &[placing(&order)]).await;
        let commitment = order.window().expect("a slow order has a window");
        written(&pool, &[assigning(&mut order, n + 1, commitment)]).await;
        assert_eq!(orders::get(&pool, order.id).await.unwrap(), Some(order.clone()), "{start} to {end}");
        let (from, to): (Timestamp, Timestamp) =
            sqlx::query_as("SELECT lower(during), upper(during) FROM commitments WHERE order_id = $1")
                .bind(order.id.uuid())
                .fetch_one(&pool.0)
                .await
                .unwrap();
        assert_eq!(Window::new(from, to), Ok(commitment), "{start} to {end}");
    }
    assert!(placed > 10 && refused > 10, "{placed} placed, {refused} refused");
}
