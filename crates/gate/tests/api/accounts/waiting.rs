//! Accounts that may not work yet, at every route of the table.

use axum::http::{Method, StatusCode};
use posthaste_gate::access::{Access, RULES};
use posthaste_http::auth::Role;
use posthaste_http::limits::Limits;
use posthaste_protocol::accounts::Secret;
use serde_json::json;

use super::people::{self, PASSWORD};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_admin_reaches_their_own_account_and_nothing_else() {
    let stage = Stage::with_identity(Limits::default(), |s| s.admins_need_second_factor = true).await;
    people::register(&stage, "merchant", "shop@example.org").await;
    people::register(&stage, "driver", "dana@example.org").await;
    let root = Secret(PASSWORD.to_owned());
    stage.app.identity().create_admin("root@example.org", "Root", &root).await.unwrap();
    let waiting = [
        (Role::Merchant, people::log_in(&stage, "shop@example.org").await.access()),
        (Role::Driver, people::log_in(&stage, "dana@example.org").await.access()),
        (Role::Admin, people::log_in(&stage, "root@example.org").await.access()),
    ];
    let mut tried = 0;
    for rule in RULES.iter().filter(|rule| matches!(rule.access, Access::Roles(_))) {
        let path = rule.path.replace(['{', '}'], "");
        for (role, token) in &waiting {
            let method: Method = rule.method.parse().unwrap();
            let refused = stage.call(method, &path, Some(token), Some(&json!({}))).await;
            let waits_for = if *role == Role::Admin { "second_factor_missing" } else { "not_activated" };
            let code = if rule.access.scope(*role).is_some() { waits_for } else { "forbidden" };
            let got = (refused.status, refused.code());
            assert_eq!(got, (StatusCode::FORBIDDEN, code), "{} {} by {role}", rule.method, rule.path);
            tried += usize::from(code == waits_for);
        }
    }
    assert!(tried > 100, "{tried}");
}
