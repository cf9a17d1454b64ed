//! Stories of the live system on a real Postgres, told through its doors.

mod backlog;
mod crashes;
mod feasible;
mod feed;
mod interleaved;
mod kills;
mod learned;
mod lost;
mod next;
mod offers;
mod outcomes;
mod repeated;
mod restarts;
mod roster;
mod routed;
mod shadow;
mod stage;
mod standby;
mod storm;
mod streams;
mod tracking;
mod two_zones;
mod views;
