//! A driver's shift, and how a change of his record is stored.

use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::driver::{Driver, Shift};
use posthaste_domain::order::ReleaseReason;
use posthaste_domain::place::Place;
use posthaste_protocol::socket::ServerMessage;
use posthaste_storage::drivers::{DriverEvent, DriverRecorded};
use posthaste_storage::journal::{AppendError, Entry};
use ractor::ActorProcessingErr;

use super::actor::{DriverActor, DriverRef, DriverState};
use crate::door::Reply;
use crate::{Cause, Refused};

/// What a shift is changed to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShiftChange {
    /// The shift from now on.
    pub shift: Shift,
    /// Where he is, so that work can come before his first position.
    pub place: Option<Place>,
    /// Why what he has goes to others, where it does: of use only when he goes offline.
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
        myself: &DriverRef,
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
        let outcome = match changed {
            Some(shift) => {
                let event = DriverEvent::ShiftChanged { shift };
                self.store(state, |driver| driver.shift = shift, event, &cause, now).await
            }
            None => Ok(()),
        };
        if let Err(error) = outcome {
            return not_stored(error, &cause, reply);
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
        self.watch(myself, state);
        if changed.is_some() {
            self.doors.streams.to_driver(self.id, ServerMessage::Shift(state.driver.shift.into()));
            self.show_operations(state);
        }
        let _ = reply.send(Ok((state.driver.shift, changed.is_some(), now)));
        Ok(())
    }

    /// Stores a change of the record with its event.
    pub(super) async fn store(
        &self,
        state: &mut DriverState,
        change: impl FnOnce(&mut Driver),
        event: DriverEvent,
        cause: &Cause,
        now: Timestamp,
    ) -> Result<(), AppendError> {
        let mut driver = (*state.driver).clone();
        change(&mut driver);
        driver.version += 1;
        let recorded = DriverRecorded { seq: driver.version, at: now, by: cause.by, event };
        let entry = Entry::driver(state.driver.version, driver.clone(), vec![recorded]).correlation(cause.ids());
        self.doors.journal.append(entry).await?;
        tracing::info!(
            driver = %self.id, event = event.name(), shift = driver.shift.name(), by = %cause.by,
            request_id = cause.correlation.as_deref(), "driver"
        );
        state.driver = Arc::new(driver);
        Ok(())
    }
}

/// Answers that a change was not stored. Where it is unknown whether it was, the actor fails and is reloaded.
pub(super) fn not_stored<T>(error: AppendError, cause: &Cause, reply: Reply<T>) -> Result<(), ActorProcessingErr> {
    if let AppendError::Unavailable(why) = error {
        tracing::warn!(error = %why, "not stored: the database is away");
        let _ = reply.send(Err(Refused::Unavailable("the database is away")));
        return Ok(());
    }
    let _ = reply.send(Err(Refused::Unavailable("it is unknown whether it was stored; try again")));
    tracing::error!(%error, "not stored");
    Err(cause.of(error).into())
}
