//! Whoever deleted their account is forgotten here too: what dispatch and webhooks keep of a driver or merchant, in both
//! worlds. A reconciler, as bans are: it takes no input, doing it again changes nothing, and identity says of whom something
//! may be left, so that a deletion that was followed by a crash is finished too.

use axum::extract::FromRef;
use posthaste_domain::ids::{DriverId, MerchantId};
use posthaste_domain::order::{Order, ReleaseReason, Status};
use posthaste_domain::party::Party;
use posthaste_identity::Deleted;
use posthaste_live::{Cause, Live, Refused};
use posthaste_protocol::problem::Problem;
use posthaste_storage::idempotency;
use posthaste_storage::orders::{self as stored, ListFilter};
use posthaste_storage::pool::Pool;
use posthaste_webhooks::Webhooks;

use crate::AppState;
use crate::banned::take_back;
use crate::refusals::problem;
use crate::worlds::Worlds;

/// Orders that are named to who has them still to do.
const NAMED: u32 = 10;

/// What somebody waits for of a party's, in words for the party; none where there is nothing.
pub(crate) async fn open_work(live: &dyn Live, pool: &Pool, party: Party) -> Result<Option<String>, Problem> {
    let open = match party {
        Party::Driver(driver) => of_driver(live, pool, driver).await,
        Party::Merchant(merchant) => of_merchant(pool, merchant).await,
        Party::Customer(_) | Party::Admin(_) | Party::System => Ok(None),
    };
    open.map_err(problem)
}

async fn of_driver(live: &dyn Live, pool: &Pool, driver: DriverId) -> Result<Option<String>, Refused> {
    let live = match live.driver(driver).await {
        Ok(live) => live,
        Err(Refused::NotFound(_)) => return Ok(None),
        Err(refused) => return Err(refused),
    };
    let theirs = stored::of_driver(pool, driver).await?;
    let in_hand: Vec<_> = theirs.iter().filter(|order| order.working_driver() == Some(driver)).collect();
    Ok(match (in_hand.is_empty(), live.driver.shift.is_on()) {
        (false, _) => Some(format!("orders are in your hands: {}", named(&in_hand, false))),
        (true, true) => Some("you are on shift: end it first".to_owned()),
        (true, false) => None,
    })
}

async fn of_merchant(pool: &Pool, merchant: MerchantId) -> Result<Option<String>, Refused> {
    let statuses = Status::ALL.into_iter().filter(|status| !status.is_final()).collect();
    let filter = ListFilter { merchant: Some(merchant), statuses, ..ListFilter::default() };
    let page = stored::list(pool, &filter, None, NAMED).await?;
    let open: Vec<_> = page.orders.iter().collect();
    Ok((!open.is_empty()).then(|| format!("orders are under way: {}", named(&open, page.next.is_some()))))
}

fn named(orders: &[&Order], more: bool) -> String {
    let ids: Vec<_> = orders.iter().take(NAMED as usize).map(|order| order.id.to_string()).collect();
    let more = if more || orders.len() > NAMED as usize { " and more" } else { "" };
    format!("{}{more}", ids.join(", "))
}

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
    idempotency::forget_of(app.pool(), party).await?;
    match party {
        Party::Driver(driver) => {
            // They went on shift while they were asked about it.
            take_back(app, driver, ReleaseReason::ShiftEnded).await?;
            match app.live().forget_driver(driver, Cause::new(Party::System, "account deleted")).await {
                Ok(()) | Err(Refused::NotFound(_)) => Ok(()),
                Err(refused) => Err(refused),
            }
        }
        Party::Merchant(merchant) => Ok(Webhooks::from_ref(app).forget(merchant).await?),
        Party::Customer(_) | Party::Admin(_) | Party::System => Ok(()),
    }
}
