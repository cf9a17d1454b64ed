//! The real program restarted under load on a socket that stays open: nobody is refused, nothing is lost or doubled. And
//! two of them on one database.

mod harness;

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::*;
use posthaste_client::{Client, Event, Idempotency, ListOrders};
use posthaste_clock::testing::Looks;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::OrderId;
use posthaste_domain::order::Status;
use posthaste_domain::party::Party;
use posthaste_protocol::socket::ServerMessage;
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::TestDatabase;

/// How often the program is restarted in each way.
const RESTARTS: usize = 2;
/// Orders that are placed before, between and after restarts, at least.
const LOAD: usize = 12;

/// What was acknowledged: by reference, which order, and how long it took.
#[derive(Default)]
struct Placed {
    orders: Mutex<HashMap<String, OrderId>>,
    longest: Mutex<Duration>,
}

impl Placed {
    fn count(&self) -> usize {
        self.orders.lock().expect("a lock").len()
    }

    /// Waits until some more were placed.
    async fn grows(&self) {
        let wanted = self.count() + LOAD;
        until("orders are placed", async || (self.count() >= wanted).then_some(())).await;
    }

    fn note(&self, reference: String, order: OrderId, took: Duration) {
        self.orders.lock().expect("a lock").insert(reference, order);
        let mut longest = self.longest.lock().expect("a lock");
        *longest = took.max(*longest);
    }
}

/// Places orders one after the other, each over a connection of its own and once: any failure is one too many.
async fn place_over_new_connections(
    name: String,
    url: String,
    token: String,
    placed: Arc<Placed>,
    stop: Arc<AtomicBool>,
) {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client");
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let reference = format!("{name}-{n}");
        let began = Instant::now();
        let sent = client
            .post(format!("{url}/v1/orders"))
            .bearer_auth(&token)
            .header("idempotency-key", &reference)
            .header("connection", "close")
            .json(&fast_order(&reference))
            .send();
        let answer = sent.await.unwrap_or_else(|error| panic!("{reference} was not answered: {error:?}"));
        let status = answer.status();
        let body: serde_json::Value = answer.json().await.expect("an answer in whole");
        assert_eq!(status.as_u16(), 201, "{reference}: {body}");
        placed.note(reference, body["id"].as_str().expect("an id").parse().expect("an id"), began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Places orders over connections that are kept: one may end just as it is used, then the same is sent again.
async fn place_over_kept_connections(name: String, shop: Client, placed: Arc<Placed>, stop: Arc<AtomicBool>) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let reference = format!("{name}-{n}");
        let began = Instant::now();
        let order = place_surely(&shop, &fast_order(&reference), &reference).await;
        placed.note(reference, order.id, began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_under_load_on_its_socket_it_refuses_loses_and_doubles_nothing() {
    posthaste_client::install_crypto();
    let database = TestDatabase::new().await;
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let mut server = Server::start_given(&database.url, socket);
    let admin = server.admin();
    zone(&admin, RulesView::default()).await;

    // Somebody follows an order from before the restarts to their end.
    let (_, owner) = merchant();
    let followed =
        server.client(owner).create_order(&fast_order("followed"), Default::default()).await.expect("placed");
    let link = server.client(owner).tracking_link(followed.id).await.expect("a link");
    let mut tracker = server.admin().with_token("").tracking_socket(&link.token);
    until_connected(&mut tracker).await;

    let (placed, stop) = (Arc::new(Placed::default()), Arc::new(AtomicBool::new(false)));
    let mut tasks = Vec::new();
    let mut shops = Vec::new();
    for n in 0..3 {
        let (_, party) = merchant();
        let (url, told, stopped) = (server.url.clone(), Arc::clone(&placed), Arc::clone(&stop));
        let new = place_over_new_connections(format!("new-{n}"), url, token(party), told, stopped);
        tasks.push(tokio::spawn(new));
        let shop = server.client(party);
        let kept = place_over_kept_connections(format!("kept-{n}"), shop, Arc::clone(&placed), Arc::clone(&stop));
        tasks.push(tokio::spawn(kept));
        shops.push(server.client(party));
    }
    for n in 1..=RESTARTS {
        placed.grows().await;
        // As a service manager restarts it: stopped, then started with the socket that was open all the while.
        assert!(server.terminate().success(), "stopped as it should");
        server.start_again();
        placed.grows().await;
        // By itself: the same process, the socket handed on.
        let serving = server.times_logged("serving");
        server.signal("HUP");
        until("it serves again", async || (server.times_logged("serving") > serving).then_some(())).await;
        assert!(!server.has_ended(), "restart {n}");
    }
    placed.grows().await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("nobody was refused");
    }

    let told = placed.orders.lock().expect("a lock").clone();
    let mut stored = HashMap::new();
    for shop in &shops {
        for order in shop.all_orders(ListOrders::default()).await.expect("its orders") {
            let reference = order.reference.clone().expect("a reference");
            assert!(stored.insert(reference.clone(), order.id).is_none(), "{reference} was placed twice");
        }
    }
    assert_eq!(stored, told, "what is stored is what was acknowledged");
    assert!(told.len() > 2 * RESTARTS * LOAD, "there was load: {}", told.len());
    let longest = *placed.longest.lock().expect("a lock");
    eprintln!("{} orders over {} restarts, the longest wait {longest:?}", told.len(), 2 * RESTARTS);
    assert!(longest < Duration::from_secs(30), "{longest:?}");

    server.client(owner).cancel_order(followed.id, "enough").await.expect("canceled");
    until_canceled_in_one_stream(&mut tracker).await;
    assert!(tracker.stats().reconnects >= 2 * RESTARTS as u64, "{:?}", tracker.stats());
}

async fn until_connected(tracker: &mut posthaste_client::TrackingSocket) {
    let snapshot = tokio::time::timeout(PATIENCE, async {
        while let Some(event) = tracker.next().await {
            if let Event::Snapshot(_) = event {
                return true;
            }
        }
        false
    });
    assert!(snapshot.await.expect("in time"), "the tracker is connected");
}

/// From the first snapshot on the stream went on, over every restart: no second snapshot, no gap.
async fn until_canceled_in_one_stream(tracker: &mut posthaste_client::TrackingSocket) {
    let canceled = tokio::time::timeout(PATIENCE, async {
        let mut newest = None;
        loop {
            match tracker.next().await.expect("an event") {
                Event::Snapshot(snapshot) => panic!("it did not resume: {snapshot:?}"),
                Event::Message { seq, message: ServerMessage::Step(step), .. } => {
                    assert!(newest.is_none_or(|newest| seq == newest + 1), "{seq} after {newest:?}");
                    newest = Some(seq);
                    if step.step.status == Status::Canceled {
                        return;
                    }
                }
                _ => {}
            }
        }
    });
    canceled.await.expect("the order's end is seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_waits_until_the_first_has_left_the_database() {
    let database = TestDatabase::new().await;
    let mut first = Server::start(&database.url, 1.0);
    let (_, party) = merchant();
    zone(&first.admin(), RulesView::default()).await;
    let before = first.client(party).create_order(&fast_order("before"), Default::default()).await.expect("placed");
    let url = database.url.clone();
    let second = tokio::task::spawn_blocking(move || Server::start(&url, 1.0));
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN ({HOLDERS})
            AND state = 'idle' AND query LIKE 'SELECT pg_try_advisory_lock(%' AND query_start > $1"
    );
    let beside = database.pool.connections();
    let now: Timestamp = sqlx::query_scalar("SELECT now()").fetch_one(beside).await.expect("asked");
    until("the second has asked for the lead, and was refused", async || {
        let asked = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(waits.as_str())).bind(now);
        (asked.fetch_one(beside).await.expect("asked") > 0).then_some(())
    })
    .await;
    assert!(!second.is_finished(), "one at a time");
    let between = first.client(party).create_order(&fast_order("between"), Default::default()).await.expect("placed");
    first.kill_9();
    let second = second.await.expect("it serves");
    assert_eq!(second.times_logged("another server leads this database: waiting for it to leave"), 1);
    for order in [before, between] {
        assert_eq!(second.client(party).order(order.id).await.expect("it is there").id, order.id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_told_to_start_again_with_a_wrong_configuration_goes_on() {
    let database = TestDatabase::new().await;
    let file = std::env::temp_dir().join(format!("posthaste-{}.toml", id::<OrderId>()));
    std::fs::write(&file, "checkpoint_seconds = 2\n").expect("a configuration");
    // In the service manager's place: what it is told.
    let manager = std::env::temp_dir().join(format!("posthaste-{}.notify", id::<OrderId>()));
    let told = std::os::unix::net::UnixDatagram::bind(&manager).expect("a socket");
    told.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let hears = |state: &str| {
        let mut text = [0; 64];
        let length = told.recv(&mut text).expect("it is told");
        assert_eq!(std::str::from_utf8(&text[..length]), Ok(state));
    };
    let more =
        [("POSTHASTE_CONFIG", file.to_str().expect("a path")), ("NOTIFY_SOCKET", manager.to_str().expect("a path"))];
    let mut server = Server::start_with(&database.url, 1.0, &more);
    hears("READY=1");
    std::fs::write(&file, "checkpoint_secods = 2\n").expect("a wrong configuration");
    server.signal("HUP");
    let said = "not started again: the configuration is wrong";
    until("it says so", async || (server.times_logged(said) == 1).then_some(())).await;
    assert!(!server.has_ended());
    assert!(server.client(Party::Admin(id())).is_ready().await, "it goes on");
    std::fs::write(&file, "checkpoint_seconds = 4\n").expect("a configuration");
    let serving = server.times_logged("serving");
    server.signal("HUP");
    until("it serves again", async || (server.times_logged("serving") > serving).then_some(())).await;
    hears("RELOADING=1");
    hears("READY=1");
    assert!(server.terminate().success());
    hears("STOPPING=1");
    for left in [file, manager] {
        let _ = std::fs::remove_file(left);
    }
}

/// Sessions that hold a lock of the lead.
const HOLDERS: &str = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Sockets heard first that a server which lost the lead goes away, nothing was waited for, and it said why.
fn it_left_at_once(log: &[String]) {
    let at = |words: &str| {
        let line = log.iter().position(|line| line.contains(words)).unwrap_or_else(|| panic!("not logged: {words}"));
        let entry: serde_json::Value = serde_json::from_str(&log[line]).unwrap_or_default();
        let instant = entry["timestamp"].as_str().and_then(|at| at.parse::<posthaste_domain::Timestamp>().ok());
        (line, instant)
    };
    let (lost, stopped) = (at("this one must not go on"), at("\"stopped\""));
    let why = at("another server has taken the database over");
    assert!(lost.0 < stopped.0 && stopped.0 < why.0, "{log:#?}");
    assert!(log[lost.0..stopped.0].iter().any(|line| line.contains("socket ended")), "{log:#?}");
    let took = stopped.1.expect("an instant") - lost.1.expect("an instant");
    eprintln!("ended {} ms after it lost the lead", took.num_milliseconds());
    assert!(took < posthaste_domain::Span::seconds(15), "{} ms", took.num_milliseconds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_its_database_to_another_stops_and_what_it_acknowledged_is_there() {
    let database = TestDatabase::new().await;
    let mut first = Server::start(&database.url, 1.0);
    let (_, party) = merchant();
    let zone = zone(&first.admin(), RulesView::default()).await;
    let acknowledged = Arc::new(Placed::default());
    let shop = first.client(party);
    let told = Arc::clone(&acknowledged);
    let placing = tokio::spawn(async move {
        for n in 0.. {
            let reference = format!("order-{n}");
            if let Ok(order) = shop.create_order(&fast_order(&reference), Idempotency::Off).await {
                told.note(reference, order.id, Duration::ZERO);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    acknowledged.grows().await;
    let mut phone = first.client(Party::Driver(driver(&first.admin(), zone).await)).driver_socket();
    phone.wait_for(PATIENCE, |event| matches!(event, Event::Snapshot(_)).then_some(())).await.expect("connected");
    let url = database.url.clone();
    let second = tokio::task::spawn_blocking(move || Server::start(&url, 1.0));
    let beside = database.pool.connections();
    let waits = format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN ({HOLDERS})
            AND query LIKE 'SELECT pg_try_advisory_lock(%'"
    );
    let waiting: i32 = until("the second waits", async || {
        sqlx::query_scalar(sqlx::AssertSqlSafe(waits.as_str())).fetch_optional(beside).await.expect("asked")
    })
    .await;
    // The network between the first and its database breaks, and the second is quicker.
    let cut = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM ({HOLDERS}) AS holders
        WHERE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND pid = $1)"
    );
    let mut looks = Looks::within(PATIENCE);
    while !first.has_ended() {
        if !second.is_finished() {
            let ended = sqlx::query(sqlx::AssertSqlSafe(cut.as_str())).bind(waiting).execute(beside).await;
            ended.expect("asked");
        }
        looks.again("the first ends").await;
    }
    placing.abort();
    it_left_at_once(&first.log());
    let second = second.await.expect("the second serves");
    let orders = acknowledged.orders.lock().expect("a lock").clone();
    assert!(!orders.is_empty(), "there was load");
    let shop = second.client(party);
    for (reference, order) in orders {
        assert_eq!(shop.order(order).await.expect("it is there").reference, Some(reference));
    }
}
