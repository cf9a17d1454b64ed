//! The roster: who is planned to work when. In Postgres, and in memory at the zones of each driver, where plans read it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::driver::Driver;
use posthaste_domain::ids::{DriverId, ShiftId, ZoneId};
use posthaste_domain::place::Place;
use posthaste_domain::roster::{self, PlannedShift};
use posthaste_storage::StorageError;
use posthaste_storage::roster::RosterError;

use super::Drivers;
use crate::carried::{UNKNOWN, Within};
use crate::orders::Idempotency;
use crate::reconcile::Mended;
use crate::system::Doors;
use crate::{Cause, Once, Refused};

/// A shift on a zone's roster, with whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Rostered {
    pub(crate) driver: Arc<Driver>,
    pub(crate) shift: PlannedShift,
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
    ) -> Result<Once<PlannedShift>, Refused> {
        let doors = self.doors.get()?;
        let now = doors.clock.now();
        let record = self.get(driver).await?.driver;
        let shift = match roster::planned(start, end, now) {
            Ok(during) => PlannedShift { id: doors.clock.id(), driver, during, place, created_at: now },
            Err((field, problem)) => {
                return first_answer(&doors, idempotency, Refused::InvalidShift(field.into(), problem)).await;
            }
        };
        let view = crate::views::planned_shift(&shift);
        let answer = idempotency.as_ref().map(|key| key.record_of(201, &view, now)).transpose()?;
        let carried = doors.carried.clone();
        carried
            .through(async move {
                let _one = doors.drivers.rosters.lock().await;
                match posthaste_storage::roster::insert(&doors.pool, &shift, answer.as_ref()).await {
                    Ok(()) => {}
                    // A request sent twice runs into the shift that it planned.
                    Err(RosterError::IdempotencyKeyUsed) => {
                        return first_answer(&doors, idempotency, Refused::LostRace).await;
                    }
                    Err(RosterError::Overlaps) => {
                        return first_answer(&doors, idempotency, Refused::ShiftsOverlap).await;
                    }
                    Err(RosterError::NoSuchDriver) => return Err(Refused::NotFound("driver".into())),
                    Err(RosterError::Storage(error)) => find_out(&doors, error, (driver, shift.id), true).await?,
                }
                tracing::info!(%driver, shift = %shift.id, %start, %end, by = %cause.by, "shift planned");
                put_on(&doors, &record, shift);
                Ok(Once::New(shift))
            })
            .await
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
        let carried = doors.carried.clone();
        carried
            .through(async move {
                let _one = doors.drivers.rosters.lock().await;
                let is_theirs = |rostered: &Rostered| rostered.shift.driver == driver;
                let known =
                    doors.zones.cells().iter().any(|cell| cell.roster.lock().get(&shift).is_some_and(is_theirs));
                match posthaste_storage::roster::delete(&doors.pool, driver, shift).await {
                    Ok(true) => {}
                    // Where it is gone from there already, an answer was lost: it only has to go from here.
                    Ok(false) if known => {}
                    Ok(false) => return Err(Refused::NotFound("shift".into())),
                    Err(error) => find_out(&doors, error, (driver, shift), false).await?,
                }
                tracing::info!(%driver, %shift, by = %cause.by, "planned shift dropped");
                take_off(&doors, &record, shift);
                Ok(())
            })
            .await
    }
}

/// A write failed. Where it is unknown whether it did, it is looked up: the driver's shift may be there, or gone, as it
/// was to be.
async fn find_out(
    doors: &Doors,
    error: StorageError,
    (driver, shift): (DriverId, ShiftId),
    is_there: bool,
) -> Result<(), Refused> {
    if !error.is_unknown() {
        return Err(error.into());
    }
    doors.doubt();
    let look = || async {
        let stored = posthaste_storage::roster::of_driver(&doors.pool, driver, doors.clock.now()).await?;
        Ok((stored.iter().any(|stored| stored.id == shift) == is_there).then_some(()))
    };
    doors.carried.look_up(Within::Moments, look).await.ok_or(UNKNOWN)
}

/// Takes a shift off the rosters of its driver's zones.
fn take_off(doors: &Doors, driver: &Driver, shift: ShiftId) {
    for cell in driver.zones.iter().filter_map(|zone| doors.zones.cell(*zone)) {
        cell.roster.lock().remove(&shift);
        cell.dispatch_if_waiting();
    }
}

/// Brings the rosters to what is stored of shifts that are not over.
pub(crate) async fn as_stored(doors: &Doors) -> Result<(), Refused> {
    let _one = doors.drivers.rosters.lock().await;
    let now = doors.clock.now();
    let stored = posthaste_storage::roster::ending_after(&doors.pool, now).await?;
    let ids: BTreeSet<ShiftId> = stored.iter().map(|shift| shift.id).collect();
    let mut known: HashMap<ShiftId, Arc<Driver>> = HashMap::new();
    for cell in doors.zones.cells() {
        let mut gone = BTreeSet::new();
        cell.roster.lock().retain(|id, Rostered { driver, shift }| {
            let stays = ids.contains(id) || shift.during.end() <= now;
            if stays {
                known.insert(*id, Arc::clone(driver));
            } else {
                gone.insert(driver.id);
            }
            stays
        });
        for driver in gone {
            doors.mended(Mended::Roster(driver));
            cell.dispatch_if_waiting();
        }
    }
    for shift in stored {
        // Nearly all are on some roster, which knows whose they are.
        let record = match known.remove(&shift.id) {
            Some(record) => record,
            None => match record_of(doors, shift.driver).await? {
                Some(record) => record,
                None => continue,
            },
        };
        let is_on =
            |zone: &ZoneId| doors.zones.cell(*zone).is_none_or(|cell| cell.roster.lock().contains_key(&shift.id));
        if !record.zones.iter().all(is_on) {
            doors.mended(Mended::Roster(shift.driver));
            put_on(doors, &record, shift);
        }
    }
    Ok(())
}

/// The answer that a key stands for; what is refused now where there is none.
async fn first_answer(
    doors: &Doors,
    key: Option<Idempotency>,
    refused: Refused,
) -> Result<Once<PlannedShift>, Refused> {
    let Some(key) = key else { return Err(refused) };
    match key.first_answer(&doors.pool).await {
        Ok(first) => Ok(Once::replayed(first)),
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

/// A driver's record, from memory where they are there.
async fn record_of(doors: &Doors, driver: DriverId) -> Result<Option<Arc<Driver>>, Refused> {
    let known = doors.drivers.presences.get(&driver).map(|p| Arc::clone(&p.summary().driver));
    match known {
        Some(known) => Ok(Some(known)),
        None => Ok(posthaste_storage::drivers::get(&doors.pool, driver).await?.map(Arc::new)),
    }
}

/// Reads the roster into the zones.
pub(crate) async fn load(doors: &Doors) -> Result<(), Refused> {
    for shift in posthaste_storage::roster::ending_after(&doors.pool, doors.clock.now()).await? {
        if let Some(driver) = record_of(doors, shift.driver).await? {
            put_on(doors, &driver, shift);
        }
    }
    Ok(())
}
