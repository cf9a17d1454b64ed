//! Zone look-up, nearest ten, position update; the latter two beside a bare flat grid written here, which knows one
//! city, has its cells in one array, measures in a plane and keeps no exactness. Mark: within 3 times that grid.
//!
//! `cargo bench -p posthaste-geography`

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use posthaste_domain::ids::{DriverId, Id, ZoneId};
use posthaste_domain::place::Place;
use posthaste_geography::{Grid, SlotGrid, ZoneMap, ZoneShape};
use serde_json::json;
use uuid::Uuid;

const DRIVERS: u32 = 100_000;
const SOUTH: f64 = 48.0;
const WEST: f64 = 16.0;
/// Degrees of the city's sides: about 40 by 40 kilometres.
const SIDES: (f64, f64) = (0.36, 0.54);
const CELL_METERS: f64 = 250.0;

/// A sequence that looks random and is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn place(&mut self) -> Place {
        Place::new(SOUTH + self.fraction() * SIDES.0, WEST + self.fraction() * SIDES.1).unwrap()
    }
}

/// The baseline: metres in a plane, an array of cells, a position per driver.
struct Bare {
    cells: Vec<Vec<u32>>,
    places: Vec<(f64, f64)>,
    columns: usize,
    rows: usize,
    east: f64,
}

impl Bare {
    fn new() -> Self {
        let east = 111_195.0 * 48.18f64.to_radians().cos();
        let columns = (SIDES.1 * east / CELL_METERS) as usize + 1;
        let rows = (SIDES.0 * 111_195.0 / CELL_METERS) as usize + 1;
        let places = vec![(f64::NAN, f64::NAN); DRIVERS as usize];
        Self { cells: vec![Vec::new(); columns * rows], places, columns, rows, east }
    }

    fn plane(&self, place: Place) -> (f64, f64) {
        ((place.lng() - WEST) * self.east, (place.lat() - SOUTH) * 111_195.0)
    }

    fn cell(&self, at: (f64, f64)) -> usize {
        let (x, y) = ((at.0 / CELL_METERS) as usize, (at.1 / CELL_METERS) as usize);
        y.min(self.rows - 1) * self.columns + x.min(self.columns - 1)
    }

    fn put(&mut self, driver: u32, place: Place) {
        let at = self.plane(place);
        let (from, to) = (self.places[driver as usize], self.cell(at));
        self.places[driver as usize] = at;
        if !from.0.is_nan() {
            let from = self.cell(from);
            if from == to {
                return;
            }
            let cell = &mut self.cells[from];
            let position = cell.iter().position(|other| *other == driver).unwrap();
            cell.swap_remove(position);
        }
        self.cells[to].push(driver);
    }

    fn nearest(&self, place: Place, count: usize) -> Vec<(f64, u32)> {
        let at = self.plane(place);
        let (column, row) = ((at.0 / CELL_METERS) as i64, (at.1 / CELL_METERS) as i64);
        let mut best: Vec<(f64, u32)> = Vec::with_capacity(count + 1);
        for ring in 0i64.. {
            for y in row - ring..=row + ring {
                let step = if (y - row).abs() == ring { 1 } else { (2 * ring).max(1) };
                for x in (column - ring..=column + ring).step_by(step as usize) {
                    if x < 0 || y < 0 || x >= self.columns as i64 || y >= self.rows as i64 {
                        continue;
                    }
                    for driver in &self.cells[y as usize * self.columns + x as usize] {
                        let (dx, dy) = (self.places[*driver as usize].0 - at.0, self.places[*driver as usize].1 - at.1);
                        let distance = dx * dx + dy * dy;
                        if best.len() < count || distance < best[count - 1].0 {
                            let place = best.partition_point(|other| other.0 <= distance);
                            best.insert(place, (distance, *driver));
                            best.truncate(count);
                        }
                    }
                }
            }
            let reach = ring as f64 * CELL_METERS;
            if (best.len() == count && best[count - 1].0 <= reach * reach) || ring > 200 {
                break;
            }
        }
        best
    }
}

fn near(c: &mut Criterion) {
    let mut numbers = Numbers(1);
    let (mut bare, mut slots, mut grid) = (Bare::new(), SlotGrid::new(CELL_METERS, 48.0), Grid::new(CELL_METERS, 48.0));
    let id = |number: u32| DriverId::from_uuid(Uuid::from_u128(u128::from(number) * 0x9e37_79b9_7f4a_7c15_f39c));
    let mut places: Vec<Place> = Vec::new();
    for number in 0..DRIVERS {
        let place = numbers.place();
        places.push(place);
        bare.put(number, place);
        slots.put(number, place);
        grid.put(id(number), place);
    }
    let asked: Vec<Place> = (0..4_096).map(|_| numbers.place()).collect();
    for place in &asked[..64] {
        let exact = slots.nearest_n(*place, 10, |_| true);
        assert_eq!(exact.len(), bare.nearest(*place, 10).len());
    }
    let mut turn = 0;
    let mut next = || {
        turn = (turn + 1) % asked.len();
        turn
    };
    let mut group = c.benchmark_group("nearest ten of 100,000");
    group.bench_function("bare flat grid", |b| b.iter(|| black_box(bare.nearest(asked[next()], 10))));
    group.bench_function("slot grid", |b| b.iter(|| black_box(slots.nearest_n(asked[next()], 10, |_| true))));
    group.bench_function("grid by id", |b| b.iter(|| black_box(grid.nearest_n(asked[next()], 10, |_| true))));
    group.bench_function("slot grid, lazily", |b| b.iter(|| black_box(slots.nearest(asked[next()]).take(10).count())));
    group.finish();
    // Steps of about ten metres: one in twenty-five or so changes the cell.
    let steps: Vec<(u32, Place)> = (0..65_536u32)
        .map(|i| {
            let number = i.wrapping_mul(40_503) % DRIVERS;
            let from = places[number as usize];
            let north = (from.lat() + (numbers.fraction() - 0.5) * 2e-4).clamp(SOUTH, SOUTH + SIDES.0);
            (number, Place::new(north, from.lng()).unwrap())
        })
        .collect();
    let mut group = c.benchmark_group("position update among 100,000");
    let mut turn = 0;
    let mut next = || {
        turn = (turn + 1) % steps.len();
        steps[turn]
    };
    group.bench_function("bare flat grid", |b| {
        b.iter(|| {
            let (n, p) = next();
            bare.put(n, p)
        })
    });
    group.bench_function("slot grid", |b| {
        b.iter(|| {
            let (n, p) = next();
            slots.put(n, p)
        })
    });
    group.bench_function("grid by id", |b| {
        b.iter(|| {
            let (n, p) = next();
            grid.put(id(n), p)
        })
    });
    group.finish();
}

fn ring(south: f64, west: f64, corners: usize, size: f64) -> Vec<[f64; 2]> {
    let mut ring: Vec<[f64; 2]> = (0..corners)
        .map(|i| {
            let angle = i as f64 / corners as f64 * std::f64::consts::TAU;
            let reach = size * (0.8 + 0.2 * (angle * 9.0).sin());
            [west + reach * angle.cos() * 1.5, south + reach * angle.sin()]
        })
        .collect();
    ring.push(ring[0]);
    ring
}

fn zones(c: &mut Criterion) {
    let zone = |number: u32| ZoneId::from_uuid(Uuid::from_u128(u128::from(number)));
    let shape = |ring: Vec<[f64; 2]>| {
        Arc::new(ZoneShape::from_geojson(&json!({"type": "Polygon", "coordinates": [ring]})).unwrap())
    };
    let mut map = ZoneMap::default();
    for number in 0..16u32 {
        let (y, x) = (f64::from(number / 4), f64::from(number % 4));
        let center = (SOUTH + (y + 0.5) * SIDES.0 / 4.0, WEST + (x + 0.5) * SIDES.1 / 4.0);
        map = map.with_zone(zone(number), shape(ring(center.0, center.1, 500, 0.05)));
    }
    let mut numbers = Numbers(5);
    let asked: Vec<Place> = (0..65_536).map(|_| numbers.place()).collect();
    let mut turn = 0;
    let mut next = || {
        turn = (turn + 1) % asked.len();
        asked[turn]
    };
    let mut group = c.benchmark_group("zones");
    group.bench_function("look-up in a city of 16", |b| b.iter(|| black_box(map.zone_at(next()))));
    let country = map.with_zone(zone(99), shape(ring(48.0, 16.0, 5_000, 3.0)));
    group.bench_function("look-up in a city within a country", |b| b.iter(|| black_box(country.zone_at(next()))));
    let city = ring(48.2, 16.3, 500, 0.1);
    group.bench_function("read a city of 500 vertices", |b| b.iter(|| black_box(shape(city.clone()))));
    let fifth = shape(city);
    group.bench_function("a map with one zone changed", |b| {
        b.iter(|| black_box(map.with_zone(zone(3), Arc::clone(&fifth))));
    });
    group.finish();
}

criterion_group!(benches, near, zones);
criterion_main!(benches);
