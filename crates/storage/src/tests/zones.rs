//! Zones: added, changed and removed.

use posthaste_domain::zone::{Travel, Zone, ZoneRules};
use serde_json::json;

use super::story::{answer, at, id};
use crate::idempotency;
use crate::testing::TestDatabase;
use crate::zones::{self, Stored, ZoneError};

fn zone(n: u128, name: &str) -> Zone {
    Zone {
        id: id(n),
        region: id(9),
        name: name.into(),
        area: json!({"type": "Polygon", "coordinates": [[[13.3, 52.5], [13.4, 52.5], [13.4, 52.6], [13.3, 52.5]]]}),
        rules: ZoneRules { offer_seconds: 45, ..ZoneRules::default() },
        travel: Travel { detour_factor: 1.3, ..Travel::default() },
        created_at: at(0),
        version: 1,
    }
}

#[tokio::test]
async fn a_zone_reads_back_as_it_was_written() {
    let pool = TestDatabase::new().await.pool;
    zones::insert(&pool, &zone(1, "Centre"), Some(&answer("k"))).await.unwrap();
    assert_eq!(zones::get(&pool, id(1)).await.unwrap(), Some(Stored { zone: zone(1, "Centre"), deleted_at: None }));
    assert_eq!(zones::served(&pool).await.unwrap(), [zone(1, "Centre")]);
    assert_eq!(idempotency::find(&pool, "mer_a", "k").await.unwrap(), Some(answer("k")));
}

#[tokio::test]
async fn two_served_zones_never_share_a_name() {
    let pool = TestDatabase::new().await.pool;
    zones::insert(&pool, &zone(1, "Centre"), None).await.unwrap();
    zones::insert(&pool, &zone(2, "North"), None).await.unwrap();
    let taken = zones::insert(&pool, &zone(3, "Centre"), Some(&answer("k"))).await;
    assert!(matches!(taken, Err(ZoneError::NameTaken)), "{taken:?}");
    assert_eq!(idempotency::find(&pool, "mer_a", "k").await.unwrap(), None, "nothing of a refused request is kept");
    let renamed = zones::update(&pool, 1, &Zone { version: 2, ..zone(2, "Centre") }).await;
    assert!(matches!(renamed, Err(ZoneError::NameTaken)), "{renamed:?}");
    // A removed zone gives its name back and keeps its row.
    assert!(zones::delete(&pool, id(1), at(5)).await.unwrap());
    assert!(!zones::delete(&pool, id(1), at(6)).await.unwrap());
    zones::insert(&pool, &zone(3, "Centre"), None).await.unwrap();
    assert_eq!(zones::get(&pool, id(1)).await.unwrap().unwrap().deleted_at, Some(at(5)));
    assert_eq!(zones::served(&pool).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_zone_is_changed_only_over_the_version_it_was_read_at() {
    let pool = TestDatabase::new().await.pool;
    zones::insert(&pool, &zone(1, "Centre"), None).await.unwrap();
    let next = Zone { version: 2, name: "Old Town".into(), ..zone(1, "") };
    zones::update(&pool, 1, &next).await.unwrap();
    let late = zones::update(&pool, 1, &next).await;
    assert!(matches!(late, Err(ZoneError::VersionConflict)), "{late:?}");
    assert_eq!(zones::get(&pool, id(1)).await.unwrap(), Some(Stored { zone: next.clone(), deleted_at: None }));
    zones::delete(&pool, id(1), at(1)).await.unwrap();
    let gone = zones::update(&pool, 3, &Zone { version: 4, ..next }).await;
    assert!(matches!(gone, Err(ZoneError::VersionConflict)), "{gone:?}");
}

#[tokio::test]
async fn an_answered_request_adds_no_second_zone() {
    let pool = TestDatabase::new().await.pool;
    zones::insert(&pool, &zone(1, "Centre"), Some(&answer("k"))).await.unwrap();
    let again = zones::insert(&pool, &zone(2, "North"), Some(&answer("k"))).await;
    assert!(matches!(again, Err(ZoneError::IdempotencyKeyUsed)), "{again:?}");
    assert_eq!(zones::get(&pool, id(2)).await.unwrap(), None);
}
