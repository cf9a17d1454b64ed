//! Positions as real phones send them: what is shown of them, and what a driver's app is told.

use axum::http::{Method, StatusCode};
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::tracks::TrackPoint;
use serde_json::{Value, json};

use crate::sockets::Server;
use crate::stage::{Answer, Stage, driver_token};

/// Where drivers of the stage begin their shift.
const START: f64 = 52.516;

impl Stage {
    async fn hand_in(&self, driver: &str, positions: &[Value]) -> Answer {
        let path = format!("/v1/drivers/{driver}/positions");
        self.post(&path, &driver_token(driver), &json!({ "positions": positions })).await
    }

    /// One position, taken and believed.
    async fn moves_to(&self, driver: &str, lat: f64, at: Timestamp) {
        let answer = self.hand_in(driver, &[json!({"lat": lat, "lng": 13.378, "at": at})]).await;
        assert_eq!((answer.status, &answer.body["changed"]), (StatusCode::OK, &json!(true)), "{answer:?}");
        assert!(is_at(&self.seen(driver).await, lat), "{answer:?}");
    }

    /// Where operations see the driver.
    async fn seen(&self, driver: &str) -> Value {
        self.get(&format!("/v1/drivers/{driver}"), &self.admin).await.body["position"].clone()
    }

    async fn track(&self, driver: &str) -> Vec<TrackPoint> {
        let (from, to) = (self.now() - Span::days(100), self.now() + Span::days(1));
        posthaste_storage::tracks::of_driver(&self.database.pool, driver.parse().unwrap(), from, to, 100).await.unwrap()
    }

    fn now(&self) -> Timestamp {
        self.app.system().clock().now()
    }

    /// A driver with food aboard, and the token of the customer's link.
    async fn under_way(&self) -> (String, String) {
        let driver = self.driver("Grace").await;
        let order = self.order().await;
        let id = order["id"].as_str().unwrap();
        let body = json!({ "driver_id": driver });
        let answer = self.post(&format!("/v1/orders/{id}/assign"), &self.admin, &body).await;
        assert!(answer.status.is_success(), "{answer:?}");
        let pickup = &order["tasks"][0];
        let task = format!("/v1/drivers/{driver}/tasks/{}", pickup["id"].as_str().unwrap());
        for (step, body) in [("arrived", json!({})), ("picked_up", json!({"code": pickup["code"]}))] {
            let answer = self.post(&format!("{task}/{step}"), &driver_token(&driver), &body).await;
            assert!(answer.status.is_success(), "{answer:?}");
        }
        let link = self.get(&format!("/v1/orders/{id}/tracking-link"), &self.merchant).await;
        (driver, link.body["token"].as_str().unwrap().to_owned())
    }

    async fn tracked(&self, link: &str) -> Value {
        self.call(Method::GET, &format!("/v1/tracking/{link}"), None, None).await.body
    }
}

/// Numbers are not read to the last digit.
fn is_at(position: &Value, lat: f64) -> bool {
    position["lat"].as_f64().is_some_and(|shown| (shown - lat).abs() < 1e-9)
}

fn expected(tracking: &Value) -> Timestamp {
    tracking["eta"]["p50"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fix_without_a_fix_moves_nobody_and_no_estimate() {
    let stage = Stage::new().await;
    let (driver, link) = stage.under_way().await;
    let before = stage.tracked(&link).await;
    for _ in 0..4 {
        let answer = stage.hand_in(&driver, &[json!({"lat": 0, "lng": 0})]).await;
        assert_eq!((answer.status, &answer.body["changed"]), (StatusCode::OK, &json!(false)), "{answer:?}");
        assert_eq!(answer.body["positions"]["left_out"], json!([{"index": 0, "reason": "no_fix"}]));
    }
    let after = stage.tracked(&link).await;
    assert_eq!(before["driver"]["position"], after["driver"]["position"]);
    assert!(expected(&after) - expected(&before) < Span::minutes(2), "{before} {after}");
    assert!(stage.track(&driver).await.iter().all(|point| point.place.lat() > 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_clock_moves_its_driver_for_customers_too() {
    for behind in [Span::minutes(10), Span::hours(5), Span::weeks(1024)] {
        let stage = Stage::new().await;
        let (driver, link) = stage.under_way().await;
        for n in 1..=3 {
            let lat = START + 0.01 * f64::from(n);
            stage.moves_to(&driver, lat, stage.now() - behind).await;
            let shown = stage.tracked(&link).await;
            assert!(is_at(&shown["driver"]["position"], lat), "{behind}: {shown}");
        }
        let at: Timestamp = stage.seen(&driver).await["at"].as_str().unwrap().parse().unwrap();
        assert!((stage.now() - at).abs() < Span::minutes(1), "by our clock: {at}");
        // A batch of the same clock out of a tunnel lies in the past.
        let old = json!({"lat": START, "lng": 13.378, "at": stage.now() - behind - Span::minutes(2)});
        let older = json!({"lat": START + 0.001, "lng": 13.378, "at": stage.now() - behind - Span::minutes(3)});
        let answer = stage.hand_in(&driver, &[old, older]).await;
        assert_eq!(answer.body["positions"]["kept"], 2, "{answer:?}");
        let told = answer.body["positions"]["clock_behind_seconds"].as_i64().unwrap();
        assert!((told - behind.num_seconds()).abs() < 60, "{told}");
        assert!(is_at(&stage.seen(&driver).await, START + 0.01 * 3.0));
        assert!(stage.track(&driver).await.iter().all(|point| stage.now() - point.at < Span::minutes(5)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iphone_at_rest_is_believed() {
    let server = Server::new().await;
    let (driver, mut socket) = server.driver("Grace").await;
    let unknown = |lat: f64| json!({"lat": lat, "lng": 13.378, "speed_meters_per_second": -1, "heading_degrees": -1, "accuracy_meters": -1});
    let answer = server.stage.hand_in(&driver, &[unknown(52.517)]).await;
    assert_eq!((answer.status, &answer.body["positions"]["believed"]), (StatusCode::OK, &json!(1)), "{answer:?}");
    socket.say("position", Some("p1"), unknown(52.518)).await;
    let ack = socket.answer("p1").await;
    assert_eq!((&ack["type"], &ack["data"]["changed"]), (&json!("ack"), &json!(true)), "{ack}");
    let seen = server.stage.seen(&driver).await;
    assert!(is_at(&seen, 52.518), "{seen}");
    assert!(seen.get("speed_meters_per_second").is_none() && seen.get("heading_degrees").is_none(), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_odd_position_among_fifty_costs_only_itself_and_is_named() {
    let server = Server::new().await;
    let odd = [
        (json!({"lat": 0.0, "lng": 0.0}), "no_fix"),
        (json!({"lat": 91, "lng": 13.4}), "not_a_place"),
        (json!({"lat": null, "lng": 13.4}), "not_a_place"),
        (json!({"lat": 48.1, "lng": 11.5}), "jump"),
        (json!({"lat": 52.5, "lng": 13.4, "at": "1970-01-01T00:00:03Z"}), "too_old"),
        (json!({"lat": 52.5, "lng": 13.4, "at": "2106-02-07T06:28:15Z"}), "odd_time"),
        (json!({"lat": 52.6, "lng": 13.4, "accuracy_meters": 3000}), "coarse"),
    ];
    for (n, (odd, reason)) in odd.into_iter().enumerate() {
        let (driver, mut socket) = server.driver("Grace").await;
        let now = server.stage.now();
        let at = |n: i64| json!(now - Span::seconds(2 * (50 - n)));
        let mut batch: Vec<Value> =
            (0..50).map(|n| json!({"lat": START + 0.0001 * n as f64, "lng": 13.378, "at": at(n)})).collect();
        batch[7] = odd;
        if batch[7].get("at").is_none() {
            batch[7]["at"] = at(7);
        }
        // The phone repeats it until it is rid of it: over both ways.
        let answer = if n % 2 == 0 {
            let answer = server.stage.hand_in(&driver, &batch).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            answer.body
        } else {
            socket.say("positions", Some("b"), json!({ "positions": batch })).await;
            socket.answer("b").await["data"].clone()
        };
        let taken = &answer["positions"];
        assert_eq!(taken["left_out"], json!([{"index": 7, "reason": reason}]), "{answer}");
        assert_eq!(taken["believed"].as_u64().unwrap() + taken["kept"].as_u64().unwrap(), 49, "{answer}");
        assert!(is_at(&server.stage.seen(&driver).await, START + 0.0001 * 49.0));
        let track = server.stage.track(&driver).await;
        assert!(track.len() >= 49 && track.iter().all(|p| (p.place.lat() - START).abs() < 0.01), "{track:?}");
        let again = server.stage.hand_in(&driver, &batch).await;
        assert_eq!((again.status, &again.body["changed"]), (StatusCode::OK, &json!(false)), "{reason}: {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_positions_in_a_second_the_last_counts() {
    let server = Server::new().await;
    let (driver, mut socket) = server.driver("Grace").await;
    let at = server.stage.now();
    for (n, lat) in [52.517, 52.518, 52.519].into_iter().enumerate() {
        let id = format!("p{n}");
        socket.say("position", Some(&id), json!({"lat": lat, "lng": 13.378, "at": at})).await;
        assert_eq!(socket.answer(&id).await["data"]["changed"], true);
    }
    assert!(is_at(&server.stage.seen(&driver).await, 52.519));
    // The same once more, over REST: nothing changes, and that is said.
    let same = json!({"lat": 52.519, "lng": 13.378, "at": at});
    let answer = server.stage.hand_in(&driver, &[same]).await;
    assert_eq!(answer.body["changed"], false, "{answer:?}");
    assert_eq!(answer.body["positions"]["left_out"], json!([{"index": 0, "reason": "repeated"}]));
    let two = [52.52, 52.521].map(|lat| json!({"lat": lat, "lng": 13.378, "at": at}));
    let answer = server.stage.hand_in(&driver, &two).await;
    assert_eq!(answer.body["positions"]["believed"], 2, "{answer:?}");
    assert!(is_at(&server.stage.seen(&driver).await, 52.521));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_is_shown_only_when_the_device_insists() {
    let server = Server::new().await;
    let (driver, mut socket) = server.driver("Grace").await;
    server.stage.moves_to(&driver, 52.517, server.stage.now()).await;
    let mut said = Vec::new();
    for n in 0..3 {
        let (id, lat) = (format!("p{n}"), 48.0 + 0.0001 * f64::from(n));
        socket.say("position", Some(&id), json!({"lat": lat, "lng": 11.5, "at": server.stage.now()})).await;
        let ack = socket.answer(&id).await;
        said.push(ack["data"]["changed"].clone());
        if n < 2 {
            assert_eq!(ack["data"]["positions"]["left_out"][0]["reason"], "jump", "{ack}");
            assert!(is_at(&server.stage.seen(&driver).await, 52.517));
        }
    }
    assert_eq!(said, [json!(false), json!(false), json!(true)]);
    assert!(is_at(&server.stage.seen(&driver).await, 48.0002));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_forgot_the_year_gets_work_and_is_told() {
    let stage = Stage::new().await;
    let driver = stage.driver("Grace").await;
    let forgotten = stage.now() - Span::weeks(1024);
    let answer = stage.hand_in(&driver, &[json!({"lat": 52.5161, "lng": 13.3776, "at": forgotten})]).await;
    assert!(answer.body["positions"]["clock_behind_seconds"].as_i64() > Some(600_000_000), "{answer:?}");
    assert!(is_at(&stage.seen(&driver).await, 52.5161));
    // No clock at all: what is unset in some programs.
    let driver = stage.driver("Ada").await;
    let answer = stage.hand_in(&driver, &[json!({"lat": 52.5161, "lng": 13.3776, "at": "0001-01-01T00:00:00Z"})]).await;
    assert_eq!(answer.body["positions"]["believed"], 1, "{answer:?}");
}
