//! From GeoJSON to rings that are known to be sound.
//!
//! Sound means: closed, on the globe, clear of the antimeridian, no ring crosses or touches itself, rings touch
//! each other in single points at most, and every hole lies in the polygon that it is cut from. What even-odd
//! containment then says is what the drawing means.

use geo::line_intersection::{LineIntersection, line_intersection};
use geo::{Coord, Line};
use serde_json::Value;

use crate::edges::{Edge, Edges};
use crate::zone_shape::InvalidShape;

/// Vertices that a shape may have. Far more than a hand-drawn area or a simplified municipality needs.
pub(crate) const MOST_VERTICES: usize = 20_000;
/// GeoJSON positions nearer to the antimeridian than this, in degrees, count as touching it (about a centimetre).
const ANTIMERIDIAN_MARGIN: f64 = 1e-7;

/// A closed ring without its repeated last point, and the part of the drawing it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    pub(crate) points: Vec<Coord>,
    /// The polygon of the multipolygon.
    pub(crate) polygon: usize,
    /// The ring in the polygon: 0 is the outer border.
    pub(crate) place: usize,
}

impl Ring {
    fn edges(&self, ring: u32) -> impl Iterator<Item = Edge> {
        let next = self.points.iter().cycle().skip(1);
        self.points.iter().zip(next).zip(0..).map(move |((a, b), index)| Edge::new(*a, *b, ring, index))
    }

    fn is_hole(&self) -> bool {
        self.place > 0
    }
}

/// Reads the rings of a Polygon, a MultiPolygon, or a Feature around one.
pub(crate) fn read(geojson: &Value) -> Result<Vec<Ring>, InvalidShape> {
    let geometry = match kind(geojson) {
        "Feature" => geojson.get("geometry").unwrap_or(&Value::Null),
        _ => geojson,
    };
    let coordinates = geometry.get("coordinates").and_then(Value::as_array);
    let empty = Vec::new();
    let polygons: Vec<&Value> = match (kind(geometry), coordinates) {
        ("Polygon", Some(_)) => vec![&geometry["coordinates"]],
        ("MultiPolygon", Some(parts)) => parts.iter().collect(),
        ("Polygon" | "MultiPolygon", None) => return Err(InvalidShape::Empty),
        (other, _) => return Err(InvalidShape::NotAPolygon { found: other.to_owned() }),
    };
    let mut rings = Vec::new();
    let mut vertices = 0;
    for (polygon, value) in polygons.into_iter().enumerate() {
        let list = value.as_array().unwrap_or(&empty);
        if list.is_empty() {
            return Err(InvalidShape::Empty);
        }
        for (place, ring) in list.iter().enumerate() {
            let points = ring.as_array().unwrap_or(&empty);
            vertices += points.len();
            if vertices > MOST_VERTICES {
                return Err(InvalidShape::TooManyVertices { most: MOST_VERTICES });
            }
            rings.push(Ring { points: read_ring(points, polygon, place)?, polygon, place });
        }
    }
    if rings.is_empty() { Err(InvalidShape::Empty) } else { Ok(rings) }
}

fn kind(value: &Value) -> &str {
    value.get("type").and_then(Value::as_str).unwrap_or("nothing with a type")
}

fn read_ring(points: &[Value], polygon: usize, ring: usize) -> Result<Vec<Coord>, InvalidShape> {
    let mut read: Vec<Coord> = Vec::with_capacity(points.len());
    for (position, point) in points.iter().enumerate() {
        let pair = match point.as_array().map(Vec::as_slice) {
            Some([lng, lat, ..]) => lng.as_f64().zip(lat.as_f64()),
            _ => None,
        };
        let Some((lng, lat)) = pair.filter(|(lng, lat)| lng.abs() <= 540.0 && lat.abs() <= 90.0) else {
            return Err(InvalidShape::BadCoordinate { polygon, ring, position });
        };
        let jumps = read.last().is_some_and(|last| (last.x - lng).abs() > 180.0);
        if jumps || lng.abs() > 180.0 - ANTIMERIDIAN_MARGIN {
            return Err(InvalidShape::CrossesAntimeridian { polygon, ring, position });
        }
        read.push(Coord { x: lng, y: lat });
    }
    if read.len() < 4 {
        return Err(InvalidShape::TooFewPoints { polygon, ring });
    }
    if read.first() != read.last() {
        return Err(InvalidShape::NotClosed { polygon, ring });
    }
    read.dedup();
    read.pop();
    if read.len() < 3 { Err(InvalidShape::TooFewPoints { polygon, ring }) } else { Ok(read) }
}

/// The edges of sound rings.
pub(crate) fn check(rings: &[Ring]) -> Result<Edges, InvalidShape> {
    let all: Vec<Edge> = rings.iter().zip(0..).flat_map(|(ring, number)| ring.edges(number)).collect();
    let edges = Edges::new(&all);
    for band in edges.bands() {
        for (position, edge) in band.iter().enumerate() {
            for other in &band[position + 1..] {
                check_pair(rings, edge, other)?;
            }
        }
    }
    if rings.len() > 1 {
        check_nesting(rings, &edges)?;
    }
    Ok(edges)
}

fn check_pair(rings: &[Ring], one: &Edge, other: &Edge) -> Result<(), InvalidShape> {
    let ((west, east), (other_west, other_east)) = (one.lng_range(), other.lng_range());
    if east < other_west || other_east < west || one.high.y < other.low.y || other.high.y < one.low.y {
        return Ok(());
    }
    let Some(meeting) = line_intersection(Line::new(one.low, one.high), Line::new(other.low, other.high)) else {
        return Ok(());
    };
    let ring = &rings[one.ring as usize];
    let LineIntersection::SinglePoint { intersection: at, is_proper } = meeting else {
        return Err(meet(rings, one, other, one.low));
    };
    let same_ring = one.ring == other.ring;
    let last = ring.points.len() as u32 - 1;
    let apart = one.index.abs_diff(other.index);
    let neighbours = same_ring && (apart == 1 || apart == last);
    if is_proper || (same_ring && !neighbours) { Err(meet(rings, one, other, at)) } else { Ok(()) }
}

fn meet(rings: &[Ring], one: &Edge, other: &Edge, at: Coord) -> InvalidShape {
    let ring = &rings[one.ring as usize];
    if one.ring == other.ring {
        InvalidShape::SelfIntersecting { polygon: ring.polygon, ring: ring.place, lat: at.y, lng: at.x }
    } else {
        InvalidShape::RingsOverlap { lat: at.y, lng: at.x }
    }
}

/// Outer borders lie outside everything else, holes inside their own polygon and outside its other holes.
fn check_nesting(rings: &[Ring], edges: &Edges) -> Result<(), InvalidShape> {
    for (ring, number) in rings.iter().zip(0u32..) {
        let outer = number - ring.place as u32;
        for edge in ring.edges(number) {
            let middle = Coord { x: (edge.low.x + edge.high.x) / 2.0, y: (edge.low.y + edge.high.y) / 2.0 };
            for point in [edge.low, edge.high, middle] {
                let among_others = edges.contain_strictly(point, |e| e.ring != number);
                let in_own = edges.contain_strictly(point, |e| e.ring == outer);
                let wrong = if ring.is_hole() {
                    among_others == Some(false) || in_own == Some(false)
                } else {
                    among_others == Some(true)
                };
                if wrong {
                    return Err(InvalidShape::RingsOverlap { lat: point.y, lng: point.x });
                }
            }
        }
    }
    Ok(())
}
