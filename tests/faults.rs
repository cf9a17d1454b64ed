//! What may go wrong with a running program, done to the real one.

mod harness;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::*;
use posthaste_client::{Client, Event, TrackingSocket};
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::order::{Status, TaskKind, TaskStatus};
use posthaste_domain::party::Party;
use posthaste_protocol::orders::OrderView;
use posthaste_protocol::problem::Code;
use posthaste_protocol::socket::{ServerMessage, Snapshot};
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::{TestDatabase, TestServer};

/// How often the program is killed, where `POSTHASTE_KILLS` says nothing else: at night it is for longer.
const KILLS: u32 = 12;

/// What was acknowledged to somebody: it must be there in the end.
#[derive(Default)]
struct Acknowledged {
    /// By reference: the order that was acknowledged for it.
    orders: Mutex<HashMap<String, OrderView>>,
    assigned: Mutex<Vec<(OrderId, DriverId)>>,
    done: Mutex<Vec<(OrderId, TaskKind)>>,
}

/// A driver who takes every offer and carries everything to the door, whatever happens to the server.
async fn work(
    phone: posthaste_client::DriverSocket,
    me: DriverId,
    codes: Client,
    told: Arc<Acknowledged>,
    stop: Arc<AtomicBool>,
) {
    let mut phone = phone;
    let hands = phone.commands();
    while !stop.load(Ordering::Relaxed) {
        let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(500), phone.next()).await else { continue };
        let news = work_of(event);
        for offer in news.offers {
            match hands.accept(offer.id).await {
                Ok(_) => told.assigned.lock().expect("a lock").push((offer.order.id, me)),
                Err(error) => assert!(error.is_temporary() || is_settled(&error), "accept: {error}"),
            }
        }
        for stop in news.route.into_iter().flat_map(|route| route.stops) {
            let order = until("the order is read", || async { codes.order(stop.order_id).await.ok() }).await;
            let Some(task) = order.tasks.iter().find(|t| t.id == stop.task.id && !t.status.is_final()) else {
                continue;
            };
            let before_it = order.tasks.iter().any(|t| t.kind == TaskKind::Pickup && t.status != TaskStatus::Done);
            if task.kind == TaskKind::Delivery && before_it {
                continue;
            }
            let done = match task.kind {
                TaskKind::Pickup => hands.picked_up(task.id, task.code.clone(), None).await,
                _ => hands.delivered(task.id, task.code.clone(), None).await,
            };
            match done {
                Ok(_) => told.done.lock().expect("a lock").push((order.id, task.kind)),
                Err(error) => assert!(error.is_temporary() || is_settled(&error), "complete: {error}"),
            }
        }
    }
}

/// Follows an order by its link and notes every number it sees; a gap is a failure.
async fn follow(mut socket: TrackingSocket, gaps: Arc<AtomicU64>, ends: Arc<AtomicU64>) {
    let mut newest = 0;
    loop {
        let Some(event) = socket.next().await else { return };
        let (seq, status) = match event {
            Event::Snapshot(snapshot) => match *snapshot {
                Snapshot::Tracking { tracking } => {
                    let whole = tracking.timeline.iter().map(|step| step.seq).eq(1..=tracking.seq);
                    gaps.fetch_add(u64::from(!whole || tracking.seq < newest), Ordering::Relaxed);
                    (tracking.seq, tracking.status)
                }
                _ => continue,
            },
            Event::Message { seq, message: ServerMessage::Step(step), .. } => {
                gaps.fetch_add(u64::from(seq != newest + 1), Ordering::Relaxed);
                (seq, step.step.status)
            }
            _ => continue,
        };
        newest = seq;
        if status.is_final() {
            ends.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_a_dozen_times_under_load_it_loses_and_doubles_nothing() {
    let database = TestDatabase::new().await;
    let mut server = Server::start(&database.url, 20.0);
    let admin = server.admin();
    let zone = zone(&admin, RulesView::default()).await;
    let told = Arc::new(Acknowledged::default());
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    let mut phones = Vec::new();
    for n in 0..8 {
        let id = driver(&admin, zone).await;
        let phone = server.client(Party::Driver(id)).driver_socket();
        phone.commands().shift(on_shift(52.1 + f64::from(n) * 0.001, 13.1)).await.expect("on shift");
        phones.push(id);
        let (codes, told, stop) = (server.admin(), Arc::clone(&told), Arc::clone(&stop));
        tasks.push(tokio::spawn(work(phone, id, codes, told, stop)));
    }
    let (gaps, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut followers = Vec::new();
    let mut placing = Vec::new();
    let (sender, mut placed) = tokio::sync::mpsc::unbounded_channel();
    for m in 0..4 {
        let (_, party) = merchant();
        let (shop, told, stop, sender) = (server.client(party), Arc::clone(&told), Arc::clone(&stop), sender.clone());
        placing.push(tokio::spawn(async move {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let reference = format!("{m}-{n}");
                let order = place_surely(&shop, &fast_order(&reference), &reference).await;
                let link = until("a link", || async { shop.tracking_link(order.id).await.ok() }).await;
                told.orders.lock().expect("a lock").insert(reference, order);
                let _ = sender.send(link.token);
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
        }));
    }
    drop(sender);
    // Made once: a client takes longer to make than an order to place, where the machine is busy.
    let anybody = admin.with_token("");
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let kills = std::env::var("POSTHASTE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    for _ in 0..kills {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(150 + (seed >> 33) % 700)).await;
        server.kill_9();
        server.start_again();
        while let Ok(link) = placed.try_recv() {
            let socket = anybody.tracking_socket(&link);
            followers.push(tokio::spawn(follow(socket, Arc::clone(&gaps), Arc::clone(&ends))));
        }
    }
    stop_placing(placing, &stop).await;
    let orders = told.orders.lock().expect("a lock").clone();
    assert!(orders.len() > 20, "there was load: {}", orders.len());
    let stop_working = Arc::new(AtomicBool::new(false));
    // The drivers stopped with the merchants; fresh phones finish what is open: live work resumes.
    for task in tasks {
        task.await.expect("a driver's day");
    }
    let mut finishing = Vec::new();
    for id in phones {
        let phone = server.client(Party::Driver(id)).driver_socket();
        phone.commands().shift(on_shift(52.1, 13.1)).await.expect("on shift");
        finishing.push(tokio::spawn(work(phone, id, server.admin(), Arc::clone(&told), Arc::clone(&stop_working))));
    }
    for order in orders.values() {
        until_status(&admin, order.id, Status::Delivered).await;
    }
    stop_working.store(true, Ordering::Relaxed);
    for task in finishing {
        task.await.expect("a driver's evening");
    }
    for follower in &mut followers {
        tokio::time::timeout(PATIENCE, follower).await.expect("every follower sees the end").expect("no panic");
    }
    assert_eq!(gaps.load(Ordering::Relaxed), 0, "no follower missed a step");
    assert_eq!(ends.load(Ordering::Relaxed), followers.len() as u64);
    audit(&admin, &told, &orders).await;
}

async fn stop_placing(placing: Vec<tokio::task::JoinHandle<()>>, stop: &AtomicBool) {
    stop.store(true, Ordering::Relaxed);
    for task in placing {
        task.await.expect("a merchant's day");
    }
}

/// Everything acknowledged is there, once; nobody was promised to two at a time.
async fn audit(admin: &Client, told: &Acknowledged, orders: &HashMap<String, OrderView>) {
    let stored = admin.all_orders(posthaste_client::ListOrders::default()).await.expect("all orders");
    assert_eq!(stored.len(), orders.len(), "none lost, none doubled");
    let mut held: HashMap<DriverId, Vec<(i64, i64, OrderId)>> = HashMap::new();
    for order in &stored {
        let known = orders.get(order.reference.as_deref().unwrap_or_default()).expect("acknowledged");
        assert_eq!(known.id, order.id);
        for (a, b) in known.tasks.iter().zip(&order.tasks) {
            assert_eq!(a.code, b.code, "codes stay");
        }
        let timeline = admin.order_timeline(order.id).await.expect("a timeline");
        assert!(timeline.iter().map(|e| e.seq).eq(1..=order.version), "numbers without a gap");
        let assigned: Vec<_> = timeline.iter().filter(|e| e.event == "assigned").collect();
        assert_eq!(assigned.len(), 1, "no order had two drivers: {timeline:#?}");
        let text = |entry: &posthaste_protocol::orders::TimelineEntry, path: &[&str]| {
            let value = path.iter().fold(serde_json::Value::Object(entry.data.clone()), |v, key| v[*key].clone());
            value.as_str().unwrap_or_default().to_owned()
        };
        let driver: DriverId = text(assigned[0], &["driver"]).parse().expect("a driver");
        let start = assigned[0].at.timestamp_micros();
        let end: posthaste_domain::Timestamp = text(assigned[0], &["commitment", "end"]).parse().expect("an end");
        let over = timeline.last().map_or(end, |e| e.at).min(end);
        held.entry(driver).or_default().push((start, over.timestamp_micros(), order.id));
    }
    for (driver, mut times) in held {
        times.sort_unstable();
        for pair in times.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{driver} was promised twice: {pair:?}");
        }
    }
    let by_id: HashMap<_, _> = stored.iter().map(|o| (o.id, o)).collect();
    for (order, driver) in told.assigned.lock().expect("a lock").iter() {
        assert_eq!(by_id[order].driver_id, Some(*driver), "an acknowledged acceptance stands");
    }
    for (order, kind) in told.done.lock().expect("a lock").iter() {
        let done = by_id[order].tasks.iter().any(|t| t.kind == *kind && t.status == TaskStatus::Done);
        assert!(done, "an acknowledged {kind:?} stands");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_away_commands_are_refused_cleanly_and_it_recovers_by_itself() {
    let mut postgres = TestServer::private().await;
    let server = Server::start(postgres.url(), 1.0);
    let admin = server.admin();
    let zone = zone(&admin, RulesView::default()).await;
    let (_, party) = merchant();
    let shop = server.client(party).with_retry(posthaste_client::RetryRule { tries: 1, ..Default::default() });
    let before = place_surely(&shop, &fast_order("before"), "before").await;
    let dana = driver(&admin, zone).await;
    let phone = server.client(Party::Driver(dana)).driver_socket();
    postgres.stop().await;
    let away = std::time::Instant::now();
    let mut refused = 0;
    while away.elapsed() < Duration::from_secs(10) {
        let error = shop
            .create_order(&fast_order("while away"), posthaste_client::Idempotency::Key("while-away".into()))
            .await
            .expect_err("nothing can be acknowledged");
        let problem = error.problem().unwrap_or_else(|| panic!("a problem, not {error}"));
        assert_eq!((problem.code, problem.status), (Code::Unavailable, 503), "{problem}");
        assert!(problem.retry_after_seconds.is_some(), "it says when to come back");
        refused += 1;
        assert!(admin.is_live().await, "it is alive all the time");
    }
    assert!(refused > 0 && !admin.is_ready().await);
    postgres.start().await;
    let after = place_surely(&shop, &fast_order("while away"), "while-away").await;
    phone.commands().shift(on_shift(52.1, 13.1)).await.expect("the driver's work goes on too");
    for order in [&before, &after] {
        let seen = admin.order(order.id).await.expect("still there");
        assert_eq!(seen.reference, order.reference);
    }
    until("ready again", || async { admin.is_ready().await.then_some(()) }).await;
    until("an offer", || async {
        let order = admin.order(before.id).await.ok()?;
        (order.status == Status::Offered).then_some(())
    })
    .await;
}

/// Opens a stream of operations by hand and never reads from it.
async fn stuck_reader(server: &Server) -> tokio::net::TcpStream {
    use tokio::io::AsyncWriteExt;
    let address = server.url.trim_start_matches("http://");
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(address.parse().expect("an address")).await.expect("connected");
    let token = token(Party::Admin(id()));
    let upgrade = format!(
        "GET /v1/ws/operations HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await.expect("asked");
    // A masked text frame with an empty mask: `hello`.
    let hello = br#"{"type":"hello","data":{}}"#;
    let length = u8::try_from(hello.len()).expect("a short frame");
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(hello);
    stream.write_all(&frame).await.expect("said hello");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_stops_reading_is_closed_and_slows_nobody() {
    use tokio::io::AsyncReadExt;
    let database = TestDatabase::new().await;
    let server = Server::start(&database.url, 1.0);
    let admin = server.admin();
    zone(&admin, RulesView::default()).await;
    let mut stuck = stuck_reader(&server).await;
    let mut reader = admin.operations_socket(posthaste_client::OperationsView::Box {
        min_lng: 12.0,
        min_lat: 51.0,
        max_lng: 14.0,
        max_lat: 53.0,
    });
    reader.wait_for(PATIENCE, |e| matches!(e, Event::Snapshot(_)).then_some(())).await.expect("connected");
    let (_, party) = merchant();
    let shop = server.client(party);
    let mut order = fast_order("long");
    let words = "a very long way to say where the door is; ".repeat(11);
    order.delivery.contact = posthaste_protocol::orders::ContactView {
        name: Some(words.clone()),
        phone: None,
        address: Some(words.clone()),
        note: Some(words),
    };
    let (mut seen, mut slowest) = (0, Duration::ZERO);
    let started = std::time::Instant::now();
    // More than the kernel holds for a reader who does not read; each order is seen by the one who does.
    while !closed_as_too_slow(&server) {
        assert!(started.elapsed() < PATIENCE, "the stuck reader was never let go, after {seen} orders");
        let wave: Vec<_> = (0..50)
            .map(|n| {
                let (shop, order) = (shop.clone(), order.clone());
                tokio::spawn(async move { place_surely(&shop, &order, &format!("{seen}-{n}")).await })
            })
            .collect();
        let sent = std::time::Instant::now();
        for placed in wave {
            placed.await.expect("placed");
        }
        let mut here = 0;
        while here < 50 {
            let news = reader.wait_for(PATIENCE, |event| match event {
                Event::Message { message: ServerMessage::Order(_), .. } => Some(()),
                _ => None,
            });
            news.await.expect("the other reader sees every order");
            here += 1;
        }
        slowest = slowest.max(sent.elapsed());
        seen += 50;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(slowest < Duration::from_secs(10), "a wave took {slowest:?}");
    // What was queued for it can still be read; then comes the end.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stuck.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "its connection ends");
    assert_eq!(reader.stats().gaps, 0);
}

fn closed_as_too_slow(server: &Server) -> bool {
    let code = posthaste_protocol::socket::close::TOO_SLOW.to_string();
    server.log().iter().any(|line| line.contains("a socket was closed") && line.contains(&code))
}
