//! Where things are: zones, who is near, and how long a way takes.
//!
//! - [`zone_map`]: which zone is this place in. Polygons are cut into H3 cells, so that a look-up is one cell
//!   and one hash; only cells on a border ask the polygon itself.
//! - [`zone_shape`]: a zone's polygon as it came in GeoJSON, checked; what is refused and why.
//! - [`grid`]: who is near. A flat grid over latitude and longitude, walked in rings of growing distance.
//! - [`travel`]: how far and how long, by a model that a zone's settings choose.
//!
//! Everything is a value or a function of values: no clock, no randomness, no I/O. Answers are exact: property
//! tests hold the zone map against the polygons and the grid against a scan of everybody.

mod cover;
mod crossings;
mod edges;
pub mod grid;
mod nearest;
mod nesting;
mod outline;
pub mod travel;
mod work;
pub mod zone_map;
pub mod zone_shape;

pub use grid::{Grid, Near, SlotGrid};
pub use posthaste_domain::zone::Distance;
pub use travel::{StraightLine, TravelModel, TravelSettings, VehicleSpeed};
pub use zone_map::ZoneMap;
pub use zone_shape::{Bounds, InvalidShape, ZoneShape};
