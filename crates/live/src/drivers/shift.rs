//! A driver's shift, and how a change of their record is stored.

use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::driver::{Driver, Shift};
use posthaste_domain::order::ReleaseReason;
use posthaste_domain::place::Place;
use posthaste_protocol::socket::ServerMessage;
use posthaste_storage::drivers::{DriverEvent, DriverRecorded};
use posthaste_storage::journal::Entry;
use ractor::ActorProcessingErr;
use serde::{Deserialize, Serialize};

use super::actor::{DriverActor, DriverState};
use crate::commit::{Commit, Whose};
use crate::door::Reply;
use crate::{Cause, Refused};

/// Steps of a driver's history among which a repeated command is looked for: far more than a day has.
const REMEMBERED_STEPS: u64 = 500;

/// What a shift is changed to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShiftChange {
    /// The shift from now on.
    pub shift: Shift,
    /// Where they are, so that work can come before their first position.
    pub place: Option<Place>,
    /// Why what they have goes to others, where it does: of use only when they go offline.
    pub hand_back: Option<ReleaseReason>,
}

impl From<Shift> for ShiftChange {
    fn from(shift: Shift) -> Self {
        Self { shift, place: None, hand_back: None }
    }
}

impl DriverActor {
    pub(super) async fn on_shift(
        &self,
        state: &mut DriverState,
        ShiftChange { shift, place, hand_back }: ShiftChange,
        cause: Cause,
        reply: Reply<(Shift, bool, Timestamp)>,
    ) -> Result<(), ActorProcessingErr> {
        let now = self.doors.clock.now();
        let changed = match state.driver.shift.decide(shift, now) {
            Ok(changed) => changed,
            Err(refused) => {
                let _ = reply.send(Err(refused.into()));
                return Ok(());
            }
        };
        if let Some(at) = self.done_before(state, changed.is_some(), &cause).await? {
            let _ = reply.send(Ok((state.driver.shift, false, at)));
            return Ok(());
        }
        let outcome = match changed {
            Some(shift) => {
                let event = DriverEvent::ShiftChanged { shift, command: cause.command() };
                self.store(state, |driver| driver.shift = shift, event, &cause, now).await
            }
            None => Ok(()),
        };
        if let Err(refused) = outcome {
            let _ = reply.send(Err(refused));
            return Ok(());
        }
        if let Some(place) = place {
            state.presence.said(place);
        }
        state.presence.heartbeat();
        state.stale = false;
        if !state.driver.shift.takes_work() {
            self.withdraw_offers(state);
        }
        match hand_back.filter(|_| !state.driver.shift.is_on()) {
            Some(reason) => {
                state.gone = Some(reason);
                self.hand_on(state);
            }
            None if state.gone.is_some() => self.is_back(state),
            None => {}
        }
        if state.has_better_to_do() {
            self.show_route(state);
        }
        self.publish(state);
        self.watch(state);
        if changed.is_some() {
            self.doors.streams.tell(crate::streams::driver(self.id), ServerMessage::Shift(state.driver.shift.into()));
            self.show_operations(state);
        }
        let _ = reply.send(Ok((state.driver.shift, changed.is_some(), now)));
        Ok(())
    }

    /// When a command that would change something was done before, under its id. Only the driver's own history can say:
    /// the record may have changed to and fro since.
    pub(super) async fn done_before(
        &self,
        state: &DriverState,
        changes: bool,
        cause: &Cause,
    ) -> Result<Option<Timestamp>, ActorProcessingErr> {
        let Some(command) = cause.command.as_deref().filter(|_| changes) else { return Ok(None) };
        let after = state.driver.version.saturating_sub(REMEMBERED_STEPS);
        let read =
            || async { Ok(posthaste_storage::drivers::done_under(&self.doors.pool, self.id, after, command).await?) };
        Ok(self.doors.carried.read(read).await?)
    }

    /// Stores a change of the record with its event. Where it is unknown whether it was stored, what is stored is read
    /// back, and the driver goes on from there.
    pub(super) async fn store(
        &self,
        state: &mut DriverState,
        change: impl FnOnce(&mut Driver),
        event: DriverEvent,
        cause: &Cause,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let mut driver = (*state.driver).clone();
        change(&mut driver);
        driver.version += 1;
        let name = event.name();
        let recorded = DriverRecorded { seq: driver.version, at: now, by: cause.by, event };
        let entry = Entry::driver(state.driver.version, driver.clone(), vec![recorded]).correlation(cause.ids());
        match self.doors.commit(Whose::Driver(self.id), entry).await {
            Commit::Stored => {}
            not @ Commit::ReadBack { .. } => {
                let stored = self.stored().await?;
                if stored != driver {
                    state.driver = Arc::new(stored);
                    return Err(not.refused());
                }
            }
            not => return Err(not.refused()),
        }
        tracing::info!(
            driver = %self.id, event = name, shift = driver.shift.name(), by = %cause.by,
            request_id = cause.correlation.as_deref(), "driver"
        );
        state.driver = Arc::new(driver);
        Ok(())
    }
}
