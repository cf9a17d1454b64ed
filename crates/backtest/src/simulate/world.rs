//! The day as far as it has gone: orders, couriers, and the rules by which they move.

use posthaste_matching::routed::problem::PlaceIndex;
use posthaste_matching::routed::{Act, Second, Service, Travel};

use super::policy::Decision;
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
    /// Where they stand, or stood last.
    pub place: PlaceIndex,
    /// When they are, or were, free there.
    pub free_at: Second,
    /// First second of their shift.
    pub on_at: Second,
    /// No pickup after.
    pub off_at: Second,
    /// Where they are under way to or wait, and when they get, or got, there.
    pub heading: Option<(PlaceIndex, Second)>,
    /// When they left for it.
    left_at: Second,
    /// What they have to do, in order: acts of orders that are theirs.
    pub route: Vec<Act>,
    /// Where they are advised to wait for work.
    pub standby: Option<Waiting>,
}

/// Advice to wait for work somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Where.
    pub place: PlaceIndex,
    /// When they can be there.
    pub arrives_at: Second,
    /// After that they need not wait there.
    pub until: Second,
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
    restaurants: PlaceIndex,
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
            left_at: 0,
            route: Vec::new(),
            standby: None,
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
            restaurants: PlaceIndex::try_from(day.restaurants.len()).unwrap_or(PlaceIndex::MAX),
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

    /// The orders of a stage, by their number, in the sequence of the day.
    pub fn at_stage(&self, stage: Stage) -> impl Iterator<Item = u32> + '_ {
        let all = self.orders.iter().zip(0_u32..);
        all.filter(move |(order, _)| order.stage == stage).map(|(_, number)| number)
    }

    /// Whether anything waits for a courier.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.at_stage(Stage::Open).next().is_some()
    }

    /// The restaurant of which this holds.
    pub fn restaurant_at(&self, is_it: impl Fn(PlaceIndex) -> bool) -> Option<PlaceIndex> {
        (0..self.restaurants).find(|place| is_it(*place))
    }

    /// Where a courier is: under way, as far along the straight line as time has gone.
    #[must_use]
    pub fn position(&self, courier: usize) -> Point {
        let c = &self.couriers[courier];
        let from = self.travel.point(c.place);
        let Some((to, arrival)) = c.heading.filter(|(to, _)| *to != c.place) else { return from };
        let share = f64::from(self.now - c.left_at) / f64::from((arrival - c.left_at).max(1));
        from.towards(self.travel.point(to), share)
    }

    /// The leading acts of a courier's route that are their visit at `place`.
    #[must_use]
    pub fn visit_at(&self, courier: usize, place: PlaceIndex) -> Vec<u32> {
        let here = |act: &&Act| matches!(act, Act::Pickup(o) if self.orders[*o as usize].pickup == place);
        self.couriers[courier].route.iter().take_while(here).map(|a| a.order()).collect()
    }

    /// Brings the world to `now`: stops are served, orders are placed, shifts begin. Whether anything happened.
    pub fn advance(&mut self, now: Second) -> bool {
        let before = std::mem::replace(&mut self.now, now);
        let mut news = false;
        for courier in 0..self.couriers.len() {
            while self.serve(courier) {
                news = true;
            }
            let c = &mut self.couriers[courier];
            news |= before < c.on_at && c.on_at <= now;
            // Advice ends with its time, with the shift, and with something better to do.
            c.standby = c.standby.filter(|standby| now < standby.until && now < c.off_at && c.route.is_empty());
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
            // Sent ahead: the courier is there, with nothing to do yet.
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

    /// Carries out what was decided; whether anybody has an order that was nobody's before.
    pub fn follow(&mut self, decision: Decision) -> bool {
        let mut accepted = false;
        for (courier, number) in decision.offers {
            let order = &mut self.orders[number as usize];
            if order.stage == Stage::Open {
                (order.stage, order.courier, order.assigned_at) = (Stage::Assigned, courier, self.now);
                let c = &mut self.couriers[courier];
                c.route.extend([Act::Pickup(number), Act::Dropoff(number)]);
                c.standby = None;
                accepted = true;
            }
        }
        for (courier, planned) in decision.routes {
            let route = &mut self.couriers[courier].route;
            let mut sorted: Vec<Act> = planned.into_iter().filter(|act| route.contains(act)).collect();
            route.retain(|act| !sorted.contains(act));
            sorted.append(route);
            *route = sorted;
        }
        for (courier, place, until) in decision.sent_ahead {
            self.send_ahead(courier, place, until);
        }
        accepted
    }

    fn send_ahead(&mut self, courier: usize, place: PlaceIndex, until: Second) {
        let way = self.travel.seconds(self.couriers[courier].place, place);
        let c = &mut self.couriers[courier];
        let is_idle = c.heading.is_none() && c.route.is_empty() && c.standby.is_none();
        if is_idle && c.free_at <= self.now && c.on_at <= self.now && self.now + way < c.off_at {
            let arrives_at = self.now + way;
            (c.heading, c.left_at) = (Some((place, arrives_at)), self.now);
            c.standby = Some(Waiting { place, arrives_at, until });
        }
    }

    /// Whoever has something to do and is free leaves for it; whether anybody did.
    pub fn leave(&mut self) -> bool {
        let mut left = false;
        for c in &mut self.couriers {
            let Some(first) = c.route.first().copied() else { continue };
            if c.heading.is_some() || c.free_at > self.now || c.on_at > self.now {
                continue;
            }
            let order = &self.orders[first.order() as usize];
            let place = if matches!(first, Act::Pickup(_)) { order.pickup } else { order.dropoff };
            let arrival = match first {
                // Who is there already has been there since they were free.
                Act::Pickup(_) if c.place == place => c.free_at,
                _ => self.now + self.travel.seconds(c.place, place),
            };
            (c.heading, c.left_at) = (Some((place, arrival)), self.now);
            left = true;
        }
        left
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
