//! Every test has a real database of its own.

mod constraints;
mod drivers;
mod feed;
mod forgetting;
mod instants;
mod journal;
mod journal_beside;
mod kept;
mod migrations;
mod orders;
mod performance;
mod places;
mod plans;
mod roster;
mod schemas;
pub(crate) mod story;
mod zones;
