//! A node that stands by, until it leads.

use std::sync::Arc;

use posthaste_domain::ids::{Id, RegionId};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::member::Membership;
use super::rows;
use crate::lead::{Lead, LeadError, TRY_EVERY};
use crate::migrations::{self, Older};
use crate::pool::{self, PoolError};

/// A node that stands by: it beats, watches the others, and takes over when nobody leads.
#[derive(Debug)]
pub struct Standby {
    membership: Arc<Membership>,
    older: Older,
}

impl Standby {
    /// Joins the nodes of the database at `url`, whose schema is brought up to date where it may be, also beside a server that
    /// leads. `address` and `version` are for people.
    ///
    /// # Errors
    ///
    /// [`PoolError`], as for who wants to lead at once.
    pub async fn join(url: &str, address: &str, version: &str, older: Older) -> Result<Self, PoolError> {
        let unreachable = |error: sqlx::Error| PoolError::Unreachable(error.into());
        let options = pool::options(url)?;
        let mut session = crate::lead::connect(&options).await.map_err(unreachable)?;
        migrations::make_fit(&mut session, older).await?;
        let node = Uuid::now_v7();
        rows::join(&mut session, node, address, version).await.map_err(unreachable)?;
        session.close().await.map_err(unreachable)?;
        tracing::info!(%node, "joined the nodes of the database");
        Ok(Self { membership: Membership::begin(&options, node, RegionId::FIRST.uuid()), older })
    }

    /// Waits until nobody leads, for as long as it takes, and leads.
    ///
    /// # Errors
    ///
    /// [`LeadError::Expelled`] where this node was expelled meanwhile, [`LeadError::Database`] where the schema does not fit.
    pub async fn lead(&self) -> Result<Lead, LeadError> {
        tokio::select! {
            () = self.membership.over() => Err(LeadError::Expelled),
            lead = self.until_it_leads() => lead,
        }
    }

    async fn until_it_leads(&self) -> Result<Lead, LeadError> {
        let mut held: Option<PgConnection> = None;
        loop {
            self.membership.until_free().await;
            match Lead::try_as_node(&self.membership, held.take(), self.older).await {
                Ok(Ok(lead)) => return Ok(lead),
                Ok(Err(session)) => held = session,
                Err(PoolError::Unreachable(error)) => tracing::debug!(%error, "the lead could not be tried"),
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    /// Stands by no longer, and says so.
    pub async fn leave(self) {
        self.membership.leave(None).await;
    }
}
