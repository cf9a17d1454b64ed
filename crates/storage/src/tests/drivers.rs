//! Lists of drivers.

use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, Id as _};

use super::story::{driver, id, registering, shifting, written};
use crate::drivers::{self, ListFilter};
use crate::journal::Entry;
use crate::testing::TestDatabase;

#[tokio::test]
async fn pages_of_drivers_have_no_gap_and_no_repetition() {
    let pool = TestDatabase::new().await.pool;
    let mut all: Vec<_> = (1..=25).map(driver).collect();
    for (n, driver) in all.iter_mut().enumerate() {
        driver.zones = if n % 2 == 0 { vec![id(1)] } else { vec![id(2), id(3)] };
    }
    written(&pool, &all.iter().map(registering).collect::<Vec<_>>()).await;
    let shifts: Vec<Entry> = all
        .iter_mut()
        .filter(|d| d.id.uuid().as_u128() % 3 == 0)
        .map(|d| shifting(d, Shift::Available { until: None }))
        .collect();
    written(&pool, &shifts).await;
    for zone in [None, Some(id(1)), Some(id(3)), Some(id(4))] {
        for on_shift in [None, Some(true), Some(false)] {
            let mut expected: Vec<DriverId> = all
                .iter()
                .filter(|d| zone.is_none_or(|zone| d.zones.contains(&zone)))
                .filter(|d| on_shift.is_none_or(|on| d.shift.is_on() == on))
                .map(|d| d.id)
                .collect();
            expected.reverse();
            let (mut seen, mut before) = (Vec::new(), None);
            loop {
                let page = drivers::list(&pool, ListFilter { zone, on_shift }, before, 4).await.unwrap();
                assert!(page.drivers.len() <= 4);
                seen.extend(page.drivers.iter().map(|d| d.id));
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{zone:?} {on_shift:?}");
        }
    }
}
