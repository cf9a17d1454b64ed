//! Orders as they are read: pages, live ones, a driver's.

use std::collections::HashSet;

use posthaste_domain::ids::OrderId;
use posthaste_domain::order::{Order, Speed, Status};
use posthaste_domain::{Span, Timestamp};

use super::story::{Wanted, assigning, at, canceling, id, order, order_like, placing, window, written};
use crate::orders::{self, Cursor, ListFilter};
use crate::pool::Pool;
use crate::testing::TestDatabase;

/// A hundred and twenty orders of several merchants, sellers, zones and statuses; ten are placed each minute.
async fn town(pool: &Pool) -> Vec<Order> {
    let mut all: Vec<Order> = (1..=120)
        .map(|n| {
            let wanted = Wanted {
                merchant: n % 3 + 1,
                seller: n % 4 + 1,
                customer: (n % 2 == 0).then_some(n % 5),
                zone: n % 2 + 1,
                speed: if n % 7 == 0 { Speed::Slow } else { Speed::Fast },
                reference: (n % 10 == 0).then(|| "often".to_owned()),
                minute: (n / 10) as i64,
            };
            order_like(1_000 - n, &wanted)
        })
        .collect();
    written(pool, &all.iter().map(placing).collect::<Vec<_>>()).await;
    let steps: Vec<_> = all
        .iter_mut()
        .enumerate()
        .filter_map(|(n, order)| match n % 6 {
            0 => Some(canceling(order)),
            1 => Some(assigning(order, (n % 4 + 1) as u128, window(n as i64 * 10, n as i64 * 10 + 10))),
            _ => None,
        })
        .collect();
    written(pool, &steps).await;
    all
}

fn shows(filter: &ListFilter, order: &Order) -> bool {
    filter.merchant.is_none_or(|merchant| order.concerns_merchant(merchant))
        && filter.customer.is_none_or(|customer| order.customer == Some(customer))
        && filter.driver.is_none_or(|driver| order.assignment.is_some_and(|a| a.driver == driver))
        && filter.zone.is_none_or(|zone| order.zone == zone)
        && (filter.statuses.is_empty() || filter.statuses.contains(&order.status()))
        && filter.speed.is_none_or(|speed| order.speed == speed)
        && filter.reference.as_ref().is_none_or(|reference| order.reference.as_ref() == Some(reference))
        && filter.placed_from.is_none_or(|from| order.placed_at >= from)
        && filter.placed_before.is_none_or(|before| order.placed_at < before)
}

fn filters() -> Vec<ListFilter> {
    let all = ListFilter::default;
    let mut filters = vec![
        all(),
        ListFilter { merchant: Some(id(2)), ..all() },
        ListFilter { merchant: Some(id(4)), ..all() },
        ListFilter { merchant: Some(id(9)), ..all() },
        ListFilter { customer: Some(id(2)), ..all() },
        ListFilter { driver: Some(id(2)), ..all() },
        ListFilter { zone: Some(id(1)), ..all() },
        ListFilter { speed: Some(Speed::Slow), ..all() },
        ListFilter { reference: Some("often".into()), ..all() },
        ListFilter { statuses: vec![Status::Canceled], ..all() },
        ListFilter { statuses: vec![Status::Canceled, Status::Delivered], ..all() },
        ListFilter { statuses: vec![Status::Confirmed, Status::Assigned], ..all() },
        ListFilter { statuses: vec![Status::Assigned, Status::Canceled], ..all() },
        ListFilter { placed_from: Some(at(3)), placed_before: Some(at(6)), ..all() },
    ];
    filters.push(ListFilter {
        merchant: Some(id(1)),
        zone: Some(id(2)),
        statuses: vec![Status::Confirmed],
        placed_from: Some(at(1)),
        ..all()
    });
    filters
}

#[tokio::test]
async fn pages_have_no_gap_and_no_repetition_whatever_the_filter() {
    let pool = TestDatabase::new().await.pool;
    let all = town(&pool).await;
    for filter in filters() {
        let mut expected: Vec<&Order> = all.iter().filter(|order| shows(&filter, order)).collect();
        expected.sort_by_key(|order| std::cmp::Reverse((order.placed_at, order.id)));
        let (mut seen, mut cursor): (Vec<Order>, Option<Cursor>) = (Vec::new(), None);
        loop {
            let page = orders::list(&pool, &filter, cursor, 7).await.unwrap();
            assert!(page.orders.len() <= 7);
            seen.extend(page.orders);
            // As a client would: the cursor travels as text.
            cursor = page.next.map(|next| next.to_string().parse().unwrap());
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn orders_placed_between_two_pages_do_not_disturb_them() {
    let pool = TestDatabase::new().await.pool;
    let mut all = town(&pool).await;
    all.sort_by_key(|order| std::cmp::Reverse((order.placed_at, order.id)));
    let first = orders::list(&pool, &ListFilter::default(), None, 50).await.unwrap();
    let later = order_like(2_000, &Wanted { minute: 99, ..Wanted::default() });
    written(&pool, &[placing(&later)]).await;
    let second = orders::list(&pool, &ListFilter::default(), first.next, 500).await.unwrap();
    assert_eq!(second.next, None);
    assert_eq!([first.orders, second.orders].concat(), all);
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    for text in [
        "",
        ".",
        "12",
        "x.ord_01jd8v7cjxfm9sxv0q3e0b5z1c",
        "1.drv_01jd8v7cjxfm9sxv0q3e0b5z1c",
        "99999999999999999999.x",
    ] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn every_live_order_is_loaded_once_oldest_first() {
    let pool = TestDatabase::new().await.pool;
    let all = town(&pool).await;
    for zone in [None, Some(id(1)), Some(id(2)), Some(id(3))] {
        for chunk in [1, 7, 100, 5_000] {
            let mut loaded = Vec::new();
            let count = orders::for_each_live_by(&pool, zone, chunk, |order| loaded.push(order)).await.unwrap();
            let mut expected: Vec<&Order> =
                all.iter().filter(|o| !o.status().is_final() && zone.is_none_or(|zone| o.zone == zone)).collect();
            expected.sort_by_key(|order| (order.placed_at, order.id));
            assert_eq!(loaded.iter().collect::<Vec<_>>(), expected);
            assert_eq!(count, expected.len() as u64);
        }
    }
}

#[tokio::test]
async fn a_driver_has_their_live_orders_and_offers() {
    let pool = TestDatabase::new().await.pool;
    let all = town(&pool).await;
    for driver in 1..=4 {
        let driver = id(driver);
        let expected: HashSet<OrderId> =
            all.iter().filter(|order| order.working_driver() == Some(driver)).map(|order| order.id).collect();
        let found = orders::of_driver(&pool, driver).await.unwrap();
        assert_eq!(found.iter().map(|order| order.id).collect::<HashSet<_>>(), expected);
        assert_eq!(found.len(), expected.len());
    }
}

#[tokio::test]
async fn an_unreadable_row_is_an_error_that_names_the_order() {
    let pool = TestDatabase::new().await.pool;
    let order = order(7);
    written(&pool, &[placing(&order)]).await;
    sqlx::query("UPDATE orders SET state = '{}'").execute(&pool.0).await.unwrap();
    let error = orders::get(&pool, order.id).await.unwrap_err();
    assert!(!error.is_temporary());
    assert!(error.to_string().contains(&order.id.to_string()), "{error}");
}

#[tokio::test]
async fn what_is_over_comes_newest_first_once_each_and_no_older_than_asked() {
    let pool = TestDatabase::new().await.pool;
    // Six a minute are canceled: pages of four end between orders of one instant.
    let wanted = |n: u128| Wanted { minute: i64::try_from(n / 6).unwrap(), ..Wanted::default() };
    let mut all: Vec<Order> = (0..30).map(|n| order_like(n + 1, &wanted(n))).collect();
    written(&pool, &all.iter().map(placing).collect::<Vec<_>>()).await;
    let over: Vec<_> = all.iter_mut().skip(1).map(canceling).collect();
    written(&pool, &over).await;
    let mut expected: Vec<Order> = all[1..].to_vec();
    expected.sort_by_key(|order| std::cmp::Reverse((order.settled_at, order.id)));
    let newest = expected[0].settled_at.unwrap();
    let paged = async |from: Timestamp, oldest: Timestamp| {
        let (mut before, mut found) = (orders::Before::time(from), Vec::new());
        loop {
            let page = orders::settled(&pool, before, oldest, 4).await.unwrap();
            let Some(last) = page.last().and_then(orders::Before::order) else { return found };
            assert!(page.len() <= 4);
            before = last;
            found.extend(page);
        }
    };
    assert_eq!(paged(newest + Span::seconds(1), at(-100)).await, expected);
    // What was settled at the very time is not before it.
    let before: Vec<Order> = expected.iter().filter(|o| o.settled_at < Some(newest)).cloned().collect();
    assert_eq!(paged(newest, at(-100)).await, before);
    let young: Vec<Order> = expected.iter().filter(|o| o.settled_at >= Some(newest)).cloned().collect();
    assert_eq!(paged(newest + Span::seconds(1), newest).await, young);
    assert!(young.len() > 4 && before.len() > 4, "pages were turned");
}
