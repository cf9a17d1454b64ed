//! Whoever deleted their account is forgotten here too: what dispatch and webhooks keep of a driver or merchant, in both
//! worlds. A reconciler, as bans are: it takes no input, doing it again changes nothing, and identity says of whom something
//! may be left, so that a deletion that was followed by a crash is finished too.

use posthaste_dispatch_api::parties;
use posthaste_domain::party::Party;
use posthaste_identity::Deleted;
use posthaste_live::Refused;

use crate::AppState;
use crate::worlds::Worlds;

/// Forgets everybody of whom something may be left.
pub async fn pass(worlds: &Worlds) {
    let identity = worlds.live().identity();
    let mut after = None;
    loop {
        let page = match identity.to_forget(after.as_ref()).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "who deleted their account cannot be read");
                return;
            }
        };
        let Some(last) = page.last().copied() else { return };
        for deleted in page {
            match forget(worlds, &deleted).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    tracing::warn!(account = %deleted.account, %error, "a deleted account is not forgotten yet");
                    continue;
                }
            }
            match identity.forgotten(&deleted).await {
                Ok(true) => {
                    metrics::counter!("posthaste_forgotten_total", "what" => "accounts").increment(1);
                    tracing::info!(account = %deleted.account, "nothing is left of a deleted account");
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "that an account is forgotten was not noted"),
            }
        }
        after = Some(last);
    }
}

/// Forgets a party in both worlds. False where it has to be tried again: the test world cannot be reached now, or is not
/// served by this server and waits as it is.
async fn forget(worlds: &Worlds, deleted: &Deleted) -> Result<bool, Refused> {
    forget_in(worlds.live(), deleted.party).await?;
    if !deleted.tried_out {
        return Ok(true);
    }
    match worlds.opened_test().await {
        Some(test) => forget_in(&test, deleted.party).await.map(|()| true),
        None => Ok(false),
    }
}

async fn forget_in(app: &AppState, party: Party) -> Result<(), Refused> {
    parties::forget(app.dispatch(), party).await?;
    match party {
        Party::Merchant(merchant) => Ok(app.webhooks().forget(merchant).await?),
        Party::Driver(_) | Party::Customer(_) | Party::Admin(_) | Party::System => Ok(()),
    }
}
