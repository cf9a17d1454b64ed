//! A customer follows their orders over their own socket: all of theirs and nobody else's, and of who brings them no more than
//! a tracking link shows.

use axum::http::{Method, StatusCode};
use posthaste_domain::party::Party;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use crate::sockets::{Server, Socket};
use crate::stage::{customer_id, driver_token, order_body, token};

const PATH: &str = "/v1/ws/customer";

impl Server {
    async fn follow(&self, hello: Value) -> (Socket, Value, Value) {
        self.begin(PATH, Some(&self.stage.customer), hello).await
    }

    /// Operations give the order to the driver.
    async fn assign(&self, order: &Value, driver: &str) {
        let path = format!("/v1/orders/{}/assign", order["id"].as_str().unwrap());
        let assigned = self.stage.post(&path, &self.stage.admin, &json!({"driver_id": driver})).await;
        assert_eq!(assigned.status, StatusCode::OK, "{assigned:?}");
    }

    /// Operations say that the driver did all that is left to do.
    async fn deliver(&self, order: &Value, driver: &str) {
        for task in self.tasks(order).await {
            self.arrive(&task, driver).await;
            let done = if task["kind"] == "delivery" { "delivered" } else { "picked_up" };
            self.step(&task, driver, done, json!({"code": task["code"]})).await;
        }
    }

    async fn tasks(&self, order: &Value) -> Vec<Value> {
        let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
        let order = self.stage.get(&path, &self.stage.admin).await.body;
        order["tasks"].as_array().unwrap().clone()
    }

    async fn arrive(&self, task: &Value, driver: &str) {
        self.step(task, driver, "departed", json!({})).await;
        self.step(task, driver, "arrived", json!({})).await;
    }

    async fn step(&self, task: &Value, driver: &str, step: &str, body: Value) {
        let path = format!("/v1/drivers/{driver}/tasks/{}/{step}", task["id"].as_str().unwrap());
        let answer = self.stage.post(&path, &self.stage.admin, &body).await;
        assert!(answer.status.is_success(), "{step}: {answer:?}");
    }

    /// A driver on shift whom nobody asks: on a break.
    async fn resting(&self, name: &str) -> String {
        let driver = self.stage.driver(name).await;
        let path = format!("/v1/drivers/{driver}/shift");
        let on_break = json!({"state": "on_break"});
        let answer = self.stage.call(Method::PUT, &path, Some(&self.stage.admin), Some(&on_break)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        driver
    }

    async fn moves(&self, driver: &str, lat: f64) {
        let path = format!("/v1/drivers/{driver}/positions");
        let positions = json!({"positions": [{"lat": lat, "lng": 13.378}]});
        let answer = self.stage.post(&path, &driver_token(driver), &positions).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }
}

/// Reads until an order stands so; gives the message.
async fn until(socket: &mut Socket, status: &str) -> Value {
    loop {
        let changed = socket.until("order").await;
        if changed["data"]["order"]["status"] == status {
            return changed;
        }
    }
}

fn ids(snapshot: &Value) -> Vec<&Value> {
    assert_eq!((&snapshot["type"], &snapshot["data"]["of"]), (&json!("snapshot"), &json!("customer")), "{snapshot}");
    snapshot["data"]["orders"].as_array().unwrap().iter().map(|followed| &followed["order"]["id"]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_follows_their_order_to_the_door_and_it_leaves_when_it_is_settled() {
    let server = Server::new().await;
    let (mut follower, _, first) = server.follow(json!({})).await;
    assert!(ids(&first).is_empty());
    let driver = server.resting("Grace Hopper").await;
    let order = server.stage.order().await;
    let placed = follower.until("order").await;
    assert_eq!(placed["data"]["order"]["id"], order["id"]);
    assert!(placed["data"]["eta"]["p50"].is_string() && placed["data"].get("driver").is_none(), "{placed}");

    server.assign(&order, &driver).await;
    let assigned = until(&mut follower, "assigned").await;
    assert_eq!(assigned["data"]["driver"]["name"], "Grace", "{assigned}");
    server.moves(&driver, 52.518).await;
    let seen = follower.until("position").await;
    assert_eq!((&seen["data"]["order_id"], &seen["data"]["lat"]), (&order["id"], &json!(52.518)), "{seen}");
    let (_late, _, snapshot) = server.follow(json!({})).await;
    assert_eq!(ids(&snapshot), [&order["id"]]);
    let followed = &snapshot["data"]["orders"][0];
    assert_eq!(followed["driver"]["position"]["lat"], 52.518, "{followed}");
    assert!(followed["eta"]["p90"].is_string(), "{followed}");
    let [pickup, door] = &followed["order"]["tasks"].as_array().unwrap()[..] else { panic!("{followed}") };
    assert!(door["code"].is_string() && pickup.get("code").is_none(), "{followed}");
    assert_eq!(pickup["contact"], json!({}), "{followed}");

    server.deliver(&order, &driver).await;
    let delivered = until(&mut follower, "delivered").await;
    assert!(delivered["data"].get("eta").is_none() && delivered["data"].get("driver").is_none(), "{delivered}");
    for told in [&assigned, &seen, &snapshot, &delivered] {
        assert!(!told.to_string().contains("drv_"), "which driver it is: {told}");
    }
    let (_, _, snapshot) = server.follow(json!({})).await;
    assert!(ids(&snapshot).is_empty(), "it is settled");
    server.moves(&driver, 52.519).await;
    server.stage.order().await;
    assert_eq!(follower.next().await["type"], "order", "where the driver is now is nobody's business");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_driver_is_who_takes_goods_back_is_seen_by_the_merchant_alone() {
    let server = Server::new().await;
    let driver = server.resting("Grace").await;
    let order = server.stage.order().await;
    let link = format!("/v1/orders/{}/tracking-link", order["id"].as_str().unwrap());
    let link = server.stage.get(&link, &server.stage.merchant).await;
    let track = format!("/v1/ws/track/{}", link.body["token"].as_str().unwrap());
    let (mut tracker, ..) = server.begin(&track, None, json!({})).await;
    let (mut follower, ..) = server.follow(json!({})).await;
    let (mut merchant, ..) = server.begin("/v1/ws/merchant", Some(&server.stage.merchant), json!({})).await;
    server.assign(&order, &driver).await;
    let [pickup, door] = &server.tasks(&order).await[..] else { panic!("{order}") };
    server.arrive(pickup, &driver).await;
    server.step(pickup, &driver, "picked_up", json!({"code": pickup["code"]})).await;
    server.arrive(door, &driver).await;
    server.moves(&driver, 52.518).await;
    for socket in [&mut tracker, &mut follower, &mut merchant] {
        assert_eq!(socket.until("position").await["data"]["lat"], 52.518);
    }
    server.step(door, &driver, "failed", json!({"reason": "customer_absent"})).await;
    server.moves(&driver, 52.519).await;
    assert_eq!(merchant.until("position").await["data"]["lat"], 52.519);
    let back = server.tasks(&order).await.into_iter().find(|task| task["kind"] == "return").expect("a way back");
    server.step(&back, &driver, "departed", json!({})).await;
    server.step(&back, &driver, "arrived", json!({})).await;
    server.step(&back, &driver, "returned", json!({"code": back["code"]})).await;
    // What came after the position is here: there was none before it.
    for socket in [&mut tracker, &mut follower] {
        let mut last = socket.next().await;
        while !last.to_string().contains("\"returned\"") {
            assert_ne!(last["type"], "position", "{last}");
            last = socket.next().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_another_customers_order_nothing_is_heard() {
    let server = Server::new().await;
    let (grace, ada) = (server.resting("Grace").await, server.resting("Ada").await);
    let mut of_another = order_body();
    of_another["customer_id"] = json!(customer_id(2));
    let (mut follower, ..) = server.follow(json!({})).await;
    let other = server.stage.post("/v1/orders", &server.stage.merchant, &of_another).await.body;
    server.assign(&other, &ada).await;
    let order = server.stage.order().await;
    server.assign(&order, &grace).await;
    server.moves(&ada, 52.517).await;
    server.moves(&grace, 52.518).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&json!(52.518)) {
        let message = follower.next().await;
        assert!(!message.to_string().contains(other["id"].as_str().unwrap()), "{message}");
        heard.push(message["data"]["lat"].clone());
    }
    assert!(!heard.contains(&json!(52.517)), "{heard:?}");
    let other_customer = token(Party::Customer(customer_id(2)));
    let (_, _, theirs) = server.begin(PATH, Some(&other_customer), json!({})).await;
    assert_eq!(ids(&theirs), [&other["id"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_comes_back_gets_what_they_missed_and_a_stranger_to_the_stream_a_snapshot() {
    let server = Server::new().await;
    let (mut follower, welcome, snapshot) = server.follow(json!({})).await;
    let epoch = &welcome["data"]["epoch"];
    server.stage.order().await;
    let seen = follower.until("order").await;
    assert_eq!(seen["seq"].as_u64(), snapshot["seq"].as_u64().map(|n| n + 1));
    drop(follower);
    let mut of_another = order_body();
    of_another["customer_id"] = json!(customer_id(2));
    server.stage.post("/v1/orders", &server.stage.merchant, &of_another).await;
    let missed = server.stage.order().await;
    let (mut follower, _, first) = server.follow(json!({"epoch": epoch, "last_seq": seen["seq"]})).await;
    assert_eq!(first["type"], "resumed", "{first}");
    let next = follower.until("order").await;
    assert_eq!(next["data"]["order"]["id"], missed["id"], "and nobody else's");
    assert_eq!(next["seq"].as_u64(), seen["seq"].as_u64().map(|n| n + 1));
    let (_, _, first) = server.follow(json!({"epoch": "another", "last_seq": 1})).await;
    assert_eq!(ids(&first).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_customer_opens_a_customers_socket() {
    let server = Server::new().await;
    let driver = driver_token(&server.stage.driver("Grace").await);
    let refused = async |token: Option<&str>| match server.try_connect(PATH, token).await {
        Err(Error::Http(response)) => StatusCode::from_u16(response.status().as_u16()).unwrap(),
        Err(error) => panic!("expected a refusal, got {error}"),
        Ok(_) => panic!("expected a refusal, got a connection"),
    };
    for token in [&driver, &server.stage.merchant, &server.stage.admin] {
        assert_eq!(refused(Some(token)).await, StatusCode::FORBIDDEN);
    }
    assert_eq!(refused(None).await, StatusCode::UNAUTHORIZED);
}
