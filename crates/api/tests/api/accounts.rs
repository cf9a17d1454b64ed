//! People who register, sign in and out, prove who they are, and are shut out: over REST, on a real database.

mod faults;
mod google;
mod keys;
mod lineages;
mod lockout;
mod open_codes;
mod origins;
pub(crate) mod people;
mod phones;
mod races;
mod recovery;
mod second_factor;
mod sessions;
mod shut_out;
mod waiting;

use serde_json::json;

use axum::http::{Method, StatusCode};

use crate::stage::{Stage, order_body};

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_registers_is_activated_works_and_signs_out() {
    let stage = Stage::new().await;
    let shop = people::register(&stage, "merchant", "shop@example.org").await;
    let party = shop["party"].as_str().unwrap().to_owned();
    assert!(party.starts_with("mer_"), "{shop}");

    let login = people::log_in(&stage, "shop@example.org").await;
    assert_eq!(login.body["may_work"], false);
    let access = login.access();
    let early = stage.post("/v1/orders", &access, &order_body()).await;
    assert_eq!((early.status, early.code()), (StatusCode::FORBIDDEN, "not_activated"));
    let own = stage.get("/v1/account", &access).await;
    assert_eq!((own.status, &own.body["party"]), (StatusCode::OK, &json!(party)));

    let id = shop["id"].as_str().unwrap();
    let found = async |query: &str| {
        let page = stage.get(&format!("/v1/accounts{query}"), &stage.admin).await;
        page.body["items"].as_array().unwrap_or_else(|| panic!("{page:?}")).len()
    };
    assert_eq!((found("?waiting=true").await, found("?email=Shop@example.org").await, found("").await), (1, 1, 1));
    assert_eq!(found("?email=nobody@example.org").await, 0);
    assert_eq!(stage.get("/v1/accounts?waiting=yes", &stage.admin).await.fields(), ["waiting"]);
    let activated = stage.post(&format!("/v1/accounts/{id}/activate"), &stage.admin, &json!({})).await;
    assert_eq!(activated.status, StatusCode::OK, "{activated:?}");
    assert_eq!(found("?waiting=true").await, 0);
    let login = login.refresh(&stage).await;
    assert_eq!(login.body["may_work"], true);
    let placed = stage.post("/v1/orders", &login.access(), &order_body()).await;
    assert_eq!((placed.status, &placed.body["merchant_id"]), (StatusCode::CREATED, &json!(party)));

    let ended = people::end(&stage, &login).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    let refused = stage.get("/v1/orders", &login.access()).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "login_ended"));
    let refused = login.try_refresh(&stage).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "login_ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operations_do_stands_in_the_audit_log_and_stays_there() {
    let stage = Stage::new().await;
    let shop = people::register(&stage, "merchant", "shop@example.org").await;
    let id = shop["id"].as_str().unwrap();
    stage.post(&format!("/v1/accounts/{id}/activate"), &stage.admin, &json!({})).await;
    let entries = stage.get(&format!("/v1/audit?subject={id}"), &stage.admin).await;
    let acts: Vec<_> = entries.body["items"].as_array().unwrap().iter().map(|e| e["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["account.activated", "account.registered"]);
    let all = stage.get("/v1/audit", &stage.admin).await;
    let zone = all.body["items"].as_array().unwrap().iter().find(|e| e["act"] == "POST /v1/zones").unwrap();
    assert!(zone["actor"].as_str().unwrap().contains("adm_") && zone["request_id"].is_string(), "{zone}");

    let mut path = "/v1/audit?limit=1".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = stage.get(&path, &stage.admin).await;
        seen.extend(page.body["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/v1/audit?limit=1&cursor={cursor}");
    }
    assert_eq!(json!(seen), all.body["items"]);
    let pool = stage.database.pool.connections();
    for change in ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
        assert!(sqlx::query(change).execute(pool).await.is_err(), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_account_is_reached_by_signing_in_alone_and_others_accounts_by_admins() {
    let stage = Stage::new().await;
    let ada = people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    for token in [&stage.admin, &stage.merchant] {
        let refused = stage.get("/v1/account", token).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    }
    let path = format!("/v1/accounts/{}", ada["id"].as_str().unwrap());
    for token in [login.access(), stage.merchant.clone(), stage.customer.clone()] {
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::GET, "/v1/accounts".to_owned()),
            (Method::GET, "/v1/audit".to_owned()),
            (Method::POST, format!("{path}/ban")),
            (Method::POST, format!("{path}/unban")),
            (Method::POST, format!("{path}/activate")),
        ] {
            let refused = stage.call(method, &path, Some(&token), Some(&json!({"reason": "x"}))).await;
            assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"), "{path}");
        }
    }
    let missing = stage.get("/v1/accounts/acc_01jd8v7cjxfm9sxv0q3e0b5z1c", &stage.admin).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    // Keys are for merchants.
    let refused = stage.get("/v1/account/keys", &login.access()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}
