//! A driver: goes on shift, answers offers or does not, rides to shops and doors, loses signal, mistypes, takes
//! breaks, goes home, and comes again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use posthaste_client::{ClientError, SocketOptions};
use posthaste_domain::ids::DriverId;
use posthaste_domain::order::FailReason;
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::drivers::{OfferView, ShiftState, ShiftView, StopView};
use posthaste_protocol::orders::PlaceView;
use posthaste_protocol::socket::Ack;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use crate::city::City;
use crate::city::stats::DriverState;
use crate::city::world::{DriverPlan, dice};
use crate::rider::{Rider, Wake, report};

const ROLE: u64 = 5;
/// Positions come this often, in product time and, where the clock is fast, in real time.
const POSITION_EVERY: Span = Span::seconds(5);
const POSITION_EVERY_REAL: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    pub(super) city: Arc<City>,
    pub(super) index: usize,
    pub(super) plan: DriverPlan,
    pub(super) rider: Rider,
    pub(super) place: Place,
    pub(super) dice: StdRng,
    shift_ends: Timestamp,
    break_at: Timestamp,
    answers: JoinSet<()>,
}

/// The driver's whole life.
pub(crate) async fn live(city: Arc<City>, index: usize, id: DriverId) {
    let client = city.options.tokens.client(&city.client, Party::Driver(id));
    let options = SocketOptions {
        most_wait: Duration::from_secs(3),
        counters: Arc::clone(&city.stats.sockets),
        ..SocketOptions::default()
    };
    let rider = Rider::new(client.driver_socket_with(options), city.clock.clone());
    let plan = city.world.drivers[index].clone();
    let (place, dice, now) = (plan.home, dice(city.options.seed, ROLE, index as u64), city.clock.now());
    let answers = JoinSet::new();
    let mut driver = Driver { city, index, plan, rider, place, dice, shift_ends: now, break_at: now, answers };
    // Most are at work when the city wakes up; the others come during the first hours.
    let late = driver.dice.random_bool(0.15);
    let first = if late { driver.minutes(10..150) } else { driver.minutes(0..3) };
    let mut pause = first;
    loop {
        let now = driver.city.clock.now();
        if !driver.rider.pass(now + pause).await || !driver.begin_shift().await || !driver.work().await {
            driver.state(DriverState::Off);
            return;
        }
        pause = driver.minutes(45..180);
    }
}

impl Driver {
    pub(super) fn minutes(&mut self, range: std::ops::Range<i64>) -> Span {
        Span::seconds(self.dice.random_range(range.start * 60..range.end * 60))
    }

    /// Whether something that happens with this chance happens now to this driver.
    pub(super) fn happens(&mut self, chance: f64) -> bool {
        self.dice.random_bool((chance * self.plan.carelessness).clamp(0.0, 1.0))
    }

    pub(super) fn state(&self, state: DriverState) {
        self.city.stats.driver(self.index, state);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.city.clock.now()
    }

    pub(super) fn tell_position(&self) {
        self.rider.commands.position(report(self.place.lat(), self.place.lng(), self.now()));
    }

    pub(super) fn position_step(&self) -> Span {
        POSITION_EVERY.max(self.city.clock.product(POSITION_EVERY_REAL))
    }

    /// Tries again until the shift is on. False when the socket is closed.
    async fn begin_shift(&mut self) -> bool {
        self.shift_ends = self.now() + self.minutes(180..480);
        self.break_at = self.now() + self.minutes(60..180);
        loop {
            match self.change_shift(ShiftState::Available).await {
                Ok(_) => break,
                Err(ClientError::Closed) => return false,
                Err(error) => {
                    self.city.stats.failed("a driver goes on shift", &error);
                    if !self.rider.pass(self.now() + Span::minutes(2)).await {
                        return false;
                    }
                    self.shift_ends = self.shift_ends.max(self.now() + Span::minutes(60));
                }
            }
        }
        self.state(DriverState::Free);
        self.tell_position();
        true
    }

    pub(super) async fn change_shift(&self, state: ShiftState) -> Result<Ack, ClientError> {
        let on = state != ShiftState::Offline;
        let place = on.then(|| PlaceView { lat: self.place.lat(), lng: self.place.lng() });
        self.rider
            .commands
            .shift(ShiftView { state, until: on.then_some(self.shift_ends), place, hand_back: false })
            .await
    }

    /// Works until the shift is over and nothing is in hand. False when the socket is closed.
    async fn work(&mut self) -> bool {
        loop {
            self.consider_offers();
            while self.answers.try_join_next().is_some() {}
            if self.rider.next_stop().is_some() {
                if !self.visit().await {
                    return false;
                }
                continue;
            }
            let now = self.now();
            if now >= self.shift_ends {
                if let Err(error) = self.change_shift(ShiftState::Offline).await {
                    self.city.stats.failed("a driver goes home", &error);
                }
                // What was accepted at the last moment is still brought.
                self.answers.join_all_quietly().await;
                if !self.rider.pass(self.now() + self.city.clock.product(Duration::from_secs(1))).await {
                    return false;
                }
                if self.rider.next_stop().is_none() {
                    self.state(DriverState::Off);
                    return true;
                }
                continue;
            }
            if now >= self.break_at && self.answers.is_empty() {
                if !self.take_a_break().await {
                    return false;
                }
                continue;
            }
            self.state(DriverState::Free);
            self.tell_position();
            let next = self.shift_ends.min(self.break_at.max(now)).min(now + self.position_step() * 3);
            if self.rider.until(Some(next.max(now + Span::seconds(1)))).await == Wake::Closed {
                return false;
            }
        }
    }

    async fn take_a_break(&mut self) -> bool {
        self.break_at = self.now() + self.minutes(120..240);
        if let Err(error) = self.change_shift(ShiftState::OnBreak).await {
            self.city.stats.failed("a driver takes a break", &error);
            return true;
        }
        self.state(DriverState::OnBreak);
        let over = (self.now() + self.minutes(8..25)).min(self.shift_ends);
        if !self.rider.pass(over).await {
            return false;
        }
        if self.now() < self.shift_ends
            && let Err(error) = self.change_shift(ShiftState::Available).await
        {
            self.city.stats.failed("a driver comes back from a break", &error);
            // Tried again by the next break's end, or by the end of the shift.
            self.break_at = self.now();
        }
        true
    }

    /// Thinks about every new offer, each on its own.
    pub(super) fn consider_offers(&mut self) {
        let habits = self.city.options.habits;
        while let Some(offer) = self.rider.take_offer() {
            let (ignores, declines) = (self.happens(habits.ignores), self.happens(habits.declines));
            let thinks = Span::milliseconds(self.dice.random_range(1_500..12_000));
            if ignores {
                continue;
            }
            let (city, commands) = (Arc::clone(&self.city), self.rider.commands.clone());
            self.answers.spawn(async move { answer(&city, commands, offer, declines, thinks).await });
        }
    }

    /// Sends a step of a task. False when it was refused: then the task is no longer theirs.
    pub(super) async fn step(
        &mut self,
        what: &'static str,
        stop: &StopView,
        sent: impl Future<Output = Result<Ack, ClientError>>,
    ) -> bool {
        match sent.await {
            Ok(_) => true,
            Err(error) => {
                self.city.stats.failed(what, &error);
                if !matches!(error, ClientError::Timeout) {
                    self.rider.strike(stop.task.id);
                }
                false
            }
        }
    }

    /// Breaks down: gives the order back and is off for a while.
    pub(super) async fn break_down(&mut self, stop: &StopView) {
        let note = Some("flat tyre".to_owned());
        let sent = self.rider.commands.clone();
        let task = stop.task.id;
        self.step("a driver breaks down", stop, sent.failed(task, FailReason::VehicleBreakdown, note)).await;
        for task in self.tasks_of(stop) {
            self.rider.strike(task);
        }
        self.shift_ends = self.now();
    }

    pub(super) fn tasks_of(&self, stop: &StopView) -> Vec<posthaste_domain::ids::TaskId> {
        self.rider.open_stops().filter(|s| s.order_id == stop.order_id).map(|s| s.task.id).collect()
    }

    /// Goes through a tunnel: no socket for `away`.
    pub(super) fn enter_tunnel(&self, away: Span) {
        self.city.stats.lost_signals.fetch_add(1, Ordering::Relaxed);
        self.rider.lose_signal(self.city.clock.real(away));
        self.state(DriverState::NoSignal);
    }
}

async fn answer(
    city: &City,
    commands: posthaste_client::DriverCommands,
    offer: OfferView,
    declines: bool,
    thinks: Span,
) {
    // Nobody thinks past half of the time that the server gives, as it has come to them.
    let left = (offer.deadline - city.clock.now()) / 2;
    city.clock.sleep(thinks.min(left)).await;
    let answered = if declines { commands.decline(offer.id).await } else { commands.accept(offer.id).await };
    if let Err(error) = answered {
        city.stats.failed("a driver answers an offer", &error);
    }
}

/// Waiting for everything under way.
trait Quietly {
    async fn join_all_quietly(&mut self);
}

impl Quietly for JoinSet<()> {
    async fn join_all_quietly(&mut self) {
        while self.join_next().await.is_some() {}
    }
}
