//! Every message that the document of the sockets has, said on every socket: what the table lets in, and nothing else.

use axum::http::StatusCode;
use posthaste_dispatch_api::access::MessageRule;
use posthaste_gate::asyncapi;
use posthaste_http::auth::Role;
use serde_json::{Value, json};

use crate::sockets::{Server, Socket};

/// Each message that clients may send: its type, and data about this task.
fn messages(document: &Value, task: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        let Some(kind) = name.strip_prefix("client_") else { continue };
        for example in message["examples"].as_array().unwrap() {
            let mut data = example["payload"]["data"].clone();
            if data["task_id"].is_string() {
                data["task_id"] = task.clone();
            }
            all.push((kind.to_owned(), data));
        }
    }
    assert!(all.len() > 15, "only {} messages", all.len());
    all
}

/// Whether a message names something that belongs to somebody.
fn names_work(document: &Value, kind: &str) -> bool {
    let payload = &document["components"]["messages"][format!("client_{kind}")]["payload"];
    let schema = payload["properties"]["data"]["$ref"].as_str().unwrap();
    let fields = document.pointer(&format!("{}/properties", &schema[1..])).and_then(Value::as_object);
    fields.is_some_and(|fields| fields.keys().any(|name| name.ends_with("_id")))
}

/// Says all of them, and what was answered to each.
async fn say_all(socket: &mut Socket, document: &Value, task: &Value) -> Vec<(String, Value)> {
    let mut answers = Vec::new();
    for (n, (kind, data)) in messages(document, task).into_iter().enumerate() {
        let id = format!("m{n}");
        socket.say(&kind, Some(&id), data).await;
        answers.push((kind, socket.answer(&id).await));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_of_another_driver_reaches_the_work_of_one() {
    let server = Server::new().await;
    let (owner, _theirs) = server.driver("Grace").await;
    let order = server.stage.order().await;
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let assigned =
        server.stage.post(&format!("{path}/assign"), &server.stage.admin, &json!({"driver_id": owner})).await;
    assert_eq!(assigned.status, StatusCode::OK, "{assigned:?}");
    let before = server.stage.get(&path, &server.stage.admin).await.body;
    let (_, mut stranger) = server.driver("Ada").await;
    let document = asyncapi::document();
    let mut about_work = 0;
    for (kind, answer) in say_all(&mut stranger, &document, &order["tasks"][0]["id"]).await {
        let code = answer["data"]["code"].as_str().unwrap_or_default();
        if names_work(&document, &kind) {
            about_work += 1;
            // An offer that is gone and one that never was look the same.
            assert!(["not_found", "offer_gone"].contains(&code), "{kind}: {answer}");
        } else {
            assert!(!["not_found", "forbidden"].contains(&code), "{kind}: {answer}");
        }
    }
    assert!(about_work >= 9, "only {about_work} messages are about work");
    let after = server.stage.get(&path, &server.stage.admin).await.body;
    assert_eq!((&after["version"], &after["tasks"]), (&before["version"], &before["tasks"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_socket_takes_what_the_table_says_and_nothing_else() {
    let server = Server::new().await;
    let order = server.stage.order().await;
    let link = format!("/v1/orders/{}/tracking-link", order["id"].as_str().unwrap());
    let link = server.stage.get(&link, &server.stage.customer).await.body;
    let track = format!("/v1/ws/track/{}", link["path"].as_str().unwrap().rsplit('/').next().unwrap());
    let driver = crate::stage::driver_token(&server.stage.driver("Grace").await);
    let document = asyncapi::document();
    for (name, channel) in document["channels"].as_object().unwrap() {
        let (path, role, token) = match name.as_str() {
            "driver" => ("/v1/ws/driver", Some(Role::Driver), Some(driver.as_str())),
            "merchant" => ("/v1/ws/merchant", Some(Role::Merchant), Some(server.stage.merchant.as_str())),
            "customer" => ("/v1/ws/customer", Some(Role::Customer), Some(server.stage.customer.as_str())),
            "operations" => ("/v1/ws/operations", Some(Role::Admin), Some(server.stage.admin.as_str())),
            "track" => (track.as_str(), None, None),
            _ => panic!("who may open {name}?"),
        };
        let (mut socket, ..) = server.begin(path, token, json!({})).await;
        for (kind, answer) in say_all(&mut socket, &document, &order["tasks"][0]["id"]).await {
            let rule = MessageRule::of(&kind).unwrap_or_else(|| panic!("no rule says who may say {kind}"));
            let is_documented = !channel["messages"][format!("client_{kind}")].is_null();
            let is_refused = answer["data"]["code"] == "forbidden";
            assert_eq!(is_documented, rule.admits(role), "{name}: {kind}");
            assert_eq!(is_refused, !rule.admits(role), "{name}: {kind}: {answer}");
        }
    }
}
