//! A courier of a recorded day: appears, accepts at once, moves by the day's rules, and goes home.
//!
//! Every step is timed from the instant that the server recorded for the one before, so that the trace is
//! feasible whatever the delays on the way: a late answer makes the courier late, never early.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use posthaste_client::{Client, ClientError, DriverCommands, SocketOptions};
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::order::TaskKind;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::drivers::{OfferView, ShiftState, ShiftView, StopView};
use posthaste_protocol::orders::PlaceView;
use posthaste_protocol::problem::Code;
use tokio::task::JoinSet;

use crate::replay::day::Day;
use crate::replay::report::add;
use crate::rider::{Rider, Wake, report};
use posthaste_backtest::Point;
use posthaste_backtest::instance::CourierRow;
use posthaste_backtest::timeline::{Visit, minutes, travel};

/// Real time before the shift in which the socket is opened.
const CONNECT_AHEAD: Duration = Duration::from_millis(500);
/// Positions come at most this often, in product minutes and in real time.
const POSITION_MINUTES: f64 = 1.0;
const POSITION_REAL: Duration = Duration::from_secs(1);
/// A pickup that would be recorded later than this after the shift, as slowly as the server answers, is given back.
const LATE_PICKUP_MINUTES: f64 = 0.2;

/// One courier at work.
pub(crate) struct Courier {
    day: Arc<Day>,
    row: CourierRow,
    id: DriverId,
    client: Client,
    rider: Rider,
    place: Point,
    /// The courier may leave where they are.
    free_at: Timestamp,
    off_at: Timestamp,
    /// Answers under way; each ends with the instant of its assignment.
    answers: JoinSet<Option<(OrderId, Timestamp)>>,
    assigned: HashMap<OrderId, Timestamp>,
    /// Commands whose answer nobody waits for.
    errands: JoinSet<()>,
}

/// The courier's whole day.
pub(crate) async fn work(day: Arc<Day>, index: usize, id: DriverId, client: Client) {
    let row = day.instance.couriers[index].clone();
    let (on_at, off_at) = (day.at(row.on_time), day.at(row.off_time));
    day.clock.sleep_until(on_at - day.clock.product(CONNECT_AHEAD)).await;
    let options = SocketOptions {
        first_wait: Duration::from_millis(20),
        most_wait: Duration::from_secs(2),
        counters: Arc::clone(&day.stats.sockets),
        ..SocketOptions::default()
    };
    let rider = Rider::new(client.driver_socket_with(options), day.clock.clone());
    let place = row.place;
    let mut courier = Courier {
        day,
        row,
        id,
        client,
        rider,
        place,
        free_at: on_at,
        off_at,
        answers: JoinSet::new(),
        assigned: HashMap::new(),
        errands: JoinSet::new(),
    };
    courier.rider.pass(on_at).await;
    add(&courier.day.stats.on_duty);
    courier.begin().await;
    courier.deliver_until_off().await;
    // Going off shift, too, is answered before the courier hangs up.
    while courier.errands.join_next().await.is_some() {}
    courier.day.stats.on_duty.fetch_sub(1, Ordering::Relaxed);
    courier.rider.close().await;
}

impl Courier {
    /// Goes on shift, and makes sure to go off it in time whatever the courier is doing then.
    async fn begin(&mut self) {
        let place = Some(PlaceView { lat: self.place.lat(), lng: self.place.lng() });
        let on = ShiftView { state: ShiftState::Available, until: Some(self.off_at), place, hand_back: false };
        if let Err(error) = self.rider.commands.shift(on).await {
            self.day.stats.error(&format!("{} goes on shift", self.row.name), &error);
        }
        let (commands, day, off_at) = (self.rider.commands.clone(), Arc::clone(&self.day), self.off_at);
        let name = self.row.name.clone();
        self.errands.spawn(async move {
            day.clock.sleep_until(off_at).await;
            let off = ShiftView { state: ShiftState::Offline, until: None, place: None, hand_back: false };
            if let Err(error) = commands.shift(off).await {
                day.stats.error(&format!("{name} goes off shift"), &error);
            }
        });
    }

    async fn deliver_until_off(&mut self) {
        loop {
            self.answer_offers().await;
            self.collect_answers();
            if self.rider.next_stop().is_some() {
                if !self.visit().await {
                    return;
                }
                continue;
            }
            if let Some(target) = self.sent_ahead() {
                let (now, way) = (self.day.clock.now(), self.way_to(target));
                if !self.move_to(target, now, way).await {
                    return;
                }
                continue;
            }
            let off = self.day.clock.now() >= self.off_at;
            if off && self.is_done().await {
                return;
            }
            let look_again = self.day.clock.now() + self.day.clock.product(Duration::from_secs(1));
            let leaves = self.free_at > self.day.clock.now() && self.rider.standby.is_some();
            let until = if off {
                look_again
            } else if leaves {
                self.free_at
            } else {
                self.off_at
            };
            if self.rider.until(Some(until)).await == Wake::Closed {
                self.day.stats.error(&self.row.name, &"the socket was closed");
                return;
            }
        }
    }

    fn way_to(&self, target: Point) -> Span {
        travel(self.place, target, self.day.instance.parameters.meters_per_minute)
    }

    /// Where they are advised to wait, when they are not there, may leave and can be there before the shift ends.
    fn sent_ahead(&self) -> Option<Point> {
        let standby = self.rider.standby.as_ref()?;
        let now = self.day.clock.now();
        #[expect(clippy::float_cmp, reason = "the same number, handed in once per place")]
        let is_there = |point: &&Point| point.lat() == standby.lat && point.lng() == standby.lng;
        let target = *self.day.instance.restaurants.iter().map(|r| &r.place).find(is_there)?;
        let in_time = self.free_at <= now && now < standby.until && now + self.way_to(target) < self.off_at;
        (in_time && target != self.place).then_some(target)
    }

    /// After the shift: whether the server knows of nothing more either.
    async fn is_done(&mut self) -> bool {
        while let Some(answer) = self.answers.join_next().await {
            self.assigned.extend(answer.ok().flatten());
        }
        match self.client.driver_route(self.id).await {
            Ok(route) => {
                self.rider.take_route(route);
                self.rider.next_stop().is_none()
            }
            Err(_) => false,
        }
    }

    /// Accepts what is offered, unless its pickup would come after the shift.
    async fn answer_offers(&mut self) {
        while let Some(offer) = self.rider.take_offer() {
            let accepts = self.can_pick_up_in_time(&offer).await;
            let (commands, day) = (self.rider.commands.clone(), Arc::clone(&self.day));
            let name = self.row.name.clone();
            self.answers.spawn(async move { answer(commands, &day, &name, offer, accepts).await });
        }
    }

    async fn can_pick_up_in_time(&self, offer: &OfferView) -> bool {
        let now = self.day.clock.now();
        if self.rider.next_stop().is_some() {
            return now < self.off_at;
        }
        let Some(row) = self.day.row_of(offer.order.id).await else { return true };
        let order = &self.day.instance.orders[row];
        let restaurant = self.day.instance.restaurants[order.restaurant].place;
        let rules = &self.day.instance.parameters;
        let way = travel(self.place, restaurant, rules.meters_per_minute);
        let ready = self.day.at(order.ready_time);
        rules.pickup(self.free_at.max(now), way, Some(ready)).done <= self.off_at
    }

    fn collect_answers(&mut self) {
        while let Some(answer) = self.answers.try_join_next() {
            self.assigned.extend(answer.ok().flatten());
        }
        while self.errands.try_join_next().is_some() {}
    }

    /// When the server recorded the order as theirs: known once their answer is answered.
    async fn assigned_at(&mut self, order: OrderId) -> Timestamp {
        while !self.assigned.contains_key(&order) {
            match self.answers.join_next().await {
                Some(answer) => self.assigned.extend(answer.ok().flatten()),
                None => {
                    self.assigned.insert(order, self.day.clock.now());
                }
            }
        }
        self.assigned[&order]
    }

    /// What they do next. By the basic rules they hand over what they carry before they pick up again, whatever the
    /// route says in the moment before it is planned anew.
    fn leading_group(&self) -> Vec<StopView> {
        let group = self.rider.leading_group();
        if group.first().is_none_or(|stop| stop.task.kind != TaskKind::Pickup) {
            return group;
        }
        let to_pick_up =
            |order| self.rider.open_stops().any(|s| s.order_id == order && s.task.kind == TaskKind::Pickup);
        let carried = self.rider.open_stops().find(|s| !to_pick_up(s.order_id));
        carried.map_or(group, |door| vec![door.clone()])
    }

    /// Goes to the next stop and does what is to be done there. False when the socket is closed.
    async fn visit(&mut self) -> bool {
        let group = self.leading_group();
        let Some(first) = group.first().cloned() else { return true };
        let target = self.day.place_of(&first).await;
        let departs = self.assigned_at(first.order_id).await.max(self.free_at);
        if departs > self.day.clock.now() {
            // Until they leave, the route may change.
            match self.rider.until(Some(departs)).await {
                Wake::Time => {}
                Wake::News => return true,
                Wake::Closed => return false,
            }
        }
        let task = first.task.id;
        self.errand("departs", move |commands| async move { commands.departed(task).await });
        let way = travel(self.place, target, self.day.instance.parameters.meters_per_minute);
        if !self.move_to(target, departs, way).await {
            return false;
        }
        let mut arrived = std::collections::HashSet::new();
        loop {
            let group: Vec<_> = self.group_at(target, first.task.kind).await;
            if group.is_empty() {
                return true;
            }
            let visit = self.plan(&group, departs, way);
            if first.task.kind == TaskKind::Pickup && visit.done > self.off_at {
                self.give_back(&group).await;
                return true;
            }
            for stop in group.iter().filter(|stop| arrived.insert(stop.task.id)) {
                let task = stop.task.id;
                self.errand("arrives", move |commands| async move { commands.arrived(task).await });
            }
            match self.rider.until(Some(visit.done)).await {
                Wake::Time => {
                    self.complete(&group).await;
                    return true;
                }
                Wake::News => self.answer_offers().await,
                Wake::Closed => return false,
            }
        }
    }

    fn plan(&self, group: &[StopView], departs: Timestamp, way: Span) -> Visit {
        let rules = &self.day.instance.parameters;
        if group.iter().any(|stop| stop.task.kind == TaskKind::Pickup) {
            rules.pickup(departs, way, group.iter().filter_map(|stop| stop.task.ready_at).max())
        } else {
            rules.dropoff(departs, way)
        }
    }

    /// What is to be done now at the place where they are.
    async fn group_at(&self, target: Point, kind: TaskKind) -> Vec<StopView> {
        let group = self.leading_group();
        match group.first() {
            Some(first) if first.task.kind == kind && self.day.place_of(first).await == target => group,
            _ => Vec::new(),
        }
    }

    /// Moves in a straight line, telling where they are now and then.
    async fn move_to(&mut self, target: Point, departs: Timestamp, way: Span) -> bool {
        let (from, arrives) = (self.place, departs + way);
        let step = minutes(POSITION_MINUTES).max(self.day.clock.product(POSITION_REAL));
        loop {
            let now = self.day.clock.now();
            if now >= arrives {
                break;
            }
            let share = seconds(now - departs) / seconds(way).max(1e-6);
            let here = from.towards(target, share);
            self.rider.commands.position(report(here.lat(), here.lng(), now));
            if !self.rider.pass(arrives.min(now + step)).await {
                return false;
            }
            self.answer_offers().await;
        }
        self.place = target;
        self.rider.commands.position(report(target.lat(), target.lng(), self.day.clock.now()));
        true
    }

    /// Picks up or drops everything in the group, and notes when they may leave.
    async fn complete(&mut self, group: &[StopView]) {
        let pickup = group.iter().any(|stop| stop.task.kind == TaskKind::Pickup);
        let recorded = self.day.clock.now() + self.day.clock.product(self.day.stats.slow_answer());
        if pickup && recorded > self.off_at + minutes(LATE_PICKUP_MINUTES) {
            self.give_back(group).await;
            return;
        }
        let asked = Instant::now();
        let done = group.iter().map(|stop| {
            let (commands, code) = (self.rider.commands.clone(), self.day.code(stop.order_id, stop.task.id));
            let (task, kind) = (stop.task.id, stop.task.kind);
            async move {
                let answer = match kind {
                    TaskKind::Pickup => commands.picked_up(task, code, None).await,
                    TaskKind::Delivery => commands.delivered(task, code, None).await,
                    TaskKind::Return => commands.returned(task, code, None).await,
                };
                (task, kind, answer)
            }
        });
        for (task, kind, answer) in join_all(done).await {
            match answer {
                Ok(ack) => {
                    self.day.stats.answered_after(asked.elapsed());
                    let at = ack.at.unwrap_or_else(|| self.day.clock.now());
                    let rules = &self.day.instance.parameters;
                    let (leaves, counter) = match kind {
                        TaskKind::Pickup => (rules.leaves_restaurant(at), &self.day.stats.picked_up),
                        _ => (rules.leaves_door(at), &self.day.stats.delivered),
                    };
                    self.free_at = self.free_at.max(leaves);
                    add(counter);
                    self.rider.strike(task);
                }
                // Unknown whether it was done: it is still on the route, and done again.
                Err(ClientError::Timeout) => {}
                Err(error) => {
                    self.day.stats.error(&format!("{} completes {task}", self.row.name), &error);
                    self.rider.strike(task);
                }
            }
        }
    }

    /// Gives orders back that cannot be picked up before the end of the shift.
    async fn give_back(&mut self, group: &[StopView]) {
        for stop in group {
            add(&self.day.stats.released);
            if let Err(error) = self.day.operations.unassign_order(stop.order_id).await {
                self.day.stats.error(&format!("{} gives {} back", self.row.name, stop.order_id), &error);
            }
            let tasks: Vec<_> =
                self.rider.open_stops().filter(|s| s.order_id == stop.order_id).map(|s| s.task.id).collect();
            for task in tasks {
                self.rider.strike(task);
            }
        }
        self.free_at = self.free_at.max(self.day.clock.now());
    }

    /// Sends a command whose answer changes nothing for the courier.
    fn errand<F>(&mut self, what: &'static str, send: impl FnOnce(DriverCommands) -> F)
    where
        F: Future<Output = Result<posthaste_protocol::socket::Ack, ClientError>> + Send + 'static,
    {
        let (day, name, sent) = (Arc::clone(&self.day), self.row.name.clone(), send(self.rider.commands.clone()));
        self.errands.spawn(async move {
            if let Err(error) = sent.await {
                day.stats.error(&format!("{name} {what}"), &error);
            }
        });
    }
}

async fn answer(
    commands: DriverCommands,
    day: &Day,
    name: &str,
    offer: OfferView,
    accepts: bool,
) -> Option<(OrderId, Timestamp)> {
    let counter = if accepts { &day.stats.accepted } else { &day.stats.declined };
    add(counter);
    let answered = if accepts { commands.accept(offer.id).await } else { commands.decline(offer.id).await };
    match answered {
        Ok(ack) if accepts => Some((offer.order.id, ack.at.unwrap_or_else(|| day.clock.now()))),
        Ok(_) => None,
        Err(error) => {
            counter.fetch_sub(1, Ordering::Relaxed);
            // Withdrawn meanwhile, at the end of a shift or of its time: nothing is wrong with that.
            if error.code() == Some(Code::OfferGone) {
                add(&day.stats.missed);
            } else {
                day.stats.error(&format!("{name} answers an offer"), &error);
            }
            None
        }
    }
}

fn seconds(span: Span) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share of a way")]
    let micros = span.num_microseconds().unwrap_or(i64::MAX) as f64;
    micros / 1e6
}
