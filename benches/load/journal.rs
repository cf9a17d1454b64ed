//! Durable commands: orders placed through the live system by many callers at once, each answered after its commit,
//! beside the same rows written by bare SQL.
//!
//! Every side writes a new order's row and its first event. The bare sides have their columns ready before the clock
//! starts; ours begins with a caller who wants an order and ends with their answer, actor and all. Sides take turns in
//! short rounds, so that whatever else the machine does falls on all of them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, ZoneId};
use posthaste_domain::party::Party;
use posthaste_live::{Cause, System};
use sqlx::PgPool;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Outcome;
use crate::database::Database;
use crate::report::{Mark, Report, Times, median};
use crate::stage;

/// Rows in a bare batch.
const BATCH: usize = 1_024;
/// Clients of the single-row inserts.
const CLIENTS: u32 = 32;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Callers that wait for an answer at any time.
    #[arg(long, default_value_t = 2_048)]
    waiting: usize,
    /// Seconds of each side in each round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rounds; the middle one of each side counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Commands a second for the time to an answer.
    #[arg(long, default_value_t = 5_000)]
    rate: usize,
}

pub(crate) async fn run(options: Options) -> Outcome<Report> {
    let database = Database::start().await?;
    let plain = database.plain(CLIENTS).await?;
    let system = stage::system(database.pool().await?).await?;
    let zone = stage::make_zone(&system).await?;
    let span = Duration::from_secs_f64(options.seconds);
    let counter = Arc::new(AtomicUsize::new(0));

    let mut sides = [const { Vec::new() }; 4];
    // The first round warms connections and caches.
    for round in 0..=options.rounds {
        let mut told = format!("round {round}:");
        for (n, name) in SIDES.iter().enumerate() {
            let before = Spent::now(&database, &plain).await?;
            let (rows, time) = match n {
                0 => place(&system, &counter, options.waiting, span).await?,
                1 => bare_batches(&plain, zone, 1, span).await?,
                2 => bare_batches(&plain, zone, 2, span).await?,
                _ => single_rows(&plain, zone, span).await?,
            };
            let side = Spent::now(&database, &plain).await?.since(&before, rows, time);
            let _ = write!(told, " {name} {:.0}/s;", side.rate);
            if round > 0 {
                sides[n].push(side);
            }
        }
        eprintln!("{told}");
    }
    let (mut lone, mut answers) = (Times::default(), Times::default());
    for _ in 0..options.rounds {
        lone.extend(lone_rows(&plain, zone, span / 3).await?);
        answers.extend(paced(&system, &counter, options.rate, span).await?);
    }
    system.stop().await;

    let rate = |n: usize| median(sides[n].iter().map(|side| side.rate).collect());
    let [ours, batches, _, single] = [0, 1, 2, 3].map(rate);
    let mut report = Report::new("journal: acknowledged durable commands");
    report.mark("commands over bare UNNEST batches of 1,024", ours / batches, "x", Mark::AtLeast(0.6));
    report.mark("commands over single-row inserts by 32 clients", ours / single, "x", Mark::AtLeast(6.0));
    let (p50, lone_p50) = (answers.quantile(0.5), lone.quantile(0.5));
    let ratio = p50.as_secs_f64() / lone_p50.as_secs_f64();
    report.mark(format!("answer p50 at {} a second over a lone insert's", options.rate), ratio, "x", Mark::AtMost(2.5));
    report.figure("bare batches over single rows: the most there is to gain", batches / single, "x");
    for (n, name) in SIDES.iter().enumerate() {
        report.figure(format!("{name}: a second"), rate(n), "/s");
        let each = |of: fn(&Side) -> f64| median(sides[n].iter().map(of).collect());
        report.figure(format!("{name}: Postgres's processor time each"), each(|side| side.postgres), "us");
        if n == 0 {
            report.figure(format!("{name}: our processor time each"), each(|side| side.own), "us");
        }
        report.figure(format!("{name}: write-ahead log each"), each(|side| side.log), "B");
    }
    let paced_rate = answers.len() as f64 / (span.as_secs_f64() * options.rounds as f64);
    report.figure("commands answered at the paced rate", paced_rate, "/s");
    report.time("answer p50 at that rate", p50);
    report.time("answer p99 at that rate", answers.quantile(0.99));
    report.time("lone insert p50", lone_p50);
    report.note("each row is an order and its first event; fsync on; one Postgres for all sides");
    Ok(report)
}

/// What is measured, in turn.
const SIDES: [&str; 4] =
    ["commands, 2,048 waiting", "bare batches", "bare batches, two in flight", "single rows, 32 clients"];

/// What one side did in one round.
struct Side {
    rate: f64,
    postgres: f64,
    own: f64,
    log: f64,
}

/// What has been used so far.
struct Spent {
    postgres: Duration,
    own: Duration,
    log: i64,
}

impl Spent {
    async fn now(database: &Database, plain: &PgPool) -> Outcome<Self> {
        let log = sqlx::query_scalar("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint");
        let own = crate::process::cpu(std::process::id(), false);
        Ok(Self { postgres: database.cpu(), own, log: log.fetch_one(plain).await? })
    }

    fn since(&self, before: &Self, rows: usize, time: Duration) -> Side {
        let each = |span: Duration| span.as_secs_f64() * 1e6 / rows as f64;
        Side {
            rate: rows as f64 / time.as_secs_f64(),
            postgres: each(self.postgres.saturating_sub(before.postgres)),
            own: each(self.own.saturating_sub(before.own)),
            log: (self.log - before.log) as f64 / rows as f64,
        }
    }
}

async fn place_one(system: &System, n: usize) -> Outcome<()> {
    let cause = Cause::new(Party::Merchant(stage::merchant(n)), stage::REQUEST);
    system.orders().place(stage::place(n, true), None, cause).await?;
    Ok(())
}

/// Ours: this many callers place one order after the other. Answers, and the time.
async fn place(
    system: &System,
    counter: &Arc<AtomicUsize>,
    waiting: usize,
    span: Duration,
) -> Outcome<(usize, Duration)> {
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..waiting {
        let (system, stop, answered, counter) =
            (system.clone(), Arc::clone(&stop), Arc::clone(&answered), Arc::clone(counter));
        callers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                place_one(&system, counter.fetch_add(1, Ordering::Relaxed)).await?;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Ok(())
        });
    }
    let start = Instant::now();
    tokio::time::sleep(span).await;
    stop.store(true, Ordering::Relaxed);
    // Those who wait still are waited for, and the time with them.
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok((answered.load(Ordering::Relaxed), start.elapsed()))
}

/// Ours: commands come at a rate, whether or not the ones before are answered. The time to each answer.
async fn paced(system: &System, counter: &Arc<AtomicUsize>, rate: usize, span: Duration) -> Outcome<Vec<Duration>> {
    let mut callers = JoinSet::new();
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < span {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as usize;
        while sent < due {
            sent += 1;
            let (system, n) = (system.clone(), counter.fetch_add(1, Ordering::Relaxed));
            callers.spawn(async move {
                let asked = Instant::now();
                place_one(&system, n).await?;
                Outcome::Ok(asked.elapsed())
            });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut times = Vec::with_capacity(sent);
    while let Some(done) = callers.join_next().await {
        times.push(done??);
    }
    Ok(times)
}

const INSERT: &str = "WITH o AS (INSERT INTO orders (id, version, previous_version, merchant_id, zone_id, customer_id, \
    placed_at, promised_at, status, speed, reference, state) \
    SELECT u.id, 1, 0, u.merchant, u.zone, u.customer, u.at, u.at, 'pending', 'fast', u.reference, u.state::json \
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::text[], $7::text[]) \
    AS u (id, merchant, zone, customer, at, reference, state)) \
    INSERT INTO order_events (order_id, seq, at, by, name, status, correlation_id, payload) \
    SELECT u.id, 1, u.at, u.party, 'placed', 'pending', $10, u.payload::json \
    FROM unnest($1::uuid[], $5::timestamptz[], $8::text[], $9::text[]) AS u (id, at, party, payload)";

/// A first event as it is stored: the state stands in the order's row alone.
pub(crate) const FIRST_EVENT: &str = r#"{"type":"placed"}"#;

/// One order and its first event.
pub(crate) const INSERT_ONE: &str = "WITH o AS (INSERT INTO orders (id, version, previous_version, merchant_id, zone_id, \
    customer_id, placed_at, promised_at, status, speed, reference, state) \
    VALUES ($1, 1, 0, $2, $3, $4, $5, $5, 'pending', 'fast', $6, $7::text::json)) \
    INSERT INTO order_events (order_id, seq, at, by, name, status, correlation_id, payload) \
    VALUES ($1, 1, $5, $8, 'placed', 'pending', $10, $9::text::json)";

/// A batch as its statement takes it.
#[derive(Default, Clone)]
struct Columns {
    id: Vec<Uuid>,
    merchant: Vec<Uuid>,
    zone: Vec<Uuid>,
    customer: Vec<Option<Uuid>>,
    at: Vec<Timestamp>,
    reference: Vec<Option<String>>,
    state: Vec<String>,
    party: Vec<String>,
    payload: Vec<String>,
}

impl Columns {
    fn of(count: usize, zone: ZoneId) -> Outcome<Self> {
        let mut columns = Self::default();
        for order in (0..count).map(|n| stage::order(n, true, zone)) {
            columns.id.push(order.id.uuid());
            columns.merchant.push(order.merchant.uuid());
            columns.zone.push(order.zone.uuid());
            columns.customer.push(order.customer.map(Id::uuid));
            columns.at.push(order.placed_at);
            columns.reference.push(order.reference.clone());
            columns.state.push(serde_json::to_string(&order)?);
            columns.party.push(order.merchant.to_string());
            columns.payload.push(FIRST_EVENT.to_owned());
        }
        Ok(columns)
    }

    async fn insert(&self, pool: &PgPool) -> Outcome<()> {
        let query = sqlx::query(INSERT).bind(&self.id).bind(&self.merchant).bind(&self.zone).bind(&self.customer);
        let query = query.bind(&self.at).bind(&self.reference).bind(&self.state).bind(&self.party).bind(&self.payload);
        query.bind(stage::REQUEST).execute(pool).await?;
        Ok(())
    }

    async fn insert_one(&self, n: usize, pool: &PgPool) -> Outcome<()> {
        let query = sqlx::query(INSERT_ONE).bind(self.id[n]).bind(self.merchant[n]).bind(self.zone[n]);
        let query = query.bind(self.customer[n]).bind(self.at[n]).bind(&self.reference[n]).bind(&self.state[n]);
        query.bind(&self.party[n]).bind(&self.payload[n]).bind(stage::REQUEST).execute(pool).await?;
        Ok(())
    }
}

/// Bare batches, this many under way at once. Rows, and the time spent in statements.
async fn bare_batches(pool: &PgPool, zone: ZoneId, in_flight: usize, span: Duration) -> Outcome<(usize, Duration)> {
    let (mut rows, mut spent) = (0, Duration::ZERO);
    while spent < span {
        let ready: Vec<Columns> = (0..4 * in_flight).map(|_| Columns::of(BATCH, zone)).collect::<Outcome<_>>()?;
        rows += ready.len() * BATCH;
        let start = Instant::now();
        let mut writers = JoinSet::new();
        for share in ready.chunks(4) {
            let (share, pool) = (share.to_vec(), pool.clone());
            writers.spawn(async move {
                for columns in share {
                    columns.insert(&pool).await?;
                }
                Outcome::Ok(())
            });
        }
        while let Some(done) = writers.join_next().await {
            done??;
        }
        spent += start.elapsed();
    }
    Ok((rows, spent))
}

/// One row a statement, by clients that each have a connection.
async fn single_rows(pool: &PgPool, zone: ZoneId, span: Duration) -> Outcome<(usize, Duration)> {
    let (mut rows, mut spent) = (0, Duration::ZERO);
    while spent < span {
        let ready = Arc::new(Columns::of(64 * CLIENTS as usize, zone)?);
        rows += ready.id.len();
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (ready, pool, next) = (Arc::clone(&ready), pool.clone(), Arc::clone(&next));
            clients.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= ready.id.len() {
                        return Outcome::Ok(());
                    }
                    ready.insert_one(n, &pool).await?;
                }
            });
        }
        while let Some(done) = clients.join_next().await {
            done??;
        }
        spent += start.elapsed();
    }
    Ok((rows, spent))
}

/// One row at a time, nothing else under way. The time of each.
async fn lone_rows(pool: &PgPool, zone: ZoneId, span: Duration) -> Outcome<Vec<Duration>> {
    let ready = Columns::of(BATCH, zone)?;
    let (begun, mut times) = (Instant::now(), Vec::new());
    for n in 0..BATCH {
        if begun.elapsed() > span {
            break;
        }
        let start = Instant::now();
        ready.insert_one(n, pool).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}
