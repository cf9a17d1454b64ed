//! Cuts a shape into H3 cells: those that lie inside, and those that the border may touch.
//!
//! The cells are found from the coarsest down. A cell stands for a box of latitude and longitude that surely
//! holds every place which H3 assigns to the cell or to any of its descendants; a box that no edge meets is
//! decided at once with all that is in it. So the cut is never wrong, whatever the projection does to a cell's
//! outline: a doubtful cell is a border cell, and asks the polygon.

use geo::Coord;
use h3o::{CellIndex, LatLng, Resolution};

use crate::edges::{Edges, LatLngBox, Lies};
use crate::zone_shape::InvalidShape;

/// Cells that a shape aims to stay under; above, a coarser resolution is taken. At 12 bytes each and
/// about 100 ns to make, more would slow zone changes for no gain: only the share of border cells falls.
const AIMED_CELLS: f64 = 30_000.0;
/// Cells that a shape may have at most: 50 million km² of the coarsest, more than any continent. A higher cap would
/// let one request hold a core for seconds.
pub(crate) const MOST_CELLS: usize = 200_000;
/// The resolution of a city's zone: cells of about 0.1 km².
pub(crate) const FINEST: Resolution = Resolution::Nine;
/// The resolution of the largest zones: cells of about 250 km².
const COARSEST: u8 = 5;
/// How far a cell's descendants reach beyond its own corners, as a factor on its radius; the limit in the plane
/// is 1.053, and the icosahedron's distortion within one cell is far smaller than the rest.
const REACH: f64 = 1.25;

/// The cells of a shape.
#[derive(Debug, Clone)]
pub(crate) struct Cover {
    pub(crate) resolution: Resolution,
    pub(crate) inside: Vec<CellIndex>,
    pub(crate) border: Vec<CellIndex>,
}

/// Cuts a shape of the given area (km²) and border length (km).
pub(crate) fn cut(edges: &Edges, area: f64, border: f64) -> Result<Cover, InvalidShape> {
    let finest = u8::from(FINEST);
    let resolution = (COARSEST..=finest).rev().find_map(|level| {
        let resolution = Resolution::try_from(level).ok()?;
        (estimate(resolution, area, border) <= AIMED_CELLS || level == COARSEST).then_some(resolution)
    });
    let resolution = resolution.unwrap_or(FINEST);
    if estimate(resolution, area, border) > MOST_CELLS as f64 {
        return Err(InvalidShape::TooLarge { square_kilometers: area, most_cells: MOST_CELLS });
    }
    let mut cover = Cover { resolution, inside: Vec::new(), border: Vec::new() };
    let mut open: Vec<CellIndex> = CellIndex::base_cells().collect();
    while let Some(cell) = open.pop() {
        match lies(cell, edges) {
            Lies::Outside => {}
            Lies::Inside => cover.inside.extend(cell.children(resolution)),
            Lies::Across if cell.resolution() == resolution => cover.border.push(cell),
            Lies::Across => {
                if let Some(next) = cell.resolution().succ() {
                    open.extend(cell.children(next));
                }
            }
        }
        if cover.inside.len() + cover.border.len() > MOST_CELLS {
            return Err(InvalidShape::TooLarge { square_kilometers: area, most_cells: MOST_CELLS });
        }
    }
    Ok(cover)
}

/// About how many cells an area takes, with a border three cells wide.
fn estimate(resolution: Resolution, area: f64, border: f64) -> f64 {
    area / resolution.area_km2() + 3.0 * border / resolution.edge_length_km()
}

fn lies(cell: CellIndex, edges: &Edges) -> Lies {
    let (first, second) = boxes(cell);
    let Some(second) = second else { return edges.lies(&first) };
    match (edges.lies(&first), edges.lies(&second)) {
        (one, other) if one == other => one,
        _ => Lies::Across,
    }
}

/// The box of a cell, in two parts where it passes the antimeridian.
fn boxes(cell: CellIndex) -> (LatLngBox, Option<LatLngBox>) {
    let center = LatLng::from(cell);
    let radius = cell.boundary().iter().map(|corner| center.distance_rads(*corner)).fold(0.0, f64::max) * REACH;
    let (lat, reach) = (center.lat_radians(), radius.to_degrees());
    let (south, north) = ((center.lat() - reach).max(-90.0), (center.lat() + reach).min(90.0));
    let sine = radius.sin() / lat.cos();
    if south <= -90.0 || north >= 90.0 || sine >= 1.0 {
        return (LatLngBox { south, north, west: -180.0, east: 180.0 }, None);
    }
    let half = sine.asin().to_degrees();
    let (west, east) = (center.lng() - half, center.lng() + half);
    let part = |west, east| LatLngBox { south, north, west, east };
    if west < -180.0 {
        (part(-180.0, east), Some(part(west + 360.0, 180.0)))
    } else if east > 180.0 {
        (part(west, 180.0), Some(part(-180.0, east - 360.0)))
    } else {
        (part(west, east), None)
    }
}

/// The cell of a point at the finest resolution.
pub(crate) fn cell_of(point: Coord) -> Option<CellIndex> {
    LatLng::new(point.y, point.x).ok().map(|at| at.to_cell(FINEST))
}
