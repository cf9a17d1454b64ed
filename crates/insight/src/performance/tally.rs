//! The counts behind one row's figures.

use posthaste_domain::order::{Estimate, Event, Order, Speed, Status, TaskKind, TaskStatus};
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::insight::{
    Bundling, Calibration, DriverTime, EstimateFigures, Figures, OfferCounts, OnTime, OrderCounts,
};

use crate::durations::{durations, seconds, share};
use crate::work::count_offers;

/// Counts, and the durations that percentiles are taken from.
#[derive(Debug, Default)]
pub(super) struct Tally {
    orders: OrderCounts,
    on_time: u64,
    estimates: EstimateFigures,
    click_to_door: Vec<Span>,
    ready_to_pickup: Vec<Span>,
    offers: OfferCounts,
    trips: u64,
    pickups: u64,
    on_shift: Span,
    in_hand: Span,
}

impl Tally {
    pub(super) fn order(&mut self, order: &Order, events: &[(Timestamp, Event)]) {
        self.orders.placed += 1;
        *self.outcome(order, events) += 1;
        let delivered_at = order.settled_at.filter(|_| order.status() == Status::Delivered);
        if let Some(at) = delivered_at {
            self.on_time += u64::from(at <= order.promised_at);
            hold(&mut self.estimates.placed, order.estimates.placed, at);
            hold(&mut self.estimates.assigned, order.estimates.assigned, at);
            if order.speed == Speed::Fast {
                self.click_to_door.push(at - order.placed_at);
            }
        }
        let pickups = order.tasks.iter().filter(|t| t.kind == TaskKind::Pickup && t.status == TaskStatus::Done);
        let waits = pickups.filter_map(|task| Some((task.done_at? - task.ready_at?).max(Span::zero())));
        self.ready_to_pickup.extend(waits);
        count_offers(events, &mut self.offers);
    }

    /// The count that an order belongs to. Goods that went back are the end of an order that failed or was canceled.
    fn outcome(&mut self, order: &Order, events: &[(Timestamp, Event)]) -> &mut u64 {
        match order.status() {
            Status::Delivered => &mut self.orders.delivered,
            Status::Canceled => &mut self.orders.canceled,
            Status::Rejected => &mut self.orders.rejected,
            Status::Expired => &mut self.orders.expired,
            Status::Failed => &mut self.orders.failed,
            Status::Returned => {
                let canceled = events.iter().any(|(_, event)| matches!(event, Event::Canceled { .. }));
                if canceled { &mut self.orders.canceled } else { &mut self.orders.failed }
            }
            Status::Pending
            | Status::Confirmed
            | Status::Offered
            | Status::Assigned
            | Status::EnrouteToPickup
            | Status::ArrivedAtPickup
            | Status::PickedUp
            | Status::EnrouteToDropoff
            | Status::ArrivedAtDropoff
            | Status::Returning => &mut self.orders.live,
        }
    }

    pub(super) fn trip(&mut self, pickups: u64) {
        self.trips += 1;
        self.pickups += pickups;
    }

    pub(super) fn driver(&mut self, on_shift: Span, in_hand: Span) {
        self.on_shift += on_shift;
        self.in_hand += in_hand;
    }

    pub(super) fn figures(self, with_drivers: bool) -> Figures {
        let Self { orders, on_time, estimates, offers, trips, pickups, .. } = self;
        let whole = |span: Span| u64::try_from(span.num_milliseconds()).unwrap_or(0);
        let drivers = DriverTime {
            on_shift_seconds: seconds(self.on_shift.num_milliseconds()),
            in_hand_seconds: seconds(self.in_hand.num_milliseconds()),
            utilisation: share(whole(self.in_hand), whole(self.on_shift)),
        };
        Figures {
            orders,
            on_time: OnTime { orders: on_time, share: share(on_time, orders.delivered) },
            estimates: EstimateFigures { placed: shares(estimates.placed), assigned: shares(estimates.assigned) },
            click_to_door: durations(self.click_to_door),
            ready_to_pickup: durations(self.ready_to_pickup),
            offers: OfferCounts {
                declined_share: share(offers.declined, offers.made),
                lapsed_share: share(offers.lapsed, offers.made),
                ..offers
            },
            bundling: Bundling { trips, pickups, per_trip: share(pickups, trips) },
            drivers: with_drivers.then_some(drivers),
        }
    }
}

/// Holds an estimate against the time of delivery.
fn hold(calibration: &mut Calibration, estimate: Option<Estimate>, delivered: Timestamp) {
    let Some(estimate) = estimate else { return };
    calibration.orders += 1;
    calibration.by_p50 += u64::from(delivered <= estimate.p50);
    calibration.by_p90 += u64::from(delivered <= estimate.p90);
}

fn shares(counts: Calibration) -> Calibration {
    let of = |part| share(part, counts.orders);
    Calibration { p50_share: of(counts.by_p50), p90_share: of(counts.by_p90), ..counts }
}
