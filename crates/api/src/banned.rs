//! Identity and the live system, which do not know each other: drivers are taken on as their accounts say, those who
//! are shut out go off shift and lose the work that can still be given to others, and merchants who are shut out are told
//! nothing by webhooks until they are let in again.
//!
//! The second is a reconciler: it takes no input, doing it again changes nothing, and it runs on a signal and on a timer,
//! so that a ban that was followed by a crash is carried out too. What a driver has aboard cannot be picked up again where it
//! was: it is escalated, and operations see it until another has it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use posthaste_clock::duty::{Duty, Runs};
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::DriverId;
use posthaste_domain::order::{Order, ReleaseReason};
use posthaste_domain::party::Party;
use posthaste_identity::{Dispatch, Later, NewDriver};
use posthaste_live::drivers::{RegisterDriver, ShiftChange};
use posthaste_live::{Cause, Live, Refused};
use posthaste_protocol::problem::{FieldError, Problem};
use posthaste_storage::pool::Pool;
use posthaste_webhooks::Webhooks;
use tokio::sync::Notify;
use tracing::Instrument as _;

use crate::drivers::unknown;
use crate::refusals::problem;
use crate::worlds::{SharedTestDoor, Worlds};
use crate::{AppState, gone};

/// How often it runs without a signal.
const EVERY: Duration = Duration::from_secs(10);

/// What identity asks of the live system.
pub(crate) struct Dispatching {
    live: Arc<dyn Live>,
    pool: Pool,
    /// Somebody was shut out or let in: the pass looks at all who are out.
    changed: Arc<Notify>,
    test: SharedTestDoor,
}

impl Dispatching {
    pub(crate) fn new(live: Arc<dyn Live>, pool: Pool, changed: Arc<Notify>, test: SharedTestDoor) -> Self {
        Self { live, pool, changed, test }
    }

    async fn register(&self, new: NewDriver, cause: Cause) -> Result<(), Problem> {
        let NewDriver { id, name, vehicle, capacity, zones, speeds } = new;
        let unknown = unknown(&*self.live, &zones).await.map_err(problem)?;
        let errors: Vec<_> = (zones.iter().enumerate())
            .filter(|(_, zone)| unknown.contains(zone))
            .map(|(n, _)| FieldError { field: format!("profile.zones[{n}]"), problem: "no such zone".to_owned() })
            .collect();
        if !errors.is_empty() {
            return Err(Problem::new(posthaste_protocol::problem::Code::Invalid).errors(errors));
        }
        if self.find(id).await? {
            return Ok(());
        }
        let register = RegisterDriver { id: Some(id), name, vehicle, capacity, zones, speeds };
        match self.live.register_driver(register, None, cause).await {
            Ok(_) => Ok(()),
            // Somebody else took him on meanwhile.
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

impl Dispatch for Dispatching {
    fn take_on(&self, driver: NewDriver, by: Party, request_id: String) -> Later<'_, Result<(), Problem>> {
        Box::pin(self.register(driver, Cause::new(by, request_id)))
    }

    fn knows(&self, driver: DriverId) -> Later<'_, Result<bool, Problem>> {
        Box::pin(self.find(driver))
    }

    fn test_world(&self) -> Later<'_, Result<(), Problem>> {
        Box::pin(self.test.ensure())
    }

    fn open_work(&self, party: Party) -> Later<'_, Result<Option<String>, Problem>> {
        Box::pin(gone::open_work(&*self.live, &self.pool, party))
    }

    fn bans_changed(&self) {
        self.changed.notify_one();
    }
}

/// Runs until it is dropped.
pub(crate) async fn run(worlds: Worlds) {
    let duties = worlds.live().clock().duties().clone();
    duties.register(DUTY);
    loop {
        let _ = duties.did(DUTY, everywhere(&worlds)).await;
        let _ = tokio::time::timeout(EVERY, worlds.live().bans_changed().notified()).await;
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
        Some(test) => pass(&test).instrument(test.spans().span()).await,
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
    if let Err(error) = Webhooks::from_ref(app).mute_only(&merchants).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "merchants who are shut out may still be told of orders"
        );
        left.push(format!("merchants may still be told of orders: {error}"));
    }
    for driver in banned.into_iter().filter_map(|party| if let Party::Driver(id) = party { Some(id) } else { None }) {
        if let Err(error) = take_back(app, driver, ReleaseReason::DriverBanned).await {
            tracing::warn!(%driver, %error, "a driver who is shut out still has work");
            left.push(format!("{driver} still has work: {error}"));
        }
    }
    if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
}

/// Takes a driver off shift, and their work from them, where they have any.
pub(crate) async fn take_back(app: &AppState, driver: DriverId, why: ReleaseReason) -> Result<(), Refused> {
    let live = match app.live().driver(driver).await {
        Ok(live) => live,
        Err(Refused::NotFound(_)) => return Ok(()),
        Err(refused) => return Err(refused),
    };
    let his = posthaste_storage::orders::of_driver(app.pool(), driver).await?;
    let is_his = |order: &Order| order.assignment.is_some_and(|a| a.driver == driver) && order.escalated.is_none();
    let left = his.iter().filter(|order| is_his(order)).count();
    if left > 0 || live.driver.shift.is_on() {
        // What he has aboard is escalated, as a lost driver's is; the rest waits for another.
        let offline = ShiftChange { shift: Shift::Offline, place: None, hand_back: Some(why) };
        app.live().change_shift(driver, offline, Cause::new(Party::System, why.name())).await?;
        tracing::info!(%driver, why = why.name(), orders = left, "a driver goes off shift and has no work any more");
    }
    Ok(())
}
