//! Recorded days, and policies tried on them in virtual time.
//!
//! - [`instance`]: the files of a day; [`Point`]: its plane.
//! - [`recording`]: a day of one's own, made into such files.
//! - [`trace`]: what became of each order, as the file that a scorer reads.
//! - [`timeline`]: its rules of movement, for one who moves in it.
//! - [`score`]: its figures.
//! - [`simulate`]: a day under a policy, without server, sockets or waiting.
//! - [`compare`]: several policies over several days, as a table and as a page.
//! - [`zone`]: the settings of a day's zone, here and at a server.

pub mod compare;
mod error;
pub mod instance;
pub mod plane;
pub mod recording;
pub mod score;
pub mod simulate;
pub mod timeline;
pub mod trace;
pub mod zone;

pub use error::DayError;
pub use instance::Instance;
pub use plane::Point;
