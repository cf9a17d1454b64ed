//! The edges of a shape, sorted into bands of latitude.
//!
//! One question about a point touches one band, so containment in a border of thousands of vertices costs about
//! as much as in a square. Containment is even-odd over all rings together, which is right because
//! [`crate::outline`] has made sure that rings do not cross and that holes lie in what they are cut from.
//! Signs come from exact predicates: two zones that share an edge never both hold, or both lose, a point.

use geo::{Coord, GeoNum, Kernel, Orientation};

/// Edges per band that the index aims at. Fewer makes bands that long edges fill; more makes look-ups longer.
const EDGES_PER_BAND: usize = 2;
/// The most bands; a border has at most a few ten thousand vertices.
const MOST_BANDS: usize = 8_192;

/// One edge with its lower end first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Edge {
    /// The end of lower latitude.
    pub(crate) low: Coord,
    /// The end of higher latitude.
    pub(crate) high: Coord,
    /// Which ring it belongs to, counted over the whole shape.
    pub(crate) ring: u32,
    /// Its place in the ring.
    pub(crate) index: u32,
}

impl Edge {
    pub(crate) fn new(a: Coord, b: Coord, ring: u32, index: u32) -> Self {
        let (low, high) = if (a.y, a.x) <= (b.y, b.x) { (a, b) } else { (b, a) };
        Self { low, high, ring, index }
    }

    /// Whether a ray from the point eastwards crosses the edge.
    fn crosses_ray(&self, point: Coord) -> bool {
        if !(self.low.y <= point.y && point.y < self.high.y) {
            return false;
        }
        let (west, east) = self.lng_range();
        if point.x < west {
            return true;
        }
        if point.x > east {
            return false;
        }
        side(self.low, self.high, point) == Orientation::CounterClockwise
    }

    /// Whether the point lies on the edge.
    pub(crate) fn holds(&self, point: Coord) -> bool {
        let (west, east) = self.lng_range();
        (self.low.y..=self.high.y).contains(&point.y)
            && (west..=east).contains(&point.x)
            && side(self.low, self.high, point) == Orientation::Collinear
    }

    pub(crate) fn lng_range(&self) -> (f64, f64) {
        (self.low.x.min(self.high.x), self.low.x.max(self.high.x))
    }

    /// Whether edge and box may share a point; may say yes for a box that the edge misses by a hair.
    fn may_meet(&self, area: &LatLngBox) -> bool {
        let (west, east) = self.lng_range();
        if self.high.y < area.south || self.low.y > area.north || east < area.west || west > area.east {
            return false;
        }
        let (dx, dy) = (self.high.x - self.low.x, self.high.y - self.low.y);
        let corner = |x: f64, y: f64| dx * (y - self.low.y) - dy * (x - self.low.x);
        let corners = [
            corner(area.west, area.south),
            corner(area.east, area.south),
            corner(area.west, area.north),
            corner(area.east, area.north),
        ];
        const HAIR: f64 = 1e-11;
        !(corners.iter().all(|c| *c > HAIR) || corners.iter().all(|c| *c < -HAIR))
    }
}

fn side(a: Coord, b: Coord, point: Coord) -> Orientation {
    <f64 as GeoNum>::Ker::orient2d(a, b, point)
}

/// A box in degrees. Never crosses the antimeridian: whoever asks splits there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LatLngBox {
    pub(crate) south: f64,
    pub(crate) north: f64,
    pub(crate) west: f64,
    pub(crate) east: f64,
}

/// How a box lies to a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lies {
    Inside,
    Outside,
    Across,
}

/// All edges of a shape.
#[derive(Debug, Clone)]
pub(crate) struct Edges {
    south: f64,
    bands_per_degree: f64,
    /// Where each band starts in `edges`, and one more for the end.
    starts: Vec<u32>,
    /// Edges band by band; an edge is in every band it passes.
    edges: Vec<Edge>,
}

impl Edges {
    pub(crate) fn new(all: &[Edge]) -> Self {
        let south = all.iter().map(|e| e.low.y).fold(f64::INFINITY, f64::min);
        let north = all.iter().map(|e| e.high.y).fold(f64::NEG_INFINITY, f64::max);
        let count = (all.len() / EDGES_PER_BAND).clamp(1, MOST_BANDS);
        let mut index = Self { south, bands_per_degree: 0.0, starts: Vec::new(), edges: Vec::new() };
        if north > south {
            index.bands_per_degree = count as f64 / (north - south);
        }
        let passed =
            |index: &Self, edge: &Edge| index.band(edge.low.y).min(count - 1)..=index.band(edge.high.y).min(count - 1);
        let mut sizes = vec![0u32; count + 1];
        for edge in all {
            for size in &mut sizes[1..][passed(&index, edge)] {
                *size += 1;
            }
        }
        for band in 0..count {
            sizes[band + 1] += sizes[band];
        }
        let mut next = sizes.clone();
        if let Some(filler) = all.first() {
            index.edges = vec![*filler; sizes[count] as usize];
        }
        for edge in all {
            for place in &mut next[passed(&index, edge)] {
                index.edges[*place as usize] = *edge;
                *place += 1;
            }
        }
        index.starts = sizes;
        index
    }

    /// The band of a latitude; not bounded above.
    fn band(&self, lat: f64) -> usize {
        ((lat - self.south) * self.bands_per_degree).max(0.0) as usize
    }

    fn in_band(&self, band: usize) -> &[Edge] {
        &self.edges[self.starts[band] as usize..self.starts[band + 1] as usize]
    }

    pub(crate) fn band_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The edges that pass a band.
    pub(crate) fn bands(&self) -> impl Iterator<Item = &[Edge]> {
        (0..self.band_count()).map(|band| self.in_band(band))
    }

    fn at(&self, lat: f64) -> &[Edge] {
        if lat < self.south { &[] } else { self.in_band(self.band(lat).min(self.band_count() - 1)) }
    }

    /// Whether the shape contains the point. Of the border, the southern and western parts belong to it.
    pub(crate) fn contain(&self, point: Coord) -> bool {
        self.at(point.y).iter().filter(|e| e.crosses_ray(point)).count() % 2 == 1
    }

    /// The same, as if only the edges that `counts` accepts were there. `None` when the point lies on one of them.
    pub(crate) fn contain_strictly(&self, point: Coord, counts: impl Fn(&Edge) -> bool) -> Option<bool> {
        let mut inside = false;
        for edge in self.at(point.y).iter().filter(|e| counts(e)) {
            if edge.holds(point) {
                return None;
            }
            inside ^= edge.crosses_ray(point);
        }
        Some(inside)
    }

    /// How a box lies to the shape; `Across` also when in doubt.
    pub(crate) fn lies(&self, area: &LatLngBox) -> Lies {
        let last = self.band_count() - 1;
        if area.north >= self.south {
            for band in self.band(area.south).min(last)..=self.band(area.north).min(last) {
                if self.in_band(band).iter().any(|e| e.may_meet(area)) {
                    return Lies::Across;
                }
            }
        }
        let middle = Coord { x: (area.west + area.east) / 2.0, y: (area.south + area.north) / 2.0 };
        if self.contain(middle) { Lies::Inside } else { Lies::Outside }
    }
}
