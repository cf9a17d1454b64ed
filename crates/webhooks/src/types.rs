//! Types of events.

use posthaste_domain::order::Event;
use posthaste_protocol::webhooks::EventType;

/// What stands before the name of an order's event.
const ORDER: &str = "order.";
/// A message that somebody asked for, to see whether it arrives. It cannot be chosen: it goes where it is asked for.
pub(crate) const TEST: &str = "webhook.test";

/// The most types that an endpoint names: each once.
pub(crate) const MOST: usize = Event::NAMES.len();

/// The type of an order's event.
pub(crate) fn of_order(name: &str) -> String {
    format!("{ORDER}{name}")
}

/// Whether an endpoint that chose `types` wants an order's event.
pub(crate) fn wanted(types: &[String], name: &str) -> bool {
    types.is_empty() || types.iter().any(|kind| kind.strip_prefix(ORDER) == Some(name))
}

/// Whether there is such a type to choose.
pub(crate) fn exists(kind: &str) -> bool {
    kind.strip_prefix(ORDER).is_some_and(|name| Event::NAMES.contains(&name))
}

/// Every type, with when it is sent.
pub(crate) fn all() -> Vec<EventType> {
    let orders = Event::NAMES.iter().map(|name| (of_order(name), description(name)));
    let all = orders.chain([(TEST.to_owned(), "Somebody asked for it. It cannot be chosen.")]);
    all.map(|(kind, description)| EventType { kind, description: description.to_owned() }).collect()
}

fn description(name: &str) -> &'static str {
    match name {
        "placed" => "The order was placed.",
        "seller_confirmed" => "A seller confirmed its part.",
        "seller_rejected" => "A seller rejected its part, or did not answer in time.",
        "offered" => "A driver is asked whether they take it.",
        "offer_declined" => "The driver declined, or did not answer in time.",
        "offer_withdrawn" => "The driver is no longer asked.",
        "assigned" => "A driver has it.",
        "unassigned" => "The driver does not have it any more; another is looked for.",
        "escalated" => "Goods are aboard with a driver who is gone: operations look after it.",
        "escalation_ended" => "The driver is back, or somebody else has it.",
        "prioritised" => "Operations gave it another priority.",
        "zone_changed" => "Its zone was removed, and it waits in another.",
        "departed" => "The driver is on their way to a stop.",
        "arrived" => "The driver is at a stop.",
        "code_refused" => "A wrong code was given at a stop.",
        "code_unlocked" => "The wrong codes of a stop are forgiven.",
        "picked_up" => "The driver has a seller's part.",
        "delivered" => "The customer has it.",
        "returned" => "A seller has its part back.",
        "failed" => "A stop, or the order, came to nothing.",
        "canceled" => "It was canceled.",
        "expired" => "Nobody could take it in time.",
        _ => "An event of an order.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_says_when_it_is_sent() {
        for one in all() {
            assert_ne!(one.description, description(""), "{}", one.kind);
        }
        assert!(exists("order.delivered") && !exists("delivered") && !exists(TEST) && !exists("order."));
    }

    #[test]
    fn without_a_choice_everything_is_wanted() {
        let chosen = ["order.delivered".to_owned()];
        assert!(wanted(&[], "placed") && wanted(&chosen, "delivered") && !wanted(&chosen, "placed"));
    }
}
