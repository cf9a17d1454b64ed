//! What a recorded day needs at the server before it begins: a zone, drivers, and the shape of its orders.

use futures_util::StreamExt;
use posthaste_client::{Client, ListOrders};
use posthaste_domain::Timestamp;
use posthaste_domain::driver::Vehicle;
use posthaste_domain::ids::{DriverId, Id, MerchantId, ZoneId};
use posthaste_domain::order::{Speed, Status};
use posthaste_domain::zone::{Policy, ZoneRules};
use posthaste_protocol::drivers::{CreateDriver, PlanShift};
use posthaste_protocol::orders::{CodesView, ContactView, CreateDelivery, CreateOrder, CreatePickup, PlaceView};
use posthaste_protocol::zones::{DistanceView, PutZone, TravelView};

use crate::error::SimError;
use crate::replay::day::Day;
use crate::replay::plane::area_around;
use posthaste_backtest::instance::Instance;
use posthaste_backtest::zone as of_day;

/// The zone's name. A later replay on the same server takes it over.
const ZONE: &str = "Replay";
/// Requests at once.
const AT_ONCE: usize = 8;

/// The zone of a day: everything on the plane, with the day's speed and services.
pub(crate) fn put_zone(instance: &Instance, policy: Policy, send_ahead: bool) -> PutZone {
    let couriers = instance.couriers.iter().map(|c| c.place);
    let restaurants = instance.restaurants.iter().map(|r| r.place);
    let doors = instance.orders.iter().map(|o| o.place);
    let travel = of_day::travel(&instance.parameters);
    PutZone {
        name: ZONE.to_owned(),
        area: area_around(couriers.chain(restaurants).chain(doors)),
        rules: ZoneRules { policy, send_ahead, ..of_day::rules(&instance.parameters) }.into(),
        travel: TravelView {
            distance: DistanceView::Plane,
            detour_factor: travel.detour_factor,
            meters_per_second: travel.speed_meters_per_second,
            round_up_to_seconds: travel.round_up_to_seconds,
        },
    }
}

/// Makes the zone, or takes over the one of an earlier replay and ends what is left there.
pub(crate) async fn zone(
    operations: &Client,
    instance: &Instance,
    policy: Policy,
    send_ahead: bool,
) -> Result<ZoneId, SimError> {
    let wanted = put_zone(instance, policy, send_ahead);
    let zones = operations.zones().await.map_err(SimError::server("reading the zones"))?;
    let Some(old) = zones.iter().find(|zone| zone.name == ZONE) else {
        return Ok(operations.create_zone(&wanted).await.map_err(SimError::server("making the zone"))?.id);
    };
    for status in Status::ALL.into_iter().filter(|status| !status.is_final()) {
        let filter =
            ListOrders { zone_id: Some(old.id), status: Some(status), limit: Some(100), ..ListOrders::default() };
        let left = operations.all_orders(filter).await.map_err(SimError::server("reading what is left in the zone"))?;
        for order in left {
            // It may have ended meanwhile: then there is nothing to cancel.
            let _ = operations.cancel_order(order.id, "another replay begins").await;
        }
    }
    Ok(operations.replace_zone(old.id, &wanted).await.map_err(SimError::server("changing the zone"))?.id)
}

/// Registers the couriers, in the order of the files.
pub(crate) async fn drivers(operations: &Client, instance: &Instance, zone: ZoneId) -> Result<Vec<DriverId>, SimError> {
    let making = instance.couriers.iter().map(|courier| {
        let new = CreateDriver {
            name: courier.name.clone(),
            vehicle: Vehicle::Car,
            capacity: of_day::CAPACITY,
            zones: vec![zone],
            speeds: vec![Speed::Fast, Speed::Slow],
        };
        async move { operations.create_driver(&new).await.map(|driver| driver.id) }
    });
    let made: Vec<_> = futures_util::stream::iter(making).buffered(AT_ONCE).collect().await;
    made.into_iter().collect::<Result<_, _>>().map_err(SimError::server("registering the couriers"))
}

/// Plans the couriers' shifts: the roster of a day is known before it begins.
pub(crate) async fn roster(day: &Day, drivers: &[DriverId]) -> Result<(), SimError> {
    let planning = day.instance.couriers.iter().zip(drivers).filter(|(c, _)| c.off_time > c.on_time).map(|(c, id)| {
        let place = Some(PlaceView { lat: c.place.lat(), lng: c.place.lng() });
        let shift = PlanShift { start: day.at(c.on_time), end: day.at(c.off_time), place };
        async move { day.operations.plan_shift(*id, &shift).await.map(drop) }
    });
    let planned: Vec<_> = futures_util::stream::iter(planning).buffer_unordered(AT_ONCE).collect().await;
    planned.into_iter().collect::<Result<(), _>>().map_err(SimError::server("planning the couriers' shifts"))
}

/// The merchant behind a restaurant, the same throughout one replay.
pub(crate) fn merchant(minute_zero: Timestamp, restaurant: usize) -> MerchantId {
    let mut entropy = [0u8; 10];
    entropy[2..].copy_from_slice(&(restaurant as u64).to_be_bytes());
    MerchantId::at(minute_zero, entropy)
}

/// An order as its restaurant hands it in.
pub(crate) fn order(day: &Day, row: usize) -> CreateOrder {
    let recorded = &day.instance.orders[row];
    let restaurant = &day.instance.restaurants[recorded.restaurant];
    CreateOrder {
        speed: Speed::Fast,
        pickups: vec![CreatePickup {
            merchant_id: None,
            lat: restaurant.place.lat(),
            lng: restaurant.place.lng(),
            contact: ContactView { name: Some(restaurant.name.clone()), ..ContactView::default() },
            ready_at: Some(day.at(recorded.ready_time)),
            window: None,
            service_seconds: None,
        }],
        delivery: CreateDelivery {
            lat: recorded.place.lat(),
            lng: recorded.place.lng(),
            contact: ContactView::default(),
            window: None,
            service_seconds: None,
        },
        merchant_id: None,
        customer_id: None,
        reference: Some(recorded.name.clone()),
        size: 1,
        priority: 0,
        codes: CodesView::default(),
        needs_confirmation: Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_backtest::instance::tiny;

    #[test]
    fn the_zone_has_the_speed_and_services_of_the_day_and_rules_that_the_domain_accepts() {
        let zone = put_zone(&tiny(), Policy::LeastBusy, false);
        assert!((zone.travel.meters_per_second - 5.0).abs() < 1e-9);
        assert_eq!((zone.rules.pickup_service_seconds, zone.rules.delivery_service_seconds), (240, 240));
        assert_eq!(posthaste_domain::zone::ZoneRules::from(zone.rules).check(), Ok(()));
    }

    #[test]
    fn every_restaurant_has_a_merchant_of_its_own() {
        let zero = Timestamp::UNIX_EPOCH;
        assert_eq!(merchant(zero, 3), merchant(zero, 3));
        assert_ne!(merchant(zero, 3), merchant(zero, 4));
    }
}
