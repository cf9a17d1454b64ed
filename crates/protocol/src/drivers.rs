//! Drivers on the wire.

use chrono::{DateTime, TimeDelta, Utc};
use posthaste_domain::driver::{Driver, Shift, Vehicle};
use posthaste_domain::ids::{DriverId, MerchantId, OfferId, OrderId, ShiftId, TaskId, ZoneId};
use posthaste_domain::order::{Order, Speed, Status};
use posthaste_domain::position::{Reason, Taken};
use posthaste_domain::roster::PlannedShift;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::audience::Audience;
use crate::orders::{OrderView, PlaceView, TaskView, WindowView};
use crate::words;

fn both_speeds() -> Vec<Speed> {
    vec![Speed::Fast, Speed::Slow]
}

fn one() -> u32 {
    1
}

/// Registers a driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDriver {
    /// The name customers see, 1 to 100 characters.
    pub name: String,
    /// `foot`, `bicycle`, `motorbike`, `car` or `van`.
    #[schema(value_type = words::Vehicle)]
    pub vehicle: Vehicle,
    /// Units of size that fit at once, 1 to 1000.
    #[serde(default = "one")]
    pub capacity: u32,
    /// Zones served, 1 to 50.
    #[schema(value_type = Vec<String>)]
    pub zones: Vec<ZoneId>,
    /// Speeds served; both by default.
    #[serde(default = "both_speeds")]
    #[schema(value_type = Vec<words::Speed>)]
    pub speeds: Vec<Speed>,
}

/// What a driver asks for: `available`, `on_break` or `offline`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShiftState {
    /// Not working.
    Offline,
    /// Taking work.
    Available,
    /// No new work for now.
    OnBreak,
}

/// A shift change, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftView {
    /// The state.
    pub state: ShiftState,
    /// When the driver means to stop: no pickup is planned after it.
    #[serde(default, deserialize_with = "crate::instant::read_option", skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Where the driver starts, so that work can be offered before the first position arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceView>,
    /// With `offline`: what the driver has not picked up goes to others at once, and what they have aboard is
    /// escalated. Without it they carry everything to the door.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hand_back: bool,
}

impl From<ShiftView> for Shift {
    fn from(view: ShiftView) -> Self {
        match view.state {
            ShiftState::Offline => Self::Offline,
            ShiftState::Available => Self::Available { until: view.until },
            ShiftState::OnBreak => Self::OnBreak { until: view.until },
        }
    }
}

impl From<Shift> for ShiftView {
    fn from(shift: Shift) -> Self {
        let state = match shift {
            Shift::Offline => ShiftState::Offline,
            Shift::Available { .. } => ShiftState::Available,
            Shift::OnBreak { .. } => ShiftState::OnBreak,
        };
        Self { state, until: shift.until(), place: None, hand_back: false }
    }
}

/// Plans a shift of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanShift {
    /// Its start.
    #[serde(deserialize_with = "crate::instant::read")]
    pub start: DateTime<Utc>,
    /// Its end, at most 24 hours later.
    #[serde(deserialize_with = "crate::instant::read")]
    pub end: DateTime<Utc>,
    /// Where the driver starts: without it, plans cannot reckon with them before they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceView>,
}

/// A shift that a driver is planned to work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedShiftView {
    /// The shift.
    #[schema(value_type = String, example = "shf_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: ShiftId,
    /// Whose it is.
    #[schema(value_type = String, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub driver_id: DriverId,
    /// Its start.
    pub start: DateTime<Utc>,
    /// Its end.
    pub end: DateTime<Utc>,
    /// Where the driver starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceView>,
    /// When it was planned.
    pub created_at: DateTime<Utc>,
}

impl PlannedShiftView {
    /// The view of a planned shift.
    #[must_use]
    pub fn of(shift: &PlannedShift) -> Self {
        Self {
            id: shift.id,
            driver_id: shift.driver,
            start: shift.during.start(),
            end: shift.during.end(),
            place: shift.place.map(Into::into),
            created_at: shift.created_at,
        }
    }
}

/// A driver says which stop they do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NextStop {
    /// An open task of theirs, whose turn can be now: no door before its goods are aboard.
    #[schema(value_type = String, example = "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub task_id: TaskId,
}

/// One position from a device. A measure that says nothing, as −1 on an iPhone, counts as left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PositionReport {
    /// Latitude. 0, 0 is no place but a device without a fix.
    #[serde(deserialize_with = "degrees")]
    #[schema(example = 52.5163)]
    pub lat: f64,
    /// Longitude.
    #[serde(deserialize_with = "degrees")]
    #[schema(example = 13.3777)]
    pub lng: f64,
    /// The device's own time; arrival at the server where absent. Positions of one device are in the order of these times;
    /// a clock that is wrong is learned, and its times are corrected.
    #[serde(default, deserialize_with = "crate::instant::read_device_option", skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// Radius of uncertainty in metres; unknown where it is not above zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_meters: Option<f32>,
    /// Direction of movement in degrees from north, 0 to 360; unknown otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading_degrees: Option<f32>,
    /// Metres per second, 0 to 100; unknown otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_meters_per_second: Option<f32>,
}

/// Programs write a number that is none as `null`: it is no place, and says so when it is read as one.
fn degrees<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Positions collected by a device, in any order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PositionBatch {
    /// 1 to 500 positions. One that is odd costs only itself.
    pub positions: Vec<PositionReport>,
}

/// How positions were taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PositionsTaken {
    /// The driver was seen there, one after the other.
    #[schema(example = 48)]
    pub believed: u32,
    /// Older than what is known: kept for the track.
    #[schema(example = 1)]
    pub kept: u32,
    /// Those that were not taken, and why. Not to be sent again.
    pub left_out: Vec<PositionLeftOut>,
    /// By how many seconds the device's clock is behind the server's (negative: ahead), where it is off by more than half a
    /// minute: the driver should set it. Until then times are corrected by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 600)]
    pub clock_behind_seconds: Option<i64>,
}

/// A position that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PositionLeftOut {
    /// Which one of those that were sent together, from 0.
    #[schema(example = 7)]
    pub index: u32,
    /// `not_a_place`, `no_fix` (0, 0), `odd_time` (far ahead of the others of its batch), `too_old` (older than tracks are
    /// kept), `older` than what is known, `repeated`, `coarse` (far less accurate than what is known, which is fresh), or
    /// `jump` (nobody can be there by now; believed when the device insists).
    #[schema(value_type = words::LeftOutBecause)]
    pub reason: Reason,
}

impl PositionsTaken {
    /// What became of them, in the order in which they were sent.
    #[must_use]
    pub fn of(taken: &[Taken], clock_behind: Option<TimeDelta>) -> Self {
        let clock_behind_seconds = clock_behind.map(|behind| behind.num_seconds());
        let mut all = Self { clock_behind_seconds, ..Self::default() };
        for (index, taken) in (0..).zip(taken) {
            match *taken {
                Taken::Believed { .. } => all.believed += 1,
                Taken::Kept { .. } => all.kept += 1,
                Taken::LeftOut(reason) => all.left_out.push(PositionLeftOut { index, reason }),
            }
        }
        all
    }
}

/// A driver's newest position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PositionView {
    /// The driver.
    #[schema(value_type = String, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub driver_id: DriverId,
    /// Latitude.
    #[schema(example = 52.5163)]
    pub lat: f64,
    /// Longitude.
    #[schema(example = 13.3777)]
    pub lng: f64,
    /// When: the device's time, corrected where its clock is wrong.
    pub at: DateTime<Utc>,
    /// Direction of movement in degrees from north.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading_degrees: Option<f32>,
    /// Metres per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_meters_per_second: Option<f32>,
}

/// A driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriverView {
    /// The driver.
    #[schema(value_type = String, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: DriverId,
    /// The name customers see.
    #[schema(example = "Grace")]
    pub name: String,
    /// The vehicle.
    #[schema(value_type = words::Vehicle)]
    pub vehicle: Vehicle,
    /// Units of size that fit at once.
    pub capacity: u32,
    /// Zones served.
    #[schema(value_type = Vec<String>, example = json!(["zon_01jd8v7cjxfm9sxv0q3e0b5z1c"]))]
    pub zones: Vec<ZoneId>,
    /// Speeds served.
    #[schema(value_type = Vec<String>, example = json!(["fast", "slow"]))]
    pub speeds: Vec<Speed>,
    /// Shift.
    pub shift: ShiftView,
    /// Whether the driver has been silent too long to get work.
    pub stale: bool,
    /// Open orders in hand.
    pub open_orders: u32,
    /// Last position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<PositionView>,
    /// When the driver was registered.
    pub created_at: DateTime<Utc>,
}

impl DriverView {
    /// The view of a driver with what is live about them.
    #[must_use]
    pub fn of(driver: &Driver, stale: bool, open_orders: u32, position: Option<PositionView>) -> Self {
        Self {
            id: driver.id,
            name: driver.name.clone(),
            vehicle: driver.vehicle,
            capacity: driver.capacity,
            zones: driver.zones.clone(),
            speeds: driver.speeds.clone(),
            shift: driver.shift.into(),
            stale,
            open_orders,
            position,
            created_at: driver.created_at,
        }
    }
}

/// An offer, as its driver sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OfferView {
    /// The offer.
    #[schema(value_type = String, example = "ofr_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: OfferId,
    /// Answer before this, or it goes to another driver.
    pub deadline: DateTime<Utc>,
    /// The time it would take of the driver.
    pub commitment: WindowView,
    /// The work, without codes and contacts: whoever takes it gets them.
    pub order: OrderView,
}

impl OfferView {
    /// The view of the order's open offer, if it has one.
    #[must_use]
    pub fn of(order: &Order) -> Option<Self> {
        let offer = order.offer?;
        Some(Self {
            id: offer.id,
            deadline: offer.deadline,
            commitment: WindowView { start: offer.commitment.start(), end: offer.commitment.end() },
            order: OrderView::of(order, Audience::Driver(offer.driver)),
        })
    }
}

/// One stop of a driver's route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StopView {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// The order's status.
    #[schema(value_type = words::OrderStatus)]
    pub order_status: Status,
    /// The promised time at the door.
    pub promised_at: DateTime<Utc>,
    /// When the plan has it done, in a zone that plans routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_at: Option<DateTime<Utc>>,
    /// Whether the driver chose to do it next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chosen: bool,
    /// What to do.
    pub task: TaskView,
}

/// The plan that a route follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// Higher for a newer plan of the same run of the server.
    pub generation: u64,
    /// Why the route is not what was told before.
    pub reason: words::RouteReason,
    /// When the plan was made.
    pub made_at: DateTime<Utc>,
}

/// Where a driver with nothing to do is advised to wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StandbyView {
    /// Latitude.
    #[schema(example = 52.5163)]
    pub lat: f64,
    /// Longitude.
    #[schema(example = 13.3777)]
    pub lng: f64,
    /// Whose shop it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub merchant_id: Option<MerchantId>,
    /// Why there.
    pub reason: words::StandbyReason,
    /// After that they need not wait there.
    pub until: DateTime<Utc>,
}

/// What a driver has to do, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteView {
    /// The driver.
    #[schema(value_type = String, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub driver_id: DriverId,
    /// Open stops, next first.
    pub stops: Vec<StopView>,
    /// The plan that the order of the stops follows, in a zone that plans routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanView>,
    /// Where to wait for work: advice, no order. The driver is offered work as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<StandbyView>,
    /// Open offers.
    pub offers: Vec<OfferView>,
}
