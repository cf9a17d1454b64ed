//! The feed on real databases: what is written there, up to where it is read, and that each consumer gets each event once,
//! whatever is killed, cut off or restored.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use posthaste_domain::ids::Id;
use posthaste_domain::order::Order;
use posthaste_postgres::beside;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use super::story::{Wanted, assigning, at, canceling, id, order, order_like, placing, window, write, written};
use crate::feed::{self, Behind, Feed, FeedEvent};
use crate::journal::{self, AppendError, Entry};
use crate::lead::Lead;
use crate::migrations::Older;
use crate::orders;
use crate::pool::{self, Pool};
use crate::testing::{Cut, TestDatabase, TestServer};
use crate::{StorageError, journal::Change};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `check` gives something.
async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// What comes next for a consumer, which is left as it is.
async fn peek(pool: &Pool, consumer: &str, mark: i64) -> Vec<FeedEvent> {
    let mut transaction = pool.0.begin().await.unwrap();
    let portion = feed::next(&mut transaction, consumer, mark, 1000).await.unwrap();
    portion.map(|portion| portion.events).unwrap_or_default()
}

/// All that is stored of the feed, whoever may read it, as (number, order, seq, name); none where a number is kept.
async fn stored(pool: &Pool) -> Vec<(i64, Option<Uuid>, Option<i64>, Option<String>)> {
    sqlx::query_as("SELECT number, order_id, seq, name FROM order_feed ORDER BY number")
        .fetch_all(&pool.0)
        .await
        .unwrap()
}

/// A consumer that notes what it hears in the transaction that moves its cursor. Hearing something twice is an error.
struct Consumer(&'static str);

impl Consumer {
    async fn join(pool: &Pool, name: &'static str) -> Self {
        let mut connection = pool.0.acquire().await.unwrap();
        sqlx::raw_sql(
            "CREATE TABLE IF NOT EXISTS heard (
                consumer text, turn bigint GENERATED ALWAYS AS IDENTITY, order_id uuid, seq bigint,
                CONSTRAINT heard_once PRIMARY KEY (consumer, order_id, seq))",
        )
        .execute(&mut *connection)
        .await
        .unwrap();
        feed::join(&mut connection, name).await.unwrap();
        Self(name)
    }

    /// Reads one portion and gives the transaction back before its commit. None where nothing is new.
    async fn begin(&self, pool: &Pool, mark: i64, most: u16) -> Option<sqlx::Transaction<'static, sqlx::Postgres>> {
        let mut transaction = pool.0.begin().await.unwrap();
        let portion = feed::next(&mut transaction, self.0, mark, most).await.unwrap()?;
        for event in &portion.events {
            sqlx::query("INSERT INTO heard (consumer, order_id, seq) VALUES ($1, $2, $3)")
                .bind(self.0)
                .bind(event.order.uuid())
                .bind(event.seq)
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        feed::move_to(&mut transaction, self.0, portion.last).await.unwrap();
        Some(transaction)
    }

    async fn read(&self, pool: &Pool, mark: i64, most: u16) -> bool {
        match self.begin(pool, mark, most).await {
            Some(transaction) => {
                transaction.commit().await.unwrap();
                true
            }
            None => false,
        }
    }

    async fn read_all(&self, pool: &Pool, mark: i64) {
        while self.read(pool, mark, 3).await {}
    }

    /// What it heard of each order, in the order in which it did.
    async fn heard(&self, pool: &Pool) -> BTreeMap<Uuid, Vec<i64>> {
        let rows = sqlx::query("SELECT order_id, seq FROM heard WHERE consumer = $1 ORDER BY turn").bind(self.0);
        let mut all = BTreeMap::<Uuid, Vec<i64>>::new();
        for row in rows.fetch_all(&pool.0).await.unwrap() {
            all.entry(row.get(0)).or_default().push(row.get(1));
        }
        all
    }
}

/// All events of orders.
async fn history(pool: &Pool) -> BTreeMap<Uuid, Vec<i64>> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as("SELECT order_id, seq FROM order_events ORDER BY order_id, seq")
        .fetch_all(&pool.0)
        .await
        .unwrap();
    let mut all = BTreeMap::<Uuid, Vec<i64>>::new();
    for (order, seq) in rows {
        all.entry(order).or_default().push(seq);
    }
    all
}

/// Writes as the journal of this feed does.
async fn append(pool: &Pool, feed: &Feed, entries: &[Entry]) -> Vec<Result<(), AppendError>> {
    journal::write(pool, feed.draw(entries), entries).await
}

async fn appended(pool: &Pool, feed: &Feed, entries: &[Entry]) {
    for outcome in append(pool, feed, entries).await {
        outcome.unwrap();
    }
}

/// A transaction of somebody else that holds an order's row.
async fn holding(url: &str, order: &Order) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; SELECT FROM orders WHERE id = '{}' FOR UPDATE", order.id.uuid())))
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

/// Waits until a statement of the journal waits for somebody's lock.
async fn until_journal_waits(pool: &Pool) {
    until("the journal's statement waits", async || {
        waiting_like(pool, "-- One batch of the journal%").await.then_some(())
    })
    .await;
}

async fn waiting_like(pool: &Pool, statement: &str) -> bool {
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND wait_event_type = 'Lock' AND query LIKE $1)";
    sqlx::query_scalar(waits).bind(statement).fetch_one(&pool.0).await.unwrap()
}

#[tokio::test]
async fn every_event_stands_in_the_feed_once_with_whose_business_it_is() {
    let pool = TestDatabase::new().await.pool;
    let mut order = order_like(7, &Wanted { seller: 40, ..Wanted::default() });
    let mine = order_like(8, &Wanted::default());
    let feed = Feed::open(&pool).await.unwrap();
    assert_eq!(feed.mark(), 0);
    appended(&pool, &feed, &[placing(&order), placing(&mine)]).await;
    let step = assigning(&mut order, 9, window(0, 30));
    let Some(Change::Order(change)) = &step.change else { panic!("an order's step") };
    let names: Vec<_> = change.events.iter().map(|(recorded, status)| (recorded.event.name(), status.name())).collect();
    appended(&pool, &feed, std::slice::from_ref(&step)).await;
    assert_eq!(feed.mark(), 2 + names.len() as i64);
    let all = peek(&pool, "webhooks", feed.mark()).await;
    let numbers: Vec<_> = all.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (1..=feed.mark()).collect::<Vec<_>>());
    let of_order: Vec<_> = all.iter().filter(|event| event.order == order.id).collect();
    let seqs: Vec<_> = of_order.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=order.version as i64).collect::<Vec<_>>());
    assert!(of_order.iter().all(|event| event.merchants == [order.merchant, id(40)]), "the seller of a part too");
    let told: Vec<_> = of_order[1..].iter().map(|event| (event.name.as_str(), event.status.as_str())).collect();
    assert_eq!(told, names);
    let of_mine = all.iter().find(|event| event.order == mine.id).unwrap();
    assert_eq!((&*of_mine.name, &of_mine.merchants[..], of_mine.at), ("placed", &[mine.merchant][..], mine.placed_at));
    assert_eq!(peek(&pool, "webhooks", 2).await.len(), 2, "not beyond the mark");
}

#[tokio::test]
async fn what_is_refused_leaves_its_number_unused_and_holds_nothing() {
    let pool = TestDatabase::new().await.pool;
    let feed = Feed::open(&pool).await.unwrap();
    appended(&pool, &feed, &[placing(&order(1))]).await;
    let outcomes = append(&pool, &feed, &[placing(&order(1)), placing(&order(2))]).await;
    assert!(matches!(outcomes[0], Err(AppendError::Duplicate)) && outcomes[1].is_ok(), "{outcomes:?}");
    assert_eq!(feed.mark(), 3);
    let numbers: Vec<_> = peek(&pool, "webhooks", 3).await.iter().map(|event| event.number).collect();
    assert_eq!(numbers, [1, 3]);
    // Without events of orders there is nothing to hold, and what comes next is not let go of.
    let (of_nobody, real) = (feed.draw(&[]), feed.draw(&[placing(&order(3))]));
    drop(of_nobody);
    assert_eq!((feed.mark(), feed.in_doubt()), (3, 0));
    assert!(journal::write(&pool, real, &[placing(&order(3))]).await[0].is_ok());
    assert_eq!(feed.mark(), 4);
}

/// A report, a backup, a forgotten session: whatever is open elsewhere in the cluster has a number of Postgres' own, which
/// the feed does not ask for.
#[tokio::test]
async fn a_foreign_transaction_that_stays_open_delays_nothing() {
    let (database, elsewhere) = (TestDatabase::new().await, TestDatabase::new().await);
    let pool = &database.pool;
    let mut foreign = Vec::new();
    for url in [&database.url, &elsewhere.url] {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql("BEGIN; CREATE TABLE of_somebody (n integer)").execute(&mut connection).await.unwrap();
        let xid: i64 =
            sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint").fetch_one(&mut connection).await.unwrap();
        foreign.push((connection, xid));
    }
    let feed = Feed::open(pool).await.unwrap();
    let consumer = Consumer::join(pool, "payments").await;
    let mut marks = feed.marks();
    for n in 1..=5 {
        appended(pool, &feed, &[placing(&order(n))]).await;
        let mark = *tokio::time::timeout(PATIENCE, marks.wait_for(|mark| *mark == n as i64)).await.unwrap().unwrap();
        assert!(consumer.read(pool, mark, 10).await);
    }
    assert_eq!(consumer.heard(pool).await.len(), 5);
    // All that while both were open, and who goes by the numbers of transactions would wait for them still.
    for (connection, xid) in &mut foreign {
        let now: i64 =
            sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint").fetch_one(connection).await.unwrap();
        assert_eq!(now, *xid, "it is the same transaction");
    }
    let horizon: i64 = sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        .fetch_one(&pool.0)
        .await
        .unwrap();
    assert!(horizon <= foreign[0].1, "{horizon} is held by {}", foreign[0].1);
}

#[tokio::test]
async fn a_younger_batch_that_is_committed_is_read_once_the_older_is_decided() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let feed = Feed::open(pool).await.unwrap();
    let mut slow = order(1);
    appended(pool, &feed, &[placing(&slow)]).await;
    let mut holder = holding(&database.url, &slow).await;
    let entries = [canceling(&mut slow)];
    let drawn = feed.draw(&entries);
    let older = tokio::spawn({
        let pool = pool.clone();
        async move { journal::write(&pool, drawn, &entries).await.remove(0) }
    });
    until_journal_waits(pool).await;
    appended(pool, &feed, &[placing(&order(2))]).await;
    let newest = stored(pool).await.last().unwrap().0;
    assert_eq!(newest, slow.version as i64 + 1, "it is there");
    assert_eq!(feed.mark(), 1);
    assert_eq!(peek(pool, "webhooks", feed.mark()).await.len(), 1, "and is not read");
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
    older.await.unwrap().unwrap();
    assert_eq!(feed.mark(), newest);
    let orders: Vec<_> = peek(pool, "webhooks", newest).await.iter().map(|event| event.order).collect();
    assert_eq!((orders.len(), orders[orders.len() - 1]), (newest as usize, id(2)));
}

#[tokio::test]
async fn an_unknown_outcome_holds_the_mark_until_it_is_looked_up() {
    for cut in [Cut::Before, Cut::After] {
        let (database, relay) = TestDatabase::behind_a_relay().await;
        let pool = &database.pool;
        let feed = Feed::open(pool).await.unwrap();
        let consumer = Consumer::join(pool, "payments").await;
        let lost = order(1);
        relay.cut(lost.id.uuid().as_bytes(), cut);
        let outcome = append(pool, &feed, &[placing(&lost)]).await.remove(0);
        assert!(matches!(outcome, Err(AppendError::Unknown(_))), "{outcome:?}");
        assert_eq!(relay.cuts(), 1);
        tokio::time::timeout(PATIENCE, feed.doubted()).await.unwrap();
        appended(pool, &feed, &[placing(&order(2))]).await;
        assert_eq!((feed.mark(), feed.in_doubt()), (0, 1), "{cut:?}");
        assert!(!consumer.read(pool, feed.mark(), 10).await);

        feed.look_up(pool).await.unwrap();
        assert_eq!((feed.mark(), feed.in_doubt()), (2, 0), "{cut:?}");
        feed.look_up(pool).await.unwrap();
        consumer.read_all(pool, feed.mark()).await;
        assert_eq!(consumer.heard(pool).await, history(pool).await);
        let is_there = orders::get(pool, lost.id).await.unwrap().is_some();
        assert_eq!(is_there, cut == Cut::After);
        if !is_there {
            assert_eq!(stored(pool).await[0], (1, None, None, None), "its place is kept");
            appended(pool, &feed, &[placing(&lost)]).await;
        }
        consumer.read_all(pool, feed.mark()).await;
        assert_eq!(consumer.heard(pool).await, history(pool).await);
        assert_eq!(consumer.heard(pool).await.len(), 2, "both, once, {cut:?}");
    }
}

#[tokio::test]
async fn a_batch_that_nobody_waits_for_any_more_cannot_come_after_it_was_looked_up() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let feed = Feed::open(pool).await.unwrap();
    let mut slow = order(1);
    appended(pool, &feed, &[placing(&slow)]).await;
    let stands = slow.clone();
    let mut holder = holding(&database.url, &slow).await;
    let entries = [canceling(&mut slow)];
    let drawn = feed.draw(&entries);
    let abandoned = tokio::spawn({
        let pool = pool.clone();
        async move { journal::write(&pool, drawn, &entries).await }
    });
    until_journal_waits(pool).await;
    abandoned.abort();
    assert!(abandoned.await.is_err());
    // It has not come to its rows of the feed: their places are taken before it does.
    assert_eq!((feed.mark(), feed.in_doubt()), (1, 1));
    feed.look_up(pool).await.unwrap();
    assert_eq!((feed.mark(), feed.in_doubt()), (slow.version as i64, 0));
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
    let over = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND query LIKE '-- One batch of the journal%' AND state <> 'idle')";
    until("the batch has ended", async || {
        sqlx::query_scalar::<_, bool>(over).fetch_one(&pool.0).await.unwrap().then_some(())
    })
    .await;
    assert_eq!(orders::get(pool, slow.id).await.unwrap(), Some(stands), "all of it failed");
    assert_eq!(peek(pool, "webhooks", feed.mark()).await.len(), 1);
}

#[tokio::test]
async fn a_batch_that_is_just_being_committed_is_waited_for() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let feed = Feed::open(pool).await.unwrap();
    let entries = [placing(&order(1))];
    // As a backend would stand there whose client is gone: it has written its row of the feed, and not committed.
    let mut late = PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql(
        "BEGIN; INSERT INTO order_feed (number, order_id, seq, name, status, merchants, at)
            VALUES (1, gen_random_uuid(), 1, 'placed', 'pending', '{}', now())",
    )
    .execute(&mut late)
    .await
    .unwrap();
    drop(feed.draw(&entries));
    assert_eq!(feed.in_doubt(), 1);
    let looking = tokio::spawn({
        let (feed, pool) = (feed.clone(), pool.clone());
        async move { feed.look_up(&pool).await }
    });
    until("the look-up waits", async || waiting_like(pool, "INSERT INTO order_feed (number, at)%").await.then_some(()))
        .await;
    assert_eq!(feed.mark(), 0);
    sqlx::raw_sql("COMMIT").execute(&mut late).await.unwrap();
    looking.await.unwrap().unwrap();
    assert_eq!(feed.mark(), 1);
    assert_eq!(peek(pool, "webhooks", 1).await.len(), 1, "it was written after all");
}

#[tokio::test]
async fn what_cannot_be_looked_up_still_holds_the_mark() {
    let database = TestDatabase::new().await;
    let feed = Feed::open(&database.pool).await.unwrap();
    drop(feed.draw(&[placing(&order(1))]));
    database.pool.close().await;
    assert!(feed.look_up(&database.pool).await.is_err());
    assert_eq!((feed.mark(), feed.in_doubt()), (0, 1));
    let pool = pool::connect(&database.url, 1).await.unwrap();
    feed.look_up(&pool).await.unwrap();
    assert_eq!((feed.mark(), feed.in_doubt()), (1, 0));
}

#[tokio::test]
async fn a_consumer_that_is_killed_between_the_commit_and_its_cursor_reads_the_same_again_once() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let feed = Feed::open(pool).await.unwrap();
    let consumer = Consumer::join(pool, "payments").await;
    appended(pool, &feed, &[placing(&order(1)), placing(&order(2))]).await;
    let killed = consumer.begin(pool, feed.mark(), 10).await.unwrap();
    // Whoever reads for the same consumer meanwhile waits for what becomes of it.
    let other = tokio::spawn({
        let (pool, mark) = (pool.clone(), feed.mark());
        async move { Consumer("payments").read(&pool, mark, 10).await }
    });
    let waits = "SELECT number FROM feed_cursors%";
    until("the other waits", async || waiting_like(pool, waits).await.then_some(())).await;
    assert!(consumer.heard(pool).await.is_empty());
    drop(killed);
    assert!(other.await.unwrap(), "what was done is undone with it");
    assert!(!consumer.read(pool, feed.mark(), 10).await);
    assert_eq!(consumer.heard(pool).await, history(pool).await);
}

#[tokio::test]
async fn consumers_do_not_wait_for_each_other_and_read_from_when_they_joined() {
    let pool = &TestDatabase::new().await.pool;
    let feed = Feed::open(pool).await.unwrap();
    let first = Consumer::join(pool, "payments").await;
    appended(pool, &feed, &[placing(&order(1))]).await;
    let second = Consumer::join(pool, "reviews").await;
    appended(pool, &feed, &[placing(&order(2))]).await;
    let held = first.begin(pool, feed.mark(), 10).await.unwrap();
    assert!(second.read(pool, feed.mark(), 10).await);
    held.commit().await.unwrap();
    assert_eq!(first.heard(pool).await.len(), 2);
    assert_eq!(second.heard(pool).await.into_keys().collect::<Vec<_>>(), [order(2).id.uuid()]);
    Consumer::join(pool, "payments").await;
    assert!(!first.read(pool, feed.mark(), 10).await, "joining again changes nothing");
    let behind = |consumer: &str, numbers| Behind { consumer: consumer.to_owned(), numbers };
    let all = [behind("payments", 0), behind("reviews", 0), behind("webhooks", 2)];
    assert_eq!(feed::behind(pool).await.unwrap(), all);

    let mut connection = pool.0.acquire().await.unwrap();
    let unknown = feed::next(&mut connection, "nobody", 9, 1).await;
    assert!(matches!(unknown, Err(StorageError::Corrupt { .. })), "{unknown:?}");
    for (consumer, number) in [("nobody", 9), ("payments", 1)] {
        let moved = feed::move_to(&mut connection, consumer, number).await;
        assert!(matches!(moved, Err(StorageError::Corrupt { .. })), "{consumer}: {moved:?}");
    }
}

#[tokio::test]
async fn what_everybody_has_read_goes_and_numbers_are_never_drawn_twice() {
    let pool = &TestDatabase::new().await.pool;
    let feed = Feed::open(pool).await.unwrap();
    let consumer = Consumer::join(pool, "payments").await;
    for n in 1..=4 {
        appended(pool, &feed, &[placing(&order_like(n, &Wanted { minute: n as i64, ..Wanted::default() }))]).await;
    }
    consumer.read_all(pool, feed.mark()).await;
    assert_eq!(feed::tidy(pool, at(60)).await.unwrap(), 0, "webhooks have read nothing");
    let mut connection = pool.0.acquire().await.unwrap();
    feed::move_to(&mut connection, "webhooks", 3).await.unwrap();
    assert_eq!(feed::tidy(pool, at(2)).await.unwrap(), 1, "the others are too young");
    assert_eq!(feed::tidy(pool, at(60)).await.unwrap(), 2);
    assert_eq!(stored(pool).await[0].0, 4);
    feed::move_to(&mut connection, "webhooks", 4).await.unwrap();
    assert_eq!(feed::tidy(pool, at(60)).await.unwrap(), 0, "the newest stays");
    assert_eq!(Feed::open(pool).await.unwrap().mark(), 4);
    sqlx::raw_sql("DELETE FROM order_feed").execute(&pool.0).await.unwrap();
    let feed = Feed::open(pool).await.unwrap();
    assert_eq!(feed.mark(), 4, "nor below what was read");
    appended(pool, &feed, &[placing(&order(5))]).await;
    assert!(consumer.read(pool, feed.mark(), 10).await);
}

/// The lead keeps others from writing; what they wrote all the same is passed over, and nothing is refused for it.
#[tokio::test]
async fn numbers_that_somebody_else_has_used_are_drawn_again() {
    let pool = &TestDatabase::new().await.pool;
    let (one, other) = (Feed::open(pool).await.unwrap(), Feed::open(pool).await.unwrap());
    appended(pool, &one, &[placing(&order(1)), placing(&order(2))]).await;
    let mut third = order(3);
    appended(pool, &other, &[placing(&third)]).await;
    appended(pool, &other, &[canceling(&mut third)]).await;
    appended(pool, &one, &[placing(&order(4))]).await;
    assert_eq!((one.in_doubt(), other.in_doubt()), (0, 0));
    let all = peek(pool, "webhooks", one.mark()).await;
    assert_eq!(all.len() as i64, 3 + third.version as i64);
    assert_eq!(all.last().unwrap().order, id(4));
}

/// What a server that was killed has begun is decided when the next one leads: its sessions have ended.
#[tokio::test]
async fn the_next_leader_reads_what_the_one_before_was_just_writing() {
    let database = TestDatabase::new().await;
    let lead = Lead::take(&database.url, PATIENCE, Older::Migrate).await.unwrap();
    let pool = lead.pool(3).await.unwrap();
    let feed = Feed::open(&pool).await.unwrap();
    let mut slow = order(1);
    appended(&pool, &feed, &[placing(&slow)]).await;
    let mut holder = holding(&database.url, &slow).await;
    let entries = [canceling(&mut slow)];
    let drawn = feed.draw(&entries);
    let killed = tokio::spawn({
        let pool = pool.clone();
        async move { journal::write(&pool, drawn, &entries).await }
    });
    until_journal_waits(&database.pool).await;
    appended(&pool, &feed, &[placing(&order(2))]).await;
    killed.abort();
    drop(lead);
    let next = tokio::spawn({
        let url = database.url.clone();
        async move { Lead::take(&url, PATIENCE, Older::Migrate).await.unwrap() }
    });
    let closing = tokio::spawn(async move { pool.close().await });
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
    closing.await.unwrap();
    let lead = next.await.unwrap();
    let pool = lead.pool(2).await.unwrap();
    let feed = Feed::open(&pool).await.unwrap();
    let consumer = Consumer::join(&database.pool, "late").await;
    sqlx::raw_sql("UPDATE feed_cursors SET number = 0").execute(&pool.0).await.unwrap();
    consumer.read_all(&pool, feed.mark()).await;
    assert_eq!(consumer.heard(&pool).await, history(&pool).await);
    appended(&pool, &feed, &[placing(&order(3))]).await;
    consumer.read_all(&pool, feed.mark()).await;
    assert_eq!(consumer.heard(&pool).await, history(&pool).await);
}

async fn tool(name: &'static str, major: u32) -> Command {
    Command::new(beside::tool(name, None, major).await.unwrap().expect("Postgres' own programs"))
}

/// Orders are placed together, and then given to a driver one after the other.
async fn steps(pool: &Pool, feed: &Feed, orders: &mut [Order]) {
    let placed: Vec<_> = orders.iter().map(placing).collect();
    appended(pool, feed, &placed).await;
    for order in orders.iter_mut() {
        let from = order.id.uuid().as_u128() as i64 * 40;
        appended(pool, feed, &[assigning(order, 9, window(from, from + 30))]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dumped_and_restored_each_consumer_goes_on_and_gets_each_event_once_in_each_orders_sequence() {
    let (database, mut target) = (TestDatabase::new().await, TestServer::private().await);
    let pool = &database.pool;
    let feed = Feed::open(pool).await.unwrap();
    let consumers = [Consumer::join(pool, "payments").await, Consumer::join(pool, "reviews").await];
    let mut known: Vec<Order> = (1..=3).map(order).collect();
    steps(pool, &feed, &mut known).await;
    // One has read all, the other some, in the middle of an order.
    consumers[0].read_all(pool, feed.mark()).await;
    assert!(consumers[1].read(pool, feed.mark(), 4).await);
    let file = std::env::temp_dir().join(format!("posthaste-feed-{}.dump", Uuid::now_v7().simple()));
    let major: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::integer / 10000")
        .fetch_one(&pool.0)
        .await
        .unwrap();
    let mut dump = tool("pg_dump", major.unsigned_abs()).await;
    let dump = dump.args(["--format=custom", "--file"]).arg(&file).arg("--dbname").arg(&database.url).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let of_transactions = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    let before: i64 = sqlx::query_scalar(of_transactions).fetch_one(&pool.0).await.unwrap();
    // What happens after the dump is not in the copy.
    appended(pool, &feed, &[placing(&order(77))]).await;

    let mut restore = tool("pg_restore", major.unsigned_abs()).await;
    let restore =
        restore.args(["--no-owner", "--exit-on-error", "--dbname"]).arg(target.url()).arg(&file).output().unwrap();
    assert!(restore.status.success(), "{}", String::from_utf8_lossy(&restore.stderr));
    let _ = std::fs::remove_file(&file);
    let copy = pool::connect(target.url(), 4).await.unwrap();
    pool::migrate(&copy).await.unwrap();
    let after: i64 = sqlx::query_scalar(of_transactions).fetch_one(&copy.0).await.unwrap();
    assert_ne!(before, after, "transactions are numbered anew");

    let feed = Feed::open(&copy).await.unwrap();
    let mut new: Vec<Order> = (4..=6).map(order).collect();
    steps(&copy, &feed, &mut new).await;
    for order in &mut known {
        appended(&copy, &feed, &[canceling(order)]).await;
    }
    for consumer in &consumers {
        consumer.read_all(&copy, feed.mark()).await;
        // Each event once, or its second note would have been refused.
        assert_eq!(consumer.heard(&copy).await, history(&copy).await, "{}", consumer.0);
    }
    assert_eq!(history(&copy).await.len(), 6);
    copy.close().await;
    target.stop().await;
}

#[tokio::test]
async fn an_entry_written_by_a_journal_that_has_just_started_comes_after_all_that_is_stored() {
    let pool = &TestDatabase::new().await.pool;
    let mut order = order(1);
    written(pool, &[placing(&order)]).await;
    assert!(write(pool, &[canceling(&mut order)]).await[0].is_ok());
    let numbers: Vec<_> = stored(pool).await.into_iter().map(|(number, _, seq, _)| (number, seq)).collect();
    assert_eq!(numbers, (1..=order.version as i64).map(|seq| (seq, Some(seq))).collect::<Vec<_>>());
}
