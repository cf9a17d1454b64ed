//! The zone that a recorded day is played in: the same settings for a simulation and for a server.

use posthaste_domain::zone::ZoneRules;
/// How long ways take in a zone.
pub use posthaste_geography::StraightLine as Travel;

use crate::instance::Parameters;

/// The rules of the day's zone. Couriers accept at once, never fall silent, and may be anywhere on the plane; an order
/// is never given up.
#[must_use]
pub fn rules(parameters: &Parameters) -> ZoneRules {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few minutes in seconds")]
    let seconds = |minutes: f64| (minutes * 60.0).round() as u32;
    ZoneRules {
        offer_seconds: 900,
        // The basic rules: what is aboard is handed over before the next pickup.
        interleave: false,
        // Couriers answer at once: this covers the way to and fro at a fast clock, and little more.
        offer_lead_seconds: 12,
        cool_down_seconds: 300,
        // Couriers of a recorded day never fall silent; at an accelerated clock a short pause is long.
        stale_after_seconds: 86_400,
        give_up_seconds: 7 * 86_400,
        pickup_service_seconds: seconds(parameters.pickup_service_minutes),
        delivery_service_seconds: seconds(parameters.dropoff_service_minutes),
        pickup_radius_meters: None,
        ..ZoneRules::default()
    }
}

/// How its couriers move.
#[must_use]
pub fn travel(parameters: &Parameters) -> Travel {
    Travel::recorded_day(parameters.meters_per_minute)
}

/// Units that a courier carries at once, each order being one: a bundle has no bound in the rules.
pub const CAPACITY: u32 = 1000;
