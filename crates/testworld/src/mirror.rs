//! The zones of the test world: those of the live system, under the same ids, as they are now.

use std::time::Duration;

use posthaste_clock::duty::{Duty, Runs};
use posthaste_live::{Refused, System};

/// How often they are compared, in memory: a change is there within so long.
const EVERY: Duration = Duration::from_millis(500);

/// Brings the zones to where those of `live` stand.
pub(crate) async fn pass(live: &System, test: &System) -> Result<(), Refused> {
    let changed = test.zones().mirror(live.zones().list()).await?;
    if changed > 0 {
        tracing::info!(changed, "zones of the test world follow");
    }
    Ok(())
}

/// Runs until it is aborted.
pub(crate) async fn run(live: System, test: System) {
    let duty = Duty {
        name: "testworld.zones",
        world: test.world().name(),
        does: "brings the zones of the test world to where those of the live one are",
        period: EVERY,
        trigger: None,
        runs: Runs::Region,
    };
    test.clock().duties().register(duty);
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(refused) = test.clock().duties().did(duty, pass(&live, &test)).await {
            tracing::warn!(%refused, "zones of the test world do not follow; the next look tries again");
        }
    }
}
