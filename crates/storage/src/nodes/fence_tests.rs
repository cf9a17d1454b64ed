//! Whose epoch is over commits nothing. And why it is `FOR SHARE` that the journal's statement says: what would be cheaper
//! lets an old owner commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use posthaste_domain::ids::{Id as _, RegionId};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Fence, Over, leases, rows};
use crate::feed::Feed;
use crate::journal::{self, AppendError};
use crate::lead::Marks;
use crate::orders;
use crate::pool::{self, Leader, Pool};
use crate::testing::TestDatabase;
use crate::tests::story::{Wanted, order, order_like, placing};

/// How long anything may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);
/// Writers of a storm.
const WRITERS: u64 = 8;
/// Claims of a storm: each falls into the middle of what the writers do.
const CLAIMS: u64 = 250;
/// A lock that a statement of these tests meets on its way, after it has looked at the lease.
const GATE: &str = "4711";

fn region() -> Uuid {
    RegionId::FIRST.uuid()
}

/// Two nodes that may claim.
async fn nodes(pool: &Pool) -> [Uuid; 2] {
    let nodes = [Uuid::now_v7(), Uuid::now_v7()];
    for node in nodes {
        rows::join(&mut pool.0.acquire().await.unwrap(), node, "here", "1").await.unwrap();
    }
    nodes
}

async fn claim(session: &mut PgConnection, node: Uuid) -> Result<i64, sqlx::Error> {
    leases::claim(session, region(), node).await.map(|epoch| epoch.expect("it may be claimed"))
}

/// The pool of a node that has the region in this epoch, or believes it.
fn fenced(pool: &Pool, epoch: i64) -> Pool {
    let fence = Fence { region: region(), epoch, over: Over::new() };
    Pool(pool.0.clone(), Some(Leader { marks: Arc::new(Marks::none()), fence: Some(fence) }))
}

fn is_over(pool: &Pool) -> bool {
    pool.1.as_ref().and_then(|leader| leader.fence.as_ref()).is_some_and(|fence| *fence.over.0.borrow())
}

/// Waits until a session of this database waits for a lock.
async fn until_one_waits(beside: &Pool) {
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock')";
    let waited = tokio::time::timeout(PATIENCE, async {
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&beside.0).await.unwrap() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("a session waits for a lock");
}

async fn write_one(pool: &Pool, n: u128) -> Result<(), AppendError> {
    let entries = [placing(&order(n))];
    let drawn = Feed::after(i64::try_from(n).unwrap() * 10).draw(&entries);
    journal::write(pool, drawn, &entries).await.remove(0)
}

#[tokio::test]
async fn the_old_owner_never_commits_while_somebody_claims_or_after() {
    let pool = TestDatabase::new().await.pool;
    let [one, other] = nodes(&pool).await;
    let epoch = claim(&mut pool.0.acquire().await.unwrap(), one).await.unwrap();
    let old = fenced(&pool, epoch);
    write_one(&old, 1).await.expect("it has the region");

    let mut claiming = pool.0.begin().await.unwrap();
    claim(&mut claiming, other).await.unwrap();
    let writing = tokio::spawn({
        let old = old.clone();
        async move { write_one(&old, 2).await }
    });
    until_one_waits(&pool).await;
    claiming.commit().await.unwrap();
    let refused = writing.await.unwrap().expect_err("the claim came first");
    assert!(matches!(refused, AppendError::NotOwner) && refused.is_certain(), "{refused}");
    assert!(is_over(&old), "the node is told");
    for n in [2, 3] {
        assert!(n == 2 || write_one(&old, n).await.is_err());
        assert_eq!(orders::get(&pool, order(n).id).await.unwrap(), None);
    }
    // Who is no node checks nothing.
    write_one(&pool, 4).await.unwrap();
}

#[tokio::test]
async fn a_claim_that_was_taken_back_costs_the_owner_nothing() {
    let pool = TestDatabase::new().await.pool;
    let [one, other] = nodes(&pool).await;
    let epoch = claim(&mut pool.0.acquire().await.unwrap(), one).await.unwrap();
    let owner = fenced(&pool, epoch);
    let mut claiming = pool.0.begin().await.unwrap();
    claim(&mut claiming, other).await.unwrap();
    let writing = tokio::spawn({
        let owner = owner.clone();
        async move { write_one(&owner, 1).await }
    });
    until_one_waits(&pool).await;
    claiming.rollback().await.unwrap();
    writing.await.unwrap().expect("it is still the owner");
    assert!(!is_over(&owner));
}

#[tokio::test]
async fn a_claim_waits_for_what_the_old_owner_has_under_way_and_sees_it() {
    let pool = TestDatabase::new().await.pool;
    let [one, other] = nodes(&pool).await;
    let epoch = claim(&mut pool.0.acquire().await.unwrap(), one).await.unwrap();
    // The batch has looked at the lease, and waits for somebody who is about to write the same order.
    let mut in_the_way = pool.0.begin().await.unwrap();
    let query = "INSERT INTO orders
        (id, version, previous_version, merchant_id, zone_id, placed_at, promised_at, status, speed, state)
        VALUES ($1, 1, 0, $1, $1, now(), now(), 'pending', 'fast', '{}')";
    sqlx::query(query).bind(order(1).id.uuid()).execute(&mut *in_the_way).await.unwrap();
    let writing = tokio::spawn({
        let old = fenced(&pool, epoch);
        async move { write_one(&old, 1).await }
    });
    until_one_waits(&pool).await;
    let mut claiming = pool.0.begin().await.unwrap();
    claiming.execute("SET LOCAL lock_timeout = '200ms'").await.unwrap();
    let waits = claim(&mut claiming, other).await.expect_err("a batch of the owner is under way");
    assert_eq!(waits.as_database_error().and_then(|error| error.code()).as_deref(), Some("55P03"), "{waits}");
    claiming.rollback().await.unwrap();
    in_the_way.rollback().await.unwrap();
    writing.await.unwrap().expect("written before the claim");
    claim(&mut pool.0.acquire().await.unwrap(), other).await.unwrap();
    assert!(orders::get(&pool, order(1).id).await.unwrap().is_some(), "whoever claims finds it");
}

/// A statement of the journal's shape, with another way to look at the lease; it meets [`GATE`] after that.
fn looking(how: &str) -> String {
    format!(
        "WITH held AS MATERIALIZED (
            SELECT l.epoch FROM region_leases l WHERE l.region_id = $1 AND l.epoch = $2 {how}
        ), stored AS (
            INSERT INTO written SELECT epoch FROM held WHERE pg_advisory_xact_lock_shared({GATE} + epoch * 0) IS NOT NULL
            RETURNING epoch
        )
        SELECT CASE WHEN NOT EXISTS (SELECT FROM held) THEN journal_not_owner($1, $2)
            ELSE (SELECT count(*) FROM stored) = 1 END"
    )
}

async fn look_and_write(pool: &Pool, how: &str, epoch: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(AssertSqlSafe(looking(how))).bind(region()).bind(epoch).fetch_one(&pool.0).await
}

#[tokio::test]
async fn what_is_cheaper_than_for_share_would_let_the_old_owner_commit() {
    let pool = TestDatabase::new().await.pool;
    pool.0.execute("CREATE TABLE written (epoch bigint)").await.unwrap();
    for (how, holds) in [("FOR SHARE OF l", true), ("FOR KEY SHARE OF l", false), ("", false)] {
        let [one, other] = nodes(&pool).await;
        // A statement that has looked, and then a claim.
        let epoch = claim(&mut pool.0.acquire().await.unwrap(), one).await.unwrap();
        let mut gate = pool.0.begin().await.unwrap();
        gate.execute(AssertSqlSafe(format!("SELECT pg_advisory_xact_lock({GATE})"))).await.unwrap();
        let writing = tokio::spawn({
            let pool = pool.clone();
            async move { look_and_write(&pool, how, epoch).await }
        });
        until_one_waits(&pool).await;
        let mut claiming = pool.0.begin().await.unwrap();
        claiming.execute("SET LOCAL lock_timeout = '200ms'").await.unwrap();
        let claimed = claim(&mut claiming, other).await;
        assert_eq!(claimed.is_err(), holds, "{how}: the claim waits for the statement");
        if claimed.is_ok() {
            claiming.commit().await.unwrap();
        } else {
            claiming.rollback().await.unwrap();
        }
        gate.rollback().await.unwrap();
        // Stored in any case; where the claim did not wait, under an epoch that was over.
        assert!(writing.await.unwrap().unwrap(), "{how}");

        // A claim that is under way, and then a statement.
        let epoch = claim(&mut pool.0.acquire().await.unwrap(), one).await.unwrap();
        let mut claiming = pool.0.begin().await.unwrap();
        claim(&mut claiming, other).await.unwrap();
        let writing = tokio::spawn({
            let pool = pool.clone();
            async move { look_and_write(&pool, how, epoch).await }
        });
        if holds {
            until_one_waits(&pool).await;
            claiming.commit().await.unwrap();
            let refused = writing.await.unwrap().expect_err("it looks again");
            assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("PJ002"));
        } else {
            assert!(writing.await.unwrap().unwrap(), "{how}: stored while its epoch ends");
            claiming.commit().await.unwrap();
        }
    }
}

/// From now on each row of this table has the epoch beside it that holds when it is inserted: seen by a snapshot of its own,
/// and kept from changing.
async fn audited(pool: &Pool, table: &str, written_under: &str) {
    let sql = format!(
        "CREATE TABLE audit (written_under bigint, holds bigint);
        CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE holds bigint;
        BEGIN
            SELECT epoch INTO holds FROM region_leases FOR SHARE;
            INSERT INTO audit VALUES (NEW.{written_under}::bigint, holds);
            RETURN NEW;
        END; $$;
        CREATE TRIGGER audit BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION audit()"
    );
    pool.0.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

/// How many rows were written, and how many of them under an epoch that was over.
async fn found(pool: &Pool) -> (i64, i64) {
    let query = "SELECT count(*), count(*) FILTER (WHERE written_under <> holds) FROM audit";
    sqlx::query_as(query).fetch_one(&pool.0).await.unwrap()
}

/// Writers that believe in the epoch they heard of last, and claims in the middle of what they do. How many writes were
/// refused.
async fn storm<F: Future<Output = bool> + Send>(
    pool: &Pool,
    mut is_enough: impl AsyncFnMut(u64) -> bool,
    write: impl Fn(i64, u64) -> F + Clone + Send + Sync + 'static,
) -> u64 {
    let nodes = nodes(pool).await;
    let mut claiming = pool.0.acquire().await.unwrap();
    let first = claim(&mut claiming, nodes[0]).await.unwrap();
    let (believed, refused) = (Arc::new(AtomicI64::new(first)), Arc::new(AtomicU64::new(0)));
    let numbers = Arc::new(AtomicU64::new(1));
    let (stop, stopped) = watch::channel(false);
    let (tell, mut told) = mpsc::channel(1);
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (believed, refused, numbers) = (Arc::clone(&believed), Arc::clone(&refused), Arc::clone(&numbers));
        let (stopped, tell, write) = (stopped.clone(), tell.clone(), write.clone());
        writers.spawn(async move {
            while !*stopped.borrow() {
                let n = numbers.fetch_add(1, Ordering::Relaxed);
                if !write(believed.load(Ordering::Relaxed), n).await {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                let _ = tell.try_send(());
            }
        });
    }
    let mut claims = 0;
    while !is_enough(claims).await {
        // Some writes later.
        for _ in 0..3 {
            told.recv().await.expect("writers go on");
        }
        claims += 1;
        let node = nodes[usize::try_from(claims % 2).unwrap()];
        believed.store(claim(&mut claiming, node).await.unwrap(), Ordering::Relaxed);
    }
    stop.send_replace(true);
    while writers.join_next().await.is_some() {}
    refused.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_old_owner_never_commits_in_a_storm_of_claims() {
    let database = TestDatabase::new().await;
    let pool = pool::connect(&database.url, 12).await.unwrap();
    audited(&pool, "orders", "reference").await;
    let feed = Feed::after(0);
    let refused = storm(&pool, async |claims| claims == CLAIMS, {
        let pool = pool.clone();
        move |epoch, n| {
            let reference = Some(epoch.to_string());
            let entries = [placing(&order_like(u128::from(n), &Wanted { reference, ..Wanted::default() }))];
            let (drawn, old) = (feed.draw(&entries), fenced(&pool, epoch));
            async move {
                match journal::write(&old, drawn, &entries).await.remove(0) {
                    Ok(()) => true,
                    Err(AppendError::NotOwner) => false,
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    });
    let refused = tokio::time::timeout(3 * PATIENCE, refused).await.expect("the storm ends");
    let (written, over) = found(&pool).await;
    eprintln!("{written} written, {refused} refused over {CLAIMS} claims, {over} under an epoch that was over");
    assert_eq!(over, 0);
    assert!(written > 100 && refused > 0, "there was a storm: {written} written, {refused} refused");
    let twice = "SELECT count(*) - count(DISTINCT epoch) FROM region_lease_log";
    assert_eq!(sqlx::query_scalar::<_, i64>(twice).fetch_one(&pool.0).await.unwrap(), 0);
}

/// The checker finds what it looks for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_against_a_plain_read_finds_what_was_written_under_an_epoch_that_was_over() {
    let database = TestDatabase::new().await;
    let pool = pool::connect(&database.url, 12).await.unwrap();
    pool.0.execute("CREATE TABLE written (epoch bigint)").await.unwrap();
    audited(&pool, "written", "epoch").await;
    let beside = pool.clone();
    let blows = storm(&pool, async |_| found(&beside).await.1 > 0, {
        let pool = pool.clone();
        move |epoch, _| {
            let pool = pool.clone();
            async move { look_and_write(&pool, "", epoch).await.is_ok() }
        }
    });
    tokio::time::timeout(3 * PATIENCE, blows).await.expect("something is found");
}
