//! From the outbox to messages: one for each endpoint that wants the event. By one process at a time, so that an order's
//! events become messages in their order.

use std::collections::BTreeMap;

use posthaste_clock::Clock;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, MerchantId, OrderId, WebhookEndpointId};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::messages::store::{New, add, settle};
use crate::types;

/// Rows that are taken out at once. More would hold endpoints' rows for longer.
const MOST_AT_ONCE: i64 = 500;
/// The lock that one process holds while it distributes. Each schema has its own: the test world's sender does not keep
/// the live one's waiting.
const LOCK: i64 = 0x0070_6873_7477_6868;

/// An event that merchants are to be told of.
pub(crate) struct Told {
    pub(crate) merchant: MerchantId,
    pub(crate) order: OrderId,
    pub(crate) sequence: i64,
    pub(crate) name: String,
    pub(crate) at: Timestamp,
}

/// Who listens.
pub(crate) struct Listener {
    pub(crate) id: WebhookEndpointId,
    pub(crate) merchant: MerchantId,
    pub(crate) types: Vec<String>,
}

/// Takes rows out of the outbox and makes messages of them; whether there may be more.
pub(crate) async fn distribute(pool: &Pool, clock: &Clock) -> Result<bool, StorageError> {
    let mut transaction = pool.connections().begin().await?;
    let alone = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock($1::bigint + hashtext(current_schema())) AS "alone!""#,
        LOCK
    );
    if !alone.fetch_one(&mut *transaction).await? {
        return Ok(false);
    }
    let (numbers, told) = waiting(&mut transaction).await?;
    if numbers.is_empty() {
        return Ok(false);
    }
    let mut merchants: Vec<_> = told.iter().map(|told| told.merchant.uuid()).collect();
    merchants.sort_unstable();
    merchants.dedup();
    let listeners = hold(&mut transaction, &merchants).await?;
    let now = clock.now();
    let new = messages(&told, &listeners, clock);
    add(&mut transaction, &new, now).await?;
    let mut lanes: BTreeMap<WebhookEndpointId, Vec<Uuid>> = BTreeMap::new();
    for message in &new {
        lanes.entry(message.endpoint).or_default().push(message.lane());
    }
    for (endpoint, lanes) in lanes {
        settle(&mut transaction, endpoint, &lanes, now).await?;
    }
    sqlx::query!("DELETE FROM webhook_outbox WHERE number = ANY($1)", &numbers).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(numbers.len() as i64 == MOST_AT_ONCE)
}

async fn waiting(connection: &mut PgConnection) -> Result<(Vec<i64>, Vec<Told>), StorageError> {
    let rows = sqlx::query!(
        "SELECT number, merchant_id, order_id, sequence, name, at FROM webhook_outbox ORDER BY number LIMIT $1",
        MOST_AT_ONCE,
    )
    .fetch_all(connection)
    .await?;
    let both = rows.into_iter().map(|row| {
        let told = Told {
            merchant: MerchantId::from_uuid(row.merchant_id),
            order: OrderId::from_uuid(row.order_id),
            sequence: row.sequence,
            name: row.name,
            at: row.at,
        };
        (row.number, told)
    });
    Ok(both.unzip())
}

/// The endpoints of merchants, held until the end of the transaction: nobody else changes their lanes.
async fn hold(connection: &mut PgConnection, merchants: &[Uuid]) -> Result<Vec<Listener>, StorageError> {
    let rows = sqlx::query!(
        "SELECT id, merchant_id, types FROM webhook_endpoints
        WHERE merchant_id = ANY($1) AND state IN ('active', 'paused') ORDER BY id FOR UPDATE",
        merchants,
    )
    .fetch_all(connection)
    .await?;
    let listeners = rows.into_iter().map(|row| Listener {
        id: WebhookEndpointId::from_uuid(row.id),
        merchant: MerchantId::from_uuid(row.merchant_id),
        types: row.types,
    });
    Ok(listeners.collect())
}

/// A message for each event and each endpoint of its merchant that wants it.
pub(crate) fn messages(told: &[Told], listeners: &[Listener], clock: &Clock) -> Vec<New> {
    let mut all = Vec::new();
    for event in told {
        let mine = listeners.iter().filter(|listener| listener.merchant == event.merchant);
        all.extend(mine.filter(|listener| types::wanted(&listener.types, &event.name)).map(|listener| New {
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
