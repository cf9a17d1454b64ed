//! The walk around a place: ring after ring of cells, with a bound on how near anything beyond can be.
//!
//! Distances are compared as haversines (the sine of half the angle, squared), which grow with distance and need
//! no root; metres are computed only for what is returned.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use posthaste_domain::place::{EARTH_RADIUS_METERS, Place};

use crate::grid::{Entry, SlotGrid, offset, tile_key};

/// Something near, and how near.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near<K> {
    /// What.
    pub key: K,
    /// How far away, in metres.
    pub meters: f64,
}

/// Degrees to half an angle in radians.
const HALF_RADIANS: f64 = std::f64::consts::PI / 360.0;
/// Below this half angle (about 200 km) the series is as exact as the sine.
const SMALL: f64 = 0.03;

fn sine(half_angle: f64) -> f64 {
    let square = half_angle * half_angle;
    if square < SMALL * SMALL {
        half_angle * (1.0 - square * (1.0 / 6.0 - square * (1.0 / 120.0 - square / 5_040.0)))
    } else {
        half_angle.sin()
    }
}

fn to_meters(haversine: f64) -> f64 {
    2.0 * EARTH_RADIUS_METERS * haversine.sqrt().min(1.0).asin()
}

/// The state of a walk.
struct Rings<'g> {
    grid: &'g SlotGrid,
    lat: f64,
    lng: f64,
    cos_lat: f64,
    sin_lat: f64,
    row: i32,
    column: i32,
    up: f64,
    right: f64,
    /// The ring to visit next.
    next: i32,
    visited_cells: usize,
    /// Nothing that has not been visited is nearer than this haversine.
    bound: f64,
}

impl<'g> Rings<'g> {
    fn new(grid: &'g SlotGrid, place: Place) -> Self {
        let (row, column, up, right) = grid.locate(place);
        let (lat, lng) = (place.lat(), place.lng());
        let (sin_lat, cos_lat) = lat.to_radians().sin_cos();
        let bound = if grid.is_empty() { f64::INFINITY } else { 0.0 };
        Self { grid, lat, lng, cos_lat, sin_lat, row, column, up, right, next: 0, visited_cells: 0, bound }
    }

    /// Of the entry's latitude only the difference is known as an angle; its cosine follows by the addition theorem.
    fn haversine(&self, entry: &Entry) -> f64 {
        let north = sine((entry.lat - self.lat) * HALF_RADIANS);
        let east = sine((entry.lng - self.lng) * HALF_RADIANS);
        let (sin_turn, cos_turn) = (2.0 * north * (1.0 - north * north).sqrt(), 1.0 - 2.0 * north * north);
        let cos_lat = (self.cos_lat * cos_turn - self.sin_lat * sin_turn).max(0.0);
        north * north + self.cos_lat * cos_lat * east * east
    }

    fn is_done(&self) -> bool {
        self.bound == f64::INFINITY
    }

    /// Visits the next ring, or all that is left once rings have become dearer than looking at everybody.
    fn advance(&mut self, mut visit: impl FnMut(f64, u32), mut wanted: impl FnMut(u32) -> bool) {
        let ring = self.next;
        let full_circle = 2 * ring + 1 > self.grid.columns;
        if full_circle || self.visited_cells > 64 + 2 * self.grid.len() {
            for entry in self.grid.all() {
                if !self.was_visited(entry, ring) && wanted(entry.slot) {
                    visit(self.haversine(entry), entry.slot);
                }
            }
            self.bound = f64::INFINITY;
            return;
        }
        let this = &*self;
        let mut tile: (u64, Option<&[crate::grid::Cell]>) = (u64::MAX, None);
        let mut cells = 0;
        let mut look = |row: i32, column: i32| {
            cells += 1;
            if row < 0 || row >= this.grid.rows {
                return;
            }
            let column = column.rem_euclid(this.grid.columns);
            let key = tile_key(row, column);
            if tile.0 != key {
                tile = (key, this.grid.tile_at(row, column));
            }
            let Some(tile) = tile.1 else { return };
            for entry in &tile[offset(row, column)] {
                if wanted(entry.slot) {
                    visit(this.haversine(entry), entry.slot);
                }
            }
        };
        for column in self.column - ring..=self.column + ring {
            look(self.row - ring, column);
            if ring > 0 {
                look(self.row + ring, column);
            }
        }
        for row in self.row - ring + 1..self.row + ring {
            look(row, self.column - ring);
            look(row, self.column + ring);
        }
        self.visited_cells += cells;
        self.next += 1;
        self.bound = self.bound_beyond(ring);
    }

    /// Whether an earlier ring has shown the entry: it lies in the block of cells around the place.
    fn was_visited(&self, entry: &Entry, rings: i32) -> bool {
        let Ok(place) = Place::new(entry.lat, entry.lng) else { return false };
        let (row, column, _, _) = self.grid.locate(place);
        let apart = (column - self.column).rem_euclid(self.grid.columns);
        let apart = apart.min(self.grid.columns - apart);
        (row - self.row).abs() < rings && apart < rings
    }

    /// The least haversine of anything outside the block of cells up to this ring.
    ///
    /// Beyond its rows something is at least the difference of latitude away; beyond its columns, at least as far
    /// as the meridian there, and never farther than over the pole.
    fn bound_beyond(&self, ring: i32) -> f64 {
        const HAIR: f64 = 1.0 - 1e-9;
        let ring = f64::from(ring);
        let rows = ring + self.up.min(1.0 - self.up).max(0.0);
        let columns = ring + self.right.min(1.0 - self.right).max(0.0);
        let north = (rows / self.grid.cells_per_degree_lat).min(180.0) * HALF_RADIANS;
        let north = north.sin() * north.sin();
        let angle = (columns / self.grid.cells_per_degree_lng).min(90.0).to_radians();
        let cross = self.cos_lat * angle.sin();
        // sin²(x/2) of x = asin(cross), without the angle itself.
        let east = cross * cross / (2.0 * (1.0 + (1.0 - cross * cross).max(0.0).sqrt()));
        north.min(east) * HAIR
    }
}

/// Something seen that is not yet known to be the nearest left.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    haversine: f64,
    slot: u32,
}

impl Eq for Seen {}

impl Ord for Seen {
    /// The nearest is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        other.haversine.total_cmp(&self.haversine).then(other.slot.cmp(&self.slot))
    }
}

impl PartialOrd for Seen {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Slots by growing distance.
pub struct Nearest<'g, F = fn(u32) -> bool> {
    rings: Rings<'g>,
    seen: BinaryHeap<Seen>,
    filter: F,
}

impl<F> std::fmt::Debug for Nearest<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nearest").field("seen", &self.seen.len()).field("next_ring", &self.rings.next).finish()
    }
}

impl<'g, F: FnMut(u32) -> bool> Nearest<'g, F> {
    pub(crate) fn new(grid: &'g SlotGrid, place: Place, filter: F) -> Self {
        Self { rings: Rings::new(grid, place), seen: BinaryHeap::new(), filter }
    }
}

impl<F: FnMut(u32) -> bool> Iterator for Nearest<'_, F> {
    type Item = Near<u32>;

    fn next(&mut self) -> Option<Near<u32>> {
        loop {
            if let Some(first) = self.seen.peek()
                && first.haversine < self.rings.bound
            {
                let seen = self.seen.pop()?;
                return Some(Near { key: seen.slot, meters: to_meters(seen.haversine) });
            }
            if self.rings.is_done() {
                return None;
            }
            let seen = &mut self.seen;
            self.rings.advance(|haversine, slot| seen.push(Seen { haversine, slot }), &mut self.filter);
        }
    }
}

pub(crate) fn nearest_n(
    grid: &SlotGrid,
    place: Place,
    count: usize,
    mut filter: impl FnMut(u32) -> bool,
) -> Vec<Near<u32>> {
    let mut best: Vec<Seen> = Vec::with_capacity(count.min(grid.len()));
    let mut rings = Rings::new(grid, place);
    if count == 0 {
        return Vec::new();
    }
    while !rings.is_done() {
        if best.len() == count && best.last().is_some_and(|last| last.haversine < rings.bound) {
            break;
        }
        let best = &mut best;
        rings.advance(
            |haversine, slot| {
                let seen = Seen { haversine, slot };
                if best.len() == count {
                    if best.last().is_some_and(|last| seen < *last) {
                        return;
                    }
                    best.pop();
                }
                let place = best.iter().rposition(|other| *other > seen).map_or(0, |place| place + 1);
                best.insert(place, seen);
            },
            &mut filter,
        );
    }
    best.into_iter().map(|seen| Near { key: seen.slot, meters: to_meters(seen.haversine) }).collect()
}

pub(crate) fn each_within(grid: &SlotGrid, place: Place, meters: f64, mut visit: impl FnMut(u32)) {
    let half_angle = (meters / (2.0 * EARTH_RADIUS_METERS)).clamp(0.0, std::f64::consts::FRAC_PI_2);
    let limit = half_angle.sin().powi(2);
    let mut rings = Rings::new(grid, place);
    while !rings.is_done() && rings.bound <= limit {
        rings.advance(
            |haversine, slot| {
                if haversine <= limit {
                    visit(slot);
                }
            },
            |_| true,
        );
    }
}
