//! Orders as the city's shops place them: when, what kind, from whom, to which door.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use posthaste_client::Idempotency;
use posthaste_domain::order::Speed;
use posthaste_domain::party::Party;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::orders::{CodesView, ContactView, CreateDelivery, CreateOrder, CreatePickup, WindowView};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use crate::city::City;
use crate::city::world::{dice, somewhere};

/// Role number of the order's own dice.
const ROLE: u64 = 2;
/// Orders being placed at once, at most: a server that is away is not stormed.
const MOST_AT_ONCE: usize = 64;

/// Places orders at random moments until `until`.
pub(crate) async fn place(city: Arc<City>, until: Option<Timestamp>) {
    let mut dice = dice(city.options.seed, ROLE, 0);
    let mut placing = JoinSet::new();
    let mut next = city.clock.now();
    let mut number = 0;
    loop {
        next += gap(city.options.orders_per_hour, &mut dice);
        if until.is_some_and(|until| next >= until) {
            break;
        }
        city.clock.sleep_until(next).await;
        // After a pause of the server, what was missed is not made up for.
        next = next.max(city.clock.now() - Span::minutes(1));
        while placing.try_join_next().is_some() {}
        if placing.len() >= MOST_AT_ONCE {
            placing.join_next().await;
        }
        number += 1;
        let (shop, order) = compose(&city, number, city.clock.now());
        let city = Arc::clone(&city);
        placing.spawn(async move {
            let merchant = Party::Merchant(city.world.shops[shop].id);
            let client = city.options.tokens.client(&city.client, merchant);
            match client.create_order(&order, Idempotency::Automatic).await {
                Ok(view) => {
                    city.stats.placed.fetch_add(1, Ordering::Relaxed);
                    city.stats.order(&view, &[]);
                }
                Err(error) => city.stats.failed("placing an order", &error),
            }
        });
    }
    while placing.join_next().await.is_some() {}
}

/// Time to the next order: orders come independently of each other.
fn gap(per_hour: f64, dice: &mut StdRng) -> Span {
    let hours = -(1.0 - dice.random_range(0.0..1.0f64)).ln() / per_hour.max(1e-3);
    #[expect(clippy::cast_possible_truncation, reason = "at most some years as milliseconds")]
    let millis = (hours.min(1e4) * 3.6e6) as i64;
    Span::milliseconds(millis)
}

/// The `number`-th order and the shop that places it.
fn compose(city: &City, number: u64, now: Timestamp) -> (usize, CreateOrder) {
    let mut dice = dice(city.options.seed, ROLE, number);
    let (habits, shops) = (&city.options.habits, &city.world.shops);
    let owner = dice.random_range(0..shops.len());
    let mut sellers = vec![owner];
    if dice.random_bool(habits.several_sellers) {
        for _ in 0..dice.random_range(1..=2) {
            let other = dice.random_range(0..shops.len());
            if !sellers.contains(&other) {
                sellers.push(other);
            }
        }
    }
    let slow = dice.random_bool(habits.slow);
    let starts = now + Span::minutes(dice.random_range(50..150));
    let window = slow.then(|| WindowView { start: starts, end: starts + Span::minutes(60) });
    let pickups = sellers
        .iter()
        .map(|seller| {
            let shop = &shops[*seller];
            #[expect(clippy::cast_possible_truncation, reason = "some minutes as seconds")]
            let cooking = Span::seconds((shop.kitchen_minutes * dice.random_range(60.0..120.0)) as i64);
            CreatePickup {
                merchant_id: (*seller != owner).then_some(shop.id),
                lat: shop.place.lat(),
                lng: shop.place.lng(),
                contact: ContactView { name: Some(shop.name.clone()), ..ContactView::default() },
                ready_at: Some(if slow { starts - Span::minutes(30) } else { now + cooking }),
                window: slow.then(|| WindowView { start: starts - Span::minutes(30), end: starts + Span::minutes(30) }),
                service_seconds: None,
            }
        })
        .collect();
    let door = somewhere(city.world.centre, 1.1, &mut dice);
    let order = CreateOrder {
        speed: if slow { Speed::Slow } else { Speed::Fast },
        pickups,
        delivery: CreateDelivery {
            lat: door.lat(),
            lng: door.lng(),
            contact: ContactView { name: Some(format!("Door {number}")), ..ContactView::default() },
            window,
            service_seconds: None,
        },
        merchant_id: None,
        customer_id: None,
        reference: None,
        size: dice.random_range(1..=2),
        priority: 0,
        codes: CodesView::default(),
        needs_confirmation: None,
    };
    (owner, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_come_as_often_as_asked_on_average() {
        let mut dice = dice(5, ROLE, 0);
        let total: Span = (0..2000).map(|_| gap(120.0, &mut dice)).sum();
        let mean = total.num_milliseconds() / 2000;
        assert!((25_000..35_000).contains(&mean), "30 seconds on average, got {mean} ms");
    }
}
