//! A node's place among the others: its beats, what it sees, and whom it expels.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::judge::Judge;
use super::rows::{self, Seen};
use super::{BEAT_EVERY, Fence, Over, leases};

/// How long a beat may take, with the look after it. What takes longer is broken off, and does not count.
const ROUND_WITHIN: Duration = Duration::from_secs(1);
/// How long a good-bye may take. Who does not get it sees it by the beats that stop.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// Whether the region may be taken by this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A node has it that lives and leads; or nothing is known yet.
    Led,
    /// No node has it, or one that leaves or is gone. A server that is no node may still lead.
    Free,
}

/// The membership of a node, from its start to its end. Dropping it ends the beats.
#[derive(Debug)]
pub(crate) struct Membership {
    options: PgConnectOptions,
    node: Uuid,
    region: Uuid,
    over: Over,
    standing: watch::Receiver<Standing>,
    beating: JoinHandle<()>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

impl Membership {
    /// A node that was written down before begins to beat.
    pub(super) fn begin(options: &PgConnectOptions, node: Uuid, region: Uuid) -> Arc<Self> {
        let (over, (tell, standing)) = (Over::new(), watch::channel(Standing::Led));
        let options = options.clone().application_name(&rows::session_name(node));
        let member = Member { options: options.clone(), node, region, over: over.clone(), tell };
        let beating = tokio::spawn(member.beat());
        Arc::new(Self { options, node, region, over, standing, beating })
    }

    /// How each session of the node is opened, so that others find it.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Waits until the node is none any more.
    pub(crate) async fn over(&self) {
        self.over.wait().await;
    }

    /// Waits until the region may be taken.
    pub(super) async fn until_free(&self) {
        if self.standing.clone().wait_for(|standing| *standing == Standing::Free).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the node is still one, by this session.
    pub(crate) async fn is_member(&self, session: &mut PgConnection) -> Result<bool, sqlx::Error> {
        rows::is_member(session, self.node).await
    }

    /// Claims the region for who holds the lead's lock alone, in one commit that is on disk; `lock` is what its first session
    /// holds. None where somebody else has it.
    pub(crate) async fn claim(&self, session: &mut PgConnection, lock: i32) -> Result<Option<Fence>, sqlx::Error> {
        let mut commit = session.begin().await?;
        let claimed = leases::claim(&mut commit, self.region, self.node).await?;
        if claimed.is_some() {
            rows::leads(&mut commit, self.node, lock).await?;
        }
        commit.commit().await?;
        Ok(claimed.map(|epoch| Fence { region: self.region, epoch, over: self.over.clone() }))
    }

    /// Tells the others that it stops, so that they are there when its sessions have ended.
    pub(crate) async fn leaving(&self) {
        self.say(async |session| rows::leaving(session, self.node).await).await;
    }

    /// Gives the region back where it has it, and says good-bye.
    pub(crate) async fn leave(&self, fence: Option<&Fence>) {
        self.beating.abort();
        self.say(async |session| {
            if let Some(fence) = fence {
                leases::release(session, fence.region, self.node, fence.epoch).await?;
            }
            rows::gone(session, self.node).await
        })
        .await;
    }

    async fn say(&self, what: impl AsyncFnOnce(&mut PgConnection) -> Result<(), sqlx::Error>) {
        let said = async {
            let mut session = PgConnection::connect_with(&self.options).await?;
            what(&mut session).await?;
            session.close().await
        };
        match tokio::time::timeout(GOODBYE_WITHIN, said).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the other nodes could not be told"),
            Err(_) => tracing::warn!("the other nodes could not be told in time"),
        }
    }
}

/// Who beats.
struct Member {
    options: PgConnectOptions,
    node: Uuid,
    region: Uuid,
    over: Over,
    tell: watch::Sender<Standing>,
}

impl Member {
    async fn beat(self) {
        let (mut judge, mut session, mut was_missed) = (Judge::default(), None, false);
        let mut turns = tokio::time::interval(BEAT_EVERY);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let round = tokio::time::timeout(ROUND_WITHIN, self.round(&mut session, &mut judge)).await;
            let round = round.unwrap_or(Err(sqlx::Error::PoolTimedOut));
            let is_missed = round.is_err();
            match round {
                Ok(true) if was_missed => tracing::info!("beats come through again"),
                Ok(true) => {}
                Ok(false) => {
                    tracing::error!(node = %self.node, "this node was expelled: it must not go on");
                    return self.over.set();
                }
                // Said once: it is tried several times in a second.
                Err(error) if !was_missed => tracing::warn!(%error, "a beat did not come through"),
                Err(_) => {}
            }
            if is_missed {
                session = None;
            }
            was_missed = is_missed;
        }
    }

    /// A beat and a look. False where the node is none any more.
    async fn round(&self, held: &mut Option<PgConnection>, judge: &mut Judge) -> Result<bool, sqlx::Error> {
        let session = match held {
            Some(session) => session,
            None => held.insert(self.connect().await?),
        };
        if !rows::beat(session, self.node).await? {
            return Ok(false);
        }
        let asked = Instant::now();
        let seen = rows::look(session, self.node, self.region).await?;
        let sightings: Vec<_> = seen.others.iter().map(|(sighting, _)| *sighting).collect();
        let verdicts = judge.look(asked, Instant::now(), &sightings);
        let mut expelled = HashSet::new();
        for verdict in verdicts {
            if rows::expel(session, &verdict).await? {
                tracing::warn!(node = %verdict.node, why = ?verdict.why, "a node was expelled");
                expelled.insert(verdict.node);
            }
        }
        let standing = self.standing(session, &seen, &expelled).await?;
        self.tell.send_if_modified(|told| std::mem::replace(told, standing) != standing);
        Ok(true)
    }

    /// Whether the region may be taken; ends what is left of a holder that is gone.
    async fn standing(
        &self,
        session: &mut PgConnection,
        seen: &Seen,
        expelled: &HashSet<Uuid>,
    ) -> Result<Standing, sqlx::Error> {
        let Some(holder) = seen.holder.filter(|holder| *holder != self.node) else { return Ok(Standing::Free) };
        let alive = seen.others.iter().find(|(other, _)| other.node == holder && !expelled.contains(&holder));
        match alive {
            Some((_, leads)) => Ok(if *leads { Standing::Led } else { Standing::Free }),
            None => {
                let ended = rows::end_sessions(session, holder).await?;
                if ended > 0 {
                    tracing::info!(node = %holder, ended, "sessions of a node that is gone were ended");
                }
                Ok(Standing::Free)
            }
        }
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut session = PgConnection::connect_with(&self.options).await?;
        // Others see a beat at once either way. What has to be on disk before it counts is followed by a claim, which is.
        session.execute("SET synchronous_commit = off; SET statement_timeout = '1s'").await?;
        Ok(session)
    }
}
