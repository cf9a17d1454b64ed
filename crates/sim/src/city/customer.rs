//! A customer: gets the tracking link, follows the order, knows the code when the bell rings, and now and then
//! changes their mind.

use std::time::Duration;

use posthaste_client::{Client, Event, SocketOptions};
use posthaste_domain::Span;
use posthaste_domain::ids::OrderId;
use posthaste_protocol::socket::{ServerMessage, Snapshot};
use posthaste_protocol::tracking::TrackingView;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::city::City;
use crate::city::world::dice;

const ROLE: u64 = 4;
/// Nobody waits longer than this for one order.
const PATIENCE_HOURS: i64 = 12;

/// Waits for the order, in one way or another, until it is over.
pub(crate) async fn wait_for(city: &City, shop: &Client, order: OrderId, seed: u64) {
    let mut dice = dice(seed, ROLE, 0);
    let habits = city.options.habits;
    let link = match shop.tracking_link(order).await {
        Ok(link) => link.token,
        Err(error) => return city.stats.failed("getting a tracking link", &error),
    };
    let cancels = dice.random_bool(habits.cancels).then(|| Span::seconds(dice.random_range(60..400)));
    let changes_mind = async {
        if let Some(after) = cancels {
            city.clock.sleep(after).await;
            if let Err(error) = shop.cancel_order(order, "changed my mind").await {
                city.stats.failed("a customer cancels", &error);
            }
        }
        // What becomes of it is seen by waiting.
        std::future::pending::<()>().await;
    };
    let waits = async {
        if dice.random_bool(habits.follows) {
            follow(city, order, &link).await;
        } else {
            look_now_and_then(city, order, &link, &mut dice).await;
        }
    };
    tokio::select! {
        () = waits => {}
        () = changes_mind => {}
        () = city.clock.sleep(Span::hours(PATIENCE_HOURS)) => {}
    }
}

/// Follows over the socket.
async fn follow(city: &City, order: OrderId, link: &str) {
    let options = SocketOptions {
        most_wait: Duration::from_secs(3),
        counters: std::sync::Arc::clone(&city.stats.sockets),
        buffered_events: 64,
        ..SocketOptions::default()
    };
    let mut socket = city.client.with_token(posthaste_client::Token::None).tracking_socket_with(link, options);
    while let Some(event) = socket.next().await {
        match event {
            Event::Snapshot(snapshot) => {
                if let Snapshot::Tracking { tracking } = *snapshot
                    && read(city, order, &tracking)
                {
                    return;
                }
            }
            Event::Message { message: ServerMessage::Step(step), .. } if step.step.status.is_final() => return,
            _ => {}
        }
    }
}

/// Looks at the tracking page every few minutes.
async fn look_now_and_then(city: &City, order: OrderId, link: &str, dice: &mut StdRng) {
    loop {
        match city.client.tracking(link).await {
            Ok(tracking) if read(city, order, &tracking) => return,
            Ok(_) => {}
            Err(error) => city.stats.failed("looking at the tracking page", &error),
        }
        let pause = Span::seconds(dice.random_range(60..360)).max(city.clock.product(Duration::from_secs(2)));
        city.clock.sleep(pause).await;
    }
}

/// Remembers the code. True when the order is over.
fn read(city: &City, order: OrderId, tracking: &TrackingView) -> bool {
    if let Some(code) = &tracking.delivery_code {
        city.talk.at_door(order, code);
    }
    tracking.status.is_final()
}
