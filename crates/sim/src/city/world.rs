//! The made-up city: its zones, shops, drivers and their characters. The same seed makes the same city.

use posthaste_domain::driver::Vehicle;
use posthaste_domain::ids::{Id, MerchantId};
use posthaste_domain::place::Place;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

/// Half the height and half the width of the city, in degrees.
const HALF_LAT: f64 = 0.025;
const HALF_LNG: f64 = 0.042;
/// Everything that happens lies at least this share inside the border.
const INSIDE: f64 = 0.85;

const FIRST: [&str; 24] = [
    "Ada", "Bela", "Chidi", "Dana", "Emre", "Fatou", "Goran", "Hana", "Ivo", "Jana", "Kofi", "Lena", "Milo", "Nadia",
    "Omar", "Petra", "Quentin", "Rosa", "Samir", "Tova", "Uma", "Vito", "Wanda", "Yusuf",
];
const LAST: [&str; 23] = [
    "Adler", "Berg", "Costa", "Diaz", "Ek", "Fischer", "Grimm", "Horn", "Iqbal", "Jensen", "Kern", "Lund", "Moreau",
    "Novak", "Okoro", "Popov", "Reyes", "Silva", "Thoma", "Urban", "Vogel", "Weiss", "Zeman",
];
const KITCHEN: [&str; 12] =
    ["Noodle", "Pizza", "Curry", "Taco", "Sushi", "Falafel", "Burger", "Dumpling", "Salad", "Ramen", "Pastry", "Grill"];
const HOUSE: [&str; 11] =
    ["Bar", "Corner", "House", "Garden", "Express", "Palace", "Kitchen", "Market", "Cellar", "Yard", "Window"];

/// A zone to be made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ZonePlan {
    pub(crate) name: &'static str,
    pub(crate) area: serde_json::Value,
}

/// A shop.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShopPlan {
    pub(crate) id: MerchantId,
    pub(crate) name: String,
    pub(crate) place: Place,
    /// Minutes that an order takes here at least.
    pub(crate) kitchen_minutes: f64,
}

/// A driver and their character.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DriverPlan {
    pub(crate) name: String,
    pub(crate) vehicle: Vehicle,
    pub(crate) capacity: u32,
    pub(crate) home: Place,
    /// Indexes of the zones they serve.
    pub(crate) zones: Vec<usize>,
    pub(crate) meters_per_second: f64,
    /// How much oftener than others they decline, dawdle and mistype.
    pub(crate) carelessness: f64,
}

/// The whole city.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    pub(crate) centre: Place,
    pub(crate) zones: Vec<ZonePlan>,
    pub(crate) shops: Vec<ShopPlan>,
    pub(crate) drivers: Vec<DriverPlan>,
}

/// The randomness of one person: the same for the same seed, role and number.
pub(crate) fn dice(seed: u64, role: u64, number: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ role.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03))
}

/// A place that far from the centre, in shares of the half city; the centre itself where that is off the globe.
fn place_at(centre: Place, north: f64, east: f64) -> Place {
    Place::new(centre.lat() + north * HALF_LAT, centre.lng() + east * HALF_LNG).unwrap_or(centre)
}

/// Somewhere in the city. People live all over it, shops crowd towards the middle.
pub(crate) fn somewhere(centre: Place, crowd: f64, dice: &mut StdRng) -> Place {
    let (north, east) = (dice.random_range(-1.0..1.0f64), dice.random_range(-1.0..1.0f64));
    let pull = |share: f64| share.signum() * share.abs().powf(crowd) * INSIDE;
    place_at(centre, pull(north), pull(east))
}

impl World {
    /// Plans the city.
    pub(crate) fn plan(seed: u64, centre: Place, drivers: usize, shops: usize) -> Self {
        let mut dice = dice(seed, 1, 0);
        Self {
            centre,
            zones: zones(centre),
            shops: (0..shops).map(|n| shop(centre, n, &mut dice)).collect(),
            drivers: (0..drivers).map(|n| driver(centre, n, &mut dice)).collect(),
        }
    }
}

/// Two zones with a crooked border between them, as a river makes it.
fn zones(centre: Place) -> Vec<ZonePlan> {
    let at = |north: f64, east: f64| {
        let place = place_at(centre, north, east);
        json!([place.lng(), place.lat()])
    };
    let river = [(1.0, 0.10), (0.45, -0.05), (0.0, 0.08), (-0.5, -0.04), (-1.0, 0.06)];
    let mut west: Vec<_> = river.iter().map(|(n, e)| at(*n, *e)).collect();
    west.extend([at(-1.0, -0.9), at(-0.8, -1.0), at(0.8, -1.0), at(1.0, -0.9), at(1.0, 0.10)]);
    let mut east: Vec<_> = river.iter().rev().map(|(n, e)| at(*n, *e)).collect();
    east.extend([at(1.0, 0.9), at(0.8, 1.0), at(-0.8, 1.0), at(-1.0, 0.9), at(-1.0, 0.06)]);
    let polygon = |ring: Vec<serde_json::Value>| json!({ "type": "Polygon", "coordinates": [ring] });
    vec![ZonePlan { name: "Old Town", area: polygon(west) }, ZonePlan { name: "Riverside", area: polygon(east) }]
}

fn shop(centre: Place, n: usize, dice: &mut StdRng) -> ShopPlan {
    let mut entropy = [0u8; 10];
    dice.fill(&mut entropy);
    let name = format!("{} {}", KITCHEN[n % KITCHEN.len()], HOUSE[(n / 2 + n) % HOUSE.len()]);
    ShopPlan {
        id: MerchantId::at(posthaste_domain::Timestamp::UNIX_EPOCH, entropy),
        name,
        place: somewhere(centre, 1.8, dice),
        kitchen_minutes: dice.random_range(2.0..7.0),
    }
}

fn driver(centre: Place, n: usize, dice: &mut StdRng) -> DriverPlan {
    let (vehicle, speed, capacity) = match dice.random_range(0..100) {
        0..5 => (Vehicle::Foot, 1.6, 2),
        5..55 => (Vehicle::Bicycle, 5.0, 4),
        55..75 => (Vehicle::Motorbike, 8.0, 5),
        75..95 => (Vehicle::Car, 8.5, 12),
        _ => (Vehicle::Van, 8.0, 40),
    };
    let zones = match dice.random_range(0..10) {
        0..2 => vec![0],
        2..4 => vec![1],
        _ => vec![0, 1],
    };
    let round = n / (FIRST.len() * LAST.len());
    let mut name = format!("{} {}", FIRST[n % FIRST.len()], LAST[n % LAST.len()]);
    if round > 0 {
        name = format!("{name} {}", round + 1);
    }
    DriverPlan {
        name,
        vehicle,
        capacity,
        home: somewhere(centre, 1.2, dice),
        zones,
        meters_per_second: speed * dice.random_range(0.8..1.1),
        carelessness: dice.random_range(0.3..1.7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn centre() -> Place {
        Place::new(52.52, 13.40).unwrap()
    }

    #[test]
    fn the_same_seed_makes_the_same_city_and_another_another() {
        assert_eq!(World::plan(7, centre(), 30, 20), World::plan(7, centre(), 30, 20));
        assert_ne!(World::plan(7, centre(), 30, 20).shops, World::plan(8, centre(), 30, 20).shops);
    }

    #[test]
    fn drivers_have_names_of_their_own() {
        let world = World::plan(1, centre(), 1200, 1);
        let names: HashSet<_> = world.drivers.iter().map(|d| d.name.clone()).collect();
        assert_eq!(names.len(), 1200);
    }

    #[test]
    fn shops_lie_well_inside_the_city_and_zones_close_their_rings() {
        let world = World::plan(3, centre(), 10, 200);
        for shop in &world.shops {
            assert!((shop.place.lat() - 52.52).abs() < HALF_LAT && (shop.place.lng() - 13.40).abs() < HALF_LNG);
        }
        for zone in &world.zones {
            let ring = zone.area["coordinates"][0].as_array().unwrap();
            assert_eq!(ring.first(), ring.last());
        }
    }
}
