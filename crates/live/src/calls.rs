//! The waist: every call that routes and contexts make of the live system, in one list.
//!
//! Whoever asks holds a `dyn` [`Live`] and does not know where the system is. Arguments and answers can be serialised, each
//! call has a name of its own, and [`crate::wire`] carries them as bytes: a call that works only because both sides share
//! memory fails its tests. A call more is a line in the list, and its method in [`System`].
//!
//! Two things are not calls. What a driver's socket hears goes into a [`Slot`], which is asked for once; and subscribers
//! belong to the process that has their sockets: see [`crate::streams`].

mod here;

use std::pin::Pin;
use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::driver::{Driver, Shift};
use posthaste_domain::ids::{DriverId, MerchantId, OrderId, ShiftId, TaskId, ZoneId};
use posthaste_domain::order::{Command, Order};
use posthaste_domain::place::Place;
use posthaste_domain::position::Report;
use posthaste_domain::roster::PlannedShift;
use posthaste_domain::zone::{NewZone, Zone};
use posthaste_estimates::{Answer, Quantity};
use serde::{Deserialize, Serialize};

use crate::drivers::{DriverCommand, LiveDriver, NextChosen, Received, RegisterDriver, ShiftChange, Work};
use crate::inside::{DriverInside, OrderInside};
use crate::once::Once;
use crate::orders::{Done, Idempotency, PlaceOrder, TrackedOrder};
use crate::presence::{Fix, LastTaken};
use crate::zones::{LiveZone, ZoneBoard};
use crate::{Cause, Refused, System};

/// What a call comes to, later.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refused>> + Send + 'a>>;

/// From the list: the trait, a value for each call, and how such a value is carried out.
macro_rules! calls {
    ($($(#[$about:meta])* $name:ident($($given:ident: $type:ty),* $(,)?) -> $answer:ty;)*) => {
        /// The live system, for everybody outside of it. Each call is refused with [`Refused`], and has then changed
        /// nothing, but where it says that the outcome is not known.
        pub trait Live: Send + Sync + 'static {
            $($(#[$about])* fn $name(&self, $($given: $type),*) -> Answering<'_, $answer>;)*

            /// Where a driver's socket puts what it hears, without a call for each position.
            fn slot(&self, driver: DriverId) -> Answering<'_, Arc<dyn Slot>>;
        }

        /// A call with its arguments, as it crosses a wire. Named as the method.
        #[derive(Serialize, Deserialize)]
        #[serde(tag = "call", content = "with")]
        #[expect(non_camel_case_types, reason = "one name for a call everywhere")]
        pub(crate) enum Call {
            $($name { $($given: $type),* },)*
        }

        impl Call {
            /// Has the system carry it out; the answer as it crosses the wire.
            pub(crate) async fn carry_out(self, live: &dyn Live) -> serde_json::Result<Vec<u8>> {
                match self {
                    $(Self::$name { $($given),* } => serde_json::to_vec(&live.$name($($given),*).await),)*
                }
            }
        }

        impl Live for crate::wire::Remote {
            $(fn $name(&self, $($given: $type),*) -> Answering<'_, $answer> {
                Box::pin(self.ask(Call::$name { $($given),* }))
            })*

            fn slot(&self, driver: DriverId) -> Answering<'_, Arc<dyn Slot>> {
                Box::pin(self.slot_of(driver))
            }
        }
    };
}

calls! {
    /// Whether stored state is loaded and Postgres answers.
    ready() -> ();

    /// Checks and stores a new order. Answered after its commit.
    place_order(order: PlaceOrder, idempotency: Option<Idempotency>, cause: Cause) -> Once<Arc<Order>>;
    /// The first answer under the key, where it was used before: what is `refused` now may have been done then. Otherwise
    /// `refused`.
    replay_order(refused: Refused, idempotency: Option<Idempotency>) -> Once<Arc<Order>>;
    /// The order's present state, live or settled.
    order(id: OrderId) -> Arc<Order>;
    /// Asks the order for something: confirm, reject, cancel, unlock. Answered after the commit. What a driver asks goes
    /// through [`Live::command_driver`].
    command_order(id: OrderId, command: Command, cause: Cause) -> Done;
    /// Operations give the order to a driver, whose calendar must have the time.
    assign_order(id: OrderId, driver: DriverId, cause: Cause) -> Done;
    /// Operations take the order back from its driver.
    unassign_order(id: OrderId, cause: Cause) -> Done;
    /// Operations say how urgent the order is: higher goes first. Dispatch looks again at once.
    prioritise_order(id: OrderId, priority: i16, cause: Cause) -> Done;
    /// The order with its history, its driver and when it is expected, while its tracking links open it: what
    /// [`crate::views::tracking`] shows something of.
    track_order(id: OrderId) -> TrackedOrder;
    /// What the order's actor holds in memory.
    order_inside(id: OrderId) -> OrderInside;
    /// How many orders are live.
    live_orders() -> usize;

    /// Registers a driver.
    register_driver(driver: RegisterDriver, idempotency: Option<Idempotency>, cause: Cause) -> Once<Arc<Driver>>;
    /// The driver with what is live about them.
    driver(id: DriverId) -> LiveDriver;
    /// Adds what is live about drivers who were read from a list; in its order.
    drivers(stored: Vec<Driver>) -> Vec<LiveDriver>;
    /// Everybody on shift, by id.
    drivers_on_shift() -> Vec<LiveDriver>;
    /// Changes the driver's shift: the shift now, whether that is a change, and when it was made.
    change_shift(id: DriverId, change: ShiftChange, cause: Cause) -> (Shift, bool, Timestamp);
    /// Does what the driver asks, once for each `command_id`. Answered after the commit.
    command_driver(id: DriverId, command: DriverCommand, command_id: Option<String>, cause: Cause) -> Done;
    /// Has the driver do this stop next and everything else around it.
    choose_next(id: DriverId, task: Option<TaskId>, cause: Cause) -> NextChosen;
    /// Orders in hand, orders offered to the driver, and the route planned for them.
    work(id: DriverId) -> Work;
    /// What the driver's actor holds in memory.
    driver_inside(id: DriverId) -> DriverInside;
    /// Stores positions that a device collected; none stands for one whose place is none.
    positions(id: DriverId, given: Vec<Option<Report>>) -> Received;
    /// Forgets what is personal of a driver who deleted their account.
    forget_driver(id: DriverId, cause: Cause) -> ();

    /// Plans a shift, from `start` to `end`.
    plan_shift(
        driver: DriverId,
        start: Timestamp,
        end: Timestamp,
        place: Option<Place>,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Once<PlannedShift>;
    /// A driver's planned shifts that are not over, the first to end first.
    planned_shifts(driver: DriverId) -> Vec<PlannedShift>;
    /// Takes a shift off the roster. A driver who is on shift by then stays so.
    drop_shift(driver: DriverId, shift: ShiftId, cause: Cause) -> ();

    /// Makes a zone.
    create_zone(zone: NewZone, idempotency: Option<Idempotency>, cause: Cause) -> Once<LiveZone>;
    /// Puts a zone in the place of what it was.
    replace_zone(id: ZoneId, zone: NewZone, cause: Cause) -> LiveZone;
    /// Removes a zone: it takes no order any more, and those that it has are finished.
    remove_zone(id: ZoneId, cause: Cause) -> ();
    /// One zone.
    zone(id: ZoneId) -> LiveZone;
    /// All zones, by name.
    zones() -> Vec<LiveZone>;
    /// What the zone's dispatcher sees.
    board(id: ZoneId) -> ZoneBoard;
    /// Brings the zones to where `wanted` stands, which are those of another world: how many changed.
    mirror_zones(wanted: Vec<Arc<Zone>>) -> usize;

    /// What is known of each quantity for a seller in a zone, at an hour of the day (UTC).
    learned(zone: ZoneId, seller: Option<MerchantId>, hour: u8) -> Vec<(Quantity, Answer)>;
}

/// Where one driver is, for the socket that hears of it. Nothing here waits.
pub trait Slot: Send + Sync {
    /// Whose it is.
    fn driver(&self) -> DriverId;
    /// A sign of life.
    fn heartbeat(&self);
    /// Takes positions that came together at `now`, in the order in which they came: visible to dispatch and followers when
    /// this returns, as far as they are believed. None where there are none.
    fn report(&self, reports: &[Report], now: Timestamp) -> Option<LastTaken>;
    /// A sign of life with a place that is none.
    fn report_no_place(&self);
    /// The newest position that is believed.
    fn newest(&self) -> Option<Fix>;
}

impl System {
    /// The system, as everybody outside of it reaches it.
    #[must_use]
    pub fn reach(&self) -> Arc<dyn Live> {
        Arc::new(self.clone())
    }
}
