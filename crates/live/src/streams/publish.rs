//! What the actors tell those who follow, after a commit. Nothing is made that nobody follows; what many follow is encoded
//! once.

use std::cell::OnceCell;
use std::sync::Arc;

use posthaste_domain::ids::{DriverId, Id, ZoneId};
use posthaste_domain::order::{Order, Recorded, Status};
use posthaste_domain::place::Place;
use posthaste_protocol::audience::{Audience, timeline_entry};
use posthaste_protocol::orders::{EtaView, OrderView};
use posthaste_protocol::socket::{OrderChanged, PositionUpdate, ServerMessage, Step};
use posthaste_protocol::tracking::{FollowedOrder, OrderPosition, TrackingStep};
use posthaste_streams::{Hub, Scope, Streams};

use super::topics::{self, Follower};
use crate::presence::Fix;
use crate::system::Doors;
use crate::views;

impl Doors {
    /// An order changed; events with the status after each.
    pub(crate) fn show_order(&self, order: Arc<Order>, events: Arc<[(Recorded, Status)]>) {
        let doors = self.orders.doors.clone();
        self.streams.have_published(move |hub| publish_order(hub, &order, &events, doors.get().ok().as_deref()));
    }
}

/// An order changed: its trackers, its customer, its merchants and operations hear of it. `events` with the status after
/// each; `doors` to say when the order is expected, and who brings it.
pub(super) fn publish_order(hub: &Hub, order: &Order, events: &[(Recorded, Status)], doors: Option<&Doors>) {
    let expected = OnceCell::new();
    let eta = || {
        let now = hub.now();
        let estimate = || crate::orders::expected(order, crate::orders::carrier(order), now, doors?);
        *expected.get_or_init(estimate)
    };
    hub.publish_numbered(topics::tracking(order.id), || {
        let eta = eta();
        events.iter().map(move |(recorded, status)| {
            let eta = eta.filter(|_| recorded.seq == order.version).map(EtaView::from);
            let step = Step { step: TrackingStep::of(recorded, *status), driver_name: None, eta };
            (recorded.seq, ServerMessage::Step(step))
        })
    });
    let entries = |audience: Audience| -> Vec<_> {
        events.iter().map(|(recorded, status)| timeline_entry(recorded, *status, order, audience)).collect()
    };
    if let Some(customer) = order.customer {
        hub.publish(topics::customer(customer), || {
            let driver = order.working_driver().and_then(|driver| doors?.drivers.in_memory(driver));
            let FollowedOrder { order, eta, driver } =
                FollowedOrder::of(order, driver.as_ref().map(views::followed_driver), eta());
            let events = entries(Audience::Follower);
            ServerMessage::Order(Box::new(OrderChanged { events, order, eta, driver }))
        });
    }
    let message = |audience: Audience| {
        let (events, order) = (entries(audience), OrderView::of(order, audience));
        ServerMessage::Order(Box::new(OrderChanged { events, order, eta: None, driver: None }))
    };
    for merchant in order.merchants() {
        hub.publish(topics::merchant(merchant), || message(Audience::Merchant(merchant)));
    }
    if hub.has_operations() {
        hub.publish_to_operations(&message(Audience::Operations), &Scope::of_order(order));
    }
}

/// A driver of these zones moved: those of their followers who are connected see it, and operations whose view shows where
/// the driver is, or where the driver was `before`: who leaves a box is seen to leave. Latest wins. Called by the
/// driver's socket directly, for every position: nothing here waits, and nothing is made that nobody gets.
pub(crate) fn moved(
    streams: &Streams,
    driver: DriverId,
    fix: &Fix,
    before: Option<Place>,
    followers: &[Follower],
    zones: &[ZoneId],
) {
    let (hub, whose) = (streams.hub(), driver.uuid());
    let position = |update| hub.encode(&ServerMessage::Position(update));
    let encoded = OnceCell::new();
    let of_driver = || encoded.get_or_init(|| position(PositionUpdate::Driver(views::position(driver, fix)))).clone();
    let place = || views::followed_position(fix);
    for follower in followers {
        match *follower {
            Follower::Tracking(order) => {
                hub.place(topics::tracking(order), whose, || position(PositionUpdate::Tracking(place())));
            }
            Follower::Merchant(merchant) => hub.place(topics::merchant(merchant), whose, of_driver),
            // Of each of their orders, as its driver may bring several.
            Follower::Customer(customer, order_id) => hub.place(topics::customer(customer), order_id.uuid(), || {
                position(PositionUpdate::Order(OrderPosition { order_id, position: place() }))
            }),
        }
    }
    let places = [fix.place, before.unwrap_or(fix.place)];
    hub.place_in_views(zones, &places, whose, of_driver);
}

#[cfg(test)]
mod tests {
    use posthaste_clock::Clock;
    use posthaste_domain::Timestamp;
    use posthaste_domain::ids::{CustomerId, OrderId};
    use posthaste_protocol::socket::{Hello, Snapshot, decode_server};
    use posthaste_streams::{Answering, Frame, Snapshots, Subject};

    use super::*;
    use crate::keeper::Seat;

    struct Nothing;

    impl Snapshots for Nothing {
        fn snapshot(&self, _: Subject) -> Answering<'_, Snapshot> {
            Box::pin(std::future::ready(Ok(Snapshot::Customer { orders: Vec::new() })))
        }
    }

    fn id<T: Id>(n: u128) -> T {
        T::from_uuid(uuid::Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn of_each_order_of_a_customer_the_newest_position_of_its_driver_waits_and_names_nobody() {
        let streams = Streams::new(Clock::system(), Seat::default());
        let nothing: Arc<dyn Snapshots> = Arc::new(Nothing);
        streams.register(&topics::KINDS, &nothing);
        let (customer, driver) = (id::<CustomerId>(1), id::<DriverId>(2));
        let mut follower = streams.open(topics::customer(customer)).await.expect("a stream");
        follower.begin(Hello::default()).await.expect("it begins");
        let orders: [OrderId; 2] = [id(3), id(4)];
        let followers = orders.map(|order| Follower::Customer(customer, order));
        for lat in [52.1, 52.2] {
            let place = Place::new(lat, 13.1).expect("a place");
            let at = Timestamp::UNIX_EPOCH;
            let fix = Fix { place, at, heading_degrees: None, speed_meters_per_second: Some(5.0) };
            moved(&streams, driver, &fix, None, &followers, &[]);
        }
        let mut frames: Vec<Frame> = Vec::new();
        follower.next(&mut frames).await.expect("it stays open");
        let told = frames.iter().map(|frame| match decode_server(frame.text()).expect("a message").1 {
            ServerMessage::Position(PositionUpdate::Order(told)) => (told.order_id, told.position.lat),
            other => panic!("{other:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), orders.map(|order| (order, 52.2)));
        assert!(frames.iter().all(|frame| !frame.text().contains("drv_")));
    }
}
