//! From an order that was checked to one that lives: the commit, and what follows it.

use std::sync::Arc;

use posthaste_domain::ids::OrderId;
use posthaste_domain::order::{Order, Recorded, Status};
use posthaste_storage::journal::Entry;
use serde::Deserialize;
use tokio::sync::OwnedMutexGuard;

use super::{Idempotency, OrderMsg, Told};
use crate::carried::{UNKNOWN, Within};
use crate::commit::{Commit, Whose};
use crate::system::Doors;
use crate::{Cause, Once, Refused};

/// An order on its way into Postgres. All that is done with it is the system's work: whoever handed it in may be gone.
pub(super) struct Placing {
    pub(super) order: Arc<Order>,
    pub(super) events: Arc<[(Recorded, Status)]>,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) cause: Cause,
    pub(super) doors: Arc<Doors>,
    /// Whose turn it is where the number of orders is limited.
    pub(super) turn: Option<OwnedMutexGuard<()>>,
}

impl Placing {
    /// Commits the order, and has it live.
    pub(super) async fn commit(self) -> Result<Once<Arc<Order>>, Refused> {
        let mut entry =
            Entry::order(0, Arc::clone(&self.order), Arc::clone(&self.events)).correlation(self.cause.ids());
        if let Some(key) = &self.idempotency {
            let view = crate::views::order(&self.order, key.audience);
            entry = entry.idempotency(key.record_of(201, &view, self.order.placed_at)?);
        }
        match self.doors.commit(Whose::Order(self.order.id), entry).await {
            Commit::Stored => self.live(),
            Commit::KeyUsed => {
                let key = self.idempotency.as_ref().ok_or(Refused::LostRace)?;
                replay(&self.doors, key).await
            }
            Commit::ReadBack { unknown: true } => self.look_up().await,
            not => Err(not.refused()),
        }
    }

    /// The order's actor starts, and everybody concerned hears of it.
    fn live(self) -> Result<Once<Arc<Order>>, Refused> {
        let Self { order, events, cause, doors, .. } = self;
        tracing::info!(order = %order.id, by = %cause.by, request_id = cause.correlation.as_deref(), "order placed");
        let (_, is_new) = doors.orders.door.enter(order.id, Arc::clone(&order), Told::up_to(order.version))?;
        // Whoever else brought it in has told of it.
        if is_new {
            doors.tell_step(None, &order, events);
        }
        if doors.zones.is_removed(order.zone) {
            // Removed since it was looked up: what waits in it has been moved before this order was there.
            let _ = doors.orders.door.tell(order.id, OrderMsg::FindZone);
        }
        Ok(Once::New(order))
    }

    /// The commit's outcome is unknown. If it is stored, it lives; the caller hears so if that is soon known.
    async fn look_up(mut self) -> Result<Once<Arc<Order>>, Refused> {
        let (doors, id) = (Arc::clone(&self.doors), self.order.id);
        let look = move |doors: Arc<Doors>| async move { Ok(posthaste_storage::orders::get(&doors.pool, id).await?) };
        if doors.carried.look_up(Within::Moments, || look(Arc::clone(&doors))).await.is_some() {
            return self.live();
        }
        // Nobody waits for their turn behind what may never come.
        self.turn = None;
        let carried = doors.carried.clone();
        carried.beside(async move {
            if doors.carried.look_up(Within::ItsTime, || look(Arc::clone(&doors))).await.is_some() {
                let _ = self.live();
            }
        });
        Err(UNKNOWN)
    }
}

/// Gives the first answer again, and sees to it that the order it speaks of lives.
pub(super) async fn replay(doors: &Arc<Doors>, key: &Idempotency) -> Result<Once<Arc<Order>>, Refused> {
    let (status, body) = key.first_answer(&doors.pool).await?;
    if let Some(id) = order_in(&body)
        && doors.orders.door.present(id).is_none()
    {
        match doors.orders.door.find(id).await {
            Ok(_) | Err(Refused::NotFound(_)) => {}
            // The answer stands; the next look finds the order.
            Err(_) => doors.doubt(),
        }
    }
    Ok(Once::Replayed { status, body })
}

/// The order that a stored answer speaks of.
fn order_in(body: &str) -> Option<OrderId> {
    #[derive(Deserialize)]
    struct Answer {
        id: OrderId,
    }
    serde_json::from_str::<Answer>(body).ok().map(|answer| answer.id)
}
