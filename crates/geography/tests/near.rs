//! The grid against brute force: a scan over everybody with the great-circle distance.

use std::collections::BTreeMap;

use posthaste_domain::place::Place;
use posthaste_geography::Grid;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Put(u16, f64, f64),
    Remove(u16),
}

fn step(lat: std::ops::RangeInclusive<f64>, lng: std::ops::Range<f64>) -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..120u16, lat, lng).prop_map(|(key, lat, lng)| {
            let lng = if lng > 180.0 { lng - 360.0 } else { lng };
            Step::Put(key, lat, lng)
        }),
        1 => (0..120u16).prop_map(Step::Remove),
    ]
}

fn place(lat: f64, lng: f64) -> Place {
    Place::new(lat, if lng > 180.0 { lng - 360.0 } else { lng }).unwrap()
}

fn agrees(steps: &[Step], cell: f64, laid_for: f64, from: Place, count: usize) -> Result<(), TestCaseError> {
    let mut grid = Grid::new(cell, laid_for);
    let mut truth: BTreeMap<u16, Place> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Put(key, lat, lng) => {
                let new = truth.insert(*key, place(*lat, *lng)).is_none();
                prop_assert_eq!(grid.put(*key, place(*lat, *lng)), new);
            }
            Step::Remove(key) => prop_assert_eq!(grid.remove(key), truth.remove(key).is_some()),
        }
        prop_assert_eq!(grid.len(), truth.len());
    }
    let mut expected: Vec<f64> = truth.values().map(|p| from.meters_to(*p)).collect();
    expected.sort_by(f64::total_cmp);
    let walked: Vec<_> = grid.nearest(from).collect();
    prop_assert_eq!(walked.len(), expected.len());
    for (near, meters) in walked.iter().zip(&expected) {
        prop_assert!((near.meters - meters).abs() < 1e-3 + meters * 1e-7, "{} {}", near.meters, meters);
        prop_assert!((from.meters_to(truth[&near.key]) - near.meters).abs() < 1e-3 + meters * 1e-7);
    }
    let even: Vec<_> = grid.nearest_n(from, count, |key| key % 2 == 0);
    let lazily: Vec<_> = grid.nearest(from).filter(|near| near.key % 2 == 0).take(count).collect();
    prop_assert_eq!(
        even.iter().map(|n| n.meters).collect::<Vec<_>>(),
        lazily.iter().map(|n| n.meters).collect::<Vec<_>>()
    );
    let limit = expected.get(expected.len() / 2).copied().unwrap_or(0.0) + 1.0;
    let within = expected.iter().filter(|meters| **meters <= limit).count();
    prop_assert_eq!(grid.within(from, limit).count(), within);
    Ok(())
}

proptest! {
    #[test]
    fn a_city_is_walked_by_growing_distance(
        steps in prop::collection::vec(step(48.0..=48.3, 16.1..16.6), 0..300),
        at in (47.9..48.4f64, 16.0..16.7f64), cell in 50.0..3_000.0f64, count in 0..15usize,
    ) {
        agrees(&steps, cell, 48.0, place(at.0, at.1), count)?;
    }

    #[test]
    fn the_antimeridian_is_no_border(
        steps in prop::collection::vec(step(-20.0..=-19.0, 179.5..180.5), 0..200),
        at in (-20.0..-19.0f64, 179.5..180.5f64), cell in 500.0..20_000.0f64, count in 0..15usize,
    ) {
        agrees(&steps, cell, -20.0, place(at.0, at.1), count)?;
    }

    #[test]
    fn the_poles_are_served_too(
        steps in prop::collection::vec(step(89.0..=90.0, -180.0..180.0), 0..100),
        at in (88.5..=90.0f64, -180.0..=180.0f64), cell in 1_000.0..50_000.0f64, count in 0..15usize,
    ) {
        agrees(&steps, cell, 60.0, place(at.0, at.1), count)?;
    }

    #[test]
    fn the_whole_globe_is_walked_by_growing_distance(
        steps in prop::collection::vec(step(-90.0..=90.0, -180.0..180.0), 0..100),
        at in (-90.0..=90.0f64, -180.0..=180.0f64), cell in 500.0..500_000.0f64, count in 0..15usize,
    ) {
        agrees(&steps, cell, 30.0, place(at.0, at.1), count)?;
    }
}

#[test]
fn an_empty_grid_has_nobody_near() {
    let grid: Grid<u8> = Grid::new(300.0, 0.0);
    assert_eq!(grid.nearest(place(0.0, 0.0)).count(), 0);
    assert!(grid.nearest_n(place(0.0, 0.0), 3, |_| true).is_empty());
}
