//! Forgetting what orders that are over hold of people, in their rows and in their events, in batches that each leave a
//! mark of how far they came. Settled orders never change again, so what is read under their locks is what is there.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, OrderId};
use posthaste_domain::order::{Event, Order, Personal};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Row, placed};
use crate::error::StorageError;
use crate::pool::Pool;

/// Forgets in orders that were settled before an instant, the longest settled first, at most `most` of them; says how many.
/// Each order is taken once: fewer than `most` means that there is nothing left to do. Killed in the middle, nothing was done.
pub async fn forget_people(pool: &Pool, what: Personal, before: Timestamp, most: u32) -> Result<u64, StorageError> {
    let mut transaction = pool.0.begin().await?;
    let (settled_at, order_id) = mark(&mut transaction, what).await?;
    let orders = sqlx::query!(
        r#"SELECT id, settled_at AS "settled_at!", state::text AS "state!" FROM orders
        WHERE settled_at IS NOT NULL AND (settled_at, id) > ($1, $2) AND settled_at < $3
        ORDER BY settled_at, id LIMIT $4 FOR UPDATE"#,
        settled_at,
        order_id,
        before,
        i64::from(most),
    )
    .fetch_all(&mut *transaction)
    .await?;
    let Some(last) = orders.last().map(|row| (row.settled_at, row.id)) else { return Ok(0) };
    let taken: Vec<Uuid> = orders.iter().map(|row| row.id).collect();
    let mut changed = (Vec::new(), Vec::new());
    for row in orders {
        let id = row.id;
        if let Some(state) = forgotten_state(row.id, row.state, what)? {
            changed.0.push(id);
            changed.1.push(state);
        }
    }
    sqlx::query!(
        "UPDATE orders AS o SET state = n.state::json
        FROM unnest($1::uuid[], $2::text[]) AS n (id, state) WHERE o.id = n.id",
        &changed.0,
        &changed.1,
    )
    .execute(&mut *transaction)
    .await?;
    forget_events(&mut transaction, what, &taken).await?;
    sqlx::query!("UPDATE forgetting SET settled_at = $2, order_id = $3 WHERE what = $1", what.name(), last.0, last.1,)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(u64::try_from(taken.len()).unwrap_or_default())
}

/// How far it came, held until the transaction ends.
async fn mark(connection: &mut PgConnection, what: Personal) -> Result<(Timestamp, Uuid), StorageError> {
    sqlx::query!(
        "INSERT INTO forgetting (what, settled_at, order_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        what.name(),
        Timestamp::UNIX_EPOCH,
        Uuid::nil(),
    )
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query!("SELECT settled_at, order_id FROM forgetting WHERE what = $1 FOR UPDATE", what.name())
        .fetch_one(connection)
        .await?;
    Ok((row.settled_at, row.order_id))
}

/// The state without what is forgotten; none where it holds nothing of it.
fn forgotten_state(id: Uuid, state: String, what: Personal) -> Result<Option<String>, StorageError> {
    let before: Order = Row { id, state }.try_into()?;
    let mut after = before.clone();
    after.forget(what);
    if after == before {
        return Ok(None);
    }
    let written = serde_json::to_string(&after);
    written.map(Some).map_err(|e| StorageError::corrupt(format!("order {}", OrderId::from_uuid(id)), e))
}

async fn forget_events(connection: &mut PgConnection, what: Personal, of: &[Uuid]) -> Result<(), StorageError> {
    let rows = sqlx::query!(
        r#"SELECT order_id, seq, payload::text AS "payload!" FROM order_events
        WHERE order_id = ANY($1) AND name = ANY($2::text[])"#,
        of,
        what.events() as _,
    )
    .fetch_all(&mut *connection)
    .await?;
    let (mut orders, mut seqs, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let unread = |e: serde_json::Error| {
            StorageError::corrupt(format!("event {} of {}", row.seq, OrderId::from_uuid(row.order_id)), e)
        };
        if placed::leaves_the_state_to_the_row(&row.payload).map_err(unread)? {
            continue;
        }
        let before: Event = serde_json::from_str(&row.payload).map_err(unread)?;
        let mut after = before.clone();
        after.forget(what);
        if after != before {
            orders.push(row.order_id);
            seqs.push(row.seq);
            payloads.push(serde_json::to_string(&after).map_err(unread)?);
        }
    }
    sqlx::query!(
        "UPDATE order_events AS e SET payload = n.payload::json
        FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS n (order_id, seq, payload)
        WHERE e.order_id = n.order_id AND e.seq = n.seq",
        &orders,
        &seqs,
        &payloads,
    )
    .execute(connection)
    .await?;
    Ok(())
}
