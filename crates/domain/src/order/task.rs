//! The tasks of an order.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::code::as_meant;
use crate::contact::Contact;
use crate::ids::{MerchantId, OrderId, TaskId};
use crate::place::Place;
use crate::window::Window;

use super::estimate::Departure;

/// What is to be done at a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Collect one seller's part.
    Pickup,
    /// Hand everything to the customer.
    Delivery,
    /// Bring one seller's part back.
    Return,
}

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Pickup, Self::Delivery, Self::Return];
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Its seller has yet to confirm.
    AwaitingConfirmation,
    /// Nobody has it.
    Open,
    /// A driver is being asked.
    Offered,
    /// A driver has it.
    Assigned,
    /// The driver is on the way to it.
    EnRoute,
    /// The driver is there.
    Arrived,
    /// Done. Final.
    Done,
    /// Its seller said no, or nothing in time. Final.
    Rejected,
    /// The order was canceled. Final.
    Canceled,
    /// No driver was found. Final.
    Expired,
    /// It could not be done. Final.
    Failed,
}

impl TaskStatus {
    /// Every status.
    pub const ALL: [Self; 11] = [
        Self::AwaitingConfirmation,
        Self::Open,
        Self::Offered,
        Self::Assigned,
        Self::EnRoute,
        Self::Arrived,
        Self::Done,
        Self::Rejected,
        Self::Canceled,
        Self::Expired,
        Self::Failed,
    ];

    /// Whether nothing more can happen to the task.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Rejected | Self::Canceled | Self::Expired | Self::Failed)
    }
}

/// A secret of four to eight digits that confirms a hand-over.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code(String);

/// Text that is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a code is four to eight digits")]
pub struct InvalidCode;

impl Code {
    /// What codes look like, as a regular expression.
    pub const FORM: &'static str = "^[0-9]{4,8}$";

    /// A code from text, refused when it is not four to eight digits.
    pub fn new(text: &str) -> Result<Self, InvalidCode> {
        if (4..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidCode)
        }
    }

    /// The four-digit code for a random number.
    #[must_use]
    pub fn from_entropy(entropy: u32) -> Self {
        Self(format!("{:04}", entropy % 10_000))
    }

    /// The digits. Only for those who may see them.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// Whether `attempt`, however it was typed, is this code. Takes the same time wherever the first difference is.
    #[must_use]
    pub fn matches(&self, attempt: &str) -> bool {
        let attempt = as_meant(attempt);
        let (a, b) = (self.0.as_bytes(), attempt.as_bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0u8, |difference, (x, y)| difference | (x ^ y)) == 0
    }
}

/// Codes are secrets: debug output (and so logs) never shows them.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

impl TryFrom<String> for Code {
    type Error = InvalidCode;
    fn try_from(text: String) -> Result<Self, InvalidCode> {
        Self::new(&text)
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.0
    }
}

/// What a driver shows for a hand-over besides the code. All optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Reference to a photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_url: Option<String>,
    /// Reference to a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_url: Option<String>,
    /// Who received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_by: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where the device was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The device's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_at: Option<Timestamp>,
}

/// Why a driver could not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// Nobody opened.
    CustomerAbsent,
    /// The customer did not want it.
    CustomerRefused,
    /// The address is wrong.
    WrongAddress,
    /// The goods are damaged.
    Damaged,
    /// The goods are lost.
    Lost,
    /// The shop is closed.
    StoreClosed,
    /// The shop does not have it ready.
    NotReady,
    /// The vehicle broke down: somebody else can do it.
    VehicleBreakdown,
    /// The driver had an accident: somebody else can do it.
    Accident,
    /// Something else, said in the note.
    Other,
}

impl FailReason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::CustomerAbsent,
        Self::CustomerRefused,
        Self::WrongAddress,
        Self::Damaged,
        Self::Lost,
        Self::StoreClosed,
        Self::NotReady,
        Self::VehicleBreakdown,
        Self::Accident,
        Self::Other,
    ];

    /// Whether the trouble is the driver's and the order can go to another.
    #[must_use]
    pub fn is_the_drivers(self) -> bool {
        matches!(self, Self::VehicleBreakdown | Self::Accident)
    }

    /// Whether the goods no longer exist as sold, so that nothing can be brought back.
    #[must_use]
    pub fn destroys_goods(self) -> bool {
        matches!(self, Self::Damaged | Self::Lost)
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CustomerAbsent => "customer_absent",
            Self::CustomerRefused => "customer_refused",
            Self::WrongAddress => "wrong_address",
            Self::Damaged => "damaged",
            Self::Lost => "lost",
            Self::StoreClosed => "store_closed",
            Self::NotReady => "not_ready",
            Self::VehicleBreakdown => "vehicle_breakdown",
            Self::Accident => "accident",
            Self::Other => "other",
        }
    }
}

/// One thing to do at one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The task.
    pub id: TaskId,
    /// What is to be done.
    pub kind: TaskKind,
    /// Where it stands.
    pub status: TaskStatus,
    /// Whose goods: set on pickups and returns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<MerchantId>,
    /// Where.
    pub place: Place,
    /// Whom to ask for.
    #[serde(default)]
    pub contact: Contact,
    /// When, for slow orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Pickups: when the seller expects to have it ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// Time from arrival to leaving, in seconds.
    pub service_seconds: u32,
    /// The seller's deadline to confirm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_by: Option<Timestamp>,
    /// The code that confirms the hand-over; none when the order asked for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Wrong codes since the last lock.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wrong_codes: u8,
    /// The commands that brought the last wrong codes, oldest first, so that sending one again does not count twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong_commands: Vec<String>,
    /// Codes are refused until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<Timestamp>,
    /// When and where the driver set out for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub departure: Option<Departure>,
    /// When the driver arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_at: Option<Timestamp>,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
    /// What was shown for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(n: &u8) -> bool {
    *n == 0
}

impl Task {
    /// The id of an order's `index`-th task: the order's id with the index folded in, so that it
    /// needs no randomness of its own and sorts beside its order.
    #[must_use]
    pub fn id_of(order: OrderId, index: usize) -> TaskId {
        use crate::ids::Id;
        TaskId::from_uuid(uuid::Uuid::from_u128(order.uuid().as_u128() ^ (index as u128 + 1)))
    }

    /// The order whose `index`-th task this would be: the reverse of [`Self::id_of`].
    #[must_use]
    pub fn order_of(task: TaskId, index: usize) -> OrderId {
        use crate::ids::Id;
        OrderId::from_uuid(uuid::Uuid::from_u128(task.uuid().as_u128() ^ (index as u128 + 1)))
    }

    /// When the seller's silence becomes a rejection, while it is still due.
    #[must_use]
    pub fn confirmation_due(&self) -> Option<Timestamp> {
        self.confirm_by.filter(|_| self.status == TaskStatus::AwaitingConfirmation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_code_made_from_randomness_is_one(entropy: u32) {
            let code = Code::from_entropy(entropy);
            prop_assert_eq!(Code::new(code.digits()), Ok(code.clone()));
            prop_assert!(code.matches(code.digits()));
        }

        #[test]
        fn only_the_same_digits_match(code in "[0-9]{4,8}", attempt in "[0-9]{0,9}") {
            prop_assert_eq!(Code::new(&code).unwrap().matches(&attempt), code == attempt);
        }

        #[test]
        fn a_task_leads_back_to_its_order(bits: u128, index in 0..41usize) {
            use crate::ids::Id;
            let order = OrderId::from_uuid(uuid::Uuid::from_u128(bits));
            prop_assert_eq!(Task::order_of(Task::id_of(order, index), index), order);
        }
    }

    #[test]
    fn a_code_is_right_however_it_is_typed() {
        for typed in [" 0420 ", "04 20", "04-20", "０４２０", "٠٤٢٠"] {
            assert!(Code::new("0420").unwrap().matches(typed), "{typed}");
        }
        assert!(!Code::new("0420").unwrap().matches("420"));
    }

    #[test]
    fn what_is_not_four_to_eight_digits_is_no_code() {
        for text in ["", "123", "123456789", "12a4", "１２３４"] {
            assert_eq!(Code::new(text), Err(InvalidCode), "{text}");
        }
        assert!(serde_json::from_str::<Code>(r#""12""#).is_err());
    }

    #[test]
    fn a_code_never_shows_in_debug_output() {
        assert!(!format!("{:?}", Code::new("4711").unwrap()).contains("4711"));
    }

    #[test]
    fn a_reason_is_called_the_same_everywhere() {
        for reason in [FailReason::CustomerAbsent, FailReason::VehicleBreakdown, FailReason::NotReady] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
    }
}
