//! Whose a region is: its lease, which has an epoch and no end.

use sqlx::PgConnection;
use uuid::Uuid;

/// Takes a region for a node: the new epoch, or none where somebody has it who leads, or the node is none any more. To be
/// called by who holds the lead's lock alone.
pub(super) async fn claim(session: &mut PgConnection, region: Uuid, node: Uuid) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "WITH claimed AS (
            UPDATE region_leases l SET epoch = l.epoch + 1, node_id = $2, changed_at = clock_timestamp()
            WHERE l.region_id = $1
                AND EXISTS (SELECT FROM nodes WHERE node_id = $2 AND state <> 'expelled')
                AND NOT EXISTS (SELECT FROM nodes n
                    WHERE n.node_id = l.node_id AND n.node_id <> $2 AND n.state = 'leading')
            RETURNING l.region_id, l.epoch, l.node_id
        )
        INSERT INTO region_lease_log (region_id, epoch, node_id, why)
        SELECT region_id, epoch, node_id, 'claimed' FROM claimed
        RETURNING epoch",
        region,
        node,
    )
    .fetch_optional(session)
    .await
}

/// Gives a region back: nothing that was written under its epoch commits from now on. Whether the node had it.
pub(super) async fn release(
    session: &mut PgConnection,
    region: Uuid,
    node: Uuid,
    epoch: i64,
) -> Result<bool, sqlx::Error> {
    let released = sqlx::query!(
        "WITH released AS (
            UPDATE region_leases SET epoch = epoch + 1, node_id = NULL, changed_at = clock_timestamp()
            WHERE region_id = $1 AND node_id = $2 AND epoch = $3
            RETURNING region_id, epoch
        )
        INSERT INTO region_lease_log (region_id, epoch, why) SELECT region_id, epoch, 'released' FROM released",
        region,
        node,
        epoch,
    );
    Ok(released.execute(session).await?.rows_affected() == 1)
}

/// A server that is no node leads from now on: the node that had the region has it no longer. Changes nothing where none had.
pub(crate) async fn take_without_node(session: &mut PgConnection, region: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH taken AS (
            UPDATE region_leases SET epoch = epoch + 1, node_id = NULL, changed_at = clock_timestamp()
            WHERE region_id = $1 AND node_id IS NOT NULL
            RETURNING region_id, epoch
        )
        INSERT INTO region_lease_log (region_id, epoch, why) SELECT region_id, epoch, 'taken_without_node' FROM taken",
        region,
    )
    .execute(session)
    .await
    .map(drop)
}
