//! Two servers and one database.

use super::*;
use crate::clock;
use crate::testing::{TestDatabase, TestServer};

const SOON: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends sessions that hold locks of the lead: all of them, or a leader's first, which holds its lock alone.
async fn end_sessions(beside: &Pool, only_first: bool) {
    let query = "SELECT pg_terminate_backend(pid, 5000) FROM
        (SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND classid::int8 = $1 AND objsubid = 2
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (NOT $2 OR mode = 'ExclusiveLock')) AS holders";
    sqlx::query(query).bind(i64::from(LEAD)).bind(only_first).execute(&beside.0).await.unwrap();
}

async fn writes(pool: &Pool) -> Result<(), crate::StorageError> {
    clock::save(pool, chrono::Utc::now()).await
}

async fn until_it_writes(pool: &Pool) {
    let written = tokio::time::timeout(PATIENCE, async {
        while writes(pool).await.is_err() {
            tokio::time::sleep(TRY_EVERY).await;
        }
    });
    written.await.expect("writes again");
}

/// Waits until somebody asks for the lead in vain once more than they have so far: who asks again was refused before.
async fn until_it_has_tried(beside: &Pool) {
    let since: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&beside.0).await.unwrap();
    let mut after = since;
    for _ in 0..2 {
        let asked = "SELECT max(query_start) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE 'SELECT pg_try_advisory_lock(%' AND query_start > $1";
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let at: Option<chrono::DateTime<chrono::Utc>> =
                    sqlx::query_scalar(asked).bind(after).fetch_one(&beside.0).await.unwrap();
                if let Some(at) = at {
                    return at;
                }
                tokio::time::sleep(TRY_EVERY / 4).await;
            }
        });
        after = waited.await.expect("somebody asks");
    }
}

#[tokio::test]
async fn the_second_waits_for_the_first_to_leave() {
    let database = TestDatabase::new().await;
    let first = Lead::take(&database.url, SOON, Older::Migrate).await.unwrap();
    let pool = first.pool(4).await.unwrap();
    writes(&pool).await.unwrap();
    let refused = Lead::take(&database.url, SOON, Older::Migrate).await.err().expect("one at a time");
    assert!(matches!(refused, LeadError::Taken(SOON)), "{refused}");

    let url = database.url.clone();
    let beside = pool::connect(&database.url, 1).await.unwrap();
    let second = tokio::spawn(async move { Lead::take(&url, PATIENCE, Older::Migrate).await });
    until_it_has_tried(&beside).await;
    assert!(!second.is_finished());
    // The first session alone is not enough: what still may write keeps others out.
    drop(first);
    until_it_has_tried(&beside).await;
    assert!(!second.is_finished());
    pool.close().await;
    let second = second.await.unwrap().unwrap();
    writes(&second.pool(2).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn work_beside_a_server_needs_no_lead_and_hinders_none() {
    let database = TestDatabase::new().await;
    let beside = pool::connect(&database.url, 2).await.unwrap();
    writes(&beside).await.unwrap();
    let lead = Lead::take(&database.url, SOON, Older::Migrate).await.unwrap();
    writes(&beside).await.unwrap();
    writes(&lead.pool(1).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_leader_whose_sessions_broke_goes_on_where_nobody_has_led_since() {
    let database = TestDatabase::new().await;
    let lead = Lead::take(&database.url, SOON, Older::Migrate).await.unwrap();
    let pool = lead.pool(4).await.unwrap();
    for only_first in [true, false, true] {
        writes(&pool).await.unwrap();
        end_sessions(&database.pool, only_first).await;
        until_it_writes(&pool).await;
        // A session that was there before may have written: wait for the first one too.
        let taken = Lead::take(&database.url, SOON, Older::Migrate).await.err().expect("still led");
        assert!(matches!(taken, LeadError::Taken(_)), "{taken}");
    }
    let lost = tokio::time::timeout(2 * LOOK_EVERY, lead.lost()).await;
    assert!(lost.is_err(), "the lead was not lost");
}

#[tokio::test]
async fn a_leader_who_was_cut_off_writes_nothing_once_another_leads_and_learns_it() {
    let database = TestDatabase::new().await;
    let first = Lead::take(&database.url, SOON, Older::Migrate).await.unwrap();
    let pool = first.pool(4).await.unwrap();
    let beside = first.schemas().connect("beside", 1).await.unwrap();
    writes(&pool).await.unwrap();
    // The steps of taking over, one by one: the sessions of the first break, and another is quicker than it.
    let mut another = connect(&pool::options(&database.url).unwrap()).await.unwrap();
    let began = Instant::now();
    while !try_alone(&mut another, WRITERS).await.unwrap() {
        assert!(began.elapsed() < PATIENCE, "the first keeps all others out");
        end_sessions(&database.pool, false).await;
    }
    assert!(writes(&pool).await.is_err(), "the first writes beside another");
    let mark = marks::leave(&mut another).await.unwrap();
    share_writing(&mut another).await.unwrap();
    tokio::time::timeout(PATIENCE, first.lost()).await.expect("the first learns it");
    assert!(writes(&pool).await.is_err(), "the first writes after another");
    // Nobody waits for a connection that cannot come, whatever pool of the first it would be of.
    for pool in [&pool, &beside] {
        let refused = pool.0.acquire().await.expect_err("no connection");
        assert!(matches!(refused, sqlx::Error::PoolClosed), "{refused}");
    }
    assert_eq!(clock::load(&database.pool).await.unwrap(), Some(mark));
}

#[tokio::test]
async fn a_stop_while_the_database_is_away_refuses_who_waits_for_a_connection() {
    let mut server = TestServer::private().await;
    let lead = Lead::take(server.url(), SOON, Older::Migrate).await.unwrap();
    let pool = lead.pool(1).await.unwrap();
    writes(&pool).await.unwrap();
    // None is left that whoever comes at once would be given untried.
    pool.0.acquire().await.unwrap().close().await.unwrap();
    server.stop().await;
    // One makes a connection, the others are in line behind it.
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.0.acquire().await.map(drop) })
        })
        .collect();
    tokio::time::timeout(PATIENCE, lead.refuse_when_away(Duration::ZERO)).await.expect("it is seen");
    assert!(pool.refuses());
    for waiter in waiting {
        let refused = waiter.await.unwrap().expect_err("no connection");
        assert!(!matches!(refused, sqlx::Error::PoolTimedOut), "{refused}");
        assert!(matches!(crate::error::Nature::of(&refused), crate::error::Nature::Unreached), "{refused}");
    }
}

#[tokio::test]
async fn a_stop_while_the_database_is_there_or_soon_back_refuses_nobody() {
    let database = TestDatabase::new().await;
    let lead = Lead::take(&database.url, SOON, Older::Migrate).await.unwrap();
    let pool = lead.pool(4).await.unwrap();
    let refusing = tokio::spawn(lead.refuse_when_away(PATIENCE));
    end_sessions(&database.pool, false).await;
    until_it_writes(&pool).await;
    assert!(!refusing.is_finished() && !pool.refuses());
    writes(&pool).await.unwrap();
}
