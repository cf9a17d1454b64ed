//! The API on a live system and a real database: requests in, answers out.

mod access;
mod accounts;
mod checkpoints;
mod connections;
mod document;
mod documented;
mod edge;
mod extremes;
mod fields;
mod hang_ups;
mod insight;
mod logs;
mod messages;
mod next;
mod operations;
mod others;
mod positions;
mod problems;
mod replays;
mod roster;
mod routed;
mod shadow;
mod sockets;
mod stage;
mod test_world;
mod webhooks;
