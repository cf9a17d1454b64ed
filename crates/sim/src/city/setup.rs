//! What the city needs at the server: its zones and its drivers, those of an earlier run included.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use posthaste_client::{Client, ListDrivers};
use posthaste_domain::Span;
use posthaste_domain::ids::{DriverId, ZoneId};
use posthaste_domain::order::Speed;
use posthaste_protocol::drivers::CreateDriver;
use posthaste_protocol::zones::{PutZone, RulesView, TravelView};

use crate::city::world::World;
use crate::error::SimError;
use crate::server_clock::ServerClock;

/// Requests at once.
const AT_ONCE: usize = 8;

/// Rules that leave people the time they need, also where the clock is fast: a network answers in real time.
fn rules(clock: &ServerClock) -> RulesView {
    let at_least = |seconds: u32, real: Duration, most: u32| {
        let needed = clock.product(real).max(Span::seconds(i64::from(seconds))).num_seconds();
        u32::try_from(needed).unwrap_or(most).min(most)
    };
    let usual = RulesView::default();
    RulesView {
        offer_seconds: at_least(usual.offer_seconds, Duration::from_secs(1), 3600),
        // Silence is real time as it is.
        stale_after_seconds: 90,
        confirmation_seconds: at_least(usual.confirmation_seconds, Duration::from_secs(2), 86_400),
        give_up_seconds: 2 * 3600,
        ..usual
    }
}

/// The city's zones, in the order of the plan.
pub(crate) async fn zones(operations: &Client, world: &World, clock: &ServerClock) -> Result<Vec<ZoneId>, SimError> {
    let present = operations.zones().await.map_err(SimError::server("reading the zones"))?;
    let rules = rules(clock);
    let mut ids = Vec::new();
    for plan in &world.zones {
        let wanted = PutZone {
            name: plan.name.to_owned(),
            area: plan.area.clone(),
            rules,
            travel: TravelView { meters_per_second: 5.5, ..TravelView::default() },
        };
        let zone = match present.iter().find(|zone| zone.name == plan.name) {
            Some(zone) if zone.rules == wanted.rules => zone.clone(),
            Some(zone) => {
                let changed = PutZone { area: zone.area.clone(), travel: zone.travel, ..wanted };
                operations.replace_zone(zone.id, &changed).await.map_err(SimError::server("changing a zone"))?
            }
            None => operations.create_zone(&wanted).await.map_err(SimError::server("making a zone"))?,
        };
        ids.push(zone.id);
    }
    Ok(ids)
}

/// The city's drivers, in the order of the plan. Those who are registered already are known by their names.
pub(crate) async fn drivers(operations: &Client, world: &World, zones: &[ZoneId]) -> Result<Vec<DriverId>, SimError> {
    let mut known: HashMap<String, DriverId> = HashMap::new();
    for zone in zones {
        let filter = ListDrivers { zone_id: Some(*zone), limit: Some(100), ..ListDrivers::default() };
        let page = operations.all_drivers(filter).await.map_err(SimError::server("reading the drivers"))?;
        known.extend(page.into_iter().map(|driver| (driver.name, driver.id)));
    }
    let known = &known;
    let making = world.drivers.iter().map(|plan| {
        let new = CreateDriver {
            name: plan.name.clone(),
            vehicle: plan.vehicle,
            capacity: plan.capacity,
            zones: plan.zones.iter().filter_map(|n| zones.get(*n).copied()).collect(),
            speeds: vec![Speed::Fast, Speed::Slow],
        };
        async move {
            match known.get(&new.name) {
                Some(id) => Ok(*id),
                None => operations.create_driver(&new).await.map(|driver| driver.id),
            }
        }
    });
    let made: Vec<_> = futures_util::stream::iter(making).buffered(AT_ONCE).collect().await;
    made.into_iter().collect::<Result<_, _>>().map_err(SimError::server("registering the drivers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_protocol::clock::ClockView;

    #[tokio::test]
    async fn the_rules_fit_the_domain_at_every_clock_speed() {
        for speed in [1.0, 10.0, 60.0, 600.0, 10_000.0] {
            let clock = ServerClock::from_reading(ClockView { now: "2026-05-01T12:00:00Z".parse().unwrap(), speed });
            let rules = rules(&clock);
            assert_eq!(posthaste_domain::zone::ZoneRules::from(rules).check(), Ok(()), "at speed {speed}");
        }
    }
}
