//! A driver who is gone for good is forgotten: what they are called, where they are and were, when they were to work. Who
//! carried what stays, under an id that says nothing.

use posthaste_domain::driver::Driver;
use posthaste_domain::ids::DriverId;
use posthaste_storage::drivers::DriverEvent;
use ractor::ActorProcessingErr;

use super::Drivers;
use super::actor::{DriverActor, DriverMsg, DriverState};
use crate::door::Reply;
use crate::{Cause, Refused};

/// Points of a track that are removed in one statement. More would run into the statement's time limit.
const POINTS_AT_ONCE: u32 = 5_000;

impl Drivers {
    /// Forgets a driver who is off shift and has no work. Doing so again changes nothing, and is worth it for a while: what
    /// was on its way may come in after the first time.
    pub async fn forget(&self, id: DriverId, cause: Cause) -> Result<(), Refused> {
        let doors = self.doors.get()?;
        for shift in self.planned_shifts(id).await? {
            match self.drop_shift(id, shift.id, cause.clone()).await {
                Ok(()) | Err(Refused::NotFound(_)) => {}
                Err(refused) => return Err(refused),
            }
        }
        self.door.ask(id, |reply| DriverMsg::Forget { cause: cause.clone(), reply }).await?;
        posthaste_storage::positions::forget(&doors.pool, id).await?;
        while posthaste_storage::tracks::forget(&doors.pool, id, POINTS_AT_ONCE).await? >= u64::from(POINTS_AT_ONCE) {}
        Ok(())
    }
}

impl DriverActor {
    pub(super) async fn on_forget(
        &self,
        state: &mut DriverState,
        cause: &Cause,
        reply: Reply<()>,
    ) -> Result<(), ActorProcessingErr> {
        state.presence.forget();
        let outcome = if state.driver.name == Driver::FORGOTTEN {
            Ok(())
        } else {
            let change = |driver: &mut Driver| Driver::FORGOTTEN.clone_into(&mut driver.name);
            self.store(state, change, DriverEvent::ProfileChanged, cause, self.doors.clock.now()).await
        };
        self.publish(state);
        let _ = reply.send(outcome);
        Ok(())
    }
}
