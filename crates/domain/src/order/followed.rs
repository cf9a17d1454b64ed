//! What of an order its followers may see: the holders of its links, and its customer.

use super::{Order, Status};
use crate::{Span, Timestamp};

/// How long after an order's end its tracking links still say how it ended. Shorter, and who asks next week where their parcel
/// went finds nothing; longer, and links in old messages stay good.
pub const LINK_LASTS: Span = Span::days(14);

impl Order {
    /// Whether the order's links still open it: until [`LINK_LASTS`] after the order was settled.
    #[must_use]
    pub fn links_are_open(&self, now: Timestamp) -> bool {
        self.settled_at.is_none_or(|settled| now < settled + LINK_LASTS)
    }

    /// Whether who follows the order may see its driver, and where they are: from assignment to the hand-over, and not on
    /// the way back.
    #[must_use]
    pub fn shows_driver(&self) -> bool {
        let status = self.status();
        status.is_underway() && status != Status::Returning
    }
}
