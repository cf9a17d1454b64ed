//! One subscriber: how it begins, what it gets next, and its end.

use std::sync::{Arc, Weak};

use posthaste_domain::ids::{DriverId, MerchantId, OrderId};
use posthaste_domain::order::{Order, Recorded, Status};
use posthaste_domain::place::Place;
use posthaste_protocol::audience::Audience;
use posthaste_protocol::orders::OrderView;
use posthaste_protocol::socket::{Hello, Resumed, ServerMessage, Snapshot, Step};
use posthaste_protocol::tracking::{TrackingDriver, TrackingPosition, TrackingStep, TrackingView};

use super::outbox::{Direct, Outbox};
use super::topic::{Start, Topic};
use super::{Closed, Frame, Hub, QUEUE_OF_DESK, QUEUE_OF_ONE, Scope, Subject, TopicKey, View};
use crate::Refused;
use crate::system::Doors;

/// Orders in a snapshot at most.
const MOST_ORDERS: u32 = 1000;

/// One subscriber. Dropping it ends the subscription.
pub struct Subscription {
    hub: Arc<Hub>,
    topic: Arc<Topic>,
    outbox: Arc<Outbox>,
    subject: Subject,
}

/// Ends a subscription from elsewhere.
pub struct Ender(Weak<Outbox>);

impl Ender {
    /// Another connection takes its place.
    pub fn replace(&self) {
        if let Some(outbox) = self.0.upgrade() {
            outbox.close(Closed::Replaced);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.topic.leave(Some(&self.outbox));
        if let Subject::Tracking(order) = self.subject {
            self.hub
                .topics
                .remove_if(&TopicKey::Order(order), |_, topic| Arc::ptr_eq(topic, &self.topic) && topic.is_left());
        }
    }
}

impl Subscription {
    pub(super) fn new(hub: Arc<Hub>, subject: Subject) -> Result<Self, Refused> {
        let topic = hub.enter(&subject)?;
        let capacity = match subject {
            Subject::Driver(_) | Subject::Tracking(_) => QUEUE_OF_ONE,
            Subject::Merchant(_) | Subject::Operations(_) => QUEUE_OF_DESK,
        };
        Ok(Self { hub, topic, outbox: Arc::new(Outbox::new(capacity)), subject })
    }

    /// What ends it from elsewhere.
    #[must_use]
    pub fn ender(&self) -> Ender {
        Ender(Arc::downgrade(&self.outbox))
    }

    /// Names the numbering.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.topic.epoch
    }

    /// The newest number in the stream.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.topic.seq()
    }

    /// The first frames after the client's `hello`: `resumed` and what was missed, or a `snapshot`. From now on
    /// the outbox fills, without a gap to these frames.
    pub async fn begin(&mut self, hello: Hello) -> Result<Vec<Frame>, Refused> {
        let last = hello.last_seq.filter(|_| hello.epoch.as_deref() == Some(self.topic.epoch.as_str()));
        let start = self.topic.subscribe(Arc::clone(&self.outbox), last);
        let doors = self.hub.doors.load_full().ok_or(Refused::Unavailable("the system is stopping".into()))?;
        if let Subject::Tracking(order) = self.subject {
            return self.begin_tracking(&doors, order, last).await;
        }
        match start {
            Start::Resumed { from, missed } => {
                let to = from + missed.len() as u64;
                let resumed = self.hub.frame(&ServerMessage::Resumed(Resumed { from, to }), None);
                let missed = (from + 1..).zip(&missed).map(|(seq, message)| Frame::numbered(message, seq));
                Ok(std::iter::once(resumed).chain(missed).collect())
            }
            Start::Fresh { seq } => {
                let snapshot = match &self.subject {
                    Subject::Driver(id) => driver_snapshot(&doors, *id).await?,
                    Subject::Merchant(id) => merchant_snapshot(&doors, *id).await?,
                    Subject::Operations(view) => operations_snapshot(&doors, *view).await?,
                    Subject::Tracking(_) => return Err(Refused::NotFound("order".into())),
                };
                Ok(vec![self.hub.frame(&ServerMessage::Snapshot(Box::new(snapshot)), Some(seq))])
            }
        }
    }

    /// The missed steps come from Postgres, so a tracking stream resumes across restarts.
    async fn begin_tracking(&self, doors: &Doors, id: OrderId, last: Option<u64>) -> Result<Vec<Frame>, Refused> {
        let hub = &*self.hub;
        let order = doors.orders.tracked(id).await?;
        if let Some(from) = last.filter(|from| *from <= order.version) {
            let missed = steps(&doors.timeline(id, from).await?);
            let to = missed.last().map_or(from, |step| step.seq);
            self.outbox.skip_up_to(to);
            let mut frames = vec![hub.frame(&ServerMessage::Resumed(Resumed { from, to }), None)];
            frames.extend(missed.into_iter().map(|step| {
                let seq = step.seq;
                hub.frame(&ServerMessage::Step(Step { step, driver_name: None, eta: None }), Some(seq))
            }));
            return Ok(frames);
        }
        // What comes after this version is in the outbox, or on its way there: the subscription began before.
        self.outbox.skip_up_to(order.version);
        let tracking = tracking_view(doors, &order).await?;
        let snapshot = ServerMessage::Snapshot(Box::new(Snapshot::Tracking { tracking }));
        Ok(vec![hub.frame(&snapshot, Some(order.version))])
    }

    /// Names the connection, so that others may write to it while its own task waits in [`next`](Self::next). Before
    /// that task writes anything, it has to write the rest of what they began.
    pub fn attach(&self, direct: Arc<dyn Direct>) {
        self.outbox.attach(direct);
    }

    /// Waits for frames and takes all that are there, to be written together; none where the connection has the rest
    /// of a frame that others began. `Err` when the system closed the outbox.
    pub async fn next(&mut self, into: &mut Vec<Frame>) -> Result<(), Closed> {
        self.outbox.next(into).await
    }

    /// The outbox, for tests and metrics.
    #[must_use]
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }
}

async fn driver_snapshot(doors: &Doors, id: DriverId) -> Result<Snapshot, Refused> {
    // Both as the driver's actor has them at one moment.
    let (live, work) = doors.drivers.at_work(id).await?;
    Ok(Snapshot::Driver { driver: live.view(), route: crate::drivers::route_view(id, &work) })
}

async fn merchant_snapshot(doors: &Doors, id: MerchantId) -> Result<Snapshot, Refused> {
    let orders = doors.live_orders(Some(id), None, MOST_ORDERS).await?;
    Ok(Snapshot::Merchant { orders: orders.iter().map(|o| OrderView::of(o, Audience::Merchant(id))).collect() })
}

async fn operations_snapshot(doors: &Doors, view: View) -> Result<Snapshot, Refused> {
    let shows_zone = |zone| view.shows(&Scope::of_zone(zone));
    let zones = doors.zones.list().iter().filter(|z| shows_zone(z.id)).map(|z| (**z).clone()).collect();
    let drivers = doors
        .drivers
        .on_shift()
        .into_iter()
        .filter(|live| {
            let place = live.position.and_then(|p| Place::new(p.lat, p.lng).ok());
            view.shows(&Scope::of_driver(&live.driver, place))
        })
        .map(|live| live.view())
        .collect();
    let zone = if let View::Zone(zone) = view { Some(zone) } else { None };
    let orders = doors.live_orders(None, zone, MOST_ORDERS).await?;
    let orders = orders
        .iter()
        .filter(|order| view.shows(&Scope::of_order(order)))
        .map(|order| OrderView::of(order, Audience::Operations))
        .collect();
    Ok(Snapshot::Operations { zones, drivers, orders })
}

fn steps(events: &[(Recorded, Status)]) -> Vec<TrackingStep> {
    events.iter().map(|(recorded, status)| TrackingStep::of(recorded, *status)).collect()
}

/// This version of the order as the holder of its link sees it. What is committed meanwhile is in its timeline too: that
/// belongs to a later one.
pub(crate) async fn tracking_view(doors: &Doors, order: &Order) -> Result<TrackingView, Refused> {
    let mut timeline = doors.timeline(order.id, 0).await?;
    timeline.retain(|(recorded, _)| recorded.seq <= order.version);
    let driver = match order.working_driver() {
        Some(id) => doors.drivers.get(id).await.ok().map(|live| TrackingDriver {
            name: live.driver.name.split_whitespace().next().unwrap_or_default().to_owned(),
            vehicle: format!("{:?}", live.driver.vehicle).to_lowercase(),
            position: live.position.map(|p| TrackingPosition {
                lat: p.lat,
                lng: p.lng,
                at: p.at,
                heading_degrees: p.heading_degrees,
            }),
        }),
        None => None,
    };
    let eta = doors.orders.eta(order).await;
    Ok(TrackingView::of(order, steps(&timeline), driver, eta))
}
