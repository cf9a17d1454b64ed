//! The sets that a board keeps about its drivers, so that a choice looks at a few of them.
//!
//! Two kinds. Sets that decide: shift, speed, load class, who is running or overdue at the board's instant. And sets
//! that only spare work, in buckets of a quarter of an hour: who is committed in a bucket, whose shift ends in it.
//! A driver who is missing from the latter costs time, never a wrong answer, because the rule judges them anyway.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use posthaste_domain::driver::Shift;

use crate::ahead::Ahead;
use crate::slot_set::SlotSet;
use crate::views::DriverView;

/// Length of a bucket of time, in microseconds.
pub(crate) const BUCKET: i64 = 15 * 60 * 1_000_000;
/// Buckets that one commitment is noted in at most; a day. Longer ones are judged one by one beyond it.
const MOST_BUCKETS: i64 = 96;
/// Classes of capacity: each number below 32, then two for each power of two.
const ROOM_CLASSES: usize = 64;

/// Drivers with the same number of open orders.
#[derive(Debug, Clone, Default)]
pub(crate) struct Load {
    pub(crate) members: SlotSet,
    /// Those whose commitments all lie ahead, by committed time.
    pub(crate) waiting: BTreeSet<(i64, u32)>,
    /// Those in the middle of one, by committed time plus the instant.
    pub(crate) running: BTreeSet<(i64, u32)>,
    count: u32,
}

/// Sets by bucket of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buckets {
    sets: HashMap<i64, (u32, SlotSet)>,
}

impl Buckets {
    fn insert(&mut self, bucket: i64, slot: u32) {
        let (count, set) = self.sets.entry(bucket).or_default();
        if !set.contains(slot) {
            set.insert(slot);
            *count += 1;
        }
    }

    fn remove(&mut self, bucket: i64, slot: u32) {
        let Some((count, set)) = self.sets.get_mut(&bucket) else { return };
        if set.contains(slot) {
            set.remove(slot);
            *count -= 1;
            if *count == 0 {
                self.sets.remove(&bucket);
            }
        }
    }

    pub(crate) fn get(&self, bucket: i64) -> Option<&SlotSet> {
        self.sets.get(&bucket).map(|(_, set)| set)
    }
}

/// All sets of a board. A slot is in them as its driver was when they were last added.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    pub(crate) everybody: SlotSet,
    pub(crate) offline: SlotSet,
    pub(crate) on_break: SlotSet,
    pub(crate) available: SlotSet,
    pub(crate) stale: SlotSet,
    pub(crate) fast: SlotSet,
    pub(crate) slow: SlotSet,
    /// In the middle of a commitment.
    pub(crate) running: SlotSet,
    /// In the middle of several, which only hands can bring about: in no order of a load.
    pub(crate) several: SlotSet,
    pub(crate) overdue: SlotSet,
    /// Nothing committed ahead.
    pub(crate) idle: SlotSet,
    /// By class of capacity: those of this class and above.
    room: Vec<SlotSet>,
    pub(crate) loads: BTreeMap<u32, Load>,
    /// Who is committed in a bucket.
    pub(crate) taken: Buckets,
    /// Whose shift ends in a bucket.
    ends: BTreeMap<i64, SlotSet>,
    capacity: Vec<u32>,
    /// When shifts end, in microseconds since 1970.
    until: Vec<i64>,
    ahead: Vec<Ahead>,
    changes: BTreeSet<(i64, u32)>,
}

/// The class of a capacity.
fn room_class(capacity: u32) -> usize {
    if capacity < 32 {
        return capacity as usize;
    }
    let power = capacity.ilog2();
    let half = (capacity >> (power - 1)) & 1;
    (32 + 2 * (power as usize - 5) + half as usize).min(ROOM_CLASSES - 1)
}

fn buckets_of(driver: &DriverView) -> impl Iterator<Item = i64> + '_ {
    driver.commitments.iter().flat_map(|commitment| {
        let first = commitment.window.start().timestamp_micros().div_euclid(BUCKET);
        let last = (commitment.window.end().timestamp_micros() - 1).div_euclid(BUCKET);
        first..=last.min(first + MOST_BUCKETS - 1)
    })
}

fn end_bucket(driver: &DriverView) -> Option<i64> {
    driver.shift.until().map(|until| until.timestamp_micros().div_euclid(BUCKET))
}

impl Index {
    /// Adds a driver as they are at an instant (microseconds since 1970).
    pub(crate) fn add(&mut self, slot: u32, driver: &DriverView, now: i64) {
        self.everybody.insert(slot);
        match driver.shift {
            Shift::Offline => self.offline.insert(slot),
            Shift::OnBreak { .. } => self.on_break.insert(slot),
            Shift::Available { .. } => self.available.insert(slot),
        }
        self.stale.set(slot, driver.stale);
        self.fast.set(slot, driver.fast);
        self.slow.set(slot, driver.slow);
        self.room.resize(ROOM_CLASSES, SlotSet::default());
        for class in &mut self.room[..=room_class(driver.capacity)] {
            class.insert(slot);
        }
        for bucket in buckets_of(driver) {
            self.taken.insert(bucket, slot);
        }
        if let Some(bucket) = end_bucket(driver) {
            self.ends.entry(bucket).or_default().insert(slot);
        }
        let load = self.loads.entry(driver.open_orders).or_default();
        load.members.insert(slot);
        load.count += 1;
        if self.ahead.len() <= slot as usize {
            self.ahead.resize(slot as usize + 1, Ahead::default());
            self.capacity.resize(slot as usize + 1, 0);
            self.until.resize(slot as usize + 1, i64::MAX);
        }
        self.capacity[slot as usize] = driver.capacity;
        self.until[slot as usize] = driver.shift.until().map_or(i64::MAX, |until| until.timestamp_micros());
        self.add_time(slot, driver, now);
    }

    /// Tells about sets that hold, together, all whose shift ends before an instant.
    pub(crate) fn shifts_ending_before(&self, instant: i64, mut tell: impl FnMut(&SlotSet)) {
        let bucket = instant.div_euclid(BUCKET);
        self.ends.range(..bucket).for_each(|(_, set)| tell(set));
        if let Some(set) = self.ends.get(&bucket) {
            let mut ended = SlotSet::default();
            set.iter().filter(|slot| self.until[*slot as usize] < instant).for_each(|slot| ended.insert(slot));
            tell(&ended);
        }
    }

    /// Those whose capacity an order exceeds, whatever else they carry, of a set.
    pub(crate) fn without_room(&self, size: u32, of: &SlotSet) -> SlotSet {
        let class = room_class(size);
        let mut out = of.clone();
        let Some(room) = self.room.get(class) else { return out };
        out.take_out(room);
        if room_class(size - size.min(1)) == class {
            // Not the least capacity of its class: some of the class are too small.
            let mut close = of.clone();
            close.keep(room);
            if let Some(above) = self.room.get(class + 1) {
                close.take_out(above);
            }
            close.iter().filter(|slot| self.capacity[*slot as usize] < size).for_each(|slot| out.insert(slot));
        }
        out
    }

    /// Takes a driver out, given as they were when they were added.
    pub(crate) fn remove(&mut self, slot: u32, driver: &DriverView) {
        self.remove_time(slot, driver);
        for set in [&mut self.everybody, &mut self.offline, &mut self.on_break, &mut self.available] {
            set.remove(slot);
        }
        for set in [&mut self.stale, &mut self.fast, &mut self.slow] {
            set.remove(slot);
        }
        for class in &mut self.room[..=room_class(driver.capacity)] {
            class.remove(slot);
        }
        for bucket in buckets_of(driver) {
            self.taken.remove(bucket, slot);
        }
        if let Some(bucket) = end_bucket(driver)
            && let Some(set) = self.ends.get_mut(&bucket)
        {
            set.remove(slot);
            if set.is_empty() {
                self.ends.remove(&bucket);
            }
        }
        if let Some(load) = self.loads.get_mut(&driver.open_orders) {
            load.members.remove(slot);
            load.count -= 1;
            if load.count == 0 {
                self.loads.remove(&driver.open_orders);
            }
        }
    }

    /// What the driver in a slot has ahead.
    pub(crate) fn ahead(&self, slot: u32) -> &Ahead {
        &self.ahead[slot as usize]
    }

    /// The next slot whose commitments start or end at or before an instant.
    pub(crate) fn due(&self, now: i64) -> Option<u32> {
        self.changes.first().filter(|(at, _)| *at <= now).map(|(_, slot)| *slot)
    }

    /// Notes that time has passed for a driver.
    pub(crate) fn retime(&mut self, slot: u32, driver: &DriverView, now: i64) {
        self.remove_time(slot, driver);
        self.add_time(slot, driver, now);
    }

    fn add_time(&mut self, slot: u32, driver: &DriverView, now: i64) {
        let ahead = Ahead::at(driver, now);
        self.ahead[slot as usize] = ahead;
        self.running.set(slot, ahead.running > 0);
        self.several.set(slot, ahead.running > 1);
        self.overdue.set(slot, ahead.overdue);
        self.idle.set(slot, ahead.is_nothing());
        self.changes.extend(ahead.next_change.map(|at| (at, slot)));
        if let Some(order) = self.order_of(&ahead, driver.open_orders) {
            order.insert((ahead.key(), slot));
        }
    }

    fn remove_time(&mut self, slot: u32, driver: &DriverView) {
        let ahead = self.ahead[slot as usize];
        for set in [&mut self.running, &mut self.several, &mut self.overdue, &mut self.idle] {
            set.remove(slot);
        }
        if let Some(at) = ahead.next_change {
            self.changes.remove(&(at, slot));
        }
        if let Some(order) = self.order_of(&ahead, driver.open_orders) {
            order.remove(&(ahead.key(), slot));
        }
    }

    fn order_of(&mut self, ahead: &Ahead, open_orders: u32) -> Option<&mut BTreeSet<(i64, u32)>> {
        let load = self.loads.get_mut(&open_orders)?;
        match ahead.running {
            0 if ahead.is_nothing() => None,
            0 => Some(&mut load.waiting),
            1 => Some(&mut load.running),
            _ => None,
        }
    }
}
