//! Which of the jobs that are due are begun now. Due is only the first of its lane, so that lanes stay in order; here groups are
//! kept from living on each other's time. Pure.

use std::collections::HashMap;

use posthaste_domain::ids::JobId;

/// A job that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: JobId,
    pub(crate) group: String,
    /// Its claim's number: who finds another one came too late.
    pub(crate) claim: i64,
}

/// How much there is room for.
pub(crate) struct Room<'a, F> {
    /// Runs that may be begun.
    pub(crate) free: usize,
    /// Runs of each group at most, those under way included.
    pub(crate) most_of: F,
    /// How many of each group are under way.
    pub(crate) under_way: &'a HashMap<String, usize>,
}

/// Takes from `due` (of each group the longest due first) in rounds, one of each group in a round, as far as there is room
/// beside what is under way.
pub(crate) fn choose<F: Fn(&str) -> usize>(due: Vec<Due>, room: &Room<'_, F>) -> Vec<Due> {
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut by_round: Vec<(usize, Due)> = Vec::new();
    for one in due {
        let mine = taken.entry(one.group.clone()).or_default();
        let round = room.under_way.get(&one.group).copied().unwrap_or_default() + *mine;
        if round < (room.most_of)(&one.group) {
            *mine += 1;
            by_round.push((round, one));
        }
    }
    // Stable: the order within a round stays. Who has much under way comes in a late round.
    by_round.sort_by_key(|(round, _)| *round);
    by_round.into_iter().map(|(_, due)| due).take(room.free).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::ids::Id;
    use proptest::prelude::*;
    use uuid::Uuid;

    const AT_ONCE: usize = 64;
    const OF_GROUP: usize = 8;

    fn due(group: u128, n: u128) -> Due {
        Due { id: JobId::from_uuid(Uuid::from_u128(n)), group: group.to_string(), claim: 0 }
    }

    fn chosen(due: &[Due], under_way: &HashMap<String, usize>) -> Vec<Due> {
        let busy: usize = under_way.values().sum();
        let room = Room { free: AT_ONCE.saturating_sub(busy), most_of: |_: &str| OF_GROUP, under_way };
        choose(due.to_vec(), &room)
    }

    #[test]
    fn a_thousand_jobs_of_one_group_do_not_keep_another_waiting() {
        let mut all: Vec<_> = (0..1000).map(|n| due(1, n)).collect();
        all.push(due(2, 5000));
        let chosen = chosen(&all, &HashMap::new());
        assert_eq!(chosen.len(), OF_GROUP + 1);
        assert_eq!(chosen[1], due(2, 5000), "in the first round");
    }

    #[test]
    fn a_group_that_hangs_gets_no_more() {
        let hangs = HashMap::from([("1".to_owned(), OF_GROUP)]);
        assert_eq!(chosen(&[due(1, 1), due(2, 2)], &hangs), [due(2, 2)]);
    }

    proptest! {
        #[test]
        fn limits_hold_and_nobody_is_passed_over_without_reason(
            groups in proptest::collection::vec(0u128..20, 0..300),
            busy in proptest::collection::hash_map(0u128..20, 0usize..=OF_GROUP, 0..8),
        ) {
            let all: Vec<_> = (0..).zip(&groups).map(|(n, group)| due(*group, n)).collect();
            let under_way: HashMap<_, _> = busy.iter().map(|(group, n)| (group.to_string(), *n)).collect();
            let chosen = chosen(&all, &under_way);
            let mut then = under_way.clone();
            for one in &chosen {
                *then.entry(one.group.clone()).or_default() += 1;
            }
            prop_assert!(then.values().all(|n| *n <= OF_GROUP));
            let before: usize = under_way.values().sum();
            prop_assert!(before + chosen.len() <= AT_ONCE.max(before));
            if before + chosen.len() < AT_ONCE {
                let left = all.iter().filter(|d| !chosen.contains(d));
                for one in left {
                    prop_assert_eq!(then.get(&one.group), Some(&OF_GROUP));
                }
            }
            // Of one group, who is longer due goes first.
            for pair in chosen.windows(2) {
                prop_assert!(pair[0].group != pair[1].group || pair[0].id < pair[1].id);
            }
        }
    }
}
