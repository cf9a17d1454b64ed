//! The streams of operations: one for each view that somebody looks at, numbered by itself, so that who looks at a part
//! finds no gap in what it sees.
//!
//! Many change what is followed now and then, and every position reads it: the list is replaced as a whole, and read
//! without a lock.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use posthaste_domain::ids::ZoneId;
use posthaste_domain::place::Place;

use crate::Closed;
use crate::channel::Channel;
use crate::topic::{Kind, Numbering};
use crate::view::{Scope, View};

/// A view of operations is numbered and kept as a topic of this kind would be. At 1 KB a message, 1 MB for a view with a
/// subscriber; views share them.
pub static OPERATIONS: Kind =
    Kind { name: "operations", numbering: Numbering::Here { kept: 1024 }, queue: 4096, idle_sweeps: 10 };
/// Different views at once, at most. Each costs every message that it shows a copy, and every position a glance; too
/// few refuses desks that look at boxes of their own.
const MOST: usize = 512;
/// Boxes that are kept when nobody looks at them any more: for connections that broke. Who moves a map leaves one
/// behind with every step.
const MOST_LEFT_BOXES: usize = 16;
/// Sweeps (one a minute) after which a box that nobody looks at is forgotten.
const IDLE_SWEEPS_OF_BOXES: u32 = 2;

/// A view and its stream.
#[derive(Clone)]
struct Watched {
    view: View,
    channel: Arc<Channel>,
}

impl Watched {
    fn is_left_box(&self) -> bool {
        matches!(self.view, View::Box { .. }) && self.channel.is_left()
    }
}

/// Every view that somebody looks at, or looked at lately.
pub(crate) struct Views {
    all: ArcSwap<Vec<Watched>>,
    /// Held by who changes the list.
    changing: Mutex<()>,
    most: usize,
}

impl Default for Views {
    fn default() -> Self {
        Self { all: ArcSwap::default(), changing: Mutex::default(), most: MOST }
    }
}

impl Views {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.load().is_empty()
    }

    /// The stream of a view, entered by one more; none where too many different views are followed.
    pub(crate) fn enter(&self, view: View, new: impl FnOnce() -> Channel) -> Option<Arc<Channel>> {
        let _one = self.changing.lock();
        let all = self.all.load();
        if let Some(known) = all.iter().find(|known| known.view == view) {
            known.channel.enter();
            return Some(Arc::clone(&known.channel));
        }
        let mut next = (**all).clone();
        // The list is in the order in which views were first looked at: the oldest goes first.
        let left = next.iter().filter(|known| known.is_left_box()).count();
        let mut surplus = left.saturating_sub(MOST_LEFT_BOXES - 1);
        next.retain(|known| {
            let goes = surplus > 0 && known.is_left_box();
            surplus -= usize::from(goes);
            !goes
        });
        if next.len() >= self.most {
            let oldest = next.iter().position(|known| known.channel.is_left())?;
            next.remove(oldest);
        }
        let channel = Arc::new(new());
        channel.enter();
        next.push(Watched { view, channel: Arc::clone(&channel) });
        self.all.store(Arc::new(next));
        Some(channel)
    }

    /// Every stream whose view shows a message.
    pub(crate) fn showing(&self, scope: &Scope, tell: impl Fn(&Channel)) {
        self.all.load().iter().filter(|known| known.view.shows(scope)).for_each(|known| tell(&known.channel));
    }

    /// Every stream whose view shows a driver of these zones who moved between these places.
    pub(crate) fn showing_move(&self, zones: &[ZoneId], places: &[Place], mut tell: impl FnMut(&Channel)) {
        for known in self.all.load().iter().filter(|known| known.view.shows_any(Some(zones), places)) {
            tell(&known.channel);
        }
    }

    /// Ends every subscription and forgets every numbering.
    pub(crate) fn clear(&self, why: Closed) {
        let _one = self.changing.lock();
        for known in self.all.swap(Arc::default()).iter() {
            known.channel.end(why);
        }
    }

    /// Forgets views that nobody has looked at for long. Called once a minute.
    pub(crate) fn sweep(&self) {
        let _one = self.changing.lock();
        let all = self.all.load();
        let stays = |known: &&Watched| {
            let is_box = matches!(known.view, View::Box { .. });
            !known.channel.sweep(if is_box { IDLE_SWEEPS_OF_BOXES } else { OPERATIONS.idle_sweeps })
        };
        let next: Vec<_> = all.iter().filter(stays).cloned().collect();
        if next.len() < all.len() {
            self.all.store(Arc::new(next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(n: u32) -> View {
        View::Box { west: f64::from(n) / 100.0, south: 0.0, east: 10.0, north: 10.0 }
    }

    fn look(views: &Views, n: u32) -> Option<Arc<Channel>> {
        views.enter(view(n), || Channel::new(n.to_string(), 8))
    }

    #[test]
    fn who_moves_a_map_leaves_a_bounded_number_of_boxes_behind() {
        let views = Views::default();
        let stays = look(&views, 0).unwrap();
        for n in 1..=200 {
            look(&views, n).unwrap().leave(None);
        }
        assert!(views.all.load().len() <= MOST_LEFT_BOXES + 1, "{}", views.all.load().len());
        assert!(Arc::ptr_eq(&look(&views, 0).unwrap(), &stays), "one that somebody looks at is never forgotten");
        let back = look(&views, 200).unwrap();
        assert_eq!(back.epoch, "200", "who comes back at once finds the numbering");
        back.leave(None);
        for _ in 0..=IDLE_SWEEPS_OF_BOXES {
            views.sweep();
        }
        assert_eq!(views.all.load().len(), 1, "and all are forgotten with time");
    }

    #[test]
    fn the_number_of_different_views_is_bounded_and_room_comes_back() {
        let views = Views { most: 3, ..Views::default() };
        let first = look(&views, 1).unwrap();
        look(&views, 2).unwrap();
        look(&views, 3).unwrap();
        assert!(look(&views, 4).is_none(), "three are looked at");
        assert!(look(&views, 2).is_some(), "one of them has room for more who look");
        first.leave(None);
        assert!(look(&views, 4).is_some());
        assert!(look(&views, 1).is_none());
    }
}
