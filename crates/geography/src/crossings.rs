//! Whether edges cross, or touch where they must not: a line swept from south to north (Shamos and Hoey).
//!
//! The line knows the edges it meets from west to east. Where edges begin and end, those that come to lie side by side
//! are compared; of edges that cross or run along each other, two lie side by side before the line gets there. It stops
//! at the first that must not be, so that the order it keeps is never wrong: O(n log n) for n edges, however they lie.
//! On one parallel the line goes from west to east, so level edges are no exception.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

use geo::line_intersection::{LineIntersection, line_intersection};
use geo::{Coord, Line};

use crate::edges::{Edge, upwards};
use crate::outline::Ring;
use crate::work::Work;
use crate::zone_shape::InvalidShape;

/// An edge that the line meets.
#[derive(Clone, Copy)]
struct Met<'a> {
    edge: &'a Edge,
    work: &'a Work,
}

impl Ord for Met<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.work.add(1);
        self.edge.eastwards(other.edge)
    }
}

impl PartialOrd for Met<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Met<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Met<'_> {}

/// An end of an edge.
struct End<'a> {
    at: Coord,
    edge: &'a Edge,
    is_high: bool,
}

/// Refuses edges that cross, that run along each other, or that touch another part of their own ring.
pub(crate) fn check(rings: &[Ring], edges: &[Edge], work: &Work) -> Result<(), InvalidShape> {
    let ends = edges
        .iter()
        .flat_map(|edge| [End { at: edge.low, edge, is_high: false }, End { at: edge.high, edge, is_high: true }]);
    let mut ends: Vec<End<'_>> = ends.collect();
    ends.sort_by(|a, b| {
        work.add(1);
        upwards(a.at, b.at)
    });
    let mut line = Sweep { rings, work, met: BTreeSet::new() };
    for here in ends.chunk_by(|a, b| a.at == b.at) {
        line.pass(here)?;
        work.check()?;
    }
    Ok(())
}

struct Sweep<'a> {
    rings: &'a [Ring],
    work: &'a Work,
    met: BTreeSet<Met<'a>>,
}

impl<'a> Sweep<'a> {
    /// Passes a point, with all ends that lie on it.
    fn pass(&mut self, here: &[End<'a>]) -> Result<(), InvalidShape> {
        for end in here.iter().filter(|end| end.is_high) {
            self.leave(end.edge)?;
        }
        if let Some(first) = here.first() {
            self.check_touching(first.at, here)?;
        }
        for end in here.iter().filter(|end| !end.is_high) {
            self.meet(end.edge)?;
        }
        Ok(())
    }

    fn meet(&mut self, edge: &'a Edge) -> Result<(), InvalidShape> {
        let new = Met { edge, work: self.work };
        if let Some(same) = self.met.get(&new) {
            return Err(refusal(self.rings, edge, same.edge, edge.low));
        }
        let (west, east) = self.beside(new);
        for other in west.into_iter().chain(east) {
            self.check_pair(edge, other)?;
        }
        self.met.insert(new);
        Ok(())
    }

    fn leave(&mut self, edge: &'a Edge) -> Result<(), InvalidShape> {
        let gone = Met { edge, work: self.work };
        if !self.met.remove(&gone) {
            // Only an edge that was crossed can have lost its place.
            return Err(refusal(self.rings, edge, edge, edge.high));
        }
        match self.beside(gone) {
            (Some(west), Some(east)) => self.check_pair(west, east),
            _ => Ok(()),
        }
    }

    /// The edges to the west and to the east.
    fn beside(&self, edge: Met<'a>) -> (Option<&'a Edge>, Option<&'a Edge>) {
        let west = self.met.range((Bound::Unbounded, Bound::Excluded(edge))).next_back();
        let east = self.met.range((Bound::Excluded(edge), Bound::Unbounded)).next();
        (west.map(|met| met.edge), east.map(|met| met.edge))
    }

    /// Rings that touch themselves in a point. At most one edge passes through it, as two would cross there.
    fn check_touching(&self, at: Coord, here: &[End<'a>]) -> Result<(), InvalidShape> {
        let point = Edge { low: at, high: at, ring: 0, index: 0 };
        let through = self.met.get(&Met { edge: &point, work: self.work }).map(|met| met.edge);
        if let Some(through) = through
            && let Some(end) = here.iter().find(|end| end.edge.ring == through.ring)
        {
            return Err(refusal(self.rings, through, end.edge, at));
        }
        let mut edges: Vec<&Edge> = here.iter().map(|end| end.edge).collect();
        edges.sort_by_key(|edge| edge.ring);
        match edges.windows(3).find(|three| three[0].ring == three[2].ring) {
            Some(three) => Err(refusal(self.rings, three[0], three[2], at)),
            None => Ok(()),
        }
    }

    fn check_pair(&self, one: &Edge, other: &Edge) -> Result<(), InvalidShape> {
        self.work.add(1);
        check_pair(self.rings, one, other)
    }
}

/// What two edges may be to each other: neighbours in a ring share their vertex, edges of two rings touch in a point.
pub(crate) fn check_pair(rings: &[Ring], one: &Edge, other: &Edge) -> Result<(), InvalidShape> {
    let ((west, east), (other_west, other_east)) = (one.lng_range(), other.lng_range());
    if east < other_west || other_east < west || one.high.y < other.low.y || other.high.y < one.low.y {
        return Ok(());
    }
    let Some(meeting) = line_intersection(Line::new(one.low, one.high), Line::new(other.low, other.high)) else {
        return Ok(());
    };
    let ring = &rings[one.ring as usize];
    let LineIntersection::SinglePoint { intersection: at, is_proper } = meeting else {
        return Err(refusal(rings, one, other, one.low));
    };
    let same_ring = one.ring == other.ring;
    let last = ring.points.len() as u32 - 1;
    let apart = one.index.abs_diff(other.index);
    let neighbours = same_ring && (apart == 1 || apart == last);
    if is_proper || (same_ring && !neighbours) { Err(refusal(rings, one, other, at)) } else { Ok(()) }
}

fn refusal(rings: &[Ring], one: &Edge, other: &Edge, at: Coord) -> InvalidShape {
    let ring = &rings[one.ring as usize];
    if one.ring == other.ring {
        InvalidShape::SelfIntersecting { polygon: ring.polygon, ring: ring.place, lat: at.y, lng: at.x }
    } else {
        InvalidShape::RingsOverlap { lat: at.y, lng: at.x }
    }
}
