//! The journal beside itself, and without its database.

use std::time::Duration;

use super::story::{assigning, order, placing, window, written};
use crate::feed::Feed;
use crate::journal::{AppendError, Entry, write};
use crate::orders;
use crate::pool;
use crate::testing::{TestDatabase, TestServer};

/// Many batches at once fight for the time of few drivers: nobody waits in a circle, nobody gets time twice, and the
/// books are right afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn batches_beside_each_other_never_give_time_twice() {
    const BATCHES: usize = 6;
    const EACH: usize = 40;
    let pool = TestDatabase::new().await.pool;
    let mut all: Vec<_> = (0..(BATCHES * EACH) as u128).map(order).collect();
    written(&pool, &all.iter().map(placing).collect::<Vec<_>>()).await;
    // Order n of a batch wants slot n of ten drivers' twelve: every batch wants nearly the same, in another order.
    let mut entries: Vec<Vec<Entry>> = Vec::new();
    for (b, batch) in all.chunks_mut(EACH).enumerate() {
        let mut of_batch: Vec<_> = batch
            .iter_mut()
            .enumerate()
            .map(|(n, order)| {
                assigning(order, 1 + (n % 10) as u128, window((n % 12) as i64 * 30, (n % 12) as i64 * 30 + 31))
            })
            .collect();
        of_batch.rotate_left(b * 7);
        entries.push(of_batch);
    }
    let mut running = tokio::task::JoinSet::new();
    let feed = Feed::open(&pool).await.unwrap();
    for batch in entries {
        let (pool, drawn) = (pool.clone(), feed.draw(&batch));
        running.spawn(async move { write(&pool, drawn, &batch).await });
    }
    let mut won = 0;
    while let Some(outcomes) = running.join_next().await {
        for outcome in outcomes.unwrap() {
            match outcome {
                Ok(()) => won += 1,
                Err(AppendError::CommitmentOverlap) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    let held: i64 =
        sqlx::query_scalar("SELECT count(*) FROM commitments WHERE active").fetch_one(&pool.0).await.unwrap();
    let assigned: i64 =
        sqlx::query_scalar("SELECT count(*) FROM orders WHERE status = 'assigned'").fetch_one(&pool.0).await.unwrap();
    assert_eq!((held, assigned), (won, won));
    assert!(won > 0);
    let overlaps: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM commitments a JOIN commitments b
        ON a.driver_id = b.driver_id AND a.during && b.during AND a.order_id < b.order_id AND a.active AND b.active",
    )
    .fetch_one(&pool.0)
    .await
    .unwrap();
    assert_eq!(overlaps, 0);
}

#[tokio::test]
async fn without_a_database_nothing_is_acknowledged_and_later_it_works() {
    let mut server = TestServer::private().await;
    let pool = pool::connect_within(server.url(), 2, Duration::from_millis(500)).await.unwrap();
    pool::migrate(&pool).await.unwrap();
    written(&pool, &[placing(&order(1))]).await;
    let feed = Feed::open(&pool).await.unwrap();
    server.kill().await;
    for _ in 0..3 {
        let entries = [placing(&order(2)), placing(&order(3))];
        for outcome in write(&pool, feed.draw(&entries), &entries).await {
            let failed = matches!(outcome, Err(AppendError::Unavailable(_) | AppendError::Unknown(_)));
            assert!(failed, "{outcome:?}");
        }
    }
    server.start().await;
    let entries = [placing(&order(2))];
    let again = write(&pool, feed.draw(&entries), &entries).await.remove(0);
    // The first connection may still be one to the dead server: then the caller knows that it does not know.
    assert!(matches!(again, Ok(()) | Err(AppendError::Unknown(_))), "{again:?}");
    written(&pool, &[placing(&order(4))]).await;
    assert!(orders::get(&pool, order(1).id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_closed_pool_is_certainly_not_written_to() {
    let database = TestDatabase::new().await;
    let feed = Feed::open(&database.pool).await.unwrap();
    database.pool.close().await;
    let entries = [placing(&order(1))];
    let refused = write(&database.pool, feed.draw(&entries), &entries).await.remove(0).unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable(_)) && refused.is_certain(), "{refused:?}");
}
