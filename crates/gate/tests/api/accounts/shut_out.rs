//! Bans: logins, keys, sockets and work end within a second.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use futures_util::{SinkExt, StreamExt};
use posthaste_clock::testing::eventually;
use posthaste_gate::{banned, serve};
use posthaste_protocol::accounts::Secret;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::people::{self, Login, PASSWORD};
use crate::stage::{Stage, order_body};

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The stage behind a port, until this is dropped.
pub(super) struct Open {
    address: std::net::SocketAddr,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Open {
    pub(super) async fn new(stage: &Stage) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let told = async move {
            let _ = stopped.await;
            posthaste_live::stopping::Leave::InOrder
        };
        tokio::spawn(serve(listener, stage.app.clone(), told));
        Self { address, _stop: stop }
    }

    /// A socket that is welcome and has not said hello.
    async fn welcome(&self, path: &str, token: &str) -> Socket {
        let url = format!("ws://{}{path}?access_token={token}", self.address);
        let mut socket = tokio_tungstenite::connect_async(url).await.unwrap().0;
        next(&mut socket, "welcome").await;
        socket
    }

    pub(super) async fn socket(&self, path: &str, token: &str) -> Socket {
        let mut socket = self.welcome(path, token).await;
        say(&mut socket, json!({"type": "hello"})).await;
        next(&mut socket, "snapshot").await;
        socket
    }

    /// A key stands in a header.
    pub(super) async fn socket_by_key(&self, path: &str, key: &str) -> Socket {
        let url = format!("ws://{}{path}", self.address);
        let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(url).unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        let mut socket = tokio_tungstenite::connect_async(request).await.unwrap().0;
        next(&mut socket, "welcome").await;
        say(&mut socket, json!({"type": "hello"})).await;
        next(&mut socket, "snapshot").await;
        socket
    }
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

/// The next message of a type.
async fn next(socket: &mut Socket, kind: &str) -> Value {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let Message::Text(text) = socket.next().await.unwrap().unwrap() else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == kind {
                return message;
            }
        }
    });
    waited.await.unwrap_or_else(|_| panic!("no {kind}"))
}

/// The close code, and how long it took to come.
pub(super) async fn closed(socket: &mut Socket) -> (u16, Duration) {
    let began = Instant::now();
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    (waited.await.expect("closed"), began.elapsed())
}

async fn ban(stage: &Stage, account: &Value, by: &str) {
    let path = format!("/v1/accounts/{}/ban", account["id"].as_str().unwrap());
    let refused = stage.post(&path, by, &json!({"reason": " "})).await;
    assert_eq!(refused.fields(), ["reason"]);
    let banned = stage.post(&path, by, &json!({"reason": "no reason at all"})).await;
    assert_eq!((banned.status, &banned.body["ban_reason"]), (StatusCode::OK, &json!("no reason at all")));
}

async fn admin(stage: &Stage, email: &str) -> (Value, Login) {
    let made = stage.app.identity().create_admin(email, "Admin", &Secret(PASSWORD.to_owned())).await.unwrap();
    (serde_json::to_value(made).unwrap(), people::log_in(stage, email).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_merchant_is_out_with_sessions_keys_and_sockets() {
    let stage = Stage::new().await;
    let open = Open::new(&stage).await;
    let (shop, login) = people::merchant(&stage, "shop@example.org").await;
    let make = json!({"name": "backend", "scopes": ["orders:read"]});
    let key = stage.post("/v1/account/keys", &login.access(), &make).await.body["secret"].as_str().unwrap().to_owned();
    assert_eq!(stage.get("/v1/orders", &key).await.status, StatusCode::OK);
    let mut socket = open.socket("/v1/ws/merchant", &login.access()).await;

    let (root, root_login) = admin(&stage, "root@example.org").await;
    let path = format!("/v1/accounts/{}/ban", root["id"].as_str().unwrap());
    let refused = stage.post(&path, &root_login.access(), &json!({"reason": "by mistake"})).await;
    assert_eq!(refused.code(), "conflict", "nobody shuts themselves out");
    ban(&stage, &shop, &root_login.access()).await;
    let (code, took) = closed(&mut socket).await;
    assert_eq!(code, 4002);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(stage.get("/v1/orders", &login.access()).await.code(), "login_ended");
    assert_eq!(stage.get("/v1/orders", &key).await.code(), "unauthenticated");
    assert_eq!(login.try_refresh(&stage).await.code(), "login_ended");
    let refused = stage.call(Method::POST, "/v1/sessions", None, Some(&people::credentials("shop@example.org"))).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "banned"));
    assert_eq!(refused.body["detail"], "no reason at all");
    people::message(&stage, "shop@example.org", &["no reason at all"]).await;

    let path = format!("/v1/accounts/{}/unban", shop["id"].as_str().unwrap());
    let unbanned = stage.call(Method::POST, &path, Some(&root_login.access()), None).await;
    assert_eq!(unbanned.status, StatusCode::OK, "{unbanned:?}");
    assert_eq!(stage.get("/v1/orders", &login.access()).await.code(), "login_ended", "the old login stays over");
    let again = people::log_in(&stage, "shop@example.org").await;
    assert_eq!(stage.get("/v1/orders", &again.access()).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_admin_with_an_open_socket_sees_nothing_more() {
    let stage = Stage::new().await;
    let open = Open::new(&stage).await;
    let (_, root) = admin(&stage, "root@example.org").await;
    let (rogue_account, rogue) = admin(&stage, "rogue@example.org").await;
    let mut socket = open.socket("/v1/ws/operations", &rogue.access()).await;
    ban(&stage, &rogue_account, &root.access()).await;
    let (code, took) = closed(&mut socket).await;
    assert_eq!(code, 4002);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let url = format!("ws://{}/v1/ws/operations?access_token={}", open.address, rogue.access());
    assert!(tokio_tungstenite::connect_async(url).await.is_err());
    assert_eq!(stage.get("/v1/audit", &rogue.access()).await.code(), "login_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_banned_before_the_hello_is_told_nothing() {
    let stage = Stage::new().await;
    let open = Open::new(&stage).await;
    let (shop, shop_login) = people::merchant(&stage, "shop@example.org").await;
    let (dana, dana_login) = people::driver(&stage, "dana@example.org").await;
    for (account, login, path) in [(shop, shop_login, "/v1/ws/merchant"), (dana, dana_login, "/v1/ws/driver")] {
        let mut waits = open.welcome(path, &login.access()).await;
        let mut speaks = open.welcome(path, &login.access()).await;
        ban(&stage, &account, &stage.admin).await;
        // The server may have closed already.
        let _ = speaks.send(Message::text(json!({"type": "hello"}).to_string())).await;
        for socket in [&mut speaks, &mut waits] {
            let began = Instant::now();
            let frame = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.expect("a frame");
            let Some(Ok(Message::Close(Some(close)))) = frame else { panic!("{path}: told after the ban: {frame:?}") };
            assert_eq!(u16::from(close.code), 4002, "{path}");
            assert!(began.elapsed() < Duration::from_secs(1), "{path}: {:?}", began.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_another_process_ended_reaches_sockets_too() {
    let stage = Stage::new().await;
    let open = Open::new(&stage).await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let mut socket = open.socket("/v1/ws/merchant", &login.access()).await;
    sqlx::query("UPDATE logins SET revoked_at = now(), revoked_because = 'revoked'")
        .execute(stage.database.pool.connections())
        .await
        .unwrap();
    assert_eq!(closed(&mut socket).await.0, 4002);
    assert_eq!(stage.get("/v1/orders", &login.access()).await.code(), "login_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_drivers_open_work_goes_back_to_dispatch() {
    let stage = Stage::new().await;
    let open = Open::new(&stage).await;
    let (dana, login) = people::driver(&stage, "dana@example.org").await;
    let driver = dana["party"].as_str().unwrap();
    let view = stage.get(&format!("/v1/drivers/{driver}"), &login.access()).await;
    assert_eq!((view.status, &view.body["name"]), (StatusCode::OK, &json!("Somebody")), "{view:?}");
    let shift = json!({"state": "available", "place": {"lat": 52.516, "lng": 13.378}});
    let path = format!("/v1/drivers/{driver}/shift");
    let on = stage.call(Method::PUT, &path, Some(&login.access()), Some(&shift)).await;
    assert_eq!(on.status, StatusCode::OK, "{on:?}");
    let mut socket = open.socket("/v1/ws/driver", &login.access()).await;
    let order = stage.post("/v1/orders", &stage.merchant, &order_body()).await.id();
    let path = format!("/v1/orders/{order}");
    let assigned = stage.post(&format!("{path}/assign"), &stage.admin, &json!({"driver_id": driver})).await;
    assert_eq!(assigned.body["driver_id"], json!(driver), "{assigned:?}");

    ban(&stage, &dana, &stage.admin).await;
    let (code, _) = closed(&mut socket).await;
    assert_eq!(code, 4002);
    eventually("the order goes back", async || {
        stage.get(&path, &stage.merchant).await.body["driver_id"].is_null().then_some(())
    })
    .await;
    let view = stage.get(&format!("/v1/drivers/{driver}"), &stage.admin).await;
    assert_eq!(view.body["shift"]["state"], "offline");
    // Again: nothing is left to do.
    banned::pass(&stage.app).await.expect("a pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_banned_driver_has_aboard_is_escalated_whether_they_were_on_shift_or_not() {
    for on_shift in [true, false] {
        let stage = Stage::new().await;
        let open = Open::new(&stage).await;
        let (dana, login) = people::driver(&stage, "dana@example.org").await;
        let driver = dana["party"].as_str().unwrap();
        let shift = async |shift: Value| {
            let path = format!("/v1/drivers/{driver}/shift");
            let done = stage.call(Method::PUT, &path, Some(&login.access()), Some(&shift)).await;
            assert_eq!(done.status, StatusCode::OK, "{done:?}");
        };
        shift(json!({"state": "available", "place": {"lat": 52.516, "lng": 13.378}})).await;
        let order = stage.post("/v1/orders", &stage.merchant, &order_body()).await.body;
        let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
        let assigned = stage.post(&format!("{path}/assign"), &stage.admin, &json!({"driver_id": driver})).await;
        assert_eq!(assigned.body["driver_id"], json!(driver), "{assigned:?}");
        let task = format!("/v1/drivers/{driver}/tasks/{}", order["tasks"][0]["id"].as_str().unwrap());
        for step in ["arrived", "picked_up"] {
            let code = if step == "arrived" { json!({}) } else { json!({"code": order["tasks"][0]["code"]}) };
            let done = stage.post(&format!("{task}/{step}"), &login.access(), &code).await;
            assert_eq!(done.status, StatusCode::OK, "{done:?}");
        }
        if !on_shift {
            shift(json!({"state": "offline"})).await;
        }
        let mut operations = open.socket("/v1/ws/operations", &stage.admin).await;
        ban(&stage, &dana, &stage.admin).await;
        let alert = loop {
            let alert = next(&mut operations, "alert").await;
            if alert["data"]["kind"] == "order_stranded" {
                break alert;
            }
        };
        assert_eq!(
            (&alert["data"]["order_id"], &alert["data"]["driver_id"]),
            (&order["id"], &json!(driver)),
            "{alert}"
        );
        let stranded = stage.get(&path, &stage.admin).await.body;
        assert_eq!(stranded["escalated"]["reason"], "driver_banned", "{stranded}");
        assert_eq!(stranded["status"], "picked_up");
        // Again: it stays as it is, and others can have it.
        banned::pass(&stage.app).await.expect("a pass");
        let timeline = stage.get(&format!("{path}/timeline"), &stage.admin).await.body.to_string();
        assert_eq!(timeline.matches("\"escalated\"").count(), 1, "{timeline}");
        let other = stage.driver("Grace").await;
        let given = stage.post(&format!("{path}/assign"), &stage.admin, &json!({"driver_id": other})).await;
        assert_eq!((given.status, &given.body["driver_id"]), (StatusCode::OK, &json!(other)), "{given:?}");
        assert!(given.body["escalated"].is_null(), "{given:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_goes_on_with_a_new_token_of_the_same_party_alone() {
    let stage = Stage::with_identity(posthaste_http::limits::Limits::default(), |s| {
        // The leeway of 30 s is what is left.
        s.access_token = posthaste_domain::Span::seconds(-27);
    })
    .await;
    let open = Open::new(&stage).await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let (_, rival) = people::merchant(&stage, "rival@example.org").await;
    let mut dies = open.socket("/v1/ws/merchant", &login.refresh(&stage).await.access()).await;
    let login = login.refresh(&stage).await;
    let mut lives = open.socket("/v1/ws/merchant", &login.access()).await;
    say(&mut lives, json!({"type": "token", "id": "1", "data": {"access_token": rival.access()}})).await;
    assert_eq!(next(&mut lives, "error").await["data"]["code"], "forbidden");
    say(&mut lives, json!({"type": "token", "id": "2", "data": {"access_token": "nonsense"}})).await;
    assert_eq!(next(&mut lives, "error").await["data"]["code"], "unauthenticated");
    let merchant: posthaste_domain::party::Party = login.body["party"].as_str().unwrap().parse().unwrap();
    let long = crate::stage::token(merchant);
    say(&mut lives, json!({"type": "token", "id": "3", "data": {"access_token": long}})).await;
    assert_eq!(next(&mut lives, "ack").await["id"], "3");
    assert_eq!(closed(&mut dies).await.0, 4001);
    // Later than both would have ended, it is still there.
    say(&mut lives, json!({"type": "heartbeat", "id": "4", "data": {}})).await;
    assert_eq!(next(&mut lives, "ack").await["id"], "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_or_merchant_is_linked_to_exactly_one_account() {
    let stage = Stage::new().await;
    let there = stage.driver("Grace").await;
    let grace = people::register(&stage, "driver", "grace@example.org").await;
    let dana = people::register(&stage, "driver", "dana@example.org").await;
    let path = |account: &Value| format!("/v1/accounts/{}/activate", account["id"].as_str().unwrap());
    let merchant = stage.post(&path(&grace), &stage.admin, &json!({"party": "mer_01jd8v7cjxfm9sxv0q3e0b5z1c"})).await;
    assert_eq!(merchant.fields(), ["party"]);
    let unknown = stage.post(&path(&grace), &stage.admin, &json!({"party": "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"})).await;
    assert_eq!(unknown.fields(), ["party"]);
    let linked = stage.post(&path(&grace), &stage.admin, &json!({"party": there})).await;
    assert_eq!((linked.status, &linked.body["party"]), (StatusCode::OK, &json!(there)), "{linked:?}");
    let again = stage.post(&path(&grace), &stage.admin, &json!({"party": there})).await;
    assert_eq!(again.status, StatusCode::OK, "the same again changes nothing");
    let taken = stage.post(&path(&dana), &stage.admin, &json!({"party": there})).await;
    assert_eq!(taken.code(), "conflict");
    let login = people::log_in(&stage, "grace@example.org").await;
    let view = stage.get(&format!("/v1/drivers/{there}"), &login.access()).await;
    assert_eq!((view.status, &view.body["name"]), (StatusCode::OK, &json!("Grace")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_by_another_process_reaches_sockets_sessions_and_keys_here() {
    let stage = Stage::new().await;
    let open = Open::new(&stage).await;
    let (shop, login) = people::merchant(&stage, "shop@example.org").await;
    let make = json!({"name": "backend", "scopes": ["orders:read"]});
    let key = stage.post("/v1/account/keys", &login.access(), &make).await.body["secret"].as_str().unwrap().to_owned();
    assert_eq!(stage.get("/v1/orders", &key).await.status, StatusCode::OK);
    let mut socket = open.socket("/v1/ws/merchant", &login.access()).await;
    let other = stage.beside(|_| {}).await;
    ban(&other, &shop, &other.admin).await;
    assert_eq!(closed(&mut socket).await.0, 4002);
    assert_eq!(stage.get("/v1/orders", &login.access()).await.code(), "login_ended");
    eventually("the key is refused", async || {
        (stage.get("/v1/orders", &key).await.code() == "unauthenticated").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_a_process_with_a_slow_clock_ended_is_over_here_too() {
    let stage = Stage::new().await;
    let open = Open::new(&stage).await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let mut socket = open.socket("/v1/ws/merchant", &login.access()).await;
    sqlx::query("UPDATE logins SET revoked_at = now() - interval '55 seconds', revoked_because = 'revoked'")
        .execute(stage.database.pool.connections())
        .await
        .unwrap();
    assert_eq!(closed(&mut socket).await.0, 4002);
}
