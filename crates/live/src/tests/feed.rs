//! The feed of a live system: its consumers are woken by the commit, and a batch whose connection breaks is looked up without
//! anybody asking for it.

use std::collections::BTreeMap;
use std::time::Duration;

use posthaste_domain::ids::OrderId;
use posthaste_domain::order::{Command, TaskKind};
use posthaste_domain::zone::ZoneRules;
use posthaste_storage::feed;
use posthaste_storage::orders::ListFilter;
use posthaste_storage::pool::Pool;
use posthaste_storage::testing::Cut;

use super::stage::{Stage, admin, place, surely};
use crate::drivers::DriverCommand;

const PATIENCE: Duration = Duration::from_secs(20);

fn rules() -> ZoneRules {
    ZoneRules { offer_seconds: 3000, stale_after_seconds: 7200, give_up_seconds: 7200, ..ZoneRules::default() }
}

/// A consumer that keeps what it read in memory. It reads as one that stores it would: the cursor moves with it.
#[derive(Default)]
struct Heard(BTreeMap<OrderId, Vec<i64>>);

impl Heard {
    async fn read(&mut self, pool: &Pool, mark: i64) {
        let mut transaction = pool.connections().begin().await.expect("a transaction");
        let portion = feed::next(&mut transaction, "webhooks", mark, 1000).await.expect("the feed");
        let Some(portion) = portion else { return };
        feed::move_to(&mut transaction, "webhooks", portion.last).await.expect("it moves");
        transaction.commit().await.expect("it is committed");
        for event in portion.events {
            self.0.entry(event.order).or_default().push(event.seq);
        }
    }

    /// Reads whenever the mark moves, until it has heard of an order's step.
    async fn until(&mut self, stage: &Stage, order: OrderId, version: u64) {
        let mut marks = stage.system.feed().marks();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let mark = *marks.borrow_and_update();
                self.read(&stage.database.pool, mark).await;
                if self.0.get(&order).is_some_and(|seqs| seqs.contains(&(version as i64))) {
                    return;
                }
                marks.changed().await.expect("the feed is there");
            }
        });
        let in_time = waited.await.is_ok();
        assert!(in_time, "never heard of {version}: {:?}", self.0.get(&order));
    }

    fn of(&self, order: OrderId) -> &[i64] {
        self.0.get(&order).map(Vec::as_slice).unwrap_or_default()
    }
}

fn up_to(version: u64) -> Vec<i64> {
    (1..=version as i64).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_an_order_wakes_who_reads_the_feed_and_comes_once() {
    let stage = Stage::with_rules(rules()).await;
    let mut heard = Heard::default();
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await.id;
    let (_, offer) = stage.offered(order).await;
    stage.as_driver(driver, DriverCommand::Accept(offer)).await.expect("accepted");
    let version = stage.order(order).await.version;
    heard.until(&stage, order, version).await;
    let cancel = Command::Cancel { by: admin().by, reason: "a test".to_owned() };
    stage.system.orders().command(order, cancel, admin()).await.expect("canceled");
    let version = stage.order(order).await.version;
    heard.until(&stage, order, version).await;
    assert_eq!(heard.of(order), up_to(version));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_commit_is_cut_holds_the_feed_until_it_is_known_and_then_all_go_on() {
    for cut in [Cut::Before, Cut::After] {
        let (stage, relay) = Stage::behind_a_relay(rules()).await;
        let mut heard = Heard::default();
        let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
        let order = stage.place(stage.fast_order()).await.id;
        let (_, offer) = stage.offered(order).await;
        stage.as_driver(driver, DriverCommand::Accept(offer)).await.expect("accepted");
        let (pickup, _) = stage.task(order, TaskKind::Pickup).await;
        relay.cut("departed", cut);
        surely(async || stage.as_driver(driver, DriverCommand::Depart(pickup)).await).await.expect("departed");
        assert_eq!(relay.cuts(), 1, "{cut:?}");
        let beside = stage.place(stage.fast_order()).await;
        let version = stage.order(order).await.version;
        heard.until(&stage, beside.id, 1).await;
        heard.until(&stage, order, version).await;
        assert_eq!(heard.of(order), up_to(version), "{cut:?}");
        assert_eq!(stage.system.feed().in_doubt(), 0, "{cut:?}");
    }
}

/// Numbers that the journal drew are the system's: its successor's batches do not pass over them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_killed_with_batches_under_way_leaves_no_hole() {
    let stage = Stage::running(rules()).await;
    let mut heard = Heard::default();
    for _ in 0..5 {
        let mut placing = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (system, new) = (stage.system.clone(), stage.fast_order());
            placing.spawn(async move { system.orders().place(new, None, admin()).await.map(drop) });
        }
        // Some of them are in its mailbox, some in a batch, some done.
        tokio::task::yield_now().await;
        if let Some(journal) = stage.system.doors.journal.seat.cell() {
            journal.kill();
        }
        placing.join_all().await;
    }
    stage.until_whole().await;
    let last = stage.place(stage.fast_order()).await;
    heard.until(&stage, last.id, 1).await;
    let all =
        posthaste_storage::orders::list(&stage.database.pool, &ListFilter::default(), None, 200).await.expect("all");
    for order in all.orders {
        heard.until(&stage, order.id, order.version).await;
        assert_eq!(heard.of(order.id), up_to(order.version));
    }
    assert_eq!(stage.system.feed().in_doubt(), 0);
}
