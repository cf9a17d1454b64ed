//! Zones are made, changed and removed: first in Postgres, then in memory.
//!
//! What is begun is carried to its end, whoever asked for it and has gone. Where it is unknown whether a change was stored,
//! it is looked up; and what is served is brought, now and then and on doubt, to what is stored ([`Zones::as_stored`]).

use std::sync::Arc;

use posthaste_domain::ids::{RegionId, ZoneId};
use posthaste_domain::zone::{NewZone, Zone};
use posthaste_geography::ZoneShape;
use posthaste_storage::zones::{Stored, ZoneError};

use super::{LiveZone, ZoneConfig, Zones, check};
use crate::carried::{UNKNOWN, Within};
use crate::drivers::DriverMsg;
use crate::orders::Idempotency;
use crate::reconcile::Mended;
use crate::system::Doors;
use crate::{Cause, Once, Refused};

impl Zones {
    /// Makes a zone; it takes orders when this returns. A key used before gives its first answer.
    pub async fn create(
        &self,
        zone: NewZone,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Result<Once<LiveZone>, Refused> {
        let doors = self.0.doors.get()?;
        let shape = check(&zone).await?;
        let (zones, carried) = (self.clone(), doors.carried.clone());
        carried.through(async move { zones.make(&doors, zone, &shape, idempotency, cause).await }).await
    }

    async fn make(
        &self,
        doors: &Doors,
        zone: NewZone,
        shape: &Arc<ZoneShape>,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Result<Once<LiveZone>, Refused> {
        let _one = self.0.changing.lock().await;
        let now = doors.clock.now();
        let made = Zone::new(doors.clock.id(), RegionId::FIRST, zone, now);
        let zone = LiveZone::new(made.clone(), shape);
        let answer = idempotency.as_ref().map(|key| key.record_of(201, &crate::views::zone(&zone), now)).transpose()?;
        match posthaste_storage::zones::insert(&self.0.pool, &made, answer.as_ref()).await {
            Ok(()) => {}
            // A request sent twice may run into the name of the zone that it made.
            Err(error @ (ZoneError::IdempotencyKeyUsed | ZoneError::NameTaken)) => {
                let Some(key) = idempotency else { return Err(error.into()) };
                return match key.first_answer(&self.0.pool).await {
                    Ok(first) => Ok(Once::replayed(first)),
                    Err(Refused::LostRace) => Err(error.into()),
                    Err(refused) => Err(refused),
                };
            }
            Err(error) => {
                self.find_out(doors, error, made.id, |found| found.zone.version == made.version).await?;
            }
        }
        tracing::info!(zone = %made.id, name = made.name, by = %cause.by, "zone created");
        let cell = self.put_cell(zone, shape, false);
        self.start(cell.id, doors).await?;
        self.move_what_waits(doors);
        Ok(Once::New(self.changed(&cell, doors)))
    }

    /// Replaces name, area, rules and travel model. Orders under way keep their zone.
    pub async fn replace(&self, id: ZoneId, zone: NewZone, cause: Cause) -> Result<LiveZone, Refused> {
        let doors = self.0.doors.get()?;
        let shape = check(&zone).await?;
        let (zones, carried) = (self.clone(), doors.carried.clone());
        carried.through(async move { zones.change(&doors, id, zone, &shape, cause).await }).await
    }

    async fn change(
        &self,
        doors: &Doors,
        id: ZoneId,
        zone: NewZone,
        shape: &Arc<ZoneShape>,
        cause: Cause,
    ) -> Result<LiveZone, Refused> {
        let _one = self.0.changing.lock().await;
        for last in [false, true] {
            let before = self.get(id)?;
            let changed = before.zone.changed(zone.clone());
            match posthaste_storage::zones::update(&self.0.pool, before.zone.version, &changed).await {
                Ok(()) => {}
                // Only this server changes zones: what is served here is behind, as an answer was lost.
                Err(ZoneError::VersionConflict) if !last => {
                    self.take_over(doors).await?;
                    continue;
                }
                Err(error) => {
                    let ours = |found: &Zone| found.version == changed.version && found.name == changed.name;
                    self.find_out(doors, error, id, |found| ours(&found.zone) && found.deleted_at.is_none()).await?;
                }
            }
            tracing::info!(zone = %id, by = %cause.by, "zone changed");
            let cell = self.put_cell(LiveZone::new(changed, shape), shape, false);
            self.move_what_waits(doors);
            return Ok(self.changed(&cell, doors));
        }
        Err(Refused::LostRace)
    }

    /// Removes a zone: no new orders. What waits there, or comes to wait again, moves to another zone around its pickup,
    /// where there is one. What is under way, and what no zone is around, is finished by the zone's drivers.
    pub async fn remove(&self, id: ZoneId, cause: Cause) -> Result<(), Refused> {
        let doors = self.0.doors.get()?;
        let (zones, carried) = (self.clone(), doors.carried.clone());
        carried
            .through(async move {
                let _one = zones.0.changing.lock().await;
                zones.get(id)?;
                match posthaste_storage::zones::delete(&zones.0.pool, id, doors.clock.now()).await {
                    // Where it is gone from there already, an answer was lost: it only has to go from here.
                    Ok(_) => {}
                    Err(error) => zones.find_out(&doors, error, id, |found| found.deleted_at.is_some()).await?,
                }
                tracing::info!(zone = %id, by = %cause.by, "zone removed");
                zones.take_out(id)?;
                zones.move_what_waits(&doors);
                Ok(())
            })
            .await
    }

    /// Zones that were removed and have no live order leave memory, with their actors: at the second look that finds none,
    /// as an order may have been on its way to the zone when it was removed. Called once a minute.
    pub(crate) async fn forget_removed(&self, doors: &Doors) -> Result<(), Refused> {
        let removed: Vec<_> = self.cells().into_iter().filter(|cell| cell.config.load().removed).collect();
        if removed.is_empty() {
            return Ok(());
        }
        let with_orders = crate::reconcile::zones_with_orders(doors).await?;
        let mut forgotten = false;
        for cell in removed.into_iter().filter(|cell| !with_orders.contains(&cell.id)) {
            let _one = self.0.changing.lock().await;
            let config = cell.config.load_full();
            if !config.removed {
                continue;
            }
            if !config.looked_at {
                cell.config.store(Arc::new(ZoneConfig { looked_at: true, ..(*config).clone() }));
                continue;
            }
            self.0.cells.remove(&cell.id);
            cell.dispatcher.vacate();
            cell.actor.vacate();
            forgotten = true;
            tracing::debug!(zone = %cell.id, "a removed zone without orders is forgotten");
        }
        // Drivers hold the boards of their zones.
        for (_, driver) in doors.drivers.door.all().into_iter().filter(|_| forgotten) {
            let _ = driver.cast(DriverMsg::Announce);
        }
        Ok(())
    }

    /// A zone that was forgotten has a live order after all: its commit was found late.
    pub(crate) async fn bring_back(&self, id: ZoneId, doors: &Doors) -> Result<(), Refused> {
        let _one = self.0.changing.lock().await;
        if self.cell(id).is_none()
            && let Some(stored) = posthaste_storage::zones::get(&self.0.pool, id).await?
        {
            self.load(stored)?;
            self.start(id, doors).await?;
        }
        Ok(())
    }

    /// A write failed. Where it is unknown whether it did, it is looked up: it may be stored after all.
    async fn find_out(
        &self,
        doors: &Doors,
        error: ZoneError,
        id: ZoneId,
        is_done: impl Fn(&Stored) -> bool,
    ) -> Result<(), Refused> {
        if !matches!(&error, ZoneError::Storage(error) if error.is_unknown()) {
            return Err(error.into());
        }
        tracing::warn!(zone = %id, "unknown whether a change of the zone was stored: it is looked up");
        doors.doubt();
        let look = || async { Ok(posthaste_storage::zones::get(&self.0.pool, id).await?.filter(|zone| is_done(zone))) };
        doors.carried.look_up(Within::Moments, look).await.map(drop).ok_or(UNKNOWN)
    }

    /// Brings what is served to what is stored.
    pub(crate) async fn as_stored(&self, doors: &Doors) -> Result<(), Refused> {
        let _one = self.0.changing.lock().await;
        self.take_over(doors).await
    }

    /// The same, for who changes zones.
    async fn take_over(&self, doors: &Doors) -> Result<(), Refused> {
        let stored = posthaste_storage::zones::served(&self.0.pool).await?;
        for served in self.list() {
            let id = served.zone.id;
            if stored.iter().all(|zone| zone.id != id) {
                doors.mended(Mended::Zone(id));
                self.take_out(id)?;
                self.move_what_waits(doors);
            }
        }
        for zone in stored {
            let id = zone.id;
            let known = self.cell(id);
            if known.as_ref().is_some_and(|cell| {
                let config = cell.config.load();
                !config.removed && config.zone.zone.version == zone.version
            }) {
                continue;
            }
            doors.mended(Mended::Zone(id));
            self.load(Stored { zone, deleted_at: None })?;
            if known.is_none() {
                self.start(id, doors).await?;
            }
            self.move_what_waits(doors);
            if let Some(cell) = self.cell(id) {
                self.changed(&cell, doors);
            }
        }
        Ok(())
    }
}
