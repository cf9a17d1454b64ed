//! Two real servers on one database, each of which stands by for the other: killed, frozen, stopped in order, while shops
//! place orders at whichever serves. Nothing that was acknowledged is lost, nothing is done twice.
//!
//! `tests/standby/run` does the same hundreds of times, in networks that can be taken away.

mod harness;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::*;
use posthaste_client::ListOrders;
use posthaste_clock::testing::Looks;
use posthaste_domain::ids::OrderId;
use posthaste_domain::party::Party;
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::TestDatabase;

/// Orders that are placed between faults, at least.
const LOAD: usize = 12;
/// Shops.
const SHOPS: usize = 3;
/// How long a shop waits for an answer before it asks the other server.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// What is promised after each fault, on a machine that has nothing else to do and a program that is optimised: here it may
/// take twice as long.
const KILLED: Duration = Duration::from_secs(2);
const FROZEN: Duration = Duration::from_secs(4);
const STOPPED: Duration = Duration::from_secs(1);

/// What was acknowledged, and when.
#[derive(Default)]
struct Placed {
    orders: Mutex<HashMap<String, OrderId>>,
    at: Mutex<Vec<Instant>>,
}

impl Placed {
    fn count(&self) -> usize {
        self.at.lock().expect("a lock").len()
    }

    fn note(&self, reference: String, order: OrderId) {
        assert_eq!(self.orders.lock().expect("a lock").insert(reference, order), None);
        self.at.lock().expect("a lock").push(Instant::now());
    }

    async fn grows(&self) {
        let wanted = self.count() + LOAD;
        until("orders are placed", async || (self.count() >= wanted).then_some(())).await;
    }

    /// For how long nothing was acknowledged, at most, from then on.
    fn longest_gap_since(&self, began: Instant) -> Duration {
        let mut at: Vec<_> = self.at.lock().expect("a lock").iter().copied().filter(|at| *at > began).collect();
        at.insert(0, began);
        at.sort_unstable();
        at.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default()
    }
}

/// Places orders one after the other, each with a key of its own, at whichever server takes it.
async fn place_at_either(name: String, urls: [String; 2], token: String, placed: Arc<Placed>, stop: Arc<AtomicBool>) {
    let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build().expect("a client");
    let mut at = 0;
    for n in 0.. {
        let reference = format!("{name}-{n}");
        let mut looks = Looks::within(PATIENCE);
        let order = loop {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let sent = client
                .post(format!("{}/v1/orders", urls[at % 2]))
                .bearer_auth(&token)
                .header("idempotency-key", &reference)
                .json(&fast_order(&reference))
                .send();
            match sent.await {
                Ok(answer) if answer.status() == 201 => {
                    if let Ok(body) = answer.json::<serde_json::Value>().await {
                        break body["id"].as_str().expect("an id").parse().expect("an id");
                    }
                }
                // Answered by a server that serves: the one before is still at it.
                Ok(answer) if answer.status() == 409 => {}
                Ok(answer) => {
                    assert_eq!(answer.status(), 503, "{reference}");
                    at += 1;
                }
                Err(_) => at += 1,
            }
            looks.again("the order is acknowledged").await;
        };
        placed.note(reference, order);
    }
}

/// The pair, and who serves.
struct Pair {
    nodes: [Server; 2],
    leader: usize,
}

impl Pair {
    /// Something happens to who serves, and the other serves from then on: for how long nobody did.
    async fn taken_over(&mut self, placed: &Placed, happens: impl FnOnce(&mut Server)) -> Duration {
        let other = 1 - self.leader;
        let before = self.nodes[other].times_logged("serving");
        let began = Instant::now();
        happens(&mut self.nodes[self.leader]);
        self.leader = other;
        let leader = &self.nodes[other];
        until("the other serves", async || (leader.times_logged("serving") > before).then_some(())).await;
        placed.grows().await;
        placed.longest_gap_since(began)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_frozen_or_stopped_the_other_serves_and_nothing_is_lost_or_done_twice() {
    posthaste_client::install_crypto();
    let database = TestDatabase::new().await;
    let first = Server::start_node(&database.url, &[]);
    until("it serves", async || (first.times_logged("serving") == 1).then_some(())).await;
    zone(&first.admin(), RulesView::default()).await;
    let second = Server::start_node(&database.url, &[]);
    assert!(!second.admin().is_live().await, "who stands by listens nowhere");

    let (placed, stop) = (Arc::new(Placed::default()), Arc::new(AtomicBool::new(false)));
    let urls = [first.url.clone(), second.url.clone()];
    let shops: Vec<Party> = (0..SHOPS).map(|_| merchant().1).collect();
    let mut tasks = Vec::new();
    for (n, shop) in shops.iter().enumerate() {
        let (placed, stop) = (Arc::clone(&placed), Arc::clone(&stop));
        let places = place_at_either(format!("shop-{n}"), urls.clone(), token(*shop), placed, stop);
        tasks.push(tokio::spawn(places));
    }
    let mut pair = Pair { nodes: [first, second], leader: 0 };
    placed.grows().await;

    let killed = pair.taken_over(&placed, Server::kill_9).await;
    pair.nodes[0].start_again();
    let frozen = pair.taken_over(&placed, |leader| leader.signal("STOP")).await;
    // It wakes, with all that it was at: it may write nothing, and ends, for its manager to start it as the one that stands by.
    let woken = &mut pair.nodes[1];
    woken.signal("CONT");
    let status = woken.until_ended().await;
    assert!(!status.success(), "{status}");
    pair.nodes[1].start_again();
    placed.grows().await;

    let stops = |leader: &mut Server| assert!(leader.terminate().success(), "stopped as it should");
    let stopped = pair.taken_over(&placed, stops).await;

    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("every order was taken, by one or the other");
    }
    eprintln!(
        "{} orders; nobody served for {killed:?} (killed), {frozen:?} (frozen), {stopped:?} (stopped)",
        placed.count()
    );
    for (took, promised) in [(killed, KILLED), (frozen, FROZEN), (stopped, STOPPED)] {
        assert!(took < 2 * promised, "{took:?}, promised {promised:?}");
    }
    assert!(frozen > killed, "a process that is dead is known sooner than one that is silent");

    let told = placed.orders.lock().expect("a lock").clone();
    let mut stored = HashMap::new();
    for shop in &shops {
        let all = pair.nodes[pair.leader].client(*shop).all_orders(ListOrders::default()).await.expect("its orders");
        for order in all {
            let reference = order.reference.clone().expect("a reference");
            assert!(stored.insert(reference.clone(), order.id).is_none(), "{reference} was placed twice");
        }
    }
    // The last of each shop may be stored, and its answer not be waited for any more.
    for (reference, order) in &told {
        assert_eq!(stored.remove(reference), Some(*order), "{reference} was acknowledged");
    }
    assert!(stored.len() <= SHOPS, "{stored:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stands_by_says_how_it_is_where_figures_are_served() {
    posthaste_client::install_crypto();
    let database = TestDatabase::new().await;
    let mut first = Server::start_node(&database.url, &[]);
    until("it serves", async || (first.times_logged("serving") == 1).then_some(())).await;
    let figures = format!("127.0.0.1:{}", free_port());
    let second = Server::start_node(&database.url, &[("POSTHASTE_METRICS_LISTEN", &figures)]);
    let ask = async |path: &str| {
        let answer = reqwest::get(format!("http://{figures}{path}")).await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("an answer in whole"))
    };
    assert_eq!(ask("/health/live").await, (200, r#"{"status":"standing_by"}"#.to_owned()));
    assert_eq!(ask("/health/ready").await, (503, r#"{"status":"standing_by"}"#.to_owned()));
    assert!(ask("/metrics").await.1.contains("posthaste_leads 0"));
    let asked = || {
        let mut health = program();
        health.arg("health").envs(second.environment()).env("POSTHASTE_LISTEN", second.url.replace("http://", ""));
        let asked = health.env("POSTHASTE_STANDBY", "true").env("POSTHASTE_METRICS_LISTEN", &figures).output();
        let asked = asked.expect("the program");
        (asked.status.success(), String::from_utf8_lossy(&asked.stdout).into_owned())
    };
    assert_eq!(asked(), (true, format!("stands by: http://{figures}\n")));

    assert!(first.terminate().success(), "stopped as it should");
    until("the other serves", async || (second.times_logged("serving") == 1).then_some(())).await;
    until("it is ready", async || second.admin().is_ready().await.then_some(())).await;
    assert_eq!(ask("/health/ready").await.0, 200);
    assert!(ask("/metrics").await.1.contains("posthaste_leads 1"));
    assert_eq!(asked(), (true, format!("ready: {}\n", second.url)));
}

#[test]
fn a_standby_takes_no_socket_that_is_handed_over_and_no_private_postgres() {
    let refused = |command: &mut std::process::Command| {
        let output = command.args(["serve", "--standby"]).output().expect("the program");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let private = refused(&mut program());
    assert!(private.contains("standby needs database_url"), "{private}");
    let mut given = program();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let mapping = command_fds::FdMapping { parent_fd: socket.into(), child_fd: 3 };
    command_fds::CommandFdExt::fd_mappings(&mut given, vec![mapping]).expect("one of each");
    let given = refused(given.env("LISTEN_FDS", "1").env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"));
    assert!(given.contains("a standby takes no socket that is handed over"), "{given}");
}
