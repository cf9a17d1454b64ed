//! The day as far as it has gone: orders, couriers, and the rules by which they move.

use posthaste_matching::routed::problem::PlaceIndex;
use posthaste_matching::routed::walk::latest_leave;
use posthaste_matching::routed::{Act, Second, Service, Travel};

use super::TICK;
use super::policy::{Decision, orders_of};
use crate::instance::Instance;
use crate::plane::Point;
use crate::trace::TraceRow;

/// Travel in the plane: whole minutes, rounded up.
#[derive(Debug, Clone)]
pub struct PlaneTravel {
    points: Vec<Point>,
    meters_per_minute: f64,
}

impl PlaneTravel {
    /// Where a place is.
    #[must_use]
    pub fn point(&self, place: PlaceIndex) -> Point {
        self.points[place as usize]
    }
}

impl Travel for PlaneTravel {
    fn seconds(&self, from: PlaceIndex, to: PlaceIndex) -> Second {
        if from == to {
            return 0;
        }
        let meters = self.points[from as usize].meters_to(self.points[to as usize]);
        #[expect(clippy::cast_possible_truncation, reason = "minutes of a day")]
        let minutes = (meters / self.meters_per_minute).ceil() as Second;
        minutes * 60
    }
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not placed yet.
    Hidden,
    /// Placed, and nobody is under way for it.
    Open,
    /// A courier is under way for it, or waits at its restaurant.
    Assigned,
    /// With the courier.
    Aboard,
    /// Done.
    Delivered,
}

/// An order of the day. Seconds of the day.
#[derive(Debug, Clone)]
pub struct DayOrder {
    name: String,
    restaurant: usize,
    /// The restaurant's place.
    pub pickup: PlaceIndex,
    /// The door.
    pub dropoff: PlaceIndex,
    /// When it becomes known.
    pub placed_at: Second,
    /// When it is ready.
    pub ready_at: Second,
    /// How far it is.
    pub stage: Stage,
    courier: usize,
    assigned_at: Second,
    picked_up_at: Second,
    delivered_at: Second,
    trip: u32,
}

/// A courier of the day. Seconds of the day.
#[derive(Debug, Clone)]
pub struct DayCourier {
    name: String,
    /// Where he stands, or stood last.
    pub place: PlaceIndex,
    /// When he is, or was, free there.
    pub free_at: Second,
    /// First second of his shift.
    pub on_at: Second,
    /// No pickup after.
    pub off_at: Second,
    /// Where he is under way to or waits, and when he gets, or got, there.
    pub heading: Option<(PlaceIndex, Second)>,
    /// What he has to do, in order.
    pub route: Vec<Act>,
}

/// Everything.
pub struct World {
    /// Travel times.
    pub travel: PlaneTravel,
    /// Service at a restaurant.
    pub pickup_service: Service,
    /// Service at a door.
    pub dropoff_service: Service,
    /// By placement.
    pub orders: Vec<DayOrder>,
    /// In the order of the file.
    pub couriers: Vec<DayCourier>,
    /// The second of the day.
    pub now: Second,
    /// Whether couriers have what is planned for them at once and leave for it as soon as they can, instead of when
    /// they must.
    pub at_once: bool,
    trips: u32,
}

#[expect(clippy::cast_possible_truncation, reason = "minutes of a day")]
fn seconds(minutes: f64) -> Second {
    (minutes * 60.0).round() as Second
}

fn half_and_half(minutes: f64) -> Service {
    Service { before: seconds(minutes / 2.0), after: seconds(minutes / 2.0) }
}

impl World {
    /// The day before its first minute.
    #[must_use]
    pub fn new(day: &Instance) -> Self {
        let mut points: Vec<Point> = day.restaurants.iter().map(|r| r.place).collect();
        let mut place = |point: Point| {
            points.push(point);
            PlaceIndex::try_from(points.len() - 1).unwrap_or(PlaceIndex::MAX)
        };
        let courier = |c: &crate::instance::CourierRow, place: PlaceIndex| DayCourier {
            name: c.name.clone(),
            place,
            free_at: seconds(c.on_time),
            on_at: seconds(c.on_time),
            off_at: seconds(c.off_time),
            heading: None,
            route: Vec::new(),
        };
        let couriers = day.couriers.iter().map(|c| courier(c, place(c.place))).collect();
        let orders = day.orders.iter().map(|o| DayOrder {
            name: o.name.clone(),
            restaurant: o.restaurant,
            pickup: PlaceIndex::try_from(o.restaurant).unwrap_or(PlaceIndex::MAX),
            dropoff: place(o.place),
            placed_at: seconds(o.placement_time),
            ready_at: seconds(o.ready_time),
            stage: Stage::Hidden,
            courier: 0,
            assigned_at: 0,
            picked_up_at: 0,
            delivered_at: 0,
            trip: 0,
        });
        let orders = orders.collect();
        Self {
            travel: PlaneTravel { points, meters_per_minute: day.parameters.meters_per_minute },
            pickup_service: half_and_half(day.parameters.pickup_service_minutes),
            dropoff_service: half_and_half(day.parameters.dropoff_service_minutes),
            orders,
            couriers,
            now: 0,
            at_once: false,
            trips: 0,
        }
    }

    /// When the first order is placed.
    #[must_use]
    pub fn first_placement(&self) -> Second {
        self.orders.iter().map(|o| o.placed_at).min().unwrap_or(0)
    }

    /// When the last shift ends.
    #[must_use]
    pub fn last_shift_end(&self) -> Second {
        self.couriers.iter().map(|c| c.off_at).max().unwrap_or(0)
    }

    /// Orders delivered so far.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.orders.iter().filter(|o| o.stage == Stage::Delivered).count()
    }

    /// Nothing is left that could still be delivered.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let nobody_left = self.couriers.iter().all(|c| c.off_at < self.now && c.route.is_empty());
        self.orders.iter().all(|o| o.stage == Stage::Delivered) || nobody_left
    }

    /// Whether anything is placed and not delivered.
    #[must_use]
    pub fn has_open_orders(&self) -> bool {
        self.orders.iter().any(|o| o.stage > Stage::Hidden && o.stage < Stage::Delivered)
    }

    /// The leading acts of a courier's route that are his visit at `place`.
    #[must_use]
    pub fn visit_at(&self, courier: usize, place: PlaceIndex) -> Vec<u32> {
        let here = |act: &&Act| matches!(act, Act::Pickup(o) if self.orders[*o as usize].pickup == place);
        self.couriers[courier].route.iter().take_while(here).map(|a| a.order()).collect()
    }

    /// Brings the world to `now`: stops are served, orders are placed, shifts begin. Whether anything happened.
    pub fn advance(&mut self, now: Second) -> bool {
        self.now = now;
        let mut news = false;
        for courier in 0..self.couriers.len() {
            while self.serve(courier) {
                news = true;
            }
            news |= self.couriers[courier].on_at == now;
        }
        for order in self.orders.iter_mut().filter(|o| o.stage == Stage::Hidden && o.placed_at <= now) {
            order.stage = Stage::Open;
            news = true;
        }
        news
    }

    /// The courier's stop, if its moment has come.
    fn serve(&mut self, courier: usize) -> bool {
        let Some((place, arrival)) = self.couriers[courier].heading else { return false };
        let first = self.couriers[courier].route.first().copied();
        let visit = self.visit_at(courier, place);
        let (moment, acts, after) = match first {
            Some(Act::Dropoff(order)) if self.orders[order as usize].dropoff == place => {
                (arrival + self.dropoff_service.before, 1, self.dropoff_service.after)
            }
            Some(Act::Pickup(_)) if !visit.is_empty() => {
                let latest = |of: fn(&DayOrder) -> Second| visit.iter().map(|o| of(&self.orders[*o as usize])).max();
                let ready = latest(|o| o.ready_at).unwrap_or(0).max(latest(|o| o.assigned_at).unwrap_or(0));
                ((arrival + self.pickup_service.before).max(ready), visit.len(), self.pickup_service.after)
            }
            // Sent ahead: he is there, with nothing to do yet.
            _ if arrival <= self.now => {
                let courier = &mut self.couriers[courier];
                (courier.place, courier.free_at, courier.heading) = (place, arrival, None);
                return true;
            }
            _ => return false,
        };
        if moment > self.now {
            return false;
        }
        if let Some(Act::Dropoff(order)) = first {
            let order = &mut self.orders[order as usize];
            (order.delivered_at, order.stage) = (moment, Stage::Delivered);
        } else {
            self.trips += 1;
            for order in visit {
                let order = &mut self.orders[order as usize];
                (order.picked_up_at, order.stage, order.trip) = (moment, Stage::Aboard, self.trips);
            }
        }
        let courier = &mut self.couriers[courier];
        courier.route.drain(..acts);
        (courier.place, courier.free_at, courier.heading) = (place, moment + after, None);
        true
    }

    /// Takes over what was decided.
    pub fn follow(&mut self, decision: Decision) {
        for (courier, route) in decision.routes.into_iter().enumerate() {
            self.couriers[courier].route = route;
            if self.at_once {
                let his = orders_of(&self.couriers[courier].route).collect();
                self.assign(courier, his);
            }
        }
        for (courier, place) in decision.sent_ahead {
            let travel = self.travel.seconds(self.couriers[courier].place, place);
            let courier = &mut self.couriers[courier];
            if courier.heading.is_none() && courier.free_at <= self.now && courier.on_at <= self.now {
                courier.heading = Some((place, self.now + travel));
            }
        }
    }

    fn assign(&mut self, courier: usize, orders: Vec<u32>) {
        for order in orders {
            let order = &mut self.orders[order as usize];
            if order.stage == Stage::Open {
                (order.stage, order.courier, order.assigned_at) = (Stage::Assigned, courier, self.now);
            }
        }
    }

    /// Couriers leave who would be late if they waited for the next look, or everybody who can.
    pub fn leave(&mut self) {
        for courier in 0..self.couriers.len() {
            let c = &self.couriers[courier];
            let Some(first) = c.route.first().copied() else { continue };
            if let Some((place, _)) = c.heading {
                // Orders that joined the visit while he was under way.
                let joined = self.visit_at(courier, place);
                self.assign(courier, joined);
                continue;
            }
            if c.free_at > self.now || c.on_at > self.now {
                continue;
            }
            match first {
                Act::Dropoff(order) => {
                    let place = self.orders[order as usize].dropoff;
                    let arrival = self.now + self.travel.seconds(c.place, place);
                    self.couriers[courier].heading = Some((place, arrival));
                }
                Act::Pickup(order) => self.leave_for_pickup(courier, self.orders[order as usize].pickup),
            }
        }
    }

    fn leave_for_pickup(&mut self, courier: usize, place: PlaceIndex) {
        let c = &self.couriers[courier];
        let visit = self.visit_at(courier, place);
        let ready = visit.iter().map(|o| self.orders[*o as usize].ready_at).max().unwrap_or(0);
        let way = if c.place == place { 0 } else { self.travel.seconds(c.place, place) };
        let latest = latest_leave(c.free_at, self.now, way, self.pickup_service, ready);
        if self.at_once || latest < self.now + TICK {
            // Who is there already has been there since they were free.
            let arrival = if c.place == place { c.free_at } else { self.now + way };
            self.couriers[courier].heading = Some((place, arrival));
            self.assign(courier, visit);
        }
    }

    /// One row per delivered order, trip by trip in the order of their pickups.
    #[must_use]
    pub fn rows(&self) -> Vec<TraceRow> {
        let mut delivered: Vec<&DayOrder> = self.orders.iter().filter(|o| o.stage == Stage::Delivered).collect();
        delivered.sort_by_key(|o| (o.picked_up_at, o.trip, o.delivered_at));
        let mut rows: Vec<TraceRow> = Vec::with_capacity(delivered.len());
        let mut last = (0, 0);
        for order in delivered {
            last = if last.0 == order.trip { (order.trip, last.1 + 1) } else { (order.trip, 1) };
            let minutes = |at: Second| f64::from(at) / 60.0;
            rows.push(TraceRow {
                order: order.name.clone(),
                courier: self.couriers[order.courier].name.clone(),
                restaurant: order.restaurant,
                assigned_at: minutes(order.assigned_at),
                picked_up_at: minutes(order.picked_up_at),
                delivered_at: minutes(order.delivered_at),
                bundle: format!("t{}", order.trip),
                seq: last.1,
            });
        }
        rows
    }
}
