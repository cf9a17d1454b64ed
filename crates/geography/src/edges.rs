//! The edges of a shape, so sorted that a question about a point is a handful of binary searches.
//!
//! The latitudes of all vertices cut the shape into slabs, and a tree stands over the slabs. An edge is entered at the few
//! nodes whose slabs it passes from south to north; edges at one node do not cross, so they lie there from west to east.
//! Which of them lie east of a point is a binary search, and a point asks the nodes above its slab: O(log² n) for n
//! edges in the worst case, with O(n log n) memory, however long the edges and however many side by side.
//!
//! Containment is even-odd over all rings together, which is right because [`crate::outline`] has made sure that rings
//! do not cross and that holes lie in what they are cut from. Signs come from exact predicates: two zones that share an
//! edge never both hold, or both lose, a point.

use std::cmp::Ordering;

use geo::{Coord, GeoNum, Kernel, Orientation};

use crate::work::Work;

/// One edge with its lower end first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Edge {
    /// The end of lower latitude; of equal ones, of lower longitude.
    pub(crate) low: Coord,
    /// The end of higher latitude; of equal ones, of higher longitude.
    pub(crate) high: Coord,
    /// Which ring it belongs to, counted over the whole shape.
    pub(crate) ring: u32,
    /// Its place in the ring.
    pub(crate) index: u32,
}

impl Edge {
    pub(crate) fn new(a: Coord, b: Coord, ring: u32, index: u32) -> Self {
        let (low, high) = if upwards(a, b) == Ordering::Greater { (b, a) } else { (a, b) };
        Self { low, high, ring, index }
    }

    /// Where the edge lies, seen from a point that is not south of its low end nor north of its high one: `Less` is west
    /// of the point, `Equal` through it. A level edge is west of what is south of it.
    fn seen_from(&self, point: Coord) -> Ordering {
        let (west, east) = self.lng_range();
        if self.low.y < self.high.y && (point.x < west || point.x > east) {
            return west.total_cmp(&point.x);
        }
        self.line_seen_from(point)
    }

    /// The same for the whole line that the edge is a part of, from any point.
    fn line_seen_from(&self, point: Coord) -> Ordering {
        match side(self.low, self.high, point) {
            Orientation::CounterClockwise => Ordering::Greater,
            Orientation::Collinear => Ordering::Equal,
            Orientation::Clockwise => Ordering::Less,
        }
    }

    /// From west to east, of two edges that some parallel passes and that do not cross; `Equal` only when they run
    /// along each other.
    pub(crate) fn eastwards(&self, other: &Self) -> Ordering {
        // The one that begins later tells by its beginning, or where that lies on the other, by where it goes.
        if upwards(self.low, other.low) == Ordering::Less {
            self.seen_from(other.low).then_with(|| self.line_seen_from(other.high))
        } else {
            other.seen_from(self.low).then_with(|| other.line_seen_from(self.high)).reverse()
        }
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
    pub(crate) fn may_meet(&self, area: &LatLngBox) -> bool {
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

/// From south to north, and from west to east on one parallel.
pub(crate) fn upwards(a: Coord, b: Coord) -> Ordering {
    let order = |a: f64, b: f64| a.partial_cmp(&b).unwrap_or(Ordering::Equal);
    order(a.y, b.y).then_with(|| order(a.x, b.x))
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

impl LatLngBox {
    /// Whether two boxes share a point.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.south <= other.north && other.south <= self.north && self.west <= other.east && other.west <= self.east
    }
}

/// All edges of a shape whose edges do not cross and do not run along each other.
#[derive(Debug, Clone)]
pub(crate) struct Edges {
    edges: Vec<Edge>,
    /// Latitudes of vertices, ascending, each once. A slab reaches from one to the next, without the latter.
    lats: Vec<f64>,
    /// Where each node's part of `entries` starts, and one more for the end. Node 1 is the root, nodes 2i and 2i + 1 are
    /// below node i, and with s slabs the slabs are nodes s to 2s - 1.
    starts: Vec<u32>,
    /// Places in `edges`, node by node, from west to east in each.
    entries: Vec<u32>,
}

impl Edges {
    pub(crate) fn new(edges: Vec<Edge>, work: &Work) -> Self {
        let mut lats: Vec<f64> = edges.iter().flat_map(|edge| [edge.low.y, edge.high.y]).collect();
        lats.sort_by(f64::total_cmp);
        lats.dedup();
        let slabs = lats.len().saturating_sub(1);
        let passed = |edge: &Edge| {
            let slab = |lat: f64| lats.partition_point(|other| *other < lat);
            nodes_over(slabs + slab(edge.low.y), slabs + slab(edge.high.y))
        };
        let mut starts = vec![0u32; 2 * slabs + 1];
        for node in edges.iter().flat_map(passed) {
            starts[node + 1] += 1;
        }
        for node in 1..starts.len() {
            starts[node] += starts[node - 1];
        }
        let mut next = starts.clone();
        let mut entries = vec![0u32; starts.last().map_or(0, |end| *end as usize)];
        for (edge, place) in edges.iter().zip(0u32..) {
            for node in passed(edge) {
                entries[next[node] as usize] = place;
                next[node] += 1;
            }
        }
        for ends in starts.windows(2) {
            entries[ends[0] as usize..ends[1] as usize].sort_by(|a, b| {
                work.add(1);
                edges[*a as usize].eastwards(&edges[*b as usize])
            });
        }
        Self { edges, lats, starts, entries }
    }

    pub(crate) fn all(&self) -> &[Edge] {
        &self.edges
    }

    /// The smallest box around them.
    pub(crate) fn bounds(&self) -> LatLngBox {
        let none =
            LatLngBox { south: f64::INFINITY, north: f64::NEG_INFINITY, west: f64::INFINITY, east: f64::NEG_INFINITY };
        self.edges.iter().fold(none, |area, edge| {
            let (west, east) = edge.lng_range();
            LatLngBox {
                south: area.south.min(edge.low.y),
                north: area.north.max(edge.high.y),
                west: area.west.min(west),
                east: area.east.max(east),
            }
        })
    }

    /// The entries of the nodes above the slab of a latitude.
    fn above(&self, lat: f64) -> impl Iterator<Item = &[u32]> {
        let slabs = self.lats.len().saturating_sub(1);
        let slab = self.lats.partition_point(|other| *other <= lat).checked_sub(1).filter(|slab| *slab < slabs);
        let nodes = std::iter::successors(slab.map(|slab| slabs + slab), |node| (*node > 1).then_some(*node / 2));
        nodes.map(|node| &self.entries[self.starts[node] as usize..self.starts[node + 1] as usize])
    }

    /// Whether the shape contains the point. Of the border, the southern and western parts belong to it.
    pub(crate) fn contain(&self, point: Coord) -> bool {
        self.contain_counted(point, &Work::default())
    }

    /// The same, with its steps counted.
    pub(crate) fn contain_counted(&self, point: Coord, work: &Work) -> bool {
        let east = self.above(point.y).map(|entries| {
            let west = entries.partition_point(|place| {
                work.add(1);
                self.edges[*place as usize].seen_from(point) != Ordering::Greater
            });
            entries.len() - west
        });
        east.sum::<usize>() % 2 == 1
    }

    /// Whether an edge of another ring passes through the point. Ends that are high ends, and level edges, do not count.
    /// No ring passes a point more than once.
    pub(crate) fn pass(&self, point: Coord, ring: u32, work: &Work) -> bool {
        /// Edges of one ring at one point, and one more: it is another's.
        const ENOUGH: usize = 3;
        self.above(point.y).any(|entries| {
            let west = entries.partition_point(|place| {
                work.add(1);
                self.edges[*place as usize].seen_from(point) == Ordering::Less
            });
            let here = entries[west..].iter().map(|place| &self.edges[*place as usize]).take(ENOUGH);
            here.take_while(|edge| edge.holds(point)).any(|edge| edge.ring != ring)
        })
    }
}

/// The nodes that together stand over the leaves from `first` to before `end`: two at each height at most.
fn nodes_over(first: usize, end: usize) -> impl Iterator<Item = usize> {
    let heights = std::iter::successors(Some((first, end)), |(first, end)| {
        let (first, end) = (first.div_ceil(2), end / 2);
        (first < end).then_some((first, end))
    });
    heights.take_while(|(first, end)| first < end).flat_map(|(first, end)| {
        let left = (first % 2 == 1).then_some(first);
        let right = (end % 2 == 1 && left != Some(end - 1)).then(|| end - 1);
        left.into_iter().chain(right)
    })
}
