//! Several nodes and one database.

use std::time::{Duration, Instant};

use posthaste_domain::ids::{Id as _, RegionId};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::judge::SILENT_FOR;
use super::{Standby, leases, rows};
use crate::clock;
use crate::lead::{Lead, LeadError};
use crate::migrations::Older;
use crate::pool::{self, Pool};
use crate::testing::{TestDatabase, TestServer};

const PATIENCE: Duration = Duration::from_secs(20);

async fn standby(url: &str) -> Standby {
    Standby::join(url, "127.0.0.1:1", "1", Older::Migrate).await.unwrap()
}

/// Leads, or fails.
async fn leads(standby: &Standby) -> Lead {
    tokio::time::timeout(PATIENCE, standby.lead()).await.expect("it leads in time").unwrap()
}

async fn writes(pool: &Pool) -> Result<(), crate::StorageError> {
    clock::save(pool, chrono::Utc::now()).await
}

/// The epoch, and who has it.
async fn lease(beside: &Pool) -> (i64, Option<Uuid>) {
    let query = "SELECT epoch, node_id FROM region_leases WHERE region_id = $1";
    sqlx::query_as(query).bind(RegionId::FIRST.uuid()).fetch_one(&beside.0).await.unwrap()
}

async fn beat_of(beside: &Pool, leading: bool) -> i64 {
    let query = "SELECT max(beat) FROM nodes WHERE (state = 'leading') = $1";
    sqlx::query_scalar(query).bind(leading).fetch_one(&beside.0).await.unwrap()
}

/// Waits until who leads, or who stands by, has beaten some more.
async fn until_it_has_beaten(beside: &Pool, leading: bool, times: i64) {
    let wanted = beat_of(beside, leading).await + times;
    let beaten = tokio::time::timeout(PATIENCE, async {
        while beat_of(beside, leading).await < wanted {
            tokio::task::yield_now().await;
        }
    });
    beaten.await.expect("it beats");
}

/// A node that leads and does nothing more, with a session of its own: as one that stands still. `lock` is what its first
/// session holds; the session holds what keeps others from leading.
async fn stands_still(database: &TestDatabase, lock: Option<i32>) -> (Uuid, PgConnection) {
    let node = Uuid::now_v7();
    let mut beside = database.pool.0.acquire().await.unwrap();
    rows::join(&mut beside, node, "gone", "1").await.unwrap();
    leases::claim(&mut beside, RegionId::FIRST.uuid(), node).await.unwrap().expect("it may claim");
    sqlx::query("UPDATE nodes SET state = 'leading', lock = $2 WHERE node_id = $1")
        .bind(node)
        .bind(lock)
        .execute(&mut *beside)
        .await
        .unwrap();
    let options = pool::options(&database.url).unwrap().application_name(&rows::session_name(node));
    let mut session = PgConnection::connect_with(&options).await.unwrap();
    sqlx::query("SELECT pg_advisory_lock_shared($1, 0)").bind(crate::lead::LEAD).execute(&mut session).await.unwrap();
    (node, session)
}

#[tokio::test]
async fn who_stands_by_leads_as_soon_as_the_leader_has_left_in_order() {
    let database = TestDatabase::new().await;
    let (one, other) = (standby(&database.url).await, standby(&database.url).await);
    let first = leads(&one).await;
    let pool = first.pool(2).await.unwrap();
    writes(&pool).await.unwrap();
    assert_eq!(lease(&database.pool).await.0, 1);
    let waiting = tokio::spawn(async move { (leads(&other).await, other) });
    until_it_has_beaten(&database.pool, false, 8).await;
    assert!(!waiting.is_finished(), "the leader lives");

    first.leaving().await;
    pool.close().await;
    first.release().await;
    let left = Instant::now();
    drop(first);
    let (second, _other) = waiting.await.unwrap();
    eprintln!("leads {:?} after the other left", left.elapsed());
    writes(&second.pool(2).await.unwrap()).await.unwrap();
    // Up by one when it was given back, and when it was claimed.
    let (epoch, holder) = lease(&database.pool).await;
    assert!(epoch == 3 && holder.is_some(), "{epoch} {holder:?}");
    let log = "SELECT array_agg(why ORDER BY epoch) FROM region_lease_log";
    let log: Vec<String> = sqlx::query_scalar(log).fetch_one(&database.pool.0).await.unwrap();
    assert_eq!(log, ["claimed", "released", "claimed"]);
}

#[tokio::test]
async fn who_stands_still_is_expelled_and_its_sessions_are_ended() {
    let database = TestDatabase::new().await;
    let (node, mut session) = stands_still(&database, None).await;
    let began = Instant::now();
    let other = standby(&database.url).await;
    let lead = leads(&other).await;
    let took = began.elapsed();
    assert!(took >= SILENT_FOR, "expelled after {took:?}");
    assert!(session.ping().await.is_err(), "its session is ended");
    let mut beside = database.pool.0.acquire().await.unwrap();
    assert!(!rows::beat(&mut beside, node).await.unwrap(), "it is none any more");
    assert_eq!(leases::claim(&mut beside, RegionId::FIRST.uuid(), node).await.unwrap(), None);
    writes(&lead.pool(1).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn who_is_dead_is_known_by_its_lock_and_sooner() {
    let database = TestDatabase::new().await;
    let (_, session) = stands_still(&database, Some(12345)).await;
    session.close().await.unwrap();
    let began = Instant::now();
    let other = standby(&database.url).await;
    let _lead = leads(&other).await;
    assert!(began.elapsed() < SILENT_FOR, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_leader_that_was_expelled_learns_it_and_writes_nothing_more() {
    let database = TestDatabase::new().await;
    let one = standby(&database.url).await;
    let lead = leads(&one).await;
    let pool = lead.pool(2).await.unwrap();
    writes(&pool).await.unwrap();
    sqlx::query("UPDATE nodes SET state = 'expelled'").execute(&database.pool.0).await.unwrap();
    tokio::time::timeout(PATIENCE, lead.lost()).await.expect("it learns it");
    assert!(pool.refuses());
    let again = tokio::time::timeout(PATIENCE, one.lead()).await.expect("at once").err().expect("never again");
    assert!(matches!(again, LeadError::Expelled), "{again}");
}

#[tokio::test]
async fn a_server_that_is_no_node_is_waited_for_and_takes_what_a_node_had() {
    let database = TestDatabase::new().await;
    let one = standby(&database.url).await;
    let node = leads(&one).await;
    drop((node, one));
    let plain = Lead::take(&database.url, PATIENCE, Older::Migrate).await.unwrap();
    let (epoch, holder) = lease(&database.pool).await;
    assert_eq!((epoch, holder), (2, None), "what the node still writes is refused");
    let pool = plain.pool(1).await.unwrap();
    let other = standby(&database.url).await;
    let waiting = tokio::spawn(async move { (leads(&other).await, other) });
    until_it_has_beaten(&database.pool, false, 12).await;
    assert!(!waiting.is_finished(), "a server leads");
    writes(&pool).await.unwrap();
    pool.close().await;
    drop(plain);
    let _leads = waiting.await.unwrap();
}

#[tokio::test]
async fn nobody_is_expelled_because_postgres_was_away() {
    let mut server = TestServer::private().await;
    pool::migrate(&pool::connect(server.url(), 1).await.unwrap()).await.unwrap();
    let (one, other) = (standby(server.url()).await, standby(server.url()).await);
    let lead = leads(&one).await;
    let url = server.url().to_owned();
    let beside = pool::connect(&url, 1).await.unwrap();
    let (_, holder) = lease(&beside).await;
    let waiting = tokio::spawn(async move { leads(&other).await });
    beside.close().await;
    server.stop().await;
    tokio::time::sleep(SILENT_FOR + Duration::from_secs(1)).await;
    server.start().await;
    let beside = pool::connect(&url, 1).await.unwrap();
    until_it_has_beaten(&beside, true, 12).await;
    assert_eq!(lease(&beside).await, (1, holder), "the one that led before goes on");
    assert!(!waiting.is_finished());
    writes(&lead.pool(1).await.unwrap()).await.unwrap();
    waiting.abort();
}
