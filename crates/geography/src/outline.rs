//! From GeoJSON to rings that are known to be sound.
//!
//! Sound means: closed, on the globe, clear of the antimeridian, no ring crosses or touches itself, rings touch
//! each other in single points at most, and every hole lies in the polygon that it is cut from. What even-odd
//! containment then says is what the drawing means.

use geo::Coord;
use serde_json::Value;

use crate::edges::{Edge, Edges};
use crate::work::Work;
use crate::zone_shape::InvalidShape;
use crate::{crossings, nesting};

/// Vertices that a shape may have. Far more than a hand-drawn area or a simplified municipality needs.
pub(crate) const MOST_VERTICES: usize = 20_000;
/// GeoJSON positions nearer to the antimeridian than this, in degrees, count as touching it (about a centimetre).
const ANTIMERIDIAN_MARGIN: f64 = 1e-7;
/// Coordinates nearer to 0 than this, in degrees, are 0 (a tenth of a micrometre). With smaller ones the predicates of
/// geometry would not be exact: products of their differences are no floating-point numbers any more.
const NO_DEGREES: f64 = 1e-12;

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
    pub(crate) fn edges(&self, ring: u32) -> impl Iterator<Item = Edge> {
        let next = self.points.iter().cycle().skip(1);
        self.points.iter().zip(next).zip(0..).map(move |((a, b), index)| Edge::new(*a, *b, ring, index))
    }

    pub(crate) fn is_hole(&self) -> bool {
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
        let kept = |degrees: f64| if degrees.abs() < NO_DEGREES { 0.0 } else { degrees };
        read.push(Coord { x: kept(lng), y: kept(lat) });
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
pub(crate) fn check(rings: &[Ring], work: &Work) -> Result<Edges, InvalidShape> {
    let all: Vec<Edge> = rings.iter().zip(0..).flat_map(|(ring, number)| ring.edges(number)).collect();
    crossings::check(rings, &all, work)?;
    let edges = Edges::new(all, work);
    if rings.len() > 1 {
        nesting::check(rings, &edges, work)?;
    }
    Ok(edges)
}

#[cfg(test)]
mod tests;
