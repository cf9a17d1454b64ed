//! Which zone is this place in: one cell, one hash look-up, and the polygon itself only on a border.
//!
//! A map is immutable. A change makes a new map that shares the shapes with the old one; the live system swaps
//! them behind one pointer, so that readers never wait and never see half a change.
//!
//! Zones may overlap: the smallest in area holds the place, and of equal ones the one with the lower id.
//! Where a map holds both cities and countries their cells differ in size, and the look-up asks once per size,
//! with cells that follow from the first one by masking bits.

use std::cmp::Ordering;
use std::sync::Arc;

use geo::Coord;
use h3o::{CellIndex, Resolution};
use hashbrown::HashMap;
use posthaste_domain::ids::ZoneId;
use posthaste_domain::place::Place;

use crate::cover;
use crate::zone_shape::{ZoneShape, coord};

/// What a cell says, in 32 bits, so that copying a map copies plain memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// All of it lies in this zone.
    Inside(u32),
    /// This zone's border may pass.
    Border(u32),
    /// Several zones: an entry in `overlaps`.
    Several(u32),
}

/// All cells of one resolution.
#[derive(Debug, Clone)]
struct Layer {
    resolution: Resolution,
    cells: HashMap<CellIndex, Says>,
}

#[derive(Debug, Clone)]
struct Held {
    id: ZoneId,
    shape: Arc<ZoneShape>,
}

impl Held {
    /// Who holds a place that both contain.
    fn precedence(&self, other: &Self) -> Ordering {
        self.shape.square_kilometers().total_cmp(&other.shape.square_kilometers()).then(self.id.cmp(&other.id))
    }
}

/// An index over zones. See the module's documentation.
#[derive(Debug, Clone, Default)]
pub struct ZoneMap {
    /// By slot; a removed zone leaves a gap that the next one fills.
    zones: Vec<Option<Held>>,
    layers: Vec<Layer>,
    /// Claims of cells that several zones touch, in order of precedence.
    overlaps: Vec<Vec<Says>>,
    /// Entries of `overlaps` that no cell refers to.
    gaps: Vec<u32>,
}

impl ZoneMap {
    /// A map of the given zones. Of two with the same id the later one counts.
    #[must_use]
    pub fn new(zones: impl IntoIterator<Item = (ZoneId, Arc<ZoneShape>)>) -> Self {
        let mut map = Self::default();
        for (id, shape) in zones {
            map.remove(id);
            map.add(id, shape);
        }
        map
    }

    /// A new map with the zone added, or its shape replaced.
    #[must_use]
    pub fn with_zone(&self, id: ZoneId, shape: Arc<ZoneShape>) -> Self {
        let mut map = self.without_zone(id);
        map.add(id, shape);
        map
    }

    /// A new map without the zone.
    #[must_use]
    pub fn without_zone(&self, id: ZoneId) -> Self {
        let mut map = self.clone();
        map.remove(id);
        map
    }

    /// The zone that holds the place: of several the smallest, then the one with the lower id.
    #[must_use]
    pub fn zone_at(&self, place: Place) -> Option<ZoneId> {
        let point = coord(place);
        let finest = cover::cell_of(point)?;
        let mut best: Option<&Held> = None;
        for layer in &self.layers {
            let Some(says) = layer.at(finest) else { continue };
            let found = match says {
                Says::Several(several) => {
                    self.overlaps[several as usize].iter().find_map(|claim| self.holder(*claim, point))
                }
                one => self.holder(one, point),
            };
            if let Some(found) = found
                && best.is_none_or(|best| found.precedence(best) == Ordering::Less)
            {
                best = Some(found);
            }
        }
        best.map(|held| held.id)
    }

    /// All zones that contain the place, the one that holds it first.
    #[must_use]
    pub fn zones_at(&self, place: Place) -> Vec<ZoneId> {
        let point = coord(place);
        let Some(finest) = cover::cell_of(point) else { return Vec::new() };
        let mut found: Vec<&Held> = Vec::new();
        for says in self.layers.iter().filter_map(|layer| layer.at(finest)) {
            match says {
                Says::Several(several) => {
                    found.extend(self.overlaps[several as usize].iter().filter_map(|claim| self.holder(*claim, point)));
                }
                one => found.extend(self.holder(one, point)),
            }
        }
        found.sort_by(|a, b| a.precedence(b));
        found.into_iter().map(|held| held.id).collect()
    }

    /// The shape of a zone.
    #[must_use]
    pub fn shape(&self, id: ZoneId) -> Option<&Arc<ZoneShape>> {
        self.iter().find(|(zone, _)| *zone == id).map(|(_, shape)| shape)
    }

    /// All zones, in no order that matters.
    pub fn iter(&self) -> impl Iterator<Item = (ZoneId, &Arc<ZoneShape>)> {
        self.zones.iter().flatten().map(|held| (held.id, &held.shape))
    }

    /// How many zones there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.zones.iter().flatten().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn holder(&self, claim: Says, point: Coord) -> Option<&Held> {
        let (slot, must_ask) = match claim {
            Says::Inside(slot) => (slot, false),
            Says::Border(slot) => (slot, true),
            Says::Several(_) => return None,
        };
        let held = self.zones[slot as usize].as_ref()?;
        (!must_ask || held.shape.contains_coord(point)).then_some(held)
    }

    fn add(&mut self, id: ZoneId, shape: Arc<ZoneShape>) {
        let gap = self.zones.iter().position(Option::is_none).unwrap_or(self.zones.len());
        if gap == self.zones.len() {
            self.zones.push(None);
        }
        self.zones[gap] = Some(Held { id, shape: Arc::clone(&shape) });
        let slot = gap as u32;
        let layer = self.layer(shape.cell_resolution());
        self.layers[layer].cells.reserve(shape.cell_count());
        for cell in shape.inside_cells() {
            self.claim(layer, *cell, Says::Inside(slot));
        }
        for cell in shape.border_cells() {
            self.claim(layer, *cell, Says::Border(slot));
        }
    }

    /// The layer of a resolution, made when missing; the finest comes first.
    fn layer(&mut self, resolution: Resolution) -> usize {
        let place = self.layers.iter().position(|layer| layer.resolution <= resolution).unwrap_or(self.layers.len());
        if self.layers.get(place).is_none_or(|layer| layer.resolution != resolution) {
            self.layers.insert(place, Layer { resolution, cells: HashMap::new() });
        }
        place
    }

    fn claim(&mut self, layer: usize, cell: CellIndex, claim: Says) {
        let zones = &self.zones;
        let by_precedence = |a: &Says, b: &Says| match (slot_of(*a, zones), slot_of(*b, zones)) {
            (Some(a), Some(b)) => a.precedence(b),
            _ => Ordering::Equal,
        };
        let says = self.layers[layer].cells.entry(cell).or_insert(claim);
        match *says {
            one if one == claim => {}
            Says::Several(several) => {
                let claims = &mut self.overlaps[several as usize];
                claims.push(claim);
                claims.sort_by(by_precedence);
            }
            one => {
                let mut claims = vec![one, claim];
                claims.sort_by(by_precedence);
                let place = self.gaps.pop().unwrap_or(self.overlaps.len() as u32);
                if place as usize == self.overlaps.len() {
                    self.overlaps.push(Vec::new());
                }
                self.overlaps[place as usize] = claims;
                *says = Says::Several(place);
            }
        }
    }

    fn remove(&mut self, id: ZoneId) {
        let Some(slot) = self.zones.iter().position(|held| held.as_ref().is_some_and(|held| held.id == id)) else {
            return;
        };
        let Some(held) = self.zones[slot].take() else { return };
        let layer = self.layer(held.shape.cell_resolution());
        for cell in held.shape.inside_cells().iter().chain(held.shape.border_cells()) {
            self.withdraw(layer, *cell, slot as u32);
        }
        self.layers.retain(|layer| !layer.cells.is_empty());
    }

    fn withdraw(&mut self, layer: usize, cell: CellIndex, slot: u32) {
        let cells = &mut self.layers[layer].cells;
        let Some(says) = cells.get_mut(&cell) else { return };
        let Says::Several(several) = *says else {
            cells.remove(&cell);
            return;
        };
        let claims = &mut self.overlaps[several as usize];
        claims.retain(|claim| !matches!(claim, Says::Inside(s) | Says::Border(s) if *s == slot));
        if let [last] = claims[..] {
            *says = last;
            claims.clear();
            self.gaps.push(several);
        }
    }
}

impl Layer {
    fn at(&self, finest: CellIndex) -> Option<Says> {
        let cell = finest.parent(self.resolution)?;
        self.cells.get(&cell).copied()
    }
}

fn slot_of(claim: Says, zones: &[Option<Held>]) -> Option<&Held> {
    match claim {
        Says::Inside(slot) | Says::Border(slot) => zones[slot as usize].as_ref(),
        Says::Several(_) => None,
    }
}
