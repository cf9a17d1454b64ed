//! Nodes: servers beside each other on one database, of which one serves and the others stand by.
//!
//! - A node *beats*: it counts a number up, each [`BEAT_EVERY`]. There is no time in it that two machines would have to agree on.
//! - The others *watch* ([`judge`]). Who sees the same beat for long enough, while its own come through, *expels* the node, by
//!   compare-and-set on that very beat: a judge that is late changes nothing. Who is expelled stays so.
//! - The sessions of an expelled node are ended, until none is left; then the lead is free ([`lead`](crate::lead)).
//! - Who takes the lead *claims* the region's lease, and its *epoch* goes up. The journal's own statement checks the epoch
//!   (`Fence`): what a node that was expelled still has under way is refused, whatever it believes.
//!
//! The lead's locks keep every writer of a node out that is not the leader; the epoch says so once more of the journal, in the
//! commit itself, and goes on doing so when regions are run by several nodes. A server that is no node has no epoch, and its
//! journal checks nothing. See `docs/adr/0046-standby.md`.

pub mod judge;
mod leases;
mod member;
mod rows;
mod standby;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

pub(crate) use self::leases::take_without_node;
pub(crate) use self::member::Membership;
pub use self::standby::Standby;

/// How often a node beats, and looks at the others. Rarer is later to see who is gone; more often is more small commits, which
/// wait for no disk.
pub const BEAT_EVERY: Duration = Duration::from_millis(200);

/// That a node is none any more: it was expelled, or the region is another's. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Over(Arc<watch::Sender<bool>>);

impl Over {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// It is over. There is no way back.
    pub(crate) fn set(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is over.
    pub(crate) async fn wait(&self) {
        // Its sender is here: it cannot be gone.
        let _ = self.0.subscribe().wait_for(|over| *over).await;
    }
}

/// What the journal checks where the server runs as a node: that the region is still this node's.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    /// The region.
    pub(crate) region: Uuid,
    /// The epoch in which the node has it.
    pub(crate) epoch: i64,
    /// Told where it has it no longer.
    pub(crate) over: Over,
}

#[cfg(test)]
mod fence_tests;
#[cfg(test)]
mod tests;
