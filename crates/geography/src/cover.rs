//! Cuts a shape into H3 cells: those that lie inside, and those that the border may touch.
//!
//! The cells are found from the coarsest down. A cell stands for a box of latitude and longitude that surely
//! holds every place which H3 assigns to the cell or to any of its descendants; a box that no edge meets is
//! decided at once with all that is in it. What an edge misses, it misses in all that is below. So the cut is never
//! wrong, whatever the projection does to a cell's outline: a doubtful cell is a border cell, and asks the polygon.

use geo::Coord;
use h3o::{CellIndex, LatLng, Resolution};

use crate::edges::{Edge, Edges, LatLngBox};
use crate::work::Work;
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
pub(crate) fn cut(edges: &Edges, area: f64, border: f64, work: &Work) -> Result<Cover, InvalidShape> {
    let finest = u8::from(FINEST);
    let resolution = (COARSEST..=finest).rev().find_map(|level| {
        let resolution = Resolution::try_from(level).ok()?;
        (estimate(resolution, area, border) <= AIMED_CELLS || level == COARSEST).then_some(resolution)
    });
    let resolution = resolution.unwrap_or(FINEST);
    if estimate(resolution, area, border) > MOST_CELLS as f64 {
        return Err(InvalidShape::TooLarge { square_kilometers: area, most_cells: MOST_CELLS });
    }
    let cover = Cover { resolution, inside: Vec::new(), border: Vec::new() };
    let too_large = InvalidShape::TooLarge { square_kilometers: area, most_cells: MOST_CELLS };
    let mut cutting = Cutting { edges: edges.all(), shape: edges, cover, too_large, work };
    let all: Vec<u32> = (0..).take(edges.all().len()).collect();
    // Cells that the shape's own box misses would cost a step for every edge.
    let shapes = edges.bounds();
    for cell in CellIndex::base_cells() {
        let (first, second) = boxes(cell);
        if first.meets(&shapes) || second.is_some_and(|second| second.meets(&shapes)) {
            cutting.cut(cell, &all)?;
        }
    }
    Ok(cutting.cover)
}

struct Cutting<'a> {
    shape: &'a Edges,
    edges: &'a [Edge],
    cover: Cover,
    too_large: InvalidShape,
    work: &'a Work,
}

impl Cutting<'_> {
    /// Decides a cell with all that is in it. Only edges that may meet every cell above it are given: others touch no
    /// place of the cell. So an edge costs a step for each cell that it passes, and a few more at each height.
    fn cut(&mut self, cell: CellIndex, given: &[u32]) -> Result<(), InvalidShape> {
        self.work.add(given.len() + 1);
        self.work.check()?;
        let (first, second) = boxes(cell);
        let may_meet = |edge: &Edge| edge.may_meet(&first) || second.is_some_and(|second| edge.may_meet(&second));
        let meeting: Vec<u32> = given.iter().copied().filter(|place| may_meet(&self.edges[*place as usize])).collect();
        let resolution = self.cover.resolution;
        if meeting.is_empty() {
            let center = LatLng::from(cell);
            if self.shape.contain_counted(Coord { x: center.lng(), y: center.lat() }, self.work) {
                self.make_room(usize::try_from(cell.children_count(resolution)).unwrap_or(usize::MAX))?;
                self.cover.inside.extend(cell.children(resolution));
            }
        } else if cell.resolution() == resolution {
            self.make_room(1)?;
            self.cover.border.push(cell);
        } else if let Some(next) = cell.resolution().succ() {
            for child in cell.children(next) {
                self.cut(child, &meeting)?;
            }
        }
        Ok(())
    }

    fn make_room(&self, cells: usize) -> Result<(), InvalidShape> {
        let taken = self.cover.inside.len() + self.cover.border.len();
        if taken.saturating_add(cells) > MOST_CELLS { Err(self.too_large.clone()) } else { Ok(()) }
    }
}

/// About how many cells an area takes, with a border three cells wide.
fn estimate(resolution: Resolution, area: f64, border: f64) -> f64 {
    area / resolution.area_km2() + 3.0 * border / resolution.edge_length_km()
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
