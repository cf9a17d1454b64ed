//! Accounts that their holders delete, and orders that forget whom they were for: nothing is left of either, anywhere in
//! the database, and everything else adds up.

use axum::http::{Method, StatusCode};
use posthaste_domain::Span;
use posthaste_gate::gone;
use posthaste_protocol::accounts::Secret;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};

use super::people::{self, Login, PASSWORD, message};
use super::second_factor;
use super::shut_out::{Open, closed};
use crate::stage::{Answer, Stage, order_body};

const NUMBER: &str = "+4930123456";

async fn delete(stage: &Stage, login: &Login) -> Answer {
    let body = json!({"password": PASSWORD});
    stage.call(Method::DELETE, "/v1/account", Some(&login.access()), Some(&body)).await
}

/// Every row of every table, in both worlds, that holds a word, as text or as the bytes of it.
async fn rows_with(stage: &Stage, words: &[&str]) -> Vec<String> {
    let pool = stage.database.pool.connections();
    let tables = "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
        WHERE table_type = 'BASE TABLE' AND table_schema IN ('public', 'posthaste_test')";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    let mut found = Vec::new();
    for table in tables {
        let query = format!("SELECT lower(t::text) AS row FROM {table} AS t");
        for row in sqlx::query(AssertSqlSafe(query)).fetch_all(pool).await.unwrap() {
            let row: String = row.get("row");
            for word in words.iter().map(|word| word.to_lowercase()) {
                let bytes: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
                if row.contains(&word) || row.contains(&bytes) {
                    found.push(format!("{word} in {table}: {row}"));
                }
            }
        }
    }
    found
}

/// As what was deleted looks a minute later.
async fn a_minute_later(stage: &Stage) {
    sqlx::query("UPDATE accounts SET deleted_at = deleted_at - interval '1 minute' WHERE deleted_at IS NOT NULL")
        .execute(stage.database.pool.connections())
        .await
        .unwrap();
}

async fn left_to_forget(stage: &Stage) -> usize {
    stage.app.identity().to_forget(None).await.unwrap().len()
}

/// What waits in the outbox is sealed, and is sent within moments.
async fn sent(stage: &Stage, email: &str) {
    message(stage, email, &["Your account was deleted"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_goes_and_nothing_of_them_is_left_and_the_address_is_free() {
    let stage = Stage::new().await;
    let words = ["goer@example.org", "Gwendolyn Goer", NUMBER, "Goer street 1", "Goer's phone"];
    let body = json!({"role": "customer", "email": words[0], "password": PASSWORD, "name": words[1], "phone": NUMBER});
    let asked = stage.call(Method::POST, "/v1/accounts", None, Some(&body)).await;
    let code = people::code_in(&message(&stage, words[0], &["is your code"]).await);
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": code});
    let ada = stage.call(Method::POST, "/v1/accounts/verify", None, Some(&body)).await;
    let login = people::log_in(&stage, words[0]).await;
    let profile = json!({"addresses": [{"label": "home", "address": words[3], "lat": 52.5, "lng": 13.4}]});
    stage.call(Method::PUT, "/v1/account/profile/customer", Some(&login.access()), Some(&profile)).await;
    let other = people::log_in(&stage, words[0]).await;
    sqlx::query("UPDATE logins SET device = $1")
        .bind(words[4])
        .execute(stage.database.pool.connections())
        .await
        .unwrap();
    // A code that is on its way for them.
    stage.post("/v1/account/phone", &login.access(), &json!({"phone": NUMBER})).await;
    let (authenticator, _) = second_factor::turn_on(&stage, &login).await;
    let step_up = json!({"code": authenticator.code(0)});
    let stepped = stage.post("/v1/account/step-up", &login.access(), &step_up).await;
    let login = Login { body: stepped.body };
    for (left_out, fields) in [(json!({}), vec!["password"]), (json!({"password": "a wrong password"}), vec![])] {
        let refused = stage.call(Method::DELETE, "/v1/account", Some(&login.access()), Some(&left_out)).await;
        assert!(refused.status.is_client_error(), "{refused:?}");
        assert_eq!(refused.fields(), fields);
    }
    let stale = delete(&stage, &other).await;
    assert_eq!(stale.code(), "step_up_required", "the second factor was not shown there: {stale:?}");
    assert!(!rows_with(&stage, &words).await.is_empty());

    assert_eq!(delete(&stage, &login).await.status, StatusCode::NO_CONTENT);
    for token in [login.access(), other.access()] {
        let refused = stage.get("/v1/account", &token).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "login_ended"));
    }
    assert_eq!(delete(&stage, &login).await.code(), "login_ended", "what was done is done");
    assert_eq!(other.try_refresh(&stage).await.code(), "login_ended");
    sent(&stage, words[0]).await;
    let id = ada.body["id"].as_str().unwrap();
    // Nobody finds it, by whatever it is called now.
    for typed in [words[0], id] {
        let body = json!({"email": typed, "password": PASSWORD});
        let refused = stage.call(Method::POST, "/v1/sessions", None, Some(&body)).await;
        assert_eq!(refused.code(), "wrong_credentials", "{typed}");
    }
    assert_eq!(stage.get(&format!("/v1/accounts/{id}"), &stage.admin).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.get("/v1/accounts", &stage.admin).await.body["items"], json!([]));
    let acts = stage.get(&format!("/v1/audit?subject={id}"), &stage.admin).await;
    assert_eq!(acts.body["items"][0]["act"], "account.deleted", "{acts:?}");
    gone::pass(&stage.worlds).await;
    assert_eq!(left_to_forget(&stage).await, 1, "what was under way may still come in");
    a_minute_later(&stage).await;
    gone::pass(&stage.worlds).await;
    assert_eq!(left_to_forget(&stage).await, 0);
    let left = rows_with(&stage, &words).await;
    assert_eq!(left, Vec::<String>::new());

    // What was sent to the address before is not taken for what is sent now.
    std::fs::remove_dir_all(&stage.mailbox).unwrap();
    let again = people::register(&stage, "merchant", words[0]).await;
    assert_ne!(again["id"], ada.body["id"]);
    people::log_in(&stage, words[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_goes_when_their_work_is_done_and_is_nobody_in_particular_then() {
    let stage = Stage::new().await;
    let (account, login) = people::driver(&stage, "rider@example.org").await;
    sqlx::query("UPDATE accounts SET name = 'Rita Rider'").execute(stage.database.pool.connections()).await.unwrap();
    let driver = account["party"].as_str().unwrap().to_owned();
    let path = format!("/v1/drivers/{driver}");
    let shift = async |state: &str| {
        let body = json!({"state": state, "place": {"lat": 52.516, "lng": 13.378}});
        let body = if state == "offline" { json!({"state": state}) } else { body };
        stage.call(Method::PUT, &format!("{path}/shift"), Some(&login.access()), Some(&body)).await
    };
    let now = stage.app.system().clock().now();
    let planned = json!({"start": now + Span::hours(1), "end": now + Span::hours(9)});
    let planned = stage.post(&format!("{path}/shifts"), &stage.admin, &planned).await;
    assert_eq!(planned.status, StatusCode::CREATED, "{planned:?}");
    assert_eq!(shift("available").await.status, StatusCode::OK);
    let positions = json!({"positions": [{"lat": 52.5171, "lng": 13.3791}]});
    stage.post(&format!("{path}/positions"), &login.access(), &positions).await;
    let on_shift = delete(&stage, &login).await;
    assert_eq!((on_shift.status, on_shift.code()), (StatusCode::CONFLICT, "conflict"));
    assert!(on_shift.body["detail"].as_str().unwrap().contains("on shift"), "{on_shift:?}");
    assert_eq!(shift("on_break").await.status, StatusCode::OK);
    let order = stage.order().await;
    let order = order["id"].as_str().unwrap();
    let assigned = stage.post(&format!("/v1/orders/{order}/assign"), &stage.admin, &json!({"driver_id": driver})).await;
    assert_eq!(assigned.status, StatusCode::OK, "{assigned:?}");
    assert_eq!(shift("offline").await.status, StatusCode::OK);
    let busy = delete(&stage, &login).await;
    assert!(busy.body["detail"].as_str().unwrap().contains(order), "it says what is open: {busy:?}");
    stage.post(&format!("/v1/orders/{order}/unassign"), &stage.admin, &json!({})).await;

    assert_eq!(delete(&stage, &login).await.status, StatusCode::NO_CONTENT);
    sent(&stage, "rider@example.org").await;
    // Somebody had put them on shift meanwhile: they have no work any more all the same.
    let body = json!({"state": "available", "place": {"lat": 52.516, "lng": 13.378}});
    stage.call(Method::PUT, &format!("{path}/shift"), Some(&stage.admin), Some(&body)).await;
    for _ in 0..2 {
        gone::pass(&stage.worlds).await;
        let view = stage.get(&path, &stage.admin).await.body;
        assert_eq!((&view["name"], &view["shift"]["state"]), (&json!("former driver"), &json!("offline")), "{view}");
        assert_eq!(view["position"], Value::Null, "{view}");
    }
    let shifts = stage.get(&format!("{path}/shifts"), &stage.admin).await.body;
    assert_eq!(shifts["items"], json!([]));
    for table in ["tracks", "driver_positions", "planned_shifts"] {
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 =
            sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(stage.database.pool.connections()).await.unwrap();
        assert_eq!(count, 0, "{table}");
    }
    a_minute_later(&stage).await;
    gone::pass(&stage.worlds).await;
    assert_eq!(left_to_forget(&stage).await, 0);
    let left = rows_with(&stage, &["rider@example.org", "Rita Rider", "\"Somebody\"", "Somebody,"]).await;
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(stage.app.system().differences().await.unwrap(), Vec::<String>::new());
    let timeline = stage.get(&format!("/v1/orders/{order}/timeline"), &stage.admin).await;
    assert!(timeline.body.to_string().contains(&driver), "who had it is still known by an id: {timeline:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_goes_with_keys_sockets_and_endpoints_when_nothing_is_under_way() {
    let stage = Stage::new().await;
    let open = Open::new(&stage).await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let key = async |world: &str| {
        let make = json!({"name": "secret backend", "world": world,
            "scopes": ["orders:read", "orders:write", "webhooks:read", "webhooks:write"]});
        let made = stage.post("/v1/account/keys", &login.access(), &make).await;
        made.body["secret"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned()
    };
    let (live, test) = (key("live").await, key("test").await);
    for token in [&live, &test] {
        let hook = json!({"url": "https://hooks.shop-example.org/in", "description": "the shop's own"});
        let made = stage.post("/v1/webhooks/endpoints", token, &hook).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    }
    let placed = stage.post("/v1/orders", &login.access(), &order_body()).await;
    let order = placed.id();
    let refused = delete(&stage, &login).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "conflict"));
    assert!(refused.body["detail"].as_str().unwrap().contains(&order), "{refused:?}");
    let cancel = json!({"reason": "closing down"});
    assert!(stage.post(&format!("/v1/orders/{order}/cancel"), &login.access(), &cancel).await.status.is_success());

    let mut by_login = open.socket("/v1/ws/merchant", &login.access()).await;
    let mut by_key = open.socket_by_key("/v1/ws/merchant", &live).await;
    assert_eq!(delete(&stage, &login).await.status, StatusCode::NO_CONTENT);
    for socket in [&mut by_login, &mut by_key] {
        let (code, took) = closed(socket).await;
        assert_eq!(code, 4002);
        assert!(took < std::time::Duration::from_secs(1), "{took:?}");
    }
    for token in [&live, &test] {
        assert_eq!(stage.get("/v1/orders", token).await.code(), "unauthenticated");
    }
    sent(&stage, "shop@example.org").await;
    gone::pass(&stage.worlds).await;
    a_minute_later(&stage).await;
    gone::pass(&stage.worlds).await;
    assert_eq!(left_to_forget(&stage).await, 0);
    let words = ["shop@example.org", "secret backend", "hooks.shop-example.org", "the shop's own", "Somebody"];
    assert_eq!(rows_with(&stage, &words).await, Vec::<String>::new());
    let kept = stage.get(&format!("/v1/orders/{order}"), &stage.admin).await;
    assert_eq!((&kept.body["merchant_id"], kept.status), (&placed.body["merchant_id"], StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_stays_and_of_two_who_go_at_once_one_does() {
    let stage = Stage::new().await;
    let admin = async |email: &str| {
        stage.app.identity().create_admin(email, "Admin", &Secret(PASSWORD.to_owned())).await.unwrap();
        people::log_in(&stage, email).await
    };
    let root = admin("root@example.org").await;
    let refused = delete(&stage, &root).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "conflict"));
    let other = admin("other@example.org").await;
    let (one, two) = tokio::join!(delete(&stage, &root), delete(&stage, &other));
    let mut both = [one.status.as_u16(), two.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [204, 409], "{one:?} {two:?}");
}

/// An order of the stage's merchant with somebody at each stop, whom everybody has written about.
async fn delivered(stage: &Stage) -> Value {
    let contact = |who: &str| {
        json!({"name": format!("{who} Doorperson"), "phone": format!("{who} 4930999"), "address": format!("{who} lane 3"),
            "note": format!("{who} is deaf")})
    };
    let mut body = order_body();
    body["pickups"][0]["contact"] = contact("Counter");
    body["delivery"]["contact"] = contact("Door");
    let grace = stage.driver("Grace").await;
    let placed = stage.post("/v1/orders", &stage.merchant, &body).await;
    let path = format!("/v1/orders/{}", placed.id());
    let assigned = stage.post(&format!("{path}/assign"), &stage.admin, &json!({"driver_id": grace})).await;
    assert_eq!(assigned.status, StatusCode::OK, "{assigned:?}");
    for (task, step) in [(0, "picked_up"), (1, "delivered")] {
        let task = &placed.body["tasks"][task];
        let steps = format!("/v1/drivers/{grace}/tasks/{}", task["id"].as_str().unwrap());
        stage.post(&format!("{steps}/departed"), &stage.admin, &json!({})).await;
        let proof = json!({"received_by": "Norman Neighbour", "note": "left with the Neighbour"});
        let done = json!({"code": task["code"], "proof": proof});
        let done = stage.post(&format!("{steps}/{step}"), &stage.admin, &done).await;
        assert!(done.status.is_success(), "{done:?}");
    }
    let canceled = stage.post("/v1/orders", &stage.merchant, &body).await;
    let reason = json!({"reason": "Mr Doorperson has changed their mind"});
    let path = format!("/v1/orders/{}/cancel", canceled.id());
    assert!(stage.post(&path, &stage.merchant, &reason).await.status.is_success());
    stage.get(&format!("/v1/orders/{}", placed.id()), &stage.admin).await.body
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_forget_whom_they_were_for_and_are_read_as_before() {
    let stage = Stage::new().await;
    let order = delivered(&stage).await;
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let timeline = stage.get(&format!("{path}/timeline"), &stage.admin).await.body;
    let live = stage.order().await;
    let (contacts, proofs) = (["Doorperson", "4930999", "lane 3", "is deaf"], ["Neighbour"]);
    let system = stage.app.system();
    let now = system.clock().now();
    assert_eq!(system.forget_people(now + Span::days(179)).await.unwrap(), [0, 0], "not yet");
    assert!(!rows_with(&stage, &contacts).await.is_empty() && !rows_with(&stage, &proofs).await.is_empty());
    assert_eq!(system.forget_people(now + Span::days(181)).await.unwrap(), [2, 2]);
    assert_eq!(system.forget_people(now + Span::days(181)).await.unwrap(), [0, 0]);
    for table in [&contacts[..], &proofs] {
        assert_eq!(rows_with(&stage, table).await, Vec::<String>::new());
    }

    let after = stage.get(&path, &stage.admin).await;
    assert_eq!(after.status, StatusCode::OK);
    for same in ["version", "status", "placed_at", "promised_at", "merchant_id", "customer_id", "settled_at"] {
        assert_eq!(after.body[same], order[same], "{same}");
    }
    for task in after.body["tasks"].as_array().unwrap() {
        assert!(task["contact"].as_object().is_none_or(serde_json::Map::is_empty), "{task}");
        assert!(task["proof"].is_null(), "{task}");
    }
    let door = &after.body["tasks"][1];
    assert_eq!((&door["lat"], &door["lng"]), (&json!(52.52), &json!(13.41)), "about where it was: {door}");
    let again = stage.get(&format!("{path}/timeline"), &stage.admin).await.body;
    let told = |timeline: &Value| {
        let items = timeline["items"].as_array().unwrap().iter();
        items
            .map(|item| [item["seq"].clone(), item["at"].clone(), item["event"].clone(), item["by"].clone()])
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&again), told(&timeline));
    let listed = stage.get("/v1/orders", &stage.merchant).await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 3, "{listed:?}");
    assert_eq!(
        stage.get(&format!("/v1/orders/{}", live["id"].as_str().unwrap()), &stage.admin).await.status,
        StatusCode::OK
    );
    // A step that is said again after all that time is answered as it was.
    let task = order["tasks"][1]["id"].as_str().unwrap();
    let driver = order["driver_id"].as_str().unwrap();
    let body = json!({"code": order["tasks"][1]["code"]});
    let again = stage.post(&format!("/v1/drivers/{driver}/tasks/{task}/delivered"), &stage.admin, &body).await;
    assert!(again.status.is_success(), "{again:?}");
    assert_eq!(system.differences().await.unwrap(), Vec::<String>::new());
}
