//! The zones of the test world: those of the live system, under the same ids, as they are now.

use std::sync::Arc;
use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_clock::duty::{Duty, Runs};
use posthaste_live::{Live, Refused};

/// How often they are compared, in memory: a change is there within so long.
const EVERY: Duration = Duration::from_millis(500);

/// Brings the zones to where those of `live` stand.
///
/// # Errors
///
/// What either of the two refuses: it has to be tried again.
pub async fn pass(live: &dyn Live, test: &dyn Live) -> Result<(), Refused> {
    let wanted = live.zones().await?.into_iter().map(|zone| zone.zone).collect();
    let changed = test.mirror_zones(wanted).await?;
    if changed > 0 {
        tracing::info!(changed, "zones of the test world follow");
    }
    Ok(())
}

/// Runs until it is aborted.
pub(crate) async fn run(live: Arc<dyn Live>, test: Arc<dyn Live>, clock: Clock, world: Option<&'static str>) {
    let duty = Duty {
        name: "testworld.zones",
        world,
        does: "brings the zones of the test world to where those of the live one are",
        period: EVERY,
        trigger: None,
        runs: Runs::Region,
    };
    clock.duties().register(duty);
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(refused) = clock.duties().did(duty, pass(&*live, &*test)).await {
            tracing::warn!(%refused, "zones of the test world do not follow; the next look tries again");
        }
    }
}
