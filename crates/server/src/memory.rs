//! What the process holds of the machine's memory, and giving back what it no longer uses.
//!
//! The allocator keeps what was freed for the next who asks. After a flood (thousands of sockets, bodies, passwords being
//! hashed) that is many times what is in use, and stays so: whoever looks at the machine sees a process that has grown.
//! So a duty looks now and then, and gives back what is free where that is much.

use std::time::Duration;

use metrics::{describe_counter, describe_gauge, gauge};
use posthaste_clock::Clock;
use posthaste_clock::duty::{Duty, Runs};
use tokio::task::JoinHandle;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(10);
/// Free bytes that are kept, whatever is in use: they are asked for again at once.
const SPARE: u64 = 8 << 20;
/// Above this share of what is in use, free bytes are given back: an eighth.
const SPARE_SHARE: u64 = 8;

/// Bytes of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What somebody holds.
    pub(crate) live: u64,
    /// What the machine has given for data.
    pub(crate) data: u64,
    /// What the machine has given for anything, code among it.
    pub(crate) resident: u64,
}

impl Memory {
    /// Whether so much lies idle that it is worth giving back.
    fn is_idle(self) -> bool {
        self.data.saturating_sub(self.live) > SPARE + self.live / SPARE_SHARE
    }
}

/// Names the figures.
pub(crate) fn describe() {
    describe_gauge!("posthaste_memory_live_bytes", "Memory that is in use.");
    describe_gauge!("posthaste_memory_resident_bytes", "Memory that the machine has given, in use or not.");
    describe_counter!("posthaste_memory_trims_total", "How often memory that was free was given back to the machine.");
}

/// Writes the figures down as they are now.
pub(crate) fn observe() {
    #[expect(clippy::cast_precision_loss, reason = "bytes of one machine")]
    if let Some(Memory { live, resident, .. }) = allocator::now() {
        gauge!("posthaste_memory_live_bytes").set(live as f64);
        gauge!("posthaste_memory_resident_bytes").set(resident as f64);
    }
}

/// Gives free memory back now and then, until the task is aborted.
pub(crate) fn keep_trimmed(clock: &Clock) -> JoinHandle<()> {
    let duty = Duty {
        name: "server.memory",
        world: None,
        does: "gives free memory back to the machine",
        period: EVERY,
        trigger: None,
        runs: Runs::Everywhere,
    };
    let duties = clock.duties().clone();
    duties.register(duty);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            // Apart: with much to give back it takes milliseconds.
            let trimmed = duties.did(duty, tokio::task::spawn_blocking(trim_if_idle)).await;
            if let Ok(Some((before, after))) = trimmed {
                metrics::counter!("posthaste_memory_trims_total").increment(1);
                tracing::debug!(
                    before = before.resident,
                    after = after.resident,
                    live = after.live,
                    "memory given back"
                );
            }
        }
    })
}

/// What was held before and after, where something was given back.
fn trim_if_idle() -> Option<(Memory, Memory)> {
    let before = allocator::now().filter(|memory| memory.is_idle())?;
    allocator::trim();
    Some((before, allocator::now()?))
}

/// Linux' usual allocator. Others (musl's, macOS') give back by themselves.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator {
    use super::Memory;

    pub(super) fn now() -> Option<Memory> {
        #[expect(unsafe_code, reason = "reads counters of the allocator, which may be done at any time")]
        let info = unsafe { libc::mallinfo2() };
        // In pages: all, resident, resident and of a file, … (proc_pid_statm(5)).
        let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
        let mut sizes = sizes.split(' ').skip(1).map_while(|pages| pages.parse::<u64>().ok());
        let (resident, of_files) = (sizes.next()?, sizes.next()?);
        let page = u64::try_from(nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??).ok()?;
        Some(Memory {
            live: (info.uordblks + info.hblkhd) as u64,
            data: resident.saturating_sub(of_files) * page,
            resident: resident * page,
        })
    }

    pub(super) fn trim() {
        #[expect(unsafe_code, reason = "gives free pages back: nothing that is in use moves")]
        let _given_back = unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod allocator {
    use super::Memory;

    pub(super) fn now() -> Option<Memory> {
        None
    }

    pub(super) fn trim() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_much_that_is_idle_is_given_back() {
        let memory = |live: u64, data: u64| Memory { live: live << 20, data: data << 20, resident: (data + 40) << 20 };
        assert!(!memory(10, 18).is_idle() && !memory(800, 900).is_idle());
        assert!(memory(10, 30).is_idle() && memory(800, 1000).is_idle());
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn what_is_freed_between_what_is_held_goes_back_to_the_machine() {
        // Too small for mappings of their own; one in 64 stays, so that no end of the heap is free by itself.
        let mut held: Vec<Option<Vec<u8>>> = (0..40_000u32).map(|n| Some(vec![1; 4000 + (n % 7) as usize])).collect();
        let full = allocator::now().unwrap();
        held.iter_mut().enumerate().filter(|(at, _)| at % 64 != 0).for_each(|(_, some)| *some = None);
        let (before, after) = trim_if_idle().expect("much is idle");
        assert!(before.live < full.live - (100 << 20), "{before:?} of {full:?}");
        assert!(after.data < before.data - (50 << 20), "{after:?} of {before:?}");
        assert_eq!(held.iter().flatten().count(), 625);
    }
}
