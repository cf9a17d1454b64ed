//! Drivers who go silent, are lost, and are heard of again.
//!
//! Each driver who is on shift or has work has one alarm, a little after they must have been heard of; it carries a
//! generation, so that an older one is ignored. A silent driver gets no new work, and their open offers go to somebody who
//! hears them. One who stays silent is lost: what they have not picked up waits for another, what they have aboard is
//! escalated. The orders decide which, and are asked again until they have.
//!
//! Silence is real time, at any speed of the product clock: phones are real, and send their heartbeats as they are asked
//! to in real seconds.

use posthaste_domain::order::{Command, Order, ReleaseReason};
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::socket::Alert;
use posthaste_protocol::words::AlertKind;
use posthaste_storage::decisions::NewDecision;
use serde_json::json;

use super::actor::{Alarm, DriverActor, DriverMsg, DriverState};

/// How long orders have to be rid of a driver who is gone, before they are asked again (real time): the database may
/// have been away.
const ASK_AGAIN_SECONDS: i64 = 15;

impl DriverActor {
    pub(super) fn on_awake(&self, state: &mut DriverState) {
        let was_missed = state.stale || state.gone.is_some();
        if was_missed {
            tracing::info!(driver = %self.id, "heard of again");
        }
        state.stale = false;
        if state.gone == Some(ReleaseReason::DriverLost) {
            self.is_back(state);
        }
        self.publish(state);
        self.show_operations(state);
        if was_missed {
            self.watch(state);
        }
    }

    pub(super) fn on_watch(&self, state: &mut DriverState, generation: u64) {
        if generation != state.watch {
            return;
        }
        let silent = state.presence.silent_for();
        if silent >= self.stale_after(state) && state.driver.shift.is_on() && !state.stale {
            self.falls_silent(state, silent);
        }
        let has_work = self.to_hand_on(state).next().is_some();
        if silent >= self.lost_after(state) && state.gone.is_none() && has_work {
            state.presence.wake_on_sign_of_life();
            state.gone = Some(ReleaseReason::DriverLost);
        }
        self.hand_on(state);
        self.watch(state);
    }

    /// Silent too long: no new work, and open offers go to somebody who hears them.
    fn falls_silent(&self, state: &mut DriverState, silent: Span) {
        state.stale = true;
        state.presence.wake_on_sign_of_life();
        self.withdraw_offers(state);
        if state.has_better_to_do() {
            self.show_route(state);
        }
        self.publish(state);
        self.show_operations(state);
        let alert = Alert {
            kind: AlertKind::DriverSilent,
            text: format!("{} has been silent for {} s", state.driver.name, silent.num_seconds()),
            order_id: state.orders.keys().next().copied(),
            driver_id: Some(self.id),
            zone_id: state.driver.zones.first().copied(),
        };
        self.doors.alert(alert, self.scope(state));
    }

    /// Orders that go to others when they are gone: of a lost driver those that they are about to begin, as they may be back in
    /// time for tomorrow's.
    fn to_hand_on<'s>(&self, state: &'s DriverState) -> impl Iterator<Item = &'s Order> + use<'s> {
        let soon = self.doors.clock.now() + self.lost_after(state);
        let all = state.gone.is_some_and(|reason| reason != ReleaseReason::DriverLost);
        state.unescalated().filter(move |(begins, _)| all || *begins <= soon).map(|(_, order)| order)
    }

    /// What a driver who is gone has goes to others: the orders are told, and say what becomes of them.
    pub(super) fn hand_on(&self, state: &DriverState) {
        let Some(reason) = state.gone else { return };
        let now = self.doors.clock.now();
        for order in self.to_hand_on(state) {
            let decision = (!order.goods_on_board()).then(|| Box::new(taken_back(state, order, reason, now)));
            let command = Command::LoseDriver { driver: self.id, reason };
            self.tell_order(order.id, command, decision);
        }
    }

    /// They are back: what is still with them is in good hands again.
    pub(super) fn is_back(&self, state: &mut DriverState) {
        state.gone = None;
        for order in state.orders.values().filter(|o| o.escalated.is_some()) {
            let command = Command::FindDriver { driver: self.id };
            self.tell_order(order.id, command, None);
        }
    }

    /// Sets the alarm for what is due next: that they are silent, that they are lost, or that orders are asked again.
    pub(super) fn watch(&self, state: &mut DriverState) {
        state.watch += 1;
        let silent = state.presence.silent_for();
        let within = if state.driver.shift.is_on() && !state.stale {
            self.stale_after(state) - silent
        } else {
            let Some(first) = state.unescalated().map(|(begins, _)| begins).min() else { return };
            let soonest = match state.gone {
                Some(_) => Span::seconds(ASK_AGAIN_SECONDS),
                None => self.lost_after(state) - silent,
            };
            soonest.max(self.as_silence(first - self.lost_after(state) - self.doors.clock.now()))
        };
        let (generation, id, doors) = (state.watch, self.id, std::sync::Arc::downgrade(&self.doors));
        self.doors.silence.after(within.max(Span::seconds(1)), move || {
            if let Some(doors) = doors.upgrade() {
                let _ = doors.drivers.door.tell(id, DriverMsg::Internal(Alarm::Watch(generation)));
            }
        });
    }

    /// How much silence fits into a span of product time.
    fn as_silence(&self, span: Span) -> Span {
        let real = self.doors.clock.real(span).mul_f64(self.doors.silence.clock().speed());
        Span::from_std(real).unwrap_or(Span::MAX)
    }

    pub(super) fn stale_after(&self, state: &DriverState) -> Span {
        let zones = state.driver.zones.iter();
        let spans = zones.map(|zone| self.doors.zones.rules(*zone).stale_span());
        spans.max().unwrap_or_else(|| posthaste_domain::zone::ZoneRules::default().stale_span())
    }

    /// How long a driver may be silent before they are lost, in the most patient of their zones.
    fn lost_after(&self, state: &DriverState) -> Span {
        let rules = state.driver.zones.iter().map(|zone| self.doors.zones.rules(*zone));
        let spans = rules.map(|rules| rules.stale_span() + rules.lost_span());
        let usual = posthaste_domain::zone::ZoneRules::default();
        spans.max().unwrap_or_else(|| usual.stale_span() + usual.lost_span())
    }
}

impl DriverState {
    /// Orders that may have to go to others, with when they have to begin with each.
    fn unescalated(&self) -> impl Iterator<Item = (Timestamp, &Order)> {
        let theirs = self.orders.values().filter(|o| o.offer.is_none() && o.escalated.is_none());
        theirs.filter_map(|o| o.assignment.map(|a| (a.commitment.start(), &**o)))
    }
}

/// Why an order waits again, as a decision.
fn taken_back(state: &DriverState, order: &Order, reason: ReleaseReason, at: Timestamp) -> NewDecision {
    let silent = state.presence.silent_for().num_seconds();
    let why = match reason {
        ReleaseReason::ShiftEnded => "their shift ended".to_owned(),
        ReleaseReason::DriverBanned => "they were shut out".to_owned(),
        _ => format!("they have been silent for {silent} s"),
    };
    let driver = &state.driver;
    NewDecision {
        order: order.id,
        driver: None,
        at,
        summary: format!("taken back from {}: {why}", driver.id),
        detail: json!({"taken_back_from": driver.id, "reason": reason, "silent_seconds": silent}),
    }
}
