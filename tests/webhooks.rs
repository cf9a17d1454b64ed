//! Webhooks from the real program to a merchant's program in another language, which checks them with the published
//! library.

mod harness;

use harness::receiver::Receiver;
use harness::*;
use posthaste_client::{Client, Idempotency};
use posthaste_domain::ids::DriverId;
use posthaste_domain::order::TaskKind;
use posthaste_domain::party::Party;
use posthaste_protocol::orders::OrderView;
use posthaste_protocol::webhooks::{CreateEndpoint, EndpointState, EndpointWithSecret, RotateSecret, WebhookState};
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::{TestDatabase, TestServer};
use serde_json::Value;

async fn endpoint(shop: &Client, url: String) -> EndpointWithSecret {
    shop.create_webhook_endpoint(&CreateEndpoint { url, ..CreateEndpoint::default() }).await.expect("an endpoint")
}

/// A driver takes an order and carries it to the door.
async fn carry(server: &Server, shop: &Client, driver: DriverId, order: OrderView) {
    let mut phone = server.client(Party::Driver(driver)).driver_socket();
    let hands = phone.commands();
    hands.shift(on_shift(52.1, 13.09)).await.expect("on shift");
    let offer = phone.wait_for(PATIENCE, |event| work_of(event).offers.into_iter().next()).await.expect("an offer");
    hands.accept(offer.id).await.expect("accepted");
    let order = shop.order(order.id).await.expect("the order");
    for task in &order.tasks {
        hands.departed(task.id).await.expect("departed");
        hands.arrived(task.id).await.expect("arrived");
        let code = code(&order, task.kind);
        match task.kind {
            TaskKind::Pickup => hands.picked_up(task.id, code, None).await.expect("picked up"),
            _ => hands.delivered(task.id, code, None).await.expect("delivered"),
        };
    }
}

fn sequences(taken: &[Value]) -> Vec<u64> {
    taken.iter().filter_map(|taken| taken["body"]["data"]["sequence"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merchants_program_verifies_every_event_with_the_published_library() {
    let Some(mut receiver) = Receiver::start(0) else { return };
    let database = TestDatabase::new().await;
    let mut server = Server::start(&database.url, 10.0);
    let admin = server.admin();
    let zone = zone(&admin, RulesView::default()).await;
    let driver = driver(&admin, zone).await;
    let (_, party) = merchant();
    let shop = server.client(party);
    let made = endpoint(&shop, receiver.url()).await;
    receiver.knows(&made.secret);

    let order = shop.create_order(&fast_order("W-1"), Idempotency::Key("W-1".into())).await.expect("placed");
    carry(&server, &shop, driver, order.clone()).await;
    let timeline = shop.order_timeline(order.id).await.expect("the timeline");
    until("every event has arrived", || async { (receiver.verified("order.").len() >= timeline.len()).then_some(()) })
        .await;
    let taken = receiver.taken();
    assert_eq!(sequences(&taken), (1..=timeline.len() as u64).collect::<Vec<_>>(), "in order, each once, all right");
    assert!(taken.iter().all(|taken| taken["verified"] == true), "{taken:?}");
    for (taken, entry) in taken.iter().zip(&timeline) {
        let body = &taken["body"];
        assert_eq!(body["type"], format!("order.{}", entry.event));
        assert_eq!(body["data"]["status"], entry.status.name());
        assert_eq!(body["data"]["order"]["version"], entry.seq, "the order as it was then");
        assert_eq!(body["timestamp"], serde_json::to_value(entry.at).expect("JSON"));
    }
    let last = &taken.last().expect("events")["body"];
    assert_eq!((&last["type"], &last["data"]["order"]["status"]), (&"order.delivered".into(), &"delivered".into()));

    // Both secrets are good during a rotation, and only the new one after it.
    let rotated = shop.rotate_webhook_secret(made.endpoint.id, &RotateSecret::default()).await.expect("rotated");
    for (secret, tests) in [(&made.secret, 1), (&rotated.secret, 2)] {
        receiver.knows(secret);
        shop.test_webhook_endpoint(made.endpoint.id).await.expect("a test");
        until("a test arrives", || async { (receiver.verified("webhook.test").len() == tests).then_some(()) }).await;
    }
    assert!(receiver.verified("webhook.test").iter().all(|test| test["signatures"] == 2));
    let at_once = RotateSecret { overlap_hours: 0 };
    let leaked = rotated.secret;
    let fresh = shop.rotate_webhook_secret(made.endpoint.id, &at_once).await.expect("rotated");
    receiver.knows(&leaked);
    let test = shop.test_webhook_endpoint(made.endpoint.id).await.expect("a test").id;
    let seen = until("it is refused", || async {
        shop.webhook_message(test).await.ok().filter(|message| message.message.attempts > 0)
    })
    .await;
    assert_eq!((seen.message.state, seen.tried[0].status), (WebhookState::Waiting, Some(401)));
    receiver.knows(&fresh.secret);
    until("it is tried again", || async { (receiver.verified("webhook.test").len() == 3).then_some(()) }).await;
    assert!(server.terminate().success(), "a clean stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_before_a_kill_is_delivered_after_it() {
    let Some(receiver) = Receiver::start(0) else { return };
    let port = receiver.port;
    drop(receiver);
    let database = TestDatabase::new().await;
    let mut server = Server::start(&database.url, 20.0);
    zone(&server.admin(), RulesView::default()).await;
    let (_, party) = merchant();
    let shop = server.client(party);
    let made = endpoint(&shop, format!("http://127.0.0.1:{port}/webhooks")).await;
    let mut orders = Vec::new();
    for n in 0..5 {
        let key = format!("K-{n}");
        let placed = shop.create_order(&fast_order(&key), Idempotency::Key(key.clone())).await.expect("placed");
        if n == 4 {
            // At once after the commit, before or while it is sent.
            server.kill_9();
        }
        orders.push(placed.id.to_string());
    }
    let mut receiver = Receiver::start(port).expect("the port again");
    receiver.knows(&made.secret);
    server.start_again();
    let shop = server.client(party);
    let all = until("every order's first event arrives", || async {
        let placed = receiver.verified("order.placed");
        (placed.len() >= orders.len()).then_some(placed)
    })
    .await;
    for order in &orders {
        assert!(all.iter().any(|taken| taken["body"]["data"]["order_id"] == **order), "{order} is missing");
    }
    for order in orders {
        let mine: Vec<_> = receiver
            .verified("order.")
            .into_iter()
            .filter(|taken| taken["body"]["data"]["order_id"] == *order)
            .collect();
        let mut sorted = sequences(&mine);
        sorted.sort_unstable();
        assert_eq!(sequences(&mine), sorted, "in order");
    }
    let state = shop.webhook_endpoint(made.endpoint.id).await.expect("the endpoint");
    assert_eq!((state.state, state.failures), (EndpointState::Active, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_for_a_while_delays_webhooks_and_loses_none() {
    let Some(mut receiver) = Receiver::start(0) else { return };
    let mut postgres = TestServer::private().await;
    let server = Server::start(postgres.url(), 1.0);
    zone(&server.admin(), RulesView::default()).await;
    let (_, party) = merchant();
    let shop = server.client(party);
    let made = endpoint(&shop, receiver.url()).await;
    receiver.knows(&made.secret);
    place_surely(&shop, &fast_order("before"), "before").await;
    postgres.stop().await;
    let admin = server.admin();
    until("the program notices", || async { (!admin.is_ready().await).then_some(()) }).await;
    postgres.start().await;
    place_surely(&shop, &fast_order("after"), "after").await;
    let placed = until("both are told", || async {
        let placed = receiver.verified("order.placed");
        let references: std::collections::BTreeSet<_> =
            placed.iter().map(|taken| taken["body"]["data"]["order"]["reference"].to_string()).collect();
        (references.len() == 2).then_some(placed)
    })
    .await;
    let ids: std::collections::BTreeSet<_> = placed.iter().map(|taken| taken["id"].to_string()).collect();
    assert_eq!(ids.len(), 2, "what came twice came under one id");
}
