//! The real program with a Postgres of its own, which dies: it is started again, nothing is lost, and no stop waits for it.

mod harness;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::private::DataDir;
use harness::*;
use posthaste_client::{Client, Idempotency, ListOrders, RetryRule};
use posthaste_domain::ids::OrderId;
use posthaste_protocol::zones::RulesView;
use tokio::task::JoinHandle;

/// Merchants who place orders all the time.
const MERCHANTS: usize = 3;
/// Orders that are placed between two deaths, at least.
const LOAD: usize = 6;
/// A stop that waits for connections which cannot come takes longer than this.
const WITHOUT_WAITING: Duration = Duration::from_secs(25);

/// Merchants who place orders, whatever happens, and what was acknowledged to them.
struct Load {
    acknowledged: Arc<Mutex<HashMap<String, OrderId>>>,
    shops: Vec<Client>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn begin(server: &Server) -> Self {
        let (acknowledged, stop) = (Arc::<Mutex<HashMap<_, _>>>::default(), Arc::new(AtomicBool::new(false)));
        let shops: Vec<_> = (0..MERCHANTS).map(|_| server.client(merchant().1)).collect();
        let place = |(n, shop): (usize, &Client)| {
            let (shop, told, stop) = (shop.clone(), Arc::clone(&acknowledged), Arc::clone(&stop));
            tokio::spawn(async move {
                // Each try is seen as it is: what is sent again is sent again here.
                let shop = shop.with_retry(RetryRule { tries: 1, ..RetryRule::default() });
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let reference = format!("{n}-{number}");
                    let key = Idempotency::Key(reference.clone());
                    match shop.create_order(&fast_order(&reference), key).await {
                        Ok(order) => {
                            told.lock().expect("a lock").insert(reference, order.id);
                            number += 1;
                        }
                        Err(error) => assert!(error.is_temporary(), "{reference}: {error}"),
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
        };
        let tasks = shops.iter().enumerate().map(place).collect();
        Self { acknowledged, shops, stop, tasks }
    }

    async fn grows(&self) {
        let count = || self.acknowledged.lock().expect("a lock").len();
        let wanted = count() + LOAD;
        until("orders are placed", async || (count() >= wanted).then_some(())).await;
    }

    /// Ends it, and compares what is stored with what was acknowledged.
    async fn nothing_is_lost_or_doubled(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a merchant's day");
        }
        let acknowledged = self.acknowledged.lock().expect("a lock").clone();
        let mut stored = HashMap::new();
        for shop in &self.shops {
            for order in shop.all_orders(ListOrders::default()).await.expect("its orders") {
                let reference = order.reference.clone().expect("a reference");
                assert!(stored.insert(reference.clone(), order.id).is_none(), "{reference} was placed twice");
            }
        }
        for (reference, order) in &acknowledged {
            assert_eq!(stored.get(reference), Some(order), "{reference} was acknowledged");
        }
    }
}

async fn until_logged(server: &Server, message: &str, times: usize) {
    until(message, async || (server.times_logged(message) >= times).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_dies_again_and_again_under_load_is_started_again_and_nothing_is_lost() {
    let data = DataDir::new();
    let mut server = Server::start_private(&data, &[("POSTHASTE_METRICS_LISTEN", "127.0.0.1:0")]);
    let admin = server.admin();
    zone(&admin, RulesView::default()).await;
    let load = Load::begin(&server);
    for _ in 0..4 {
        load.grows().await;
        let began = Instant::now();
        let killed = data.kill_postgres(&server);
        data.until_started_again(&server, killed).await;
        until("it is ready", async || admin.is_ready().await.then_some(())).await;
        eprintln!("ready {:?} after its Postgres was killed", began.elapsed());
        load.grows().await;
    }
    until_logged(&server, "the private Postgres runs again", 4).await;
    load.nothing_is_lost_or_doubled().await;
    assert_eq!(server.times_logged("serving"), 1, "the server was not restarted");
    let figures = format!("http://{}/metrics", server.logged("metrics", "address").expect("its address"));
    let figures = reqwest::get(figures).await.expect("figures").text().await.expect("figures");
    assert!(figures.contains("posthaste_postgres_starts_total{outcome=\"started\"} 4"), "{figures}");

    let last = data.postmaster(&server).expect("it runs");
    assert!(server.terminate().success());
    assert_eq!(data.postmaster(&server), None, "{last} stopped with its owner, and no other was started");
    assert_eq!(server.times_logged("the private Postgres runs again"), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_and_restarted_just_as_its_postgres_dies_it_serves_again_and_nothing_is_lost() {
    let data = DataDir::new();
    let mut server = Server::start_private(&data, &[]);
    zone(&server.admin(), RulesView::default()).await;
    let load = Load::begin(&server);
    for _ in 0..2 {
        load.grows().await;
        data.kill_postgres(&server);
        let (began, serving) = (Instant::now(), server.times_logged("serving"));
        server.signal("HUP");
        until_logged(&server, "serving", serving + 1).await;
        eprintln!("restarted by itself in {:?}", began.elapsed());
        assert!(began.elapsed() < WITHOUT_WAITING, "{:?}", began.elapsed());
        load.grows().await;
        data.kill_postgres(&server);
        let began = Instant::now();
        assert!(server.terminate().success());
        eprintln!("stopped in {:?}", began.elapsed());
        assert!(began.elapsed() < WITHOUT_WAITING, "{:?}", began.elapsed());
        assert_eq!(data.postmaster(&server), None, "nothing runs without its owner");
        server.start_again();
    }
    load.grows().await;
    load.nothing_is_lost_or_doubled().await;
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_postgres_that_cannot_be_started() {
    let data = DataDir::new();
    let mut server = Server::start_private(&data, &[]);
    let admin = server.admin();
    let zone = zone(&admin, RulesView::default()).await;
    let phone = server.client(posthaste_domain::party::Party::Driver(driver(&admin, zone).await)).driver_socket();
    phone.commands().shift(on_shift(52.1, 13.1)).await.expect("on shift");
    let load = Load::begin(&server);
    load.grows().await;
    let mend = data.kill_postgres_for_good(&server);
    until_logged(&server, "the private Postgres cannot be started", 2).await;
    assert!(admin.is_live().await && !admin.is_ready().await);
    let began = Instant::now();
    assert!(server.terminate().success(), "a stop that found no database is one");
    eprintln!("stopped in {:?}", began.elapsed());
    assert!(began.elapsed() < WITHOUT_WAITING, "{:?}", began.elapsed());
    assert_eq!(server.times_logged("the database is away: the stop waits for nothing that needs it"), 1);
    mend();
    server.start_again();
    load.grows().await;
    load.nothing_is_lost_or_doubled().await;
    assert!(server.terminate().success());
}
