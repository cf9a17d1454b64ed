//! The lead: which server writes to a database. One at a time, whatever happens to servers and networks.
//!
//! Advisory locks of Postgres, held by sessions and gone with them; three kinds, all under `LEAD`:
//!
//! - *writers*: every session that may write holds it shared, from its first moment to its last. Who takes over takes it
//!   alone first, so every session of the one before has ended by then.
//! - *name*: the leader's first session holds a lock of the leader's own. A new session of its pool that finds this lock
//!   free is refused: the lead is lost, and might be somebody else's.
//! - Who takes over leaves a *mark* in the clock's checkpoint, which only leaders write, before anybody else may write. A
//!   leader that lost its first session takes the lead up again only where the checkpoint is one of its own.
//!
//! A write costs nothing for it, and no clocks are compared. See `docs/adr/0030-lead.md`.
//!
//! A server may be a node beside others ([`nodes`]): then somebody ends its sessions when it is silent, and takes over at once.
//!
//! Without the lead there are no connections. So the pools of a leader who lost it for good refuse at once, and those of
//! one that stops while it does not hold it ([`Lead::refuse_when_away`]): nobody waits for what cannot come.

mod marks;
mod pools;

use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_domain::ids::{Id as _, RegionId};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) use self::marks::Marks;
pub(crate) use self::pools::Pools;
use crate::migrations::{self, Older};
use crate::nodes::{self, Fence, Membership};
use crate::pool::{self, Leader, Pool, PoolError, Schemas};

/// The class of the lead's advisory locks: "lead" in ASCII.
pub(crate) const LEAD: i32 = 0x6C65_6164;
/// The lock of all who may write.
const WRITERS: i32 = 0;
/// How often it is tried to take a lead that somebody else has, or to take up one's own again. A handover takes this
/// long for nothing, at most.
pub(crate) const TRY_EVERY: Duration = Duration::from_millis(50);
/// How often the first session is asked whether it is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no lead to be had.
#[derive(Debug, Error)]
pub enum LeadError {
    /// Another server has it, and did not leave in time.
    #[error("another server leads this database and did not leave within {} s", .0.as_secs())]
    Taken(Duration),
    /// Another node has expelled this one.
    #[error("another node has expelled this one, as it did not beat in time")]
    Expelled,
    /// The database.
    #[error(transparent)]
    Database(#[from] PoolError),
}

/// The right to write to a database. Dropping it gives it up.
pub struct Lead {
    options: PgConnectOptions,
    name: i32,
    marks: Arc<Marks>,
    pools: Pools,
    state: watch::Receiver<State>,
    look: Arc<Notify>,
    holding: JoinHandle<()>,
    /// Where the server is a node.
    node: Option<(Arc<Membership>, Fence)>,
}

/// How the lead stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first session answers.
    Held,
    /// It has not answered since then.
    Away(Instant),
    /// Another has led.
    Lost,
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.holding.abort();
    }
}

impl Lead {
    /// Takes the lead of the database at `url` and brings it up to date, where it may. Waits at most `patience` for
    /// another server to leave.
    ///
    /// # Errors
    ///
    /// [`LeadError::Taken`] where it does not leave, [`LeadError::Database`] where the database is at fault.
    pub async fn take(url: &str, patience: Duration, older: Older) -> Result<Self, LeadError> {
        let options = pool::options(url)?;
        let mut session = connect(&options).await.map_err(unreachable)?;
        wait_for_writers(&mut session, patience).await?;
        let name = name(&mut session).await.map_err(unreachable)?;
        migrations::make_fit(&mut session, older).await?;
        within(nodes::take_without_node(&mut session, RegionId::FIRST.uuid())).await.map_err(unreachable)?;
        Ok(Self::begin(session, options, name, None).await?)
    }

    /// Takes the lead as a node, where nobody has it now and no node has the region; gives the session back for another try
    /// where somebody still has it. `session` is one that was given back.
    pub(crate) async fn try_as_node(
        membership: &Arc<Membership>,
        session: Option<PgConnection>,
        older: Older,
    ) -> Result<Result<Self, Option<PgConnection>>, PoolError> {
        let options = membership.options().clone();
        let mut session = match session {
            Some(session) => session,
            None => connect(&options).await.map_err(unreachable)?,
        };
        if !try_alone(&mut session, WRITERS).await.map_err(unreachable)? {
            return Ok(Err(Some(session)));
        }
        let name = name(&mut session).await.map_err(unreachable)?;
        migrations::make_fit(&mut session, older).await?;
        // Only what is known to be committed counts: where the answer is lost, so is the session, and it is claimed anew.
        let Some(fence) = within(membership.claim(&mut session, name)).await.map_err(unreachable)? else {
            return Ok(Err(None));
        };
        tracing::info!(epoch = fence.epoch, "this node leads");
        Self::begin(session, options, name, Some((Arc::clone(membership), fence))).await.map(Ok)
    }

    /// Leads, from a session that holds the lock of all who may write alone.
    async fn begin(
        mut session: PgConnection,
        options: PgConnectOptions,
        name: i32,
        node: Option<(Arc<Membership>, Fence)>,
    ) -> Result<Self, PoolError> {
        let marks = Arc::new(Marks::new(marks::leave(&mut session).await.map_err(unreachable)?));
        share_writing(&mut session).await.map_err(unreachable)?;
        let (tell, state) = watch::channel(State::Held);
        let (pools, look) = (Pools::default(), Arc::new(Notify::new()));
        let holder = Holder {
            options: options.clone(),
            name,
            marks: Arc::clone(&marks),
            pools: pools.clone(),
            tell,
            look: Arc::clone(&look),
            membership: node.as_ref().map(|(membership, _)| Arc::clone(membership)),
        };
        let holding = tokio::spawn(holder.hold(session));
        Ok(Self { options, name, marks, pools, state, look, holding, node })
    }

    /// Tells the other nodes, where there are any, that this one stops: one of them leads as soon as its sessions have ended.
    pub async fn leaving(&self) {
        if let Some((membership, _)) = &self.node {
            membership.leaving().await;
        }
    }

    /// Gives the region back where the server is a node, once nothing is to be written any more.
    pub async fn release(&self) {
        if let Some((membership, fence)) = &self.node {
            membership.leave(Some(fence)).await;
        }
    }

    /// A pool of connections that may write while the lead lasts.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unreachable`] where the database does not answer.
    pub async fn pool(&self, max_connections: u32) -> Result<Pool, PoolError> {
        let fence = self.node.as_ref().map(|(_, fence)| fence.clone());
        let leader = Leader { marks: Arc::clone(&self.marks), fence };
        let pool = pool::leading(self.options.clone(), max_connections, self.name, leader).await?;
        self.pools.add(&pool);
        Ok(pool)
    }

    /// How to connect to further schemas, by connections that may write while the lead lasts.
    #[must_use]
    pub fn schemas(&self) -> Schemas {
        Schemas::leading(self.options.clone(), self.name, self.pools.clone())
    }

    /// Waits until the lead is lost for good: another server has had it. What is in memory is no longer true then.
    pub async fn lost(&self) {
        let mut state = self.state.clone();
        if state.wait_for(|state| *state == State::Lost).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Looks now whether it is still held, as there is reason to doubt it.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// For a stop: once the database has been away for `patience`, who waits for a connection or will is refused at once.
    /// What has a connection goes on. Ends then, or never; dropped, it changes nothing any more.
    pub fn refuse_when_away(&self, patience: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (mut state, pools) = (self.state.clone(), self.pools.clone());
        self.look();
        async move {
            loop {
                let now = *state.borrow_and_update();
                let changed = match now {
                    State::Lost => return,
                    State::Held => state.changed().await,
                    State::Away(since) => {
                        let left = patience.saturating_sub(since.elapsed());
                        match tokio::time::timeout(left, state.changed()).await {
                            Ok(changed) => changed,
                            Err(_) => {
                                tracing::warn!(
                                    away = ?since.elapsed(),
                                    "the database is away: the stop waits for nothing that needs it"
                                );
                                return pools.refuse();
                            }
                        }
                    }
                };
                if changed.is_err() {
                    return std::future::pending().await;
                }
            }
        }
    }
}

fn unreachable(error: sqlx::Error) -> PoolError {
    PoolError::Unreachable(error.into())
}

pub(crate) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    within(PgConnection::connect_with(options)).await
}

async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER_WITHIN, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Takes the lock of all who may write, alone.
pub(crate) async fn wait_for_writers(session: &mut PgConnection, patience: Duration) -> Result<(), LeadError> {
    let (began, mut waits) = (Instant::now(), false);
    // Tried, not waited for: who waits for a lock makes others wait behind it, who only want to share it.
    while !try_alone(session, WRITERS).await.map_err(unreachable)? {
        if began.elapsed() >= patience {
            return Err(LeadError::Taken(patience));
        }
        if !std::mem::replace(&mut waits, true) {
            tracing::info!(?patience, "another server leads this database: waiting for it to leave");
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
    if waits {
        tracing::info!(waited = ?began.elapsed(), "the other server has left");
    }
    Ok(())
}

async fn try_alone(session: &mut PgConnection, lock: i32) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1, $2) AS "taken!""#, LEAD, lock);
    within(taken.fetch_one(session)).await
}

async fn try_shared(session: &mut PgConnection, lock: i32) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock_shared($1, $2) AS "taken!""#, LEAD, lock);
    within(taken.fetch_one(session)).await
}

/// A name that nobody else has, and its lock.
async fn name(session: &mut PgConnection) -> Result<i32, sqlx::Error> {
    loop {
        // Its last bytes are by chance.
        let name = Uuid::now_v7().as_bytes().last_chunk().map_or(WRITERS, |bytes| i32::from_be_bytes(*bytes));
        if name != WRITERS && try_alone(session, name).await? {
            return Ok(name);
        }
    }
}

/// From now on other sessions may write too.
async fn share_writing(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    try_shared(session, WRITERS).await?;
    let given = sqlx::query_scalar!(r#"SELECT pg_advisory_unlock($1, $2) AS "given!""#, LEAD, WRITERS);
    within(given.fetch_one(session)).await.map(drop)
}

/// What a session of the pool does first: it joins those who may write, and then sees whether its leader still leads.
pub(crate) async fn join(session: &mut PgConnection, name: i32) -> Result<(), sqlx::Error> {
    if try_shared(session, WRITERS).await? && !try_shared(session, name).await? {
        return Ok(());
    }
    Err(sqlx::Error::Protocol("this server does not lead the database now".to_owned()))
}

/// Holds the lead by its first session, and takes it up again where that breaks.
struct Holder {
    options: PgConnectOptions,
    name: i32,
    marks: Arc<Marks>,
    pools: Pools,
    tell: watch::Sender<State>,
    look: Arc<Notify>,
    membership: Option<Arc<Membership>>,
}

/// What became of a try to take the lead up again.
enum Again {
    Held(PgConnection),
    NotYet,
    Lost,
}

impl Holder {
    async fn hold(self, session: PgConnection) {
        let expelled = async {
            match &self.membership {
                Some(membership) => membership.over().await,
                None => std::future::pending().await,
            }
        };
        let why = tokio::select! {
            () = self.keep(session) => "another server has led the database meanwhile: this one must not go on",
            () = expelled => "this node does not lead any more: it must not go on",
        };
        // First of all: whoever waits for a connection of ours waits in vain.
        self.pools.refuse();
        tracing::error!("{why}");
        self.tell.send_replace(State::Lost);
    }

    /// Keeps the lead until another has it.
    async fn keep(&self, mut session: PgConnection) {
        loop {
            let mut asked = Instant::now();
            while within(session.ping()).await.is_ok() {
                let _ = tokio::time::timeout(LOOK_EVERY, self.look.notified()).await;
                asked = Instant::now();
            }
            self.tell.send_replace(State::Away(asked));
            tracing::warn!(
                "the session that holds the lead of the database broke: no new connection until it is held again"
            );
            drop(session);
            let Some(again) = self.hold_again().await else { return };
            session = again;
            self.tell.send_replace(State::Held);
            tracing::info!("the lead of the database is held again");
        }
    }

    async fn hold_again(&self) -> Option<PgConnection> {
        loop {
            match self.try_again().await {
                Ok(Again::Held(session)) => return Some(session),
                Ok(Again::Lost) => return None,
                Ok(Again::NotYet) => {}
                Err(error) => tracing::debug!(%error, "the lead could not be taken up again"),
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    async fn try_again(&self) -> Result<Again, sqlx::Error> {
        let mut session = connect(&self.options).await?;
        // Held from here on, so nobody takes over after the mark was read.
        if !try_shared(&mut session, WRITERS).await? {
            return Ok(Again::NotYet);
        }
        if !self.marks.knows(marks::read(&mut session).await?) {
            return Ok(Again::Lost);
        }
        if let Some(membership) = &self.membership
            && !within(membership.is_member(&mut session)).await?
        {
            return Ok(Again::Lost);
        }
        Ok(if try_alone(&mut session, self.name).await? { Again::Held(session) } else { Again::NotYet })
    }
}

#[cfg(test)]
mod tests;
