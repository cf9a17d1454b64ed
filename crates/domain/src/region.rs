//! Regions: groups of zones that share drivers, a city say. One live system runs a region whole; nothing that it decides
//! needs another one.

use serde::{Deserialize, Serialize};

use crate::ids::{RegionId, ZoneId};

/// Zones that cannot be served by one driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{one} and {other} are of different regions")]
pub struct RegionsDiffer {
    /// A zone.
    pub one: ZoneId,
    /// A zone of another region.
    pub other: ZoneId,
}

/// The region that all of these zones are of; [`RegionId::FIRST`] where there are none.
pub fn of_all(zones: impl IntoIterator<Item = (ZoneId, RegionId)>) -> Result<RegionId, RegionsDiffer> {
    let mut zones = zones.into_iter();
    let Some((one, region)) = zones.next() else { return Ok(RegionId::FIRST) };
    match zones.find(|(_, other)| *other != region) {
        Some((other, _)) => Err(RegionsDiffer { one, other }),
        None => Ok(region),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::ids::Id;

    fn zone(n: u128) -> ZoneId {
        ZoneId::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn region(n: u128) -> RegionId {
        RegionId::from_uuid(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn the_first_region_is_that_of_what_the_database_gives_none() {
        assert!(RegionId::FIRST.uuid().is_nil());
        assert_eq!(of_all([]), Ok(RegionId::FIRST));
    }

    proptest! {
        #[test]
        fn zones_have_a_region_in_common_or_two_of_them_are_named(regions in prop::collection::vec(0_u128..3, 1..6)) {
            let zones: Vec<_> = (1..).zip(&regions).map(|(n, of)| (zone(n), region(*of))).collect();
            let of = |id| zones.iter().find(|(zone, _)| *zone == id).expect("one of them").1;
            match of_all(zones.clone()) {
                Ok(common) => prop_assert!(zones.iter().all(|(_, region)| *region == common)),
                Err(RegionsDiffer { one, other }) => prop_assert_ne!(of(one), of(other)),
            }
        }
    }
}
