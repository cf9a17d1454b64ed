//! The roster: who is planned to work when. In Postgres, and in memory at the zones of each driver, where plans read it.

use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::driver::Driver;
use posthaste_domain::ids::{DriverId, ShiftId};
use posthaste_domain::place::Place;
use posthaste_domain::roster::{self, PlannedShift};
use posthaste_protocol::drivers::PlannedShiftView;
use posthaste_storage::roster::RosterError;

use super::Drivers;
use crate::orders::Idempotency;
use crate::system::Doors;
use crate::{Cause, Refused};

/// A shift on a zone's roster, with whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Rostered {
    pub(crate) driver: Arc<Driver>,
    pub(crate) shift: PlannedShift,
}

/// What became of a shift that was to be planned.
#[derive(Debug, Clone)]
pub enum PlannedNow {
    /// It is on the roster.
    New(PlannedShift),
    /// The key was used before with the same request: the first answer, status and body.
    Replayed(u16, String),
}

impl Drivers {
    /// Plans a shift. A key used before gives its first answer.
    pub async fn plan_shift(
        &self,
        driver: DriverId,
        (start, end): (Timestamp, Timestamp),
        place: Option<Place>,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Result<PlannedNow, Refused> {
        let doors = self.doors.get()?;
        let now = doors.clock.now();
        let record = self.get(driver).await?.driver;
        let shift = match roster::planned(start, end, now) {
            Ok(during) => PlannedShift { id: doors.clock.id(), driver, during, place, created_at: now },
            Err((field, problem)) => {
                return first_answer(&doors, idempotency, Refused::InvalidShift(field, problem)).await;
            }
        };
        let view = PlannedShiftView::of(&shift);
        let answer = idempotency.as_ref().map(|k| k.record(201, serde_json::to_string(&view).unwrap_or_default(), now));
        match posthaste_storage::roster::insert(&doors.pool, &shift, answer.as_ref()).await {
            Ok(()) => {}
            // A request sent twice runs into the shift that it planned.
            Err(RosterError::IdempotencyKeyUsed) => return first_answer(&doors, idempotency, Refused::LostRace).await,
            Err(RosterError::Overlaps) => return first_answer(&doors, idempotency, Refused::ShiftsOverlap).await,
            Err(RosterError::NoSuchDriver) => return Err(Refused::NotFound("driver")),
            Err(RosterError::Storage(error)) => return Err(error.into()),
        }
        tracing::info!(%driver, shift = %shift.id, %start, %end, by = %cause.by, "shift planned");
        put_on(&doors, &record, shift);
        Ok(PlannedNow::New(shift))
    }

    /// A driver's planned shifts that are not over, the first to end first.
    pub async fn planned_shifts(&self, driver: DriverId) -> Result<Vec<PlannedShift>, Refused> {
        let doors = self.doors.get()?;
        self.get(driver).await?;
        Ok(posthaste_storage::roster::of_driver(&doors.pool, driver, doors.clock.now()).await?)
    }

    /// Takes a shift off the roster. A driver who is on shift by then stays so.
    pub async fn drop_shift(&self, driver: DriverId, shift: ShiftId, cause: Cause) -> Result<(), Refused> {
        let doors = self.doors.get()?;
        let record = self.get(driver).await?.driver;
        if !posthaste_storage::roster::delete(&doors.pool, driver, shift).await? {
            return Err(Refused::NotFound("shift"));
        }
        tracing::info!(%driver, %shift, by = %cause.by, "planned shift dropped");
        for cell in record.zones.iter().filter_map(|zone| doors.zones.cell(*zone)) {
            cell.roster.lock().remove(&shift);
            cell.dispatch_if_waiting();
        }
        Ok(())
    }
}

/// The answer that a key stands for; what is refused now where there is none.
async fn first_answer(doors: &Doors, key: Option<Idempotency>, refused: Refused) -> Result<PlannedNow, Refused> {
    let Some(key) = key else { return Err(refused) };
    match key.first_answer(&doors.pool).await {
        Ok((status, body)) => Ok(PlannedNow::Replayed(status, body)),
        Err(Refused::LostRace) => Err(refused),
        Err(other) => Err(other),
    }
}

/// Puts a shift on the rosters of its driver's zones.
fn put_on(doors: &Doors, driver: &Arc<Driver>, shift: PlannedShift) {
    for cell in driver.zones.iter().filter_map(|zone| doors.zones.cell(*zone)) {
        cell.roster.lock().insert(shift.id, Rostered { driver: Arc::clone(driver), shift });
        cell.dispatch_if_waiting();
    }
}

/// Reads the roster into the zones.
pub(crate) async fn load(doors: &Doors) -> Result<(), Refused> {
    for shift in posthaste_storage::roster::ending_after(&doors.pool, doors.clock.now()).await? {
        let known = doors.drivers.presences.get(&shift.driver).map(|p| Arc::clone(&p.summary().driver));
        let driver = match known {
            Some(driver) => Some(driver),
            None => posthaste_storage::drivers::get(&doors.pool, shift.driver).await?.map(Arc::new),
        };
        if let Some(driver) = driver {
            put_on(doors, &driver, shift);
        }
    }
    Ok(())
}
