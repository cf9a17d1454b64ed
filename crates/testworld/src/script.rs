//! What an order's reference asks of the test world, so that a merchant's program meets sad ends too.

use posthaste_domain::order::{FailReason, Order, TaskKind};

/// References that ask for something begin so. What follows the word is the merchant's own, as in
/// `test:customer_absent A-1001`.
const PREFIX: &str = "test:";

/// How long an order that nobody is to take waits: long enough for every driver on shift to be asked.
const GIVEN_UP_SECONDS: u32 = 30;

/// What becomes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// It is carried to its door.
    Delivered,
    /// Nobody takes it: it expires.
    NoDriver,
    /// Sellers other than its owner say no.
    SellerRejects,
    /// A task of this kind cannot be done.
    Fails(TaskKind, FailReason),
}

impl Script {
    /// The script of an order: what is not known asks for nothing.
    pub(crate) fn of(order: &Order) -> Self {
        order.reference.as_deref().map_or(Self::Delivered, Self::read)
    }

    /// After how many seconds an order without a driver is given up, where its reference says so.
    pub(crate) fn gives_up_after(reference: Option<&str>) -> Option<u32> {
        (reference.map(Self::read) == Some(Self::NoDriver)).then_some(GIVEN_UP_SECONDS)
    }

    fn read(reference: &str) -> Self {
        let Some(rest) = reference.strip_prefix(PREFIX) else { return Self::Delivered };
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        let at_door = |reason| Self::Fails(TaskKind::Delivery, reason);
        let at_shop = |reason| Self::Fails(TaskKind::Pickup, reason);
        match &rest[..end] {
            "no_driver" => Self::NoDriver,
            "seller_rejects" => Self::SellerRejects,
            "customer_absent" => at_door(FailReason::CustomerAbsent),
            "customer_refused" => at_door(FailReason::CustomerRefused),
            "wrong_address" => at_door(FailReason::WrongAddress),
            "damaged" => at_door(FailReason::Damaged),
            "lost" => at_door(FailReason::Lost),
            "store_closed" => at_shop(FailReason::StoreClosed),
            "not_ready" => at_shop(FailReason::NotReady),
            _ => Self::Delivered,
        }
    }

    /// Why a task of this kind fails, if it is to.
    pub(crate) fn failure_at(self, kind: TaskKind) -> Option<FailReason> {
        if let Self::Fails(at, reason) = self { (at == kind).then_some(reason) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_asks_with_its_first_word_and_all_others_ask_for_nothing() {
        let absent = Script::Fails(TaskKind::Delivery, FailReason::CustomerAbsent);
        for (reference, script) in [
            ("test:customer_absent", absent),
            ("test:customer_absent A-1001", absent),
            ("test:customer_absent/7", absent),
            ("test:store_closed", Script::Fails(TaskKind::Pickup, FailReason::StoreClosed)),
            ("test:no_driver", Script::NoDriver),
            ("test:seller_rejects", Script::SellerRejects),
            ("test:no_drivers", Script::Delivered),
            ("test:", Script::Delivered),
            ("test:é", Script::Delivered),
            ("A-1001 test:no_driver", Script::Delivered),
            ("Test:no_driver", Script::Delivered),
        ] {
            assert_eq!(Script::read(reference), script, "{reference}");
        }
    }

    #[test]
    fn a_failure_is_at_its_own_kind_of_task() {
        let absent = Script::read("test:customer_absent");
        assert_eq!(absent.failure_at(TaskKind::Delivery), Some(FailReason::CustomerAbsent));
        assert_eq!(Script::gives_up_after(Some("test:no_driver x")), Some(GIVEN_UP_SECONDS));
        assert_eq!((Script::gives_up_after(Some("A-1")), Script::gives_up_after(None)), (None, None));
        assert_eq!((absent.failure_at(TaskKind::Pickup), absent.failure_at(TaskKind::Return)), (None, None));
    }
}
