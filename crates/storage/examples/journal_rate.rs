//! How fast the journal writes, beside the same rows written by bare `UNNEST` statements.
//!
//! `cargo run --release -p posthaste-storage --example journal_rate -- DATABASE_URL [BATCHES]`
//!
//! The database must be empty and migrated. Both sides write a new order's row and its first event; the bare side has
//! its columns ready before the clock starts, so the difference is all that the journal costs: turning orders into
//! columns and JSON, looking for conflicts, saying what went wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_domain::contact::Contact;
use posthaste_domain::ids::{CustomerId, DriverId, Id, MerchantId, OfferId, OrderId, ZoneId};
use posthaste_domain::offer::Offer;
use posthaste_domain::order::{CodeRule, Command, Event, NewOrder, NewPickup, NewStop, Order, Recorded, Speed};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::journal::{self, CommitmentChange, Entry};
use posthaste_storage::orders;
use posthaste_storage::pool::{self, Pool};
use sqlx::PgPool;
use uuid::Uuid;

const BATCH: usize = 1_024;
const LONE: usize = 1_000;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: journal_rate DATABASE_URL [BATCHES]")?;
    let batches: usize = arguments.next().map_or(Ok(40), |text| text.parse())?;
    let pool = pool::connect(&url, 8).await?;
    let bare = sqlx::postgres::PgPoolOptions::new().test_before_acquire(false).connect(&url).await?;
    for round in 1..=2 {
        println!("round {round}: {batches} batches of {BATCH}");
        let orders = take_turns(&pool, &bare, batches).await?;
        create_beside(&pool, batches).await?;
        assign(&pool, &orders).await?;
        lone(&pool, &bare).await?;
    }
    let start = Instant::now();
    let live = orders::for_each_live(&pool, None, drop).await?;
    println!("{live} live orders loaded in {:?}", start.elapsed());
    Ok(())
}

fn report(what: &str, rows: usize, spent: Duration) {
    println!("{what:<44} {:>8.0} a second", rows as f64 / spent.as_secs_f64());
}

fn entry(order: &Order) -> Entry {
    let event = Event::Placed { order: Box::new(order.clone()) };
    let recorded = Recorded { seq: 1, at: order.placed_at, by: Party::Merchant(order.merchant), event };
    Entry::order(0, Arc::new(order.clone()), vec![(recorded, order.status())])
        .correlation("req_01jd8v7cjxfm9sxv0q3e0b5z1c")
}

/// Bare and journal batches take turns, so that whatever else the machine does falls on both.
async fn take_turns(pool: &Pool, bare: &PgPool, batches: usize) -> Result<Vec<Order>, Box<dyn std::error::Error>> {
    let (mut bare_time, mut journal_time) = (Duration::ZERO, Duration::ZERO);
    let mut all = Vec::new();
    for _ in 0..batches {
        let columns = Columns::of(BATCH)?;
        let start = Instant::now();
        bare_batch(bare, &columns).await?;
        bare_time += start.elapsed();
        let orders: Vec<Order> = (0..BATCH).map(|_| order()).collect();
        let entries: Vec<Entry> = orders.iter().map(entry).collect();
        let start = Instant::now();
        for outcome in journal::write(pool, &entries).await {
            outcome?;
        }
        journal_time += start.elapsed();
        all.extend(orders);
    }
    report("bare UNNEST, order rows and their events", all.len(), bare_time);
    report("journal, new orders", all.len(), journal_time);
    println!("journal over bare: {:.0} %", 100.0 * bare_time.as_secs_f64() / journal_time.as_secs_f64());
    Ok(all)
}

/// Two batches in flight.
async fn create_beside(pool: &Pool, batches: usize) -> Outcome {
    let entries: Vec<Entry> = (0..batches * BATCH).map(|_| entry(&order())).collect();
    let (left, right) = entries.split_at(entries.len() / 2);
    let start = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for half in [left.to_vec(), right.to_vec()] {
        let pool = pool.clone();
        writers.spawn(async move {
            for batch in half.chunks(BATCH) {
                assert!(journal::write(&pool, batch).await.iter().all(Result::is_ok));
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done?;
    }
    report("journal, new orders, two batches in flight", entries.len(), start.elapsed());
    Ok(())
}

/// The second step of each order: offered and accepted, with a commitment.
async fn assign(pool: &Pool, orders: &[Order]) -> Outcome {
    let entries: Vec<Entry> = orders.iter().map(assigned).collect();
    let start = Instant::now();
    for batch in entries.chunks(BATCH) {
        for outcome in journal::write(pool, batch).await {
            outcome?;
        }
    }
    report("journal, assignments with commitment", entries.len(), start.elapsed());
    Ok(())
}

fn assigned(order: &Order) -> Entry {
    let (mut next, now, driver) = (order.clone(), order.placed_at, DriverId::from_uuid(Uuid::now_v7()));
    let window = Window::new(now, now + Span::minutes(30)).unwrap_or_else(|e| panic!("{e}"));
    let offer = Offer {
        id: OfferId::from_uuid(Uuid::now_v7()),
        driver,
        made_at: now,
        deadline: now + Span::seconds(30),
        commitment: window,
    };
    let mut events = Vec::new();
    for command in [Command::Offer(offer), Command::Accept { offer: offer.id, driver }] {
        for event in next.decide(&command, now).unwrap_or_else(|e| panic!("{e}")) {
            next.apply(&event, now);
            events.push((Recorded { seq: next.version, at: now, by: Party::System, event }, next.status()));
        }
    }
    Entry::order(order.version, Arc::new(next), events).commitment(CommitmentChange::Take { driver, window })
}

/// One command at a time: what a lone caller waits for.
async fn lone(pool: &Pool, bare: &PgPool) -> Outcome {
    let (mut journal, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..LONE {
        let entries = [entry(&order())];
        let start = Instant::now();
        journal::write(pool, &entries).await.remove(0)?;
        journal.push(start.elapsed());
        let columns = Columns::of(1)?;
        let start = Instant::now();
        sqlx::query(SINGLE)
            .bind(columns.id[0])
            .bind(columns.merchant[0])
            .bind(columns.zone[0])
            .bind(columns.at[0])
            .bind(&columns.state[0])
            .execute(bare)
            .await?;
        plain.push(start.elapsed());
    }
    journal.sort();
    plain.sort();
    println!("one entry alone, p50 {:?}; one bare row of orders {:?}", journal[LONE / 2], plain[LONE / 2]);
    Ok(())
}

const SINGLE: &str = "INSERT INTO orders (id, version, previous_version, merchant_id, zone_id, placed_at, promised_at, \
    status, speed, state) VALUES ($1, 1, 0, $2, $3, $4, $4, 'confirmed', 'fast', $5::text::json)";

const BARE_ORDERS: &str = "INSERT INTO orders (id, version, previous_version, merchant_id, zone_id, customer_id, \
    placed_at, promised_at, status, speed, reference, state) \
    SELECT u.id, 1, 0, u.merchant, u.zone, u.customer, u.at, u.at, 'confirmed', 'fast', u.reference, u.state::json \
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::text[], $7::text[]) \
    AS u (id, merchant, zone, customer, at, reference, state)";

const BARE_EVENTS: &str = "INSERT INTO order_events (order_id, seq, at, by, name, status, correlation_id, payload) \
    SELECT u.id, 1, u.at, u.party, 'placed', 'confirmed', 'req_01jd8v7cjxfm9sxv0q3e0b5z1c', u.payload::json \
    FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) AS u (id, at, party, payload)";

#[derive(Default)]
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
    fn of(count: usize) -> Result<Self, serde_json::Error> {
        let mut columns = Self::default();
        for order in (0..count).map(|_| order()) {
            columns.id.push(order.id.uuid());
            columns.merchant.push(order.merchant.uuid());
            columns.zone.push(order.zone.uuid());
            columns.customer.push(order.customer.map(Id::uuid));
            columns.at.push(order.placed_at);
            columns.reference.push(order.reference.clone());
            columns.state.push(serde_json::to_string(&order)?);
            columns.party.push(order.merchant.to_string());
            columns.payload.push(serde_json::to_string(&Event::Placed { order: Box::new(order) })?);
        }
        Ok(columns)
    }
}

async fn bare_batch(bare: &PgPool, c: &Columns) -> Outcome {
    let mut transaction = bare.begin().await?;
    sqlx::query(BARE_ORDERS)
        .bind(&c.id)
        .bind(&c.merchant)
        .bind(&c.zone)
        .bind(&c.customer)
        .bind(&c.at)
        .bind(&c.reference)
        .bind(&c.state)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(BARE_EVENTS).bind(&c.id).bind(&c.at).bind(&c.party).bind(&c.payload).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

fn order() -> Order {
    let now = chrono::Utc::now();
    let stop = |lat, note: &str| NewStop {
        place: Place::new(lat, 13.4).unwrap_or_else(|e| panic!("{e}")),
        contact: Contact {
            name: Some("Erika Mustermann".into()),
            phone: Some("+49 30 901820".into()),
            address: Some("Unter den Linden 77, 10117 Berlin".into()),
            note: Some(note.into()),
        },
        service_seconds: None,
        window: None,
    };
    let merchant = MerchantId::from_uuid(Uuid::from_u128(Uuid::now_v7().as_u128() % 997 + 1));
    let new = NewOrder {
        id: OrderId::from_uuid(Uuid::now_v7()),
        merchant,
        customer: Some(CustomerId::from_uuid(Uuid::now_v7())),
        reference: Some(format!("R-{}", now.timestamp_micros())),
        speed: Speed::Fast,
        size: 1,
        priority: 0,
        pickups: vec![NewPickup {
            seller: merchant,
            needs_confirmation: false,
            ready_at: None,
            stop: stop(52.51, "back door"),
        }],
        delivery: stop(52.52, "third floor, left"),
        codes: CodeRule::default(),
        entropy: vec![4711, 815],
        zone: ZoneId::from_uuid(Uuid::from_u128(7)),
        rules: ZoneRules::default(),
        travel_seconds: 900,
    };
    match new.place(now) {
        Ok(Event::Placed { order }) => *order,
        other => panic!("not placed: {other:?}"),
    }
}
