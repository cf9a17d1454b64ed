//! A day of one's own, told shift by shift and order by order as it happened, made into the files of a recorded day.
//!
//! Nothing goes in that could name anybody: couriers, restaurants and orders are numbered in the order of their times, and
//! places become whole steps of metres from the south-west corner of what was told. What the format cannot say is left
//! out and counted ([`Left`]).

use std::collections::HashMap;

use posthaste_domain::Timestamp;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::ZoneId;
use posthaste_domain::order::{Order, Speed, Status};
use posthaste_domain::place::Place;
use posthaste_domain::zone::ZoneRules;

use crate::instance::{CourierRow, Instance, OrderRow, Parameters, RestaurantRow};
use crate::plane::{METERS_PER_DEGREE, Point};
use crate::zone::Travel;

/// Orders that are not in the day, by why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Canceled or rejected: nobody wanted them brought.
    pub canceled: u32,
    /// Slow ones: the format has no windows.
    pub slow: u32,
    /// Not left out, but with their first pickup alone: the format has one restaurant for an order.
    pub several_pickups: u32,
    /// Couriers of whom no position is known: they begin in the middle of the restaurants.
    pub nowhere: u32,
}

/// A day that is being told.
#[derive(Debug)]
pub struct Recording {
    begins: Timestamp,
    step_meters: f64,
    orders_of: HashMap<ZoneId, u32>,
    shifts: Vec<Span>,
    orders: Vec<Told>,
    left: Left,
}

#[derive(Debug)]
struct Span {
    from: i64,
    to: i64,
    place: Option<Place>,
}

#[derive(Debug)]
struct Told {
    placed: i64,
    ready: i64,
    pickup: Place,
    door: Place,
}

impl Recording {
    /// Begins a day: its minute 0, and of how many metres the steps are that places are given in.
    #[must_use]
    pub fn new(begins: Timestamp, step_meters: u32) -> Self {
        Self {
            begins,
            step_meters: f64::from(step_meters.max(1)),
            orders_of: HashMap::new(),
            shifts: Vec::new(),
            orders: Vec::new(),
            left: Left::default(),
        }
    }

    /// The zone of most of its orders: whose rules and travel the day has.
    #[must_use]
    pub fn zone(&self) -> Option<ZoneId> {
        self.orders_of.iter().max_by_key(|(zone, orders)| (**orders, **zone)).map(|(zone, _)| *zone)
    }

    /// Tells that somebody took work from one time to another, and where they were at its start, where that is known. What
    /// lies before the day is left away.
    pub fn shift(&mut self, from: Timestamp, to: Timestamp, place: Option<Place>) {
        let (from, to) = (self.minute(from).max(0), self.minute(to));
        if from < to {
            self.shifts.push(Span { from, to, place });
        }
    }

    /// Tells of an order.
    pub fn order(&mut self, order: &Order) {
        if matches!(order.status(), Status::Canceled | Status::Rejected) {
            self.left.canceled += 1;
            return;
        }
        if order.speed == Speed::Slow {
            self.left.slow += 1;
            return;
        }
        let (pickups, Some(door)) = (order.pickups().collect::<Vec<_>>(), order.delivery()) else { return };
        let Some(first) = pickups.first() else { return };
        *self.orders_of.entry(order.zone).or_default() += 1;
        self.left.several_pickups += u32::from(pickups.len() > 1);
        let placed = self.minute(order.placed_at);
        let ready = first.ready_at.map_or(placed, |ready| self.minute(ready)).max(placed);
        self.orders.push(Told { placed, ready, pickup: first.place, door: door.place });
    }

    fn minute(&self, at: Timestamp) -> i64 {
        (at - self.begins).num_seconds().div_euclid(60)
    }

    /// The day by a zone's rules and travel, and what is not in it.
    #[must_use]
    pub fn finish(mut self, rules: &ZoneRules, travel: &Travel) -> (Instance, Left) {
        self.shifts.sort_by_key(|shift| (shift.from, shift.to));
        self.orders.sort_by_key(|order| (order.placed, order.ready));
        let known = self.shifts.iter().filter_map(|shift| shift.place);
        let plane = Plane::over(known.chain(self.orders.iter().flat_map(|o| [o.pickup, o.door])), self.step_meters);
        let (mut restaurants, mut numbers) = (Vec::<RestaurantRow>::new(), HashMap::new());
        let mut orders = Vec::new();
        for (n, told) in self.orders.iter().enumerate() {
            let place = plane.point(told.pickup);
            #[expect(clippy::cast_possible_truncation, reason = "whole metres of a town")]
            let restaurant = *numbers.entry((place.x as i64, place.y as i64)).or_insert_with(|| {
                restaurants.push(RestaurantRow { name: format!("r{}", restaurants.len() + 1), place });
                restaurants.len() - 1
            });
            orders.push(OrderRow {
                name: format!("o{}", n + 1),
                place: plane.point(told.door),
                placement_time: minutes(told.placed),
                restaurant,
                ready_time: minutes(told.ready),
            });
        }
        let middle = middle(&restaurants, self.step_meters);
        let mut left = self.left;
        let couriers = self.shifts.iter().enumerate().map(|(n, shift)| {
            left.nowhere += u32::from(shift.place.is_none());
            CourierRow {
                name: format!("c{}", n + 1),
                place: shift.place.map_or(middle, |place| plane.point(place)),
                on_time: minutes(shift.from),
                off_time: minutes(shift.to),
            }
        });
        let couriers = couriers.collect();
        (Instance { parameters: parameters(rules, travel), couriers, restaurants, orders }, left)
    }
}

fn parameters(rules: &ZoneRules, travel: &Travel) -> Parameters {
    // In halves of a minute.
    let minutes = |seconds: u32| (f64::from(seconds) / 30.0).round() / 2.0;
    Parameters {
        meters_per_minute: (travel.speed_meters_per_second / travel.detour_factor * 60.0).round().max(1.0),
        pickup_service_minutes: minutes(rules.pickup_service_seconds),
        dropoff_service_minutes: minutes(rules.delivery_service_seconds),
    }
}

/// When somebody took work, by the changes of their shift, oldest first. Whoever still does at the end is taken to stop
/// `at_last`.
#[must_use]
pub fn working(changes: &[(Timestamp, Shift)], at_last: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let (mut spans, mut since) = (Vec::new(), None);
    for (at, shift) in changes {
        match (since, shift.takes_work()) {
            (None, true) => since = Some(*at),
            (Some(from), false) => {
                spans.push((from, *at));
                since = None;
            }
            _ => {}
        }
    }
    spans.extend(since.filter(|from| *from < at_last).map(|from| (from, at_last)));
    spans
}

fn minutes(minute: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "minutes of some days are exact in a double")]
    let minutes = minute as f64;
    minutes
}

fn middle(restaurants: &[RestaurantRow], step: f64) -> Point {
    let count = restaurants.len().max(1);
    #[expect(clippy::cast_precision_loss, reason = "few restaurants")]
    let mean = |sum: f64| (sum / count as f64 / step).round() * step;
    Point { x: mean(restaurants.iter().map(|r| r.place.x).sum()), y: mean(restaurants.iter().map(|r| r.place.y).sum()) }
}

/// Metres from the south-west corner of some places, in steps.
struct Plane {
    south: f64,
    west: f64,
    meters_of_lng: f64,
    step: f64,
}

impl Plane {
    fn over(places: impl Iterator<Item = Place>, step: f64) -> Self {
        let (mut south, mut west, mut north) = (f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY);
        for place in places {
            south = south.min(place.lat());
            west = west.min(place.lng());
            north = north.max(place.lat());
        }
        let meters_of_lng = METERS_PER_DEGREE * f64::midpoint(south, north).to_radians().cos();
        Self { south, west, meters_of_lng, step }
    }

    fn point(&self, place: Place) -> Point {
        let rounded = |meters: f64| (meters / self.step).round() * self.step;
        Point {
            x: rounded((place.lng() - self.west) * self.meters_of_lng),
            y: rounded((place.lat() - self.south) * METERS_PER_DEGREE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + posthaste_domain::Span::seconds(seconds)
    }

    fn place(lat: f64, lng: f64) -> Place {
        Place::new(lat, lng).unwrap()
    }

    fn told(step_meters: u32) -> Recording {
        Recording::new(at(0), step_meters)
    }

    fn finish(recording: Recording) -> (Instance, Left) {
        recording.finish(&ZoneRules::default(), &Travel::default())
    }

    fn placed(recording: &mut Recording, placed: i64, ready: i64, pickup: Place, door: Place) {
        recording.orders.push(Told { placed, ready, pickup, door });
    }

    #[test]
    fn who_and_where_become_numbers_in_the_order_of_time() {
        let mut day = told(1);
        let (shop, other) = (place(52.5, 13.4), place(52.51, 13.4));
        placed(&mut day, 30, 45, other, place(52.52, 13.41));
        placed(&mut day, 10, 12, shop, place(52.50, 13.39));
        placed(&mut day, 40, 41, shop, place(52.52, 13.41));
        day.shift(at(-600), at(3600), Some(shop));
        day.shift(at(120), at(1_000), None);
        day.shift(at(-600), at(-60), Some(shop));
        let (instance, left) = finish(day);
        let names: Vec<_> = instance.orders.iter().map(|o| (&*o.name, o.placement_time, o.restaurant)).collect();
        assert_eq!(names, [("o1", 10.0, 0), ("o2", 30.0, 1), ("o3", 40.0, 0)]);
        assert_eq!(instance.restaurants.iter().map(|r| &*r.name).collect::<Vec<_>>(), ["r1", "r2"]);
        let shifts: Vec<_> = instance.couriers.iter().map(|c| (&*c.name, c.on_time, c.off_time)).collect();
        assert_eq!(shifts, [("c1", 0.0, 60.0), ("c2", 2.0, 16.0)], "who was gone before the day is not in it");
        assert_eq!(left.nowhere, 1);
        // A hundredth of a degree to the north, in a plane that begins at the south-west corner.
        assert_eq!(instance.restaurants[1].place.y, 1_113.0);
        assert_eq!((instance.orders[0].place.x, instance.orders[0].place.y), (0.0, 0.0));
    }

    #[test]
    fn distances_are_those_of_the_ground_and_places_as_coarse_as_asked() {
        let (shop, door) = (place(52.5163, 13.3777), place(52.5208, 13.4094));
        for (step, within) in [(1, 10.0), (100, 120.0)] {
            let mut day = told(step);
            placed(&mut day, 0, 0, shop, door);
            let (instance, _) = finish(day);
            let meters = instance.restaurants[0].place.meters_to(instance.orders[0].place);
            assert!((meters - shop.meters_to(door)).abs() < within, "{step}: {meters}");
            let step = f64::from(step);
            assert_eq!(instance.orders[0].place.x % step, 0.0);
        }
    }

    #[test]
    fn a_day_without_anything_is_one() {
        let (instance, left) = finish(told(1));
        assert!(instance.orders.is_empty() && instance.couriers.is_empty());
        assert_eq!(left, Left::default());
        let [(_, p), (_, c), (_, r), (_, o)] = instance.texts();
        assert_eq!(Instance::parse(&p, &c, &r, &o).unwrap(), instance);
    }

    #[test]
    fn speed_and_services_are_the_zones() {
        let rules = ZoneRules { pickup_service_seconds: 200, delivery_service_seconds: 120, ..ZoneRules::default() };
        let travel = Travel { speed_meters_per_second: 6.0, detour_factor: 1.2, ..Travel::default() };
        let (instance, _) = told(1).finish(&rules, &travel);
        assert_eq!(instance.parameters.meters_per_minute, 300.0);
        assert_eq!(instance.parameters.pickup_service_minutes, 3.5);
        assert_eq!(instance.parameters.dropoff_service_minutes, 2.0);
    }

    #[test]
    fn a_break_is_a_pause_between_two_couriers() {
        let (on, off) = (Shift::Available { until: None }, Shift::OnBreak { until: None });
        let changes = [(at(0), on), (at(5), on), (at(10), off), (at(20), Shift::Offline), (at(30), on)];
        assert_eq!(working(&changes, at(40)), [(at(0), at(10)), (at(30), at(40))]);
        assert_eq!(working(&changes, at(30)), [(at(0), at(10))]);
        assert!(working(&[(at(0), Shift::Offline)], at(40)).is_empty());
    }
}
