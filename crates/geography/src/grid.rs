//! Who is near: a flat grid over latitude and longitude, walked in rings of growing distance.
//!
//! Cells are rows of equal latitude and columns of equal longitude, about square at the latitude that the grid is
//! laid for. It answers exactly everywhere on the globe, across the antimeridian and at the poles too; far from
//! its latitude it is slower, because columns are narrower or wider than rows are high. Distances are
//! great-circle (haversine), the same as [`Place::meters_to`]'s to a micrometre.
//!
//! Cells live in tiles of 16 by 16 that appear when somebody enters them, so an empty ocean costs nothing.
//! [`SlotGrid`] is for owners who number what they place from 0 up; [`Grid`] is for any key.

use std::hash::Hash;

use hashbrown::HashMap;
use posthaste_domain::place::{EARTH_RADIUS_METERS, Place};

pub use crate::nearest::{Near, Nearest};

/// Cells along one side of a tile.
pub(crate) const TILE: i32 = 16;
/// Not in the grid.
const NOWHERE: u32 = u32::MAX;

/// One placed thing. Nothing is computed from the position when it is put, only when somebody looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) lat: f64,
    pub(crate) lng: f64,
    pub(crate) slot: u32,
}

/// Where a slot's entry is.
#[derive(Debug, Clone, Copy)]
struct Location {
    row: i32,
    column: i32,
    tile: u32,
    position: u32,
}

const ABSENT: Location = Location { row: 0, column: 0, tile: NOWHERE, position: 0 };

pub(crate) type Cell = Vec<Entry>;

/// A grid of dense numbers. Memory follows the highest number in use.
#[derive(Debug, Clone)]
pub struct SlotGrid {
    pub(crate) cells_per_degree_lat: f64,
    pub(crate) cells_per_degree_lng: f64,
    /// Columns around the globe; column numbers are taken modulo this.
    pub(crate) columns: i32,
    pub(crate) rows: i32,
    tile_numbers: HashMap<u64, u32>,
    tiles: Vec<Vec<Cell>>,
    locations: Vec<Location>,
    len: usize,
}

impl SlotGrid {
    /// A grid of cells of about this many metres, square at this latitude (degrees).
    /// A cell best holds one to four of what is looked for; twice too large or small costs little.
    #[must_use]
    pub fn new(cell_meters: f64, latitude: f64) -> Self {
        let meters = cell_meters.clamp(10.0, 500_000.0);
        let degree = EARTH_RADIUS_METERS.to_radians();
        let rows = (180.0 * degree / meters).ceil().max(1.0);
        let shrink = latitude.clamp(-85.0, 85.0).to_radians().cos();
        let columns = (360.0 * degree * shrink / meters).ceil().max(1.0);
        Self {
            cells_per_degree_lat: rows / 180.0,
            cells_per_degree_lng: columns / 360.0,
            columns: columns as i32,
            rows: rows as i32,
            tile_numbers: HashMap::new(),
            tiles: Vec::new(),
            locations: Vec::new(),
            len: 0,
        }
    }

    /// How many are placed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is placed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Places a slot, or moves it.
    pub fn put(&mut self, slot: u32, place: Place) {
        let (row, column) = self.cell_of(place);
        let index = slot as usize;
        if index >= self.locations.len() {
            self.locations.resize(index + 1, ABSENT);
        }
        let entry = Entry { lat: place.lat(), lng: place.lng(), slot };
        let location = self.locations[index];
        if location.tile != NOWHERE {
            if location.row == row && location.column == column {
                self.tiles[location.tile as usize][offset(row, column)][location.position as usize] = entry;
                return;
            }
            self.take_out(location);
            self.len -= 1;
        }
        let tile = self.tile_for(row, column);
        let cell = &mut self.tiles[tile as usize][offset(row, column)];
        self.locations[index] = Location { row, column, tile, position: cell.len() as u32 };
        cell.push(entry);
        self.len += 1;
    }

    /// Takes a slot out; whether it was there.
    pub fn remove(&mut self, slot: u32) -> bool {
        let Some(location) = self.locations.get(slot as usize).copied().filter(|l| l.tile != NOWHERE) else {
            return false;
        };
        self.take_out(location);
        self.locations[slot as usize] = ABSENT;
        self.len -= 1;
        true
    }

    /// Whether the slot is placed.
    #[must_use]
    pub fn contains(&self, slot: u32) -> bool {
        self.locations.get(slot as usize).is_some_and(|l| l.tile != NOWHERE)
    }

    /// All slots, nearest first, each with its distance. Lazy: walks only as far as it is asked.
    #[must_use]
    pub fn nearest(&self, place: Place) -> Nearest<'_> {
        Nearest::new(self, place, |_| true)
    }

    /// The same, of the slots that the filter accepts; it is asked before any distance is computed.
    #[must_use]
    pub fn nearest_where<F: FnMut(u32) -> bool>(&self, place: Place, filter: F) -> Nearest<'_, F> {
        Nearest::new(self, place, filter)
    }

    /// The nearest `count` slots that the filter accepts. Of equally near ones the lower slot comes first.
    #[must_use]
    pub fn nearest_n(&self, place: Place, count: usize, filter: impl FnMut(u32) -> bool) -> Vec<Near<u32>> {
        crate::nearest::nearest_n(self, place, count, filter)
    }

    /// Visits every slot within this many metres, in no order.
    pub fn each_within(&self, place: Place, meters: f64, visit: impl FnMut(u32)) {
        crate::nearest::each_within(self, place, meters, visit);
    }

    fn cell_of(&self, place: Place) -> (i32, i32) {
        let row = ((place.lat() + 90.0) * self.cells_per_degree_lat) as i32;
        let column = ((place.lng() + 180.0) * self.cells_per_degree_lng) as i32;
        (row.min(self.rows - 1), if column >= self.columns { 0 } else { column })
    }

    /// The cell and where in it the place lies, as fractions of the cell, for a walk around the place.
    pub(crate) fn locate(&self, place: Place) -> (i32, i32, f64, f64) {
        let (row, column) = self.cell_of(place);
        let lng = if place.lng() >= 180.0 { -180.0 } else { place.lng() };
        let up = (place.lat() + 90.0) * self.cells_per_degree_lat - f64::from(row);
        let right = (lng + 180.0) * self.cells_per_degree_lng - f64::from(column);
        (row, column, up, right)
    }

    /// The tile of a cell, when somebody has ever been in it.
    pub(crate) fn tile_at(&self, row: i32, column: i32) -> Option<&[Cell]> {
        self.tile_numbers.get(&tile_key(row, column)).map(|number| self.tiles[*number as usize].as_slice())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.tiles.iter().flatten().flatten()
    }

    fn tile_for(&mut self, row: i32, column: i32) -> u32 {
        let next = self.tiles.len() as u32;
        let number = *self.tile_numbers.entry(tile_key(row, column)).or_insert(next);
        if number == next {
            self.tiles.push(vec![Cell::new(); (TILE * TILE) as usize]);
        }
        number
    }

    fn take_out(&mut self, location: Location) {
        let cell = &mut self.tiles[location.tile as usize][offset(location.row, location.column)];
        cell.swap_remove(location.position as usize);
        if let Some(moved) = cell.get(location.position as usize) {
            self.locations[moved.slot as usize].position = location.position;
        }
    }
}

pub(crate) fn tile_key(row: i32, column: i32) -> u64 {
    ((row / TILE) as u64) << 32 | (column / TILE) as u64
}

pub(crate) fn offset(row: i32, column: i32) -> usize {
    ((row % TILE) * TILE + column % TILE) as usize
}

/// A grid over any key.
#[derive(Debug, Clone)]
pub struct Grid<K> {
    slots: SlotGrid,
    numbers: HashMap<K, u32>,
    keys: Vec<K>,
    free: Vec<u32>,
}

impl<K: Copy + Eq + Hash + Ord> Grid<K> {
    /// A grid of cells of about this many metres, square at this latitude (degrees). See [`SlotGrid::new`].
    #[must_use]
    pub fn new(cell_meters: f64, latitude: f64) -> Self {
        let slots = SlotGrid::new(cell_meters, latitude);
        Self { slots, numbers: HashMap::new(), keys: Vec::new(), free: Vec::new() }
    }

    /// Places a key, or moves it; whether it is new.
    pub fn put(&mut self, key: K, place: Place) -> bool {
        if let Some(slot) = self.numbers.get(&key) {
            self.slots.put(*slot, place);
            return false;
        }
        let slot = self.free.pop().unwrap_or(self.keys.len() as u32);
        if slot as usize == self.keys.len() {
            self.keys.push(key);
        }
        self.keys[slot as usize] = key;
        self.numbers.insert(key, slot);
        self.slots.put(slot, place);
        true
    }

    /// Takes a key out; whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some(slot) = self.numbers.remove(key) else { return false };
        self.free.push(slot);
        self.slots.remove(slot)
    }

    /// Whether the key is placed.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.numbers.contains_key(key)
    }

    /// How many are placed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none is placed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All keys, nearest first, each with its distance. Lazy: walks only as far as it is asked.
    pub fn nearest(&self, place: Place) -> impl Iterator<Item = Near<K>> + '_ {
        self.slots.nearest(place).map(|near| self.named(near))
    }

    /// The nearest `count` keys that the filter accepts, nearest first.
    #[must_use]
    pub fn nearest_n(&self, place: Place, count: usize, mut filter: impl FnMut(&K) -> bool) -> Vec<Near<K>> {
        let found = self.slots.nearest_n(place, count, |slot| filter(&self.keys[slot as usize]));
        found.into_iter().map(|near| self.named(near)).collect()
    }

    /// All keys within this many metres, nearest first.
    pub fn within(&self, place: Place, meters: f64) -> impl Iterator<Item = Near<K>> + '_ {
        self.nearest(place).take_while(move |near| near.meters <= meters)
    }

    fn named(&self, near: Near<u32>) -> Near<K> {
        Near { key: self.keys[near.key as usize], meters: near.meters }
    }
}
