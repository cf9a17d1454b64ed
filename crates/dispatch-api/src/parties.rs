//! What becomes of the work of parties: drivers are taken on as their accounts say, those who are shut out or go lose the work
//! that can still be given to others, and of who has gone nothing is kept. Identity and the live system do not know each other.
//!
//! What a driver has aboard cannot be picked up again where it was: it is escalated, and operations see it until another has it.

use std::sync::Arc;

use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, MerchantId};
use posthaste_domain::order::{Order, ReleaseReason, Status};
use posthaste_domain::party::Party;
use posthaste_identity::{Later, NewDriver};
use posthaste_live::drivers::{RegisterDriver, ShiftChange};
use posthaste_live::{Cause, Live, Refused};
use posthaste_protocol::problem::{Code, FieldError, Problem};
use posthaste_storage::idempotency;
use posthaste_storage::orders::{self as stored, ListFilter};
use posthaste_storage::pool::Pool;
use tokio::sync::Notify;

use crate::Dispatch;
use crate::drivers::unknown;
use crate::refusals::problem;

/// Makes sure that there is a test world, or says why there is none.
pub type OpenTestWorld = Box<dyn Fn() -> Later<'static, Result<(), Problem>> + Send + Sync>;

/// Orders that are named to who has them still to do.
const NAMED: u32 = 10;

/// What identity asks of the live system.
pub struct Dispatching {
    /// The live system.
    pub live: Arc<dyn Live>,
    /// Its tables.
    pub pool: Pool,
    /// Somebody was shut out or let in: the pass looks at all who are out.
    pub bans_changed: Arc<Notify>,
    /// For keys that are made there.
    pub open_test_world: OpenTestWorld,
}

impl Dispatching {
    async fn register(&self, new: NewDriver, cause: Cause) -> Result<(), Problem> {
        let NewDriver { id, name, vehicle, capacity, zones, speeds } = new;
        let unknown = unknown(&*self.live, &zones).await.map_err(problem)?;
        let errors: Vec<_> = (zones.iter().enumerate())
            .filter(|(_, zone)| unknown.contains(zone))
            .map(|(n, _)| FieldError { field: format!("profile.zones[{n}]"), problem: "no such zone".to_owned() })
            .collect();
        if !errors.is_empty() {
            return Err(Problem::new(Code::Invalid).errors(errors));
        }
        if self.find(id).await? {
            return Ok(());
        }
        let register = RegisterDriver { id: Some(id), name, vehicle, capacity, zones, speeds };
        match self.live.register_driver(register, None, cause).await {
            Ok(_) => Ok(()),
            // Somebody else took them on meanwhile.
            Err(Refused::LostRace) if self.find(id).await? => Ok(()),
            Err(refused) => Err(problem(refused)),
        }
    }

    async fn find(&self, id: DriverId) -> Result<bool, Problem> {
        match self.live.driver(id).await {
            Ok(_) => Ok(true),
            Err(Refused::NotFound(_)) => Ok(false),
            Err(refused) => Err(problem(refused)),
        }
    }
}

impl posthaste_identity::Dispatch for Dispatching {
    fn take_on(&self, driver: NewDriver, by: Party, request_id: String) -> Later<'_, Result<(), Problem>> {
        Box::pin(self.register(driver, Cause::new(by, request_id)))
    }

    fn knows(&self, driver: DriverId) -> Later<'_, Result<bool, Problem>> {
        Box::pin(self.find(driver))
    }

    fn test_world(&self) -> Later<'_, Result<(), Problem>> {
        (self.open_test_world)()
    }

    fn open_work(&self, party: Party) -> Later<'_, Result<Option<String>, Problem>> {
        Box::pin(open_work(&*self.live, &self.pool, party))
    }

    fn bans_changed(&self) {
        self.bans_changed.notify_one();
    }
}

/// What somebody waits for of a party's, in words for the party; none where there is nothing.
async fn open_work(live: &dyn Live, pool: &Pool, party: Party) -> Result<Option<String>, Problem> {
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

/// Takes a driver off shift, and their work from them, where they have any.
///
/// # Errors
///
/// What the live system refuses: it has to be tried again.
pub async fn take_back(app: &Dispatch, driver: DriverId, why: ReleaseReason) -> Result<(), Refused> {
    let live = match app.live().driver(driver).await {
        Ok(live) => live,
        Err(Refused::NotFound(_)) => return Ok(()),
        Err(refused) => return Err(refused),
    };
    let theirs = stored::of_driver(app.pool(), driver).await?;
    let is_theirs = |order: &Order| order.assignment.is_some_and(|a| a.driver == driver) && order.escalated.is_none();
    let left = theirs.iter().filter(|order| is_theirs(order)).count();
    if left > 0 || live.driver.shift.is_on() {
        // What they have aboard is escalated, as a lost driver's is; the rest waits for another.
        let offline = ShiftChange { shift: Shift::Offline, place: None, hand_back: Some(why) };
        app.live().change_shift(driver, offline, Cause::new(Party::System, why.name())).await?;
        tracing::info!(%driver, why = why.name(), orders = left, "a driver goes off shift and has no work any more");
    }
    Ok(())
}

/// Forgets what is kept of somebody who has gone. Doing so again changes nothing.
///
/// # Errors
///
/// What the live system refuses: it has to be tried again.
pub async fn forget(app: &Dispatch, party: Party) -> Result<(), Refused> {
    idempotency::forget_of(app.pool(), party).await?;
    let Party::Driver(driver) = party else { return Ok(()) };
    // They went on shift while they were asked about it.
    take_back(app, driver, ReleaseReason::ShiftEnded).await?;
    match app.live().forget_driver(driver, Cause::new(Party::System, "account deleted")).await {
        Ok(()) | Err(Refused::NotFound(_)) => Ok(()),
        Err(refused) => Err(refused),
    }
}
