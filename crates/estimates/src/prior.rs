//! What is believed of what nobody has seen yet.
//!
//! Each list is twenty equally likely values, so that the tenth is the median and the eighteenth nine of ten. They are
//! assumptions, not measurements: what is stated (a ready time, a service, the zone's travel model) is taken as the
//! middle, and the tail says how wrong such statements usually are. Six orders of a kind weigh as much as a prior does.

use crate::Quantity;

/// Most are ready when they say, or are not waited for; one in ten is five minutes late or more.
const LATENESS: [i32; 20] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30, 60, 120, 300, 420, 600];
/// Who states no ready time is believed to have the goods there, as before anything was learned.
const PREPARATION: [i32; 20] = LATENESS;
/// The stated service in the middle; sometimes a queue.
const EXCESS: [i32; 20] = [-60, -30, -30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30, 60, 60, 120, 240, 360];
/// The zone's travel model in the middle; a bad road costs more than a good one saves.
const PACE: [i32; 20] = [
    800, 850, 900, 950, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1050, 1100, 1200, 1300, 1400, 1600,
];
/// Drivers come about five minutes after they could have; a busy fleet a quarter of an hour.
const REACH: [i32; 20] =
    [-120, -60, 0, 0, 60, 60, 120, 180, 240, 300, 300, 360, 420, 480, 540, 600, 720, 900, 1200, 1800];

/// Equally likely values of a quantity, before anything is known.
#[must_use]
pub fn of(quantity: Quantity) -> &'static [i32] {
    match quantity {
        Quantity::Lateness => &LATENESS,
        Quantity::Preparation => &PREPARATION,
        Quantity::PickupExcess | Quantity::DropoffExcess => &EXCESS,
        Quantity::Pace => &PACE,
        Quantity::Reach => &REACH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quantiles;

    #[test]
    fn what_is_stated_is_the_middle_of_what_is_believed() {
        for quantity in Quantity::ALL {
            let prior = of(quantity);
            assert!(prior.is_sorted(), "{quantity:?}");
            let median = Quantiles::of(prior.iter().map(|v| (*v, 1.0)).collect()).median();
            match quantity {
                Quantity::Pace => assert_eq!(median, 1000),
                Quantity::Reach => assert!((120..600).contains(&median)),
                _ => assert_eq!(median, 0, "{quantity:?}"),
            }
        }
    }
}
