//! Which of the messages that are due are sent now. Due is only the first of its lane, so that an order's events stay
//! in order; here endpoints are kept from living on each other's time.

use std::collections::HashMap;

use posthaste_domain::ids::{WebhookEndpointId, WebhookMessageId};

/// Messages on their way at once, in one process.
pub(crate) const MOST_AT_ONCE: usize = 64;
/// Of these, to one endpoint: eight that hang leave room for everybody else, and a quick one needs no more.
pub(crate) const MOST_TO_ONE: usize = 8;

/// A message that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: WebhookMessageId,
    pub(crate) endpoint: WebhookEndpointId,
    /// What it was claimed before: who finds another number came too late.
    pub(crate) claims: i32,
}

/// Takes from `due` (of each endpoint the longest due first) in rounds, one of each endpoint in a round, as far as
/// there is room beside what is under way.
pub(crate) fn choose(due: &[Due], under_way: &HashMap<WebhookEndpointId, usize>) -> Vec<Due> {
    let busy: usize = under_way.values().sum();
    let mut taken: HashMap<WebhookEndpointId, usize> = HashMap::new();
    let mut by_round: Vec<(usize, Due)> = Vec::new();
    for one in due {
        let mine = taken.entry(one.endpoint).or_default();
        let round = under_way.get(&one.endpoint).copied().unwrap_or_default() + *mine;
        if round < MOST_TO_ONE {
            *mine += 1;
            by_round.push((round, *one));
        }
    }
    // Stable: the order within a round stays. Who has much under way comes in a late round.
    by_round.sort_by_key(|(round, _)| *round);
    by_round.into_iter().map(|(_, due)| due).take(MOST_AT_ONCE.saturating_sub(busy)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::ids::Id;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn due(endpoint: u128, n: u128) -> Due {
        let endpoint = WebhookEndpointId::from_uuid(Uuid::from_u128(endpoint));
        Due { id: WebhookMessageId::from_uuid(Uuid::from_u128(n)), endpoint, claims: 0 }
    }

    #[test]
    fn a_thousand_messages_of_one_endpoint_do_not_keep_another_waiting() {
        let mut all: Vec<_> = (0..1000).map(|n| due(1, n)).collect();
        all.push(due(2, 5000));
        let chosen = choose(&all, &HashMap::new());
        assert_eq!(chosen.len(), MOST_TO_ONE + 1);
        assert_eq!(chosen[1], due(2, 5000), "in the first round");
    }

    #[test]
    fn an_endpoint_that_hangs_gets_no_more() {
        let hangs = HashMap::from([(due(1, 0).endpoint, MOST_TO_ONE)]);
        assert_eq!(choose(&[due(1, 1), due(2, 2)], &hangs), [due(2, 2)]);
    }

    proptest! {
        #[test]
        fn limits_hold_and_nobody_is_passed_over_without_reason(
            endpoints in proptest::collection::vec(0u128..20, 0..300),
            busy in proptest::collection::hash_map(0u128..20, 0usize..=MOST_TO_ONE, 0..8),
        ) {
            let all: Vec<_> = (0..).zip(&endpoints).map(|(n, endpoint)| due(*endpoint, n)).collect();
            let under_way: HashMap<_, _> = busy.iter().map(|(e, n)| (due(*e, 0).endpoint, *n)).collect();
            let chosen = choose(&all, &under_way);
            let mut then = under_way.clone();
            for one in &chosen {
                *then.entry(one.endpoint).or_default() += 1;
            }
            prop_assert!(then.values().all(|n| *n <= MOST_TO_ONE));
            let before: usize = under_way.values().sum();
            prop_assert!(before + chosen.len() <= MOST_AT_ONCE.max(before));
            if before + chosen.len() < MOST_AT_ONCE {
                let left = all.iter().filter(|d| !chosen.contains(d));
                for one in left {
                    prop_assert_eq!(then.get(&one.endpoint), Some(&MOST_TO_ONE));
                }
            }
            // Of one endpoint, who is longer due goes first.
            for pair in chosen.windows(2) {
                prop_assert!(pair[0].endpoint != pair[1].endpoint || pair[0].id < pair[1].id);
            }
        }
    }
}
