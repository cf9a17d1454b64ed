//! The door to zones.

use std::sync::Arc;

use posthaste_domain::ids::ZoneId;
use posthaste_domain::place::Place;
use posthaste_protocol::zones::{BoardView, PutZone, ZoneView};

use crate::orders::Idempotency;
use crate::{Cause, Refused};

/// The door to zones. Cheap to clone.
#[derive(Clone)]
pub struct Zones {}

impl Zones {
    /// Makes a zone; it takes orders when this returns. `Err(Ok(..))` style replays come back as the first answer.
    pub async fn create(
        &self,
        zone: PutZone,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Result<CreatedZone, Refused> {
        let _ = (zone, idempotency, cause);
        todo!()
    }

    /// Replaces name, area, rules and travel model. Orders under way keep their zone.
    pub async fn replace(&self, id: ZoneId, zone: PutZone, cause: Cause) -> Result<Arc<ZoneView>, Refused> {
        let _ = (id, zone, cause);
        todo!()
    }

    /// Removes a zone: no new orders. What waits there moves to another zone around its pickup, where there is
    /// one; what is under way is finished.
    pub async fn remove(&self, id: ZoneId, cause: Cause) -> Result<(), Refused> {
        let _ = (id, cause);
        todo!()
    }

    /// One zone.
    pub fn get(&self, id: ZoneId) -> Result<Arc<ZoneView>, Refused> {
        let _ = id;
        todo!()
    }

    /// All zones, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<ZoneView>> {
        todo!()
    }

    /// The zone of a place.
    #[must_use]
    pub fn at(&self, place: Place) -> Option<ZoneId> {
        let _ = place;
        todo!()
    }

    /// What the zone's dispatcher sees.
    pub async fn board(&self, id: ZoneId) -> Result<BoardView, Refused> {
        let _ = id;
        todo!()
    }
}

/// What became of a new zone.
#[derive(Debug, Clone)]
pub enum CreatedZone {
    /// It is in Postgres and takes orders.
    New(Arc<ZoneView>),
    /// The key was used before with the same request: the first answer, status and body.
    Replayed(u16, String),
}
