//! What happens to sockets, counted.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Counts what happens to one socket, or to many that share it.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub(super) $name: AtomicU64,)+
        }

        /// The counts at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct SocketStats {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counters {
            /// The counts now.
            #[must_use]
            pub fn read(&self) -> SocketStats {
                SocketStats { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counters! {
    /// Connections made, the first included.
    connects,
    /// Connections made after one was lost.
    reconnects,
    /// Times the stream went on with the missed messages.
    resumed,
    /// Times the stream began with a snapshot.
    snapshots,
    /// Messages of the stream that were missing when a later one came. Always repaired by resuming.
    gaps,
    /// Messages that came twice and were shown once.
    duplicates,
    /// Access tokens sent over an open connection, before the one before ended.
    renewals,
    /// Commands sent again because their answer did not come.
    resent,
    /// Messages of the stream, duplicates not counted.
    messages,
    /// Positions received.
    positions,
    /// Positions skipped because the reader had not taken earlier events.
    skipped_positions,
    /// Frames that the protocol does not know.
    unknown,
}

pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
