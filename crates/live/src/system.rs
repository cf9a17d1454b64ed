//! Wires the live system together: the journal, the registries, the zones with their dispatchers, the periodic work.

use std::time::Duration;

use posthaste_clock::Clock;

use crate::drivers::Drivers;
use crate::orders::Orders;
use crate::streams::Streams;
use crate::zones::Zones;

/// Numbers that the live system is run by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often newest positions are written to Postgres (real time).
    pub checkpoint_every: Duration,
    /// Days for which tracks are kept.
    pub track_retention_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { checkpoint_every: Duration::from_secs(3), track_retention_days: 30 }
    }
}

/// Why the system could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Stored state could not be loaded.
    #[error("could not load stored state: {0}")]
    Load(String),
}

/// The live system. Cheap to clone.
#[derive(Clone)]
pub struct System {}

impl System {
    /// The door to orders.
    #[must_use]
    pub fn orders(&self) -> &Orders {
        todo!()
    }

    /// The door to drivers.
    #[must_use]
    pub fn drivers(&self) -> &Drivers {
        todo!()
    }

    /// The door to zones.
    #[must_use]
    pub fn zones(&self) -> &Zones {
        todo!()
    }

    /// The door to streams.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        todo!()
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        todo!()
    }

    /// Whether stored state is loaded and Postgres answers.
    pub async fn ready(&self) -> Result<(), &'static str> {
        todo!()
    }

    /// Finishes what is being committed, checkpoints positions and stops all actors.
    pub async fn stop(&self) {
        todo!()
    }
}
