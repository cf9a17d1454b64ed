//! The stop that a driver does next, over their socket and over REST.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::sockets::Server;
use crate::stage::driver_token;

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_chooses_their_next_stop_over_their_socket_and_takes_it_back_over_rest() {
    let server = Server::new().await;
    let stage = &server.stage;
    let (driver, mut socket) = server.driver("Grace").await;
    let token = driver_token(&driver);
    let order = stage.order().await;
    let assign = format!("/v1/orders/{}/assign", order["id"].as_str().unwrap());
    assert_eq!(stage.post(&assign, &stage.admin, &json!({"driver_id": driver})).await.status, StatusCode::OK);
    let (pickup, door) = (&order["tasks"][0]["id"], &order["tasks"][1]["id"]);

    socket.say("do_next", Some("c-1"), json!({"task_id": door})).await;
    let refused = socket.answer("c-1").await;
    assert_eq!((&refused["type"], &refused["data"]["code"]), (&json!("error"), &json!("conflict")), "{refused}");
    socket.say("do_next", Some("c-2"), json!({"task_id": pickup})).await;
    let route = socket.until("route").await;
    let route = if route["data"]["stops"][0]["chosen"] == true { route } else { socket.until("route").await };
    assert_eq!(
        (&route["data"]["stops"][0]["chosen"], &route["data"]["stops"][0]["task"]["id"]),
        (&json!(true), pickup)
    );
    let path = format!("/v1/drivers/{driver}/route/next");
    let again = stage.call(Method::PUT, &path, Some(&token), Some(&json!({"task_id": pickup}))).await;
    assert_eq!((again.status, &again.body["changed"]), (StatusCode::OK, &json!(false)), "{again:?}");

    let undone = stage.call(Method::DELETE, &path, Some(&token), None).await;
    assert_eq!((undone.status, &undone.body["changed"]), (StatusCode::OK, &json!(true)), "{undone:?}");
    let route = stage.get(&format!("/v1/drivers/{driver}/route"), &token).await;
    assert!(route.body["stops"][0]["chosen"].is_null(), "{route:?}");
    socket.say("undo_next", Some("c-3"), json!({})).await;
    assert_eq!(socket.answer("c-3").await["data"]["changed"], false);

    let unknown = json!({"task_id": "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c"});
    let missing = stage.call(Method::PUT, &path, Some(&token), Some(&unknown)).await;
    assert_eq!((missing.status, missing.code()), (StatusCode::NOT_FOUND, "not_found"), "{missing:?}");
    let wrong = stage.call(Method::PUT, &path, Some(&token), Some(&json!({"task": pickup}))).await;
    assert!(wrong.status.is_client_error() && wrong.status != StatusCode::NOT_FOUND, "{wrong:?}");
}
