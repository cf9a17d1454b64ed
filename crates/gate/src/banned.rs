//! Who is shut out, in all worlds: drivers go off shift and lose the work that can still be given to others, and merchants are
//! told nothing by webhooks until they are let in again.
//!
//! It is a reconciler: it takes no input, doing it again changes nothing, and it runs on a signal and on a timer, so that a ban
//! that was followed by a crash is carried out too.

use std::time::Duration;

use posthaste_clock::duty::{Duty, Runs};
use posthaste_dispatch_api::parties::take_back;
use posthaste_domain::order::ReleaseReason;
use posthaste_domain::party::Party;
use tracing::Instrument as _;

use crate::worlds::Worlds;
use crate::{AppState, gone};

/// How often it runs without a signal.
const EVERY: Duration = Duration::from_secs(10);

/// Runs until it is dropped.
pub(crate) async fn run(worlds: Worlds) {
    let duties = worlds.live().dispatch().clock().duties().clone();
    duties.register(DUTY);
    loop {
        let _ = duties.did(DUTY, everywhere(&worlds)).await;
        let _ = tokio::time::timeout(EVERY, worlds.live().process().bans_changed.notified()).await;
    }
}

const DUTY: Duty = Duty {
    name: "accounts.shut_out",
    world: None,
    does: "takes work back from drivers who are shut out, mutes merchants who are, forgets who has gone",
    period: EVERY,
    trigger: Some("somebody is shut out, let in again, or gone"),
    runs: Runs::Leader,
};

async fn everywhere(worlds: &Worlds) -> Result<(), String> {
    let live = pass(worlds.live()).await;
    // No driver there has an account, but merchants are the same.
    let test = match worlds.test() {
        Some(test) => pass(&test).instrument(test.dispatch().spans().span()).await,
        None => Ok(()),
    };
    gone::pass(worlds).await;
    live.and(test)
}

/// Takes their work back from all drivers who are shut out, and mutes the webhooks of merchants who are.
///
/// # Errors
///
/// What was left to the next pass, in words. It is logged.
pub async fn pass(app: &AppState) -> Result<(), String> {
    let mut left = Vec::new();
    let banned = match app.identity().banned().await {
        Ok(banned) => banned,
        Err(error) => {
            tracing::warn!(%error, "who is shut out cannot be read");
            return Err(format!("who is shut out cannot be read: {error}"));
        }
    };
    let merchants: Vec<_> =
        banned.iter().filter_map(|party| if let Party::Merchant(id) = party { Some(*id) } else { None }).collect();
    if let Err(error) = app.webhooks().mute_only(&merchants).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "merchants who are shut out may still be told of orders"
        );
        left.push(format!("merchants may still be told of orders: {error}"));
    }
    for driver in banned.into_iter().filter_map(|party| if let Party::Driver(id) = party { Some(id) } else { None }) {
        if let Err(error) = take_back(app.dispatch(), driver, ReleaseReason::DriverBanned).await {
            tracing::warn!(%driver, %error, "a driver who is shut out still has work");
            left.push(format!("{driver} still has work: {error}"));
        }
    }
    if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
}
