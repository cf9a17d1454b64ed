//! Somebody who signs in with Google: what their browser keeps and sends.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use reqwest::Url;
use serde_json::{Value, json};

use super::super::people::{self, Login};
use super::PAGE;
use crate::stage::{Answer, Stage};

/// A sign-in that began.
pub(super) struct Visit {
    pub(super) url: String,
    pub(super) state: String,
    /// As the browser sends it back.
    pub(super) cookie: Option<String>,
    pub(super) secret: Option<String>,
}

pub(super) async fn begin(stage: &Stage, asked: Value) -> Visit {
    let answer = stage.call(Method::POST, "/v1/sessions/google", None, Some(&asked)).await;
    Visit::of(&answer)
}

pub(super) async fn begin_link(stage: &Stage, login: &Login) -> Visit {
    let answer = stage
        .post("/v1/account/google", &login.access(), &json!({"return_to": PAGE, "password": people::PASSWORD}))
        .await;
    Visit::of(&answer)
}

impl Visit {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let text = |name: &str| answer.body[name].as_str().map(str::to_owned);
        let cookie = answer.headers.get(header::SET_COOKIE).map(|set| {
            let set = set.to_str().unwrap();
            for part in ["__Host-", "; Path=/;", "HttpOnly", "Secure", "SameSite=Lax", "Max-Age=600"] {
                assert!(set.contains(part), "{set}");
            }
            set.split(';').next().unwrap().to_owned()
        });
        let url = text("authorization_url").unwrap();
        Self { url, state: text("state").unwrap(), cookie, secret: text("secret") }
    }

    fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, format!("other=1; {cookie}")),
            None => request,
        }
    }

    /// The browser is sent back to us.
    pub(super) async fn try_back(&self, stage: &Stage, path: &str) -> Answer {
        // Browsers say that a page of another site sent them.
        let request = self.request(Method::GET, path).header("sec-fetch-site", "cross-site");
        stage.send(request.body(Body::empty()).unwrap()).await
    }

    /// The same, and goes on to the page.
    pub(super) async fn come_back(&self, stage: &Stage, path: &str) -> Url {
        let answer = self.try_back(stage, path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}: {answer:?}");
        let page = Url::parse(answer.header(header::LOCATION)).unwrap();
        assert!(page.as_str().starts_with(PAGE), "{page}");
        let says = |name: &str| page.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
        assert_eq!((says("google").as_deref(), says("state")), (Some("returned"), Some(self.state.clone())), "{page}");
        assert_eq!(says("code"), None);
        page
    }

    async fn post(&self, stage: &Stage, path: &str, token: Option<&str>, mut body: Value) -> Answer {
        if body["state"].is_null() {
            body["state"] = json!(self.state);
        }
        let mut request = self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        stage.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(super) async fn confirm(&self, stage: &Stage, body: Value) -> Answer {
        self.post(stage, "/v1/sessions/google/confirm", None, body).await
    }

    pub(super) async fn confirm_link(&self, stage: &Stage, login: &Login) -> Answer {
        self.post(stage, "/v1/account/google/confirm", Some(&login.access()), json!({})).await
    }

    /// Ends it, as a page does: the refresh token comes in the other cookie.
    pub(super) async fn sign_in(&self, stage: &Stage) -> Login {
        let answer = self.confirm(stage, json!({})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let cookies: Vec<_> = answer.headers.get_all(header::SET_COOKIE).iter().map(|c| c.to_str().unwrap()).collect();
        assert!(cookies.iter().any(|c| c.starts_with("__Host-posthaste_google=;") && c.contains("Max-Age=0")));
        let refresh = cookies.iter().find_map(|c| c.strip_prefix("__Secure-posthaste_refresh=")).unwrap();
        let mut body = answer.body.clone();
        assert!(body["refresh_token"].is_null());
        body["refresh_token"] = json!(refresh.split(';').next().unwrap());
        Login { body }
    }
}
