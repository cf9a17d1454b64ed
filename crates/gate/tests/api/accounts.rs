//! People who register, sign in and out, prove who they are, and are shut out: over REST, on a real database.

mod export;
mod faults;
mod gone;
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

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};

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

#[tokio::test(flavor = "multi_thread")]
async fn an_order_names_sellers_who_may_act_and_commits_none_of_them() {
    let stage = Stage::new().await;
    let order = |seller: &str, needs: Option<bool>| {
        let mut body = order_body();
        let mut second = body["pickups"][0].clone();
        second["merchant_id"] = json!(seller);
        body["pickups"].as_array_mut().unwrap().push(second);
        body["needs_confirmation"] = json!(needs);
        body
    };
    let (shop, _) = people::merchant(&stage, "shop@example.org").await;
    let party = shop["party"].as_str().unwrap();
    let placed = stage.post("/v1/orders", &stage.merchant, &order(party, Some(false))).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
    let status = |n: usize| placed.body["tasks"][n]["confirm_by"].is_string();
    assert_eq!((status(0), status(1)), (false, true), "the other shop is asked: {placed:?}");
    let kept = order(party, None);
    let send = async || {
        let request = Request::post("/v1/orders").header("authorization", format!("Bearer {}", stage.merchant));
        let request = request.header("content-type", "application/json").header("idempotency-key", "kept");
        stage.send(request.body(Body::from(kept.to_string())).unwrap()).await
    };
    let first = send().await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    let waiting = people::register(&stage, "merchant", "waiting@example.org").await;
    let ban = format!("/v1/accounts/{}/ban", shop["id"].as_str().unwrap());
    assert!(stage.post(&ban, &stage.admin, &json!({"reason": "closed"})).await.status.is_success());
    for seller in [party, waiting["party"].as_str().unwrap()] {
        let refused = stage.post("/v1/orders", &stage.merchant, &order(seller, None)).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (StatusCode::UNPROCESSABLE_ENTITY, vec!["pickups[1].merchant_id"])
        );
        let mut by_operations = order(seller, None);
        by_operations["merchant_id"] = json!(seller);
        let refused = stage.post("/v1/orders", &stage.admin, &by_operations).await;
        assert_eq!((refused.status, refused.fields()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["merchant_id"]));
    }
    let again = send().await;
    assert_eq!((again.status, &again.body), (first.status, &first.body), "what was done is answered as it was");
    let mut urgent = order_body();
    for (priority, status) in [(1, 201), (2, 422), (32767, 422), (-1, 422)] {
        urgent["priority"] = json!(priority);
        let answer = stage.post("/v1/orders", &stage.merchant, &urgent).await;
        assert_eq!(answer.status.as_u16(), status, "{priority}: {answer:?}");
        assert_eq!(answer.fields(), if status == 201 { vec![] } else { vec!["priority"] });
    }
    urgent["merchant_id"] = json!(crate::stage::merchant_id(1));
    urgent["priority"] = json!(32767);
    assert_eq!(stage.post("/v1/orders", &stage.admin, &urgent).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_about_people_and_who_tries_doors_stands_in_the_audit_log_once_a_minute() {
    let stage = Stage::new().await;
    for _ in 0..20 {
        stage.get("/v1/accounts", &stage.admin).await;
        let refused = stage.get("/v1/accounts", &stage.merchant).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
    let all = stage.get("/v1/audit", &stage.admin).await.body;
    let count = |act: &str| {
        let entries = all["items"].as_array().unwrap().iter();
        entries.filter(|entry| entry["act"] == act && entry["subject"] == "/v1/accounts").count()
    };
    assert_eq!((count("persons.read"), count("access.refused")), (1, 1), "{all}");
}
