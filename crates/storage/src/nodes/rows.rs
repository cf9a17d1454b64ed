//! The rows of nodes.

use sqlx::PgConnection;
use uuid::Uuid;

use super::judge::{Sighting, Verdict};
use crate::lead::LEAD;

/// How a node calls its sessions, so that others can end them.
pub(super) fn session_name(node: Uuid) -> String {
    format!("posthaste/{node}")
}

/// What a look shows.
pub(super) struct Seen {
    /// Who has the region.
    pub(super) holder: Option<Uuid>,
    /// The other nodes that were not expelled, with whether they lead.
    pub(super) others: Vec<(Sighting, bool)>,
}

/// A new node. Forgets those that were expelled and have no region, so that the table stays short.
pub(super) async fn join(
    session: &mut PgConnection,
    node: Uuid,
    address: &str,
    version: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM nodes n WHERE n.state = 'expelled'
            AND NOT EXISTS (SELECT FROM region_leases l WHERE l.node_id = n.node_id)"
    )
    .execute(&mut *session)
    .await?;
    sqlx::query!("INSERT INTO nodes (node_id, address, version) VALUES ($1, $2, $3)", node, address, version)
        .execute(session)
        .await
        .map(drop)
}

/// Beats; whether the node is still one.
pub(super) async fn beat(session: &mut PgConnection, node: Uuid) -> Result<bool, sqlx::Error> {
    let beaten = sqlx::query!("UPDATE nodes SET beat = beat + 1 WHERE node_id = $1 AND state <> 'expelled'", node);
    Ok(beaten.execute(session).await?.rows_affected() == 1)
}

/// Whether the node is still one.
pub(super) async fn is_member(session: &mut PgConnection, node: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM nodes WHERE node_id = $1 AND state <> 'expelled') AS "is!""#,
        node
    )
    .fetch_one(session)
    .await
}

/// Looks at the others, and at who has the region.
pub(super) async fn look(session: &mut PgConnection, node: Uuid, region: Uuid) -> Result<Seen, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT l.node_id AS holder, n.node_id AS "node?", n.beat AS "beat?", n.state = 'leading' AS leads,
            n.lock IS NOT NULL AND NOT EXISTS (
                SELECT FROM pg_locks k
                WHERE k.locktype = 'advisory' AND k.classid::int8 = $3 AND k.objid = n.lock::oid AND k.objsubid = 2
                    AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND k.granted
            ) AS is_unlocked
        FROM region_leases l LEFT JOIN nodes n ON n.node_id <> $1 AND n.state <> 'expelled'
        WHERE l.region_id = $2"#,
        node,
        region,
        i64::from(LEAD),
    )
    .fetch_all(session)
    .await?;
    let holder = rows.first().and_then(|row| row.holder);
    let others = rows.into_iter().filter_map(|row| {
        let sighting = Sighting { node: row.node?, beat: row.beat?, is_unlocked: row.is_unlocked.unwrap_or(false) };
        Some((sighting, row.leads.unwrap_or(false)))
    });
    Ok(Seen { holder, others: others.collect() })
}

/// Expels a node, where its beat is still the one that was seen.
pub(super) async fn expel(session: &mut PgConnection, verdict: &Verdict) -> Result<bool, sqlx::Error> {
    let expelled = sqlx::query!(
        "UPDATE nodes SET state = 'expelled' WHERE node_id = $1 AND beat = $2 AND state <> 'expelled'",
        verdict.node,
        verdict.beat,
    );
    Ok(expelled.execute(session).await?.rows_affected() == 1)
}

/// Ends the sessions that a node has left; how many. They are of the same account, so no privilege is needed.
pub(super) async fn end_sessions(session: &mut PgConnection, node: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(pg_terminate_backend(pid)) AS "ended!" FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()"#,
        session_name(node),
    )
    .fetch_one(session)
    .await
}

/// The node leads from now on; its first session holds this lock.
pub(super) async fn leads(session: &mut PgConnection, node: Uuid, lock: i32) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE nodes SET state = 'leading', lock = $2 WHERE node_id = $1 AND state <> 'expelled'", node, lock)
        .execute(session)
        .await
        .map(drop)
}

/// The node stops: others may take what it has as soon as its sessions have ended.
pub(super) async fn leaving(session: &mut PgConnection, node: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE nodes SET state = 'leaving' WHERE node_id = $1 AND state <> 'expelled'", node)
        .execute(session)
        .await
        .map(drop)
}

/// The node is gone.
pub(super) async fn gone(session: &mut PgConnection, node: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM nodes WHERE node_id = $1", node).execute(session).await.map(drop)
}
