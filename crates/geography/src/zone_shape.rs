//! A zone's area: its polygon, checked, and its cut into cells.

use std::sync::Arc;

use geo::{ChamberlainDuquetteArea, Coord, LineString, Polygon};
use h3o::{CellIndex, Resolution};
use posthaste_domain::place::Place;
use serde_json::Value;

use crate::cover::{self, Cover};
use crate::edges::Edges;
use crate::outline::{self, Ring};
use crate::work::Work;

/// Why a drawing is not a zone. Rings are named by the polygon they are in and their place in it, both counted
/// from 0; ring 0 of a polygon is its outer border.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidShape {
    /// The document is something else.
    #[error("expected a GeoJSON Polygon or MultiPolygon, or a Feature with one, got {found}")]
    NotAPolygon {
        /// The `type` that was found.
        found: String,
    },
    /// There are no coordinates, or no area within them.
    #[error("the shape has no area")]
    Empty,
    /// A ring has fewer than three different points (four positions, as the last repeats the first).
    #[error("ring {ring} of polygon {polygon} needs at least four positions, the last like the first")]
    TooFewPoints {
        /// The polygon.
        polygon: usize,
        /// The ring.
        ring: usize,
    },
    /// A ring's last position is not its first.
    #[error("ring {ring} of polygon {polygon} is not closed: its last position must repeat the first")]
    NotClosed {
        /// The polygon.
        polygon: usize,
        /// The ring.
        ring: usize,
    },
    /// A position is not `[lng, lat]` on the globe.
    #[error("position {position} in ring {ring} of polygon {polygon} is not [lng, lat] in degrees")]
    BadCoordinate {
        /// The polygon.
        polygon: usize,
        /// The ring.
        ring: usize,
        /// The position in the ring.
        position: usize,
    },
    /// The shape reaches the antimeridian: longitude 180 or beyond, or a step of more than 180 degrees.
    #[error(
        "ring {ring} of polygon {polygon} reaches the antimeridian at position {position}: \
         draw one zone on each side of it"
    )]
    CrossesAntimeridian {
        /// The polygon.
        polygon: usize,
        /// The ring.
        ring: usize,
        /// The position in the ring.
        position: usize,
    },
    /// A ring crosses or touches itself.
    #[error("ring {ring} of polygon {polygon} crosses or touches itself near lat {lat}, lng {lng}")]
    SelfIntersecting {
        /// The polygon.
        polygon: usize,
        /// The ring.
        ring: usize,
        /// Where, in degrees.
        lat: f64,
        /// Where, in degrees.
        lng: f64,
    },
    /// Two rings cross, run along each other, or lie in each other where they must not.
    #[error("two rings overlap near lat {lat}, lng {lng}: holes lie within their polygon, polygons lie apart")]
    RingsOverlap {
        /// Where, in degrees.
        lat: f64,
        /// Where, in degrees.
        lng: f64,
    },
    /// The shape takes more cells than a zone may have.
    #[error("an area of {square_kilometers:.0} km² takes more than {most_cells} cells, even coarse ones")]
    TooLarge {
        /// Its area in square kilometres.
        square_kilometers: f64,
        /// The most cells that a zone may have.
        most_cells: usize,
    },
    /// The border has more vertices than are served.
    #[error("the shape has more than {most} vertices: simplify it")]
    TooManyVertices {
        /// The most that are served.
        most: usize,
    },
    /// Its edges lie so that it takes too much work to read.
    #[error("the shape is too intricate: it takes more than {most} comparisons of its edges: simplify it")]
    TooIntricate {
        /// The most comparisons that are made for a shape.
        most: u64,
    },
}

/// The smallest box around a shape, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Bounds {
    /// Least latitude.
    pub south: f64,
    /// Least longitude.
    pub west: f64,
    /// Greatest latitude.
    pub north: f64,
    /// Greatest longitude.
    pub east: f64,
}

/// A zone's area. Immutable; shared by every map that holds the zone.
///
/// Edges are straight in latitude and longitude, as GeoJSON (RFC 7946) says. Of the border, the southern and
/// western parts belong to the shape, so of two zones that share an edge exactly one holds a place on it.
#[derive(Debug, Clone)]
pub struct ZoneShape {
    geojson: Arc<Value>,
    bounds: Bounds,
    square_kilometers: f64,
    edges: Edges,
    cover: Cover,
}

impl ZoneShape {
    /// Reads a GeoJSON Polygon or MultiPolygon, bare or in a Feature, and cuts it into cells.
    ///
    /// # Errors
    /// [`InvalidShape`] names the first fault found and where it is.
    pub fn from_geojson(geojson: &Value) -> Result<Self, InvalidShape> {
        Self::read(geojson, &Work::default())
    }

    pub(crate) fn read(geojson: &Value, work: &Work) -> Result<Self, InvalidShape> {
        let rings = outline::read(geojson)?;
        let edges = outline::check(&rings, work)?;
        let square_kilometers = area(&rings);
        if !square_kilometers.is_normal() || square_kilometers <= 0.0 {
            return Err(InvalidShape::Empty);
        }
        let cover = cover::cut(&edges, square_kilometers, border(&rings), work)?;
        Ok(Self { geojson: Arc::new(geojson.clone()), bounds: bounds(&rings), square_kilometers, edges, cover })
    }

    /// The document the shape was read from, for display.
    #[must_use]
    pub fn geojson(&self) -> &Value {
        &self.geojson
    }

    /// The smallest box around it.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Its area in square kilometres, on a sphere.
    #[must_use]
    pub fn square_kilometers(&self) -> f64 {
        self.square_kilometers
    }

    /// Whether the place lies in it, asked of the polygon itself.
    #[must_use]
    pub fn contains(&self, place: Place) -> bool {
        self.edges.contain(coord(place))
    }

    /// How many cells it takes.
    #[must_use]
    pub fn cell_count(&self) -> usize {
        self.cover.inside.len() + self.cover.border.len()
    }

    /// The H3 resolution of its cells.
    #[must_use]
    pub fn resolution(&self) -> u8 {
        self.cover.resolution.into()
    }

    /// The H3 cells that hold all of it, those on the border included.
    pub fn cells(&self) -> impl Iterator<Item = u64> + '_ {
        self.cover.inside.iter().chain(&self.cover.border).map(|cell| u64::from(*cell))
    }

    pub(crate) fn cell_resolution(&self) -> Resolution {
        self.cover.resolution
    }

    pub(crate) fn inside_cells(&self) -> &[CellIndex] {
        &self.cover.inside
    }

    pub(crate) fn border_cells(&self) -> &[CellIndex] {
        &self.cover.border
    }

    pub(crate) fn contains_coord(&self, point: Coord) -> bool {
        self.edges.contain(point)
    }
}

pub(crate) fn coord(place: Place) -> Coord {
    Coord { x: place.lng(), y: place.lat() }
}

fn bounds(rings: &[Ring]) -> Bounds {
    let start = Bounds { south: 90.0, west: 180.0, north: -90.0, east: -180.0 };
    rings.iter().flat_map(|ring| &ring.points).fold(start, |b, p| Bounds {
        south: b.south.min(p.y),
        west: b.west.min(p.x),
        north: b.north.max(p.y),
        east: b.east.max(p.x),
    })
}

/// Square kilometres: outer borders less holes.
fn area(rings: &[Ring]) -> f64 {
    let square_meters: f64 = rings
        .iter()
        .map(|ring| {
            let whole = Polygon::new(LineString(ring.points.clone()), Vec::new()).chamberlain_duquette_unsigned_area();
            if ring.place == 0 { whole } else { -whole }
        })
        .sum();
    square_meters / 1e6
}

/// Length of all rings in kilometres.
fn border(rings: &[Ring]) -> f64 {
    let length = |a: &Coord, b: &Coord| match (Place::new(a.y, a.x), Place::new(b.y, b.x)) {
        (Ok(a), Ok(b)) => a.meters_to(b) / 1e3,
        _ => 0.0,
    };
    rings.iter().flat_map(|r| r.points.iter().zip(r.points.iter().cycle().skip(1))).map(|(a, b)| length(a, b)).sum()
}
