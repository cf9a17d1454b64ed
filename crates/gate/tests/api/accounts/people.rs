//! People at their devices.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use posthaste_clock::testing::eventually;
use posthaste_http::address::ClientAddress;
use serde_json::{Value, json};

use crate::stage::{Answer, Stage};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Somebody who is signed in, with the refresh token of the body.
pub(crate) struct Login {
    pub(crate) body: Value,
}

impl Login {
    pub(crate) fn access(&self) -> String {
        self.body["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn refresh_token(&self) -> String {
        self.body["refresh_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn id(&self) -> String {
        self.body["login_id"].as_str().unwrap().to_owned()
    }

    /// The account's id.
    pub(crate) async fn account(&self, stage: &Stage) -> String {
        stage.get("/v1/account", &self.access()).await.id()
    }

    pub(crate) async fn try_refresh(&self, stage: &Stage) -> Answer {
        let body = json!({"refresh_token": self.refresh_token()});
        stage.call(Method::POST, "/v1/sessions/refresh", None, Some(&body)).await
    }

    pub(crate) async fn refresh(&self, stage: &Stage) -> Self {
        let answer = self.try_refresh(stage).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        Self { body: answer.body }
    }
}

/// A request of nobody, from an address.
pub(crate) async fn from(stage: &Stage, address: [u8; 4], path: &str, body: &Value) -> Answer {
    from_ip(stage, address.into(), path, body).await
}

pub(crate) async fn from_ip(stage: &Stage, address: IpAddr, path: &str, body: &Value) -> Answer {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    let mut request = request.body(Body::from(body.to_string())).unwrap();
    request.extensions_mut().insert(ClientAddress(address));
    stage.send(request).await
}

/// The newest message to somebody that holds all of `parts`, once it is there.
pub(crate) async fn message(stage: &Stage, to: &str, parts: &[&str]) -> String {
    eventually(&format!("a message to {to} with {parts:?}"), async || {
        let texts = posthaste_notifications::carrier::read_mailbox(stage.mailbox.clone(), 100).await.unwrap();
        let fits = |text: &String| {
            text.lines().next().is_some_and(|line| line.ends_with(&format!(" {to}")))
                && parts.iter().all(|part| text.contains(part))
        };
        texts.into_iter().find(fits)
    })
    .await
}

/// The code in a message.
pub(crate) fn code_in(message: &str) -> String {
    let body = message.split_once("\n\n").unwrap().1;
    let code = body.split_whitespace().next().unwrap();
    let is_code = |form: &str| {
        let fits = |(c, f): (char, char)| if f == '-' { c == '-' } else { c.is_ascii_alphanumeric() };
        code.len() == form.len() && code.chars().zip(form.chars()).all(fits)
    };
    assert!(is_code("000000") || is_code("XXXX-XXXX"), "{message}");
    code.to_owned()
}

fn registration(role: &str, email: &str) -> Value {
    json!({"role": role, "email": email, "password": PASSWORD, "name": "Somebody"})
}

pub(crate) async fn ask(stage: &Stage, role: &str, email: &str) -> Answer {
    stage.call(Method::POST, "/v1/accounts", None, Some(&registration(role, email))).await
}

pub(crate) async fn register(stage: &Stage, role: &str, email: &str) -> Value {
    register_from(stage, Ipv4Addr::LOCALHOST.into(), role, email).await
}

pub(crate) async fn register_from(stage: &Stage, address: IpAddr, role: &str, email: &str) -> Value {
    let asked = from_ip(stage, address, "/v1/accounts", &registration(role, email)).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let code = code_in(&message(stage, email, &["is your code"]).await);
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": code});
    let verified = from_ip(stage, address, "/v1/accounts/verify", &body).await;
    assert_eq!(verified.status, StatusCode::CREATED, "{verified:?}");
    verified.body
}

pub(crate) fn credentials(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "refresh_in": "body"})
}

pub(crate) async fn log_in(stage: &Stage, email: &str) -> Login {
    log_in_from(stage, Ipv4Addr::LOCALHOST.into(), email).await
}

pub(crate) async fn log_in_from(stage: &Stage, address: IpAddr, email: &str) -> Login {
    let answer = from_ip(stage, address, "/v1/sessions", &credentials(email)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    Login { body: answer.body }
}

pub(crate) async fn end(stage: &Stage, login: &Login) -> Answer {
    let body = json!({"refresh_token": login.refresh_token()});
    stage.call(Method::POST, "/v1/sessions/end", None, Some(&body)).await
}

/// A merchant who works.
pub(crate) async fn merchant(stage: &Stage, email: &str) -> (Value, Login) {
    let account = register(stage, "merchant", email).await;
    let path = format!("/v1/accounts/{}/activate", account["id"].as_str().unwrap());
    let activated = stage.post(&path, &stage.admin, &json!({})).await;
    assert_eq!(activated.status, StatusCode::OK, "{activated:?}");
    (activated.body, log_in(stage, email).await)
}

/// A driver who works, in the stage's zone.
pub(crate) async fn driver(stage: &Stage, email: &str) -> (Value, Login) {
    let account = register(stage, "driver", email).await;
    let path = format!("/v1/accounts/{}/activate", account["id"].as_str().unwrap());
    let early = stage.post(&path, &stage.admin, &json!({})).await;
    assert_eq!((early.status, early.code()), (StatusCode::CONFLICT, "conflict"), "no profile yet: {early:?}");
    let login = log_in(stage, email).await;
    let profile = json!({"vehicle": "bicycle", "capacity": 3, "zones": [stage.zone]});
    let put = stage.call(Method::PUT, "/v1/account/profile/driver", Some(&login.access()), Some(&profile)).await;
    assert_eq!(put.status, StatusCode::OK, "{put:?}");
    let activated = stage.post(&path, &stage.admin, &json!({})).await;
    assert_eq!(activated.status, StatusCode::OK, "{activated:?}");
    (activated.body, login.refresh(stage).await)
}
