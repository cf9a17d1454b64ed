//! A driver on their way to one stop and at it: streets, tunnels, counters, doors.

use std::sync::atomic::Ordering;

use posthaste_client::ClientError;
use posthaste_domain::order::{FailReason, TaskKind};
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::drivers::StopView;
use posthaste_protocol::problem::Code;

use super::driver::Driver;
use super::stats::DriverState;
use crate::rider::{Wake, report};

/// How long a driver waits for somebody to say a code, in product minutes.
const WAITS_FOR_CODE: i64 = 10;
/// Positions kept in a tunnel, at most what one batch takes.
const MOST_KEPT: usize = 200;

impl Driver {
    /// Goes to the next stop and does what is to be done. False when the socket is closed.
    pub(super) async fn visit(&mut self) -> bool {
        let Some(stop) = self.rider.next_stop().cloned() else { return true };
        let Ok(target) = Place::new(stop.task.lat, stop.task.lng) else {
            self.rider.strike(stop.task.id);
            return true;
        };
        let way = self.way_to(target);
        if let Some(start) = stop.task.window.map(|window| window.start)
            && start - way > self.now()
        {
            return self.wait_to_leave(start - way).await;
        }
        let commands = self.rider.commands.clone();
        if !self.step("a driver sets out", &stop, commands.departed(stop.task.id)).await {
            return true;
        }
        let before_goods = stop.task.kind == TaskKind::Pickup;
        if before_goods && self.happens(self.city.options.habits.breaks_down) {
            self.break_down(&stop).await;
            return true;
        }
        self.state(DriverState::Driving);
        match self.ride(&stop, target, way).await {
            Ride::There => {}
            Ride::Pointless => return true,
            Ride::Closed => return false,
        }
        let commands = self.rider.commands.clone();
        if !self.step("a driver arrives", &stop, commands.arrived(stop.task.id)).await {
            return true;
        }
        self.state(DriverState::AtStop);
        match stop.task.kind {
            TaskKind::Pickup => self.at_counter(&stop).await,
            TaskKind::Delivery => self.at_door(&stop).await,
            TaskKind::Return => self.bring_back(&stop).await,
        }
    }

    fn way_to(&self, target: Place) -> Span {
        seconds(self.place.meters_to(target) / self.plan.meters_per_second.max(0.5))
    }

    /// It is too early for the next stop: waits where the driver is, open to other work.
    async fn wait_to_leave(&mut self, at: Timestamp) -> bool {
        self.state(DriverState::Free);
        self.tell_position();
        let next = at.min(self.now() + self.position_step() * 3);
        self.rider.until(Some(next)).await != Wake::Closed
    }

    /// Rides in a straight line, saying where the driver is; through a tunnel they say it afterwards.
    async fn ride(&mut self, stop: &StopView, target: Place, way: Span) -> Ride {
        let habits = self.city.options.habits;
        let dawdles = if self.happens(habits.dawdles) { self.dawdling() } else { 1.0 };
        let (from, began) = (self.place, self.now());
        let arrives = began + seconds(as_seconds(way) * dawdles);
        let mut tunnel = self.happens(habits.loses_signal).then(|| {
            let length = self.minutes(1..4).max(self.city.clock.product(std::time::Duration::from_millis(300)));
            (began + seconds(as_seconds(arrives - began) * 0.3), length)
        });
        let mut out_at: Option<Timestamp> = None;
        let mut kept = Vec::new();
        while self.now() < arrives {
            let now = self.now();
            self.place = between(from, target, as_seconds(now - began) / as_seconds(arrives - began).max(1e-3));
            if let Some((_, length)) = tunnel.take_if(|(at, _)| *at <= now) {
                self.enter_tunnel(length);
                out_at = Some(now + length);
            }
            match out_at {
                Some(out) if now < out => {
                    if kept.len() < MOST_KEPT {
                        kept.push(report(self.place.lat(), self.place.lng(), now));
                    }
                }
                Some(_) => {
                    out_at = None;
                    self.state(DriverState::Driving);
                    self.hand_in(&mut kept).await;
                }
                None => self.tell_position(),
            }
            let next = (now + self.position_step()).min(arrives).min(out_at.unwrap_or(arrives));
            if self.rider.until(Some(next.max(now + Span::milliseconds(200)))).await == Wake::Closed {
                return Ride::Closed;
            }
            self.consider_offers();
            if !self.still_due(stop) {
                return Ride::Pointless;
            }
        }
        self.place = target;
        self.hand_in(&mut kept).await;
        self.tell_position();
        Ride::There
    }

    fn dawdling(&mut self) -> f64 {
        use rand::RngExt;
        self.dice.random_range(1.2..2.0)
    }

    async fn hand_in(&mut self, kept: &mut Vec<posthaste_protocol::drivers::PositionReport>) {
        if kept.is_empty() {
            return;
        }
        if let Err(error) = self.rider.commands.positions(std::mem::take(kept)).await {
            self.city.stats.failed("a driver hands in positions", &error);
        }
    }

    fn still_due(&self, stop: &StopView) -> bool {
        self.rider.open_stops().any(|open| open.task.id == stop.task.id)
    }

    /// Waits at a stop, answering offers. False when the socket is closed, or the stop is no longer due.
    async fn stand(&mut self, stop: &StopView, until: Timestamp) -> bool {
        loop {
            match self.rider.until(Some(until)).await {
                Wake::Time => return true,
                Wake::Closed => return false,
                Wake::News => {
                    self.consider_offers();
                    if !self.still_due(stop) {
                        return false;
                    }
                }
            }
            self.tell_position();
        }
    }

    async fn at_counter(&mut self, stop: &StopView) -> bool {
        let late = if self.happens(self.city.options.habits.late_kitchen) { self.minutes(2..12) } else { Span::zero() };
        let ready = stop.task.ready_at.unwrap_or_else(|| self.now()) + late;
        let handed = ready.max(self.now()) + self.minutes(0..2);
        if !self.stand(stop, handed).await {
            return true;
        }
        let task = stop.task.id;
        let Some(code) = self.hear(stop, |driver| driver.city.talk.ask_seller(task)).await else {
            return self.give_up(stop, FailReason::StoreClosed).await;
        };
        self.hand_over(stop, code).await
    }

    async fn at_door(&mut self, stop: &StopView) -> bool {
        if self.happens(self.city.options.habits.absent) {
            if self.stand(stop, self.now() + Span::minutes(5)).await {
                return self.give_up(stop, FailReason::CustomerAbsent).await;
            }
            return true;
        }
        let climbs = self.now() + self.minutes(0..3);
        if !self.stand(stop, climbs).await {
            return true;
        }
        let order = stop.order_id;
        let Some(code) = self.hear(stop, |driver| driver.city.talk.ask_customer(order)).await else {
            return self.give_up(stop, FailReason::CustomerAbsent).await;
        };
        self.hand_over(stop, code).await
    }

    async fn bring_back(&mut self, stop: &StopView) -> bool {
        if !self.stand(stop, self.now() + Span::minutes(2)).await {
            return true;
        }
        let commands = self.rider.commands.clone();
        if self.step("a driver brings back", stop, commands.returned(stop.task.id, None, None)).await {
            self.rider.strike(stop.task.id);
        }
        true
    }

    /// Waits until somebody says the code, where one is needed. `Some(None)`: none is needed.
    async fn hear(&mut self, stop: &StopView, ask: impl Fn(&Self) -> Option<String>) -> Option<Option<String>> {
        if !stop.task.code_required {
            return Some(None);
        }
        let patience = Span::minutes(WAITS_FOR_CODE).max(self.city.clock.product(std::time::Duration::from_secs(10)));
        let until = self.now() + patience;
        loop {
            if let Some(code) = ask(self) {
                return Some(Some(code));
            }
            let again =
                self.now() + Span::seconds(15).max(self.city.clock.product(std::time::Duration::from_millis(100)));
            if again > until || !self.stand(stop, again).await {
                return None;
            }
        }
    }

    /// Types the code, sometimes wrongly first.
    async fn hand_over(&mut self, stop: &StopView, code: Option<String>) -> bool {
        let commands = self.rider.commands.clone();
        let pickup = stop.task.kind == TaskKind::Pickup;
        let wrong = code.as_deref().filter(|_| self.happens(self.city.options.habits.mistypes)).map(mistyped);
        for typed in wrong.into_iter().map(Some).chain([code]) {
            let task = stop.task.id;
            let sent = if pickup {
                commands.picked_up(task, typed, None).await
            } else {
                commands.delivered(task, typed, None).await
            };
            match sent {
                Err(error) if error.code() == Some(Code::WrongCode) => {
                    self.city.stats.wrong_codes.fetch_add(1, Ordering::Relaxed);
                    if !self.stand(stop, self.now() + Span::seconds(8)).await {
                        return true;
                    }
                }
                sent => {
                    self.finish(stop, sent);
                    return true;
                }
            }
        }
        // The code that was said is wrong too: it stays a puzzle, and the task stays on the route.
        self.give_up(stop, FailReason::Other).await
    }

    fn finish(&mut self, stop: &StopView, sent: Result<posthaste_protocol::socket::Ack, ClientError>) {
        match sent {
            Ok(_) => self.rider.strike(stop.task.id),
            // Unknown whether it was done: it stays on the route and is done again.
            Err(error @ ClientError::Timeout) => self.city.stats.failed("a driver hands over", &error),
            Err(error) => {
                self.city.stats.failed("a driver hands over", &error);
                self.rider.strike(stop.task.id);
            }
        }
    }

    /// Reports that it cannot be done; what is on board goes back.
    async fn give_up(&mut self, stop: &StopView, reason: FailReason) -> bool {
        if !self.still_due(stop) {
            return true;
        }
        let commands = self.rider.commands.clone();
        if self.step("a driver gives up", stop, commands.failed(stop.task.id, reason, None)).await {
            for task in self.tasks_of(stop) {
                self.rider.strike(task);
            }
        }
        true
    }
}

/// How a ride ended.
enum Ride {
    /// At the stop.
    There,
    /// The stop is no longer theirs.
    Pointless,
    /// The socket is closed for good.
    Closed,
}

/// A code with one digit wrong.
fn mistyped(code: &str) -> String {
    let mut digits: Vec<u8> = code.bytes().collect();
    if let Some(last) = digits.last_mut() {
        *last = if *last == b'9' { b'0' } else { *last + 1 };
    }
    String::from_utf8(digits).unwrap_or_default()
}

fn between(from: Place, to: Place, share: f64) -> Place {
    let share = share.clamp(0.0, 1.0);
    let (lat, lng) = (from.lat() + (to.lat() - from.lat()) * share, from.lng() + (to.lng() - from.lng()) * share);
    Place::new(lat, lng).unwrap_or(to)
}

fn seconds(seconds: f64) -> Span {
    #[expect(clippy::cast_possible_truncation, reason = "hours at most, as milliseconds")]
    let millis = (seconds * 1000.0) as i64;
    Span::milliseconds(millis)
}

fn as_seconds(span: Span) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "hours at most")]
    let millis = span.num_milliseconds() as f64;
    millis / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_code_has_the_same_length_and_is_wrong() {
        for code in ["0000", "1239", "9999"] {
            let wrong = mistyped(code);
            assert!(wrong.len() == code.len() && wrong != code && wrong.bytes().all(|b| b.is_ascii_digit()));
        }
    }

    #[test]
    fn halfway_is_in_the_middle() {
        let (a, b) = (Place::new(52.0, 13.0).unwrap(), Place::new(53.0, 14.0).unwrap());
        let half = between(a, b, 0.5);
        assert!((half.lat() - 52.5).abs() < 1e-9 && (half.lng() - 13.5).abs() < 1e-9);
    }
}
