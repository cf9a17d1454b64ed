//! From the feed of orders' events to messages: one for each endpoint that wants the event. By one process at a time, which
//! holds the cursor, so that an order's events become messages in their order.

use std::collections::BTreeSet;
use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_clock::duty::Duty;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, MerchantId, OrderId, WebhookEndpointId};
use posthaste_jobs::Jobs;
use posthaste_storage::StorageError;
use posthaste_storage::feed::{self, FeedEvent};
use sqlx::PgConnection;
use tokio::sync::watch;
use uuid::Uuid;

use super::AFTER_TROUBLE;
use crate::Webhooks;
use crate::messages::store::{New, add};
use crate::sending::adopt::adopt;
use crate::types;

/// How we are called as a reader of the feed.
pub(crate) const CONSUMER: &str = "webhooks";
/// Events that are taken at once. More would hold endpoints' rows for longer.
const MOST_AT_ONCE: u16 = 500;
/// How long to leave the feed alone after a look that found something: many commits become one transaction here. Longer
/// delays what comes right after.
const GATHER: Duration = Duration::from_millis(20);
/// How often the feed is looked at though nobody said that there is something, for safety.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// An event that merchants are to be told of.
struct Told {
    /// Its number in the feed; none where the release before noted it, in its outbox.
    number: Option<i64>,
    merchants: Vec<MerchantId>,
    order: OrderId,
    sequence: i64,
    name: String,
    at: Timestamp,
}

impl From<FeedEvent> for Told {
    fn from(event: FeedEvent) -> Self {
        let FeedEvent { number, order, seq, name, merchants, at, .. } = event;
        Self { number: Some(number), merchants, order, sequence: seq, name, at }
    }
}

/// Who listens.
struct Listener {
    id: WebhookEndpointId,
    merchant: MerchantId,
    types: Vec<String>,
    /// It is told of what has a larger number in the feed.
    after: i64,
}

impl Listener {
    fn hears(&self, event: &Told) -> bool {
        event.merchants.contains(&self.merchant)
            && event.number.is_none_or(|number| number > self.after)
            && types::wanted(&self.types, &event.name)
    }
}

/// Reads the feed whenever something was committed, until it is stopped.
pub(crate) async fn run(webhooks: Webhooks, duty: Duty, mut stopped: watch::Receiver<bool>) {
    let (jobs, clock) = (webhooks.jobs(), webhooks.clock());
    let mut marks = webhooks.feed().marks();
    let mut has_taken_over = false;
    while !*stopped.borrow() {
        let mark = *marks.borrow_and_update();
        let looked = async {
            if !has_taken_over {
                take_over(jobs).await?;
                adopt(&webhooks).await?;
                webhooks.wake();
                has_taken_over = true;
            }
            distribute_all(jobs, mark).await
        };
        let looked = clock.duties().did(duty, looked).await;
        let wait = async {
            match looked {
                Ok(found) => {
                    if found {
                        webhooks.wake();
                        tokio::time::sleep(GATHER).await;
                    }
                    let _ = tokio::time::timeout(LOOK_EVERY, marks.changed()).await;
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "webhooks wait: the database is away");
                    tokio::time::sleep(AFTER_TROUBLE).await;
                }
            }
        };
        tokio::select! {
            () = wait => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Makes messages of everything in the feed up to the mark; whether there was something.
pub(crate) async fn distribute_all(jobs: &Jobs, mark: i64) -> Result<bool, StorageError> {
    let mut any = false;
    while let Some(more) = distribute(jobs, mark).await? {
        any = true;
        if !more {
            break;
        }
    }
    Ok(any)
}

/// The next portion of the feed becomes messages, and the cursor moves, in one transaction. Whether there may be more; none
/// where there was nothing.
async fn distribute(jobs: &Jobs, mark: i64) -> Result<Option<bool>, StorageError> {
    let mut transaction = jobs.pool().connections().begin().await?;
    let Some(portion) = feed::next(&mut transaction, CONSUMER, mark, MOST_AT_ONCE).await? else { return Ok(None) };
    let told: Vec<_> = portion.events.into_iter().map(Told::from).collect();
    tell(jobs, &mut transaction, &told).await?;
    feed::move_to(&mut transaction, CONSUMER, portion.last).await?;
    transaction.commit().await?;
    Ok(Some(portion.more))
}

/// What a server of the release before has left in its outbox becomes messages, before anything of the feed: it is older.
/// To be removed with `webhook_outbox` by the next release.
pub(crate) async fn take_over(jobs: &Jobs) -> Result<(), StorageError> {
    loop {
        let mut transaction = jobs.pool().connections().begin().await?;
        let rows = sqlx::query!(
            "DELETE FROM webhook_outbox WHERE number IN (SELECT number FROM webhook_outbox
                ORDER BY number LIMIT $1 FOR UPDATE SKIP LOCKED)
            RETURNING number, merchant_id, order_id, sequence, name, at",
            i64::from(MOST_AT_ONCE),
        )
        .fetch_all(&mut *transaction)
        .await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut told: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let event = Told {
                    number: None,
                    merchants: vec![MerchantId::from_uuid(row.merchant_id)],
                    order: OrderId::from_uuid(row.order_id),
                    sequence: row.sequence,
                    name: row.name,
                    at: row.at,
                };
                (row.number, event)
            })
            .collect();
        told.sort_unstable_by_key(|(number, _)| *number);
        let told: Vec<_> = told.into_iter().map(|(_, event)| event).collect();
        tell(jobs, &mut transaction, &told).await?;
        transaction.commit().await?;
    }
}

/// Makes messages of events, for endpoints that listen now.
async fn tell(jobs: &Jobs, connection: &mut PgConnection, told: &[Told]) -> Result<(), StorageError> {
    let merchants: BTreeSet<_> = told.iter().flat_map(|told| &told.merchants).map(|merchant| merchant.uuid()).collect();
    let merchants: Vec<_> = merchants.into_iter().collect();
    if merchants.is_empty() {
        return Ok(());
    }
    let listeners = hold(connection, &merchants).await?;
    let new = messages(told, &listeners, jobs.clock());
    if new.is_empty() {
        return Ok(());
    }
    add(jobs, connection, &new, jobs.clock().now()).await
}

/// The endpoints of merchants, held until the end of the transaction: nobody else changes their lanes.
async fn hold(connection: &mut PgConnection, merchants: &[Uuid]) -> Result<Vec<Listener>, StorageError> {
    let rows = sqlx::query!(
        "SELECT id, merchant_id, types, after_number FROM webhook_endpoints
        WHERE merchant_id = ANY($1) AND state IN ('active', 'paused') ORDER BY id FOR UPDATE",
        merchants,
    )
    .fetch_all(connection)
    .await?;
    let listeners = rows.into_iter().map(|row| Listener {
        id: WebhookEndpointId::from_uuid(row.id),
        merchant: MerchantId::from_uuid(row.merchant_id),
        types: row.types,
        after: row.after_number,
    });
    Ok(listeners.collect())
}

/// A message for each event and each endpoint that hears of it.
fn messages(told: &[Told], listeners: &[Listener], clock: &Clock) -> Vec<New> {
    let mut all = Vec::new();
    for event in told {
        all.extend(listeners.iter().filter(|listener| listener.hears(event)).map(|listener| New {
            id: clock.id(),
            endpoint: listener.id,
            order: Some(event.order),
            sequence: event.sequence,
            kind: types::of_order(&event.name),
            at: event.at,
        }));
    }
    all
}
