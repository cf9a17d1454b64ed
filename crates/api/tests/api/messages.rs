//! Every message of the socket document, said by everybody who can open a socket, about somebody else's work.

use axum::http::StatusCode;
use posthaste_protocol::socket::ClientMessage;
use serde_json::{Value, json};

use crate::documented;
use crate::sockets::{Server, Socket};

/// Of whom a message is. A kind that is not here fails the test.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    /// Of the connection: everybody may say it.
    Connection,
    /// Of the driver himself: it names nobody else, so there is nobody else to say it of.
    Driver,
    /// Of a driver's work: what is not his looks as if it did not exist.
    Work,
}

fn rule(kind: &str) -> Of {
    match kind {
        "hello" | "heartbeat" | "token" => Of::Connection,
        "shift" | "position" | "positions" | "undo_next" => Of::Driver,
        "accept" | "decline" | "departed" | "arrived" | "picked_up" | "delivered" | "returned" | "failed"
        | "do_next" => Of::Work,
        _ => panic!("no rule says whose message {kind:?} is"),
    }
}

/// Each message that the document has, about this task.
fn messages(task: &Value) -> Vec<(String, Value)> {
    let (_, examples) = documented::examples();
    let read = examples.into_iter().map(|example| serde_json::from_str::<Value>(example).unwrap());
    let all = read.map(|mut message| {
        let (kind, mut data) = (message["type"].as_str().unwrap().to_owned(), message["data"].take());
        if data["task_id"].is_string() {
            data["task_id"] = task.clone();
        }
        (kind, data)
    });
    all.collect()
}

/// Says all of them, and what was answered to each.
async fn say_all(socket: &mut Socket, task: &Value) -> Vec<(String, Value)> {
    let mut answers = Vec::new();
    for (n, (kind, data)) in messages(task).into_iter().enumerate() {
        let id = format!("m{n}");
        socket.say(&kind, Some(&id), data).await;
        answers.push((kind, socket.answer(&id).await));
    }
    answers
}

#[test]
fn every_message_has_a_rule() {
    for kind in ClientMessage::KINDS {
        rule(kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_of_another_driver_reaches_the_work_of_one() {
    let server = Server::new().await;
    let (owner, _his) = server.driver("Grace").await;
    let order = server.stage.order().await;
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let assigned =
        server.stage.post(&format!("{path}/assign"), &server.stage.admin, &json!({"driver_id": owner})).await;
    assert_eq!(assigned.status, StatusCode::OK, "{assigned:?}");
    let before = server.stage.get(&path, &server.stage.admin).await.body;
    let (_, mut stranger) = server.driver("Ada").await;
    for (kind, answer) in say_all(&mut stranger, &order["tasks"][0]["id"]).await {
        let code = answer["data"]["code"].as_str().unwrap_or_default();
        match rule(&kind) {
            // An offer that is gone and one that never was look the same.
            Of::Work => assert!(["not_found", "offer_gone"].contains(&code), "{kind}: {answer}"),
            Of::Connection | Of::Driver => assert!(!["not_found", "forbidden"].contains(&code), "{kind}: {answer}"),
        }
    }
    let after = server.stage.get(&path, &server.stage.admin).await.body;
    assert_eq!((&after["version"], &after["tasks"]), (&before["version"], &before["tasks"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_follows_commands_nothing() {
    let server = Server::new().await;
    let order = server.stage.order().await;
    let link = format!("/v1/orders/{}/tracking-link", order["id"].as_str().unwrap());
    let link = server.stage.get(&link, &server.stage.customer).await.body;
    let track = format!("/v1/ws/track/{}", link["path"].as_str().unwrap().rsplit('/').next().unwrap());
    let sockets = [
        ("/v1/ws/merchant", Some(server.stage.merchant.as_str())),
        ("/v1/ws/operations", Some(server.stage.admin.as_str())),
        (track.as_str(), None),
    ];
    for (path, token) in sockets {
        let (mut socket, ..) = server.begin(path, token, json!({})).await;
        for (kind, answer) in say_all(&mut socket, &order["tasks"][0]["id"]).await {
            let is_refused = answer["data"]["code"] == "forbidden";
            assert_eq!(is_refused, rule(&kind) != Of::Connection, "{path}: {kind}: {answer}");
        }
    }
}
