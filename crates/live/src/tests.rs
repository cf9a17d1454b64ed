//! Stories of the live system on a real Postgres, told through its doors.

mod feasible;
mod kills;
mod learned;
mod lost;
mod next;
mod offers;
mod restarts;
mod roster;
mod routed;
mod shadow;
mod stage;
mod standby;
mod streams;
