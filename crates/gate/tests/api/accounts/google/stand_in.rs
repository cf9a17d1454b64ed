//! A provider that misbehaves as it is told: wrong tokens, wrong answers, none at all.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::provider::PUBLIC;

/// A key of tests, good for nothing else.
static SIGNER: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::from_pkcs8(include_bytes!("../../../../../../tests/provider/signing.pk8")).unwrap());

/// How something is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum How {
    #[default]
    Well,
    Status(u16),
    /// 200, with a text that is no JSON.
    Garbage,
    /// 200, with JSON that is something else.
    SomethingElse,
    /// More than anybody reads.
    Endless,
    Elsewhere,
    Never,
}

/// What is told to the stand-in.
#[derive(Default)]
pub(super) struct Told {
    pub(super) discovery: How,
    pub(super) keys: How,
    pub(super) token: How,
    /// What stands in the token instead of the truth.
    pub(super) claims: Value,
    pub(super) head: Value,
    pub(super) metadata: Value,
    /// Claims that are put into the token after it was signed.
    pub(super) forged: Value,
    /// How often each was asked.
    pub(super) asked: HashMap<&'static str, u32>,
    /// What the browser brought.
    brought: HashMap<String, String>,
}

type Shared = State<Arc<Mutex<Told>>>;

/// It, running.
pub(super) struct StandIn {
    pub(super) issuer: String,
    told: Arc<Mutex<Told>>,
    server: JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl StandIn {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Told { metadata: json!({"issuer": issuer}), ..Told::default() }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&told));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, told, server }
    }

    pub(super) fn tell(&self, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.told.lock().unwrap());
    }

    pub(super) fn asked(&self, what: &'static str) -> u32 {
        self.told.lock().unwrap().asked.get(what).copied().unwrap_or(0)
    }

    /// Somebody signs in here: says where their browser is sent back to.
    pub(super) fn sign_in(&self, authorization_url: &str) -> String {
        let url = Url::parse(authorization_url).unwrap();
        let brought: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!((url.path(), brought["response_type"].as_str()), ("/authorize", "code"));
        assert_eq!(brought["scope"], "openid email profile");
        assert_eq!(brought["redirect_uri"], format!("{PUBLIC}/v1/sessions/google/callback"));
        let state = brought["state"].clone();
        self.told.lock().unwrap().brought = brought;
        format!("/v1/sessions/google/callback?state={state}&code=a-code&authuser=0&hd=example.org")
    }
}

/// The answer that was asked for instead of the right one.
async fn instead(how: How) -> Option<Response> {
    match how {
        How::Well => None,
        How::Status(status) => Some(StatusCode::from_u16(status).unwrap().into_response()),
        How::Garbage => Some("<html>We are sorry.</html>".into_response()),
        How::SomethingElse => Some(Json(json!({"error": 7, "keys": "none"})).into_response()),
        How::Endless => Some("x".repeat(1024 * 1024).into_response()),
        How::Elsewhere => Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/keys")]).into_response()),
        How::Never => std::future::pending().await,
    }
}

fn count(told: &Shared, what: &'static str, how: fn(&Told) -> How) -> How {
    let mut told = told.lock().unwrap();
    *told.asked.entry(what).or_default() += 1;
    how(&told)
}

async fn discovery(told: Shared) -> Response {
    if let Some(other) = instead(count(&told, "discovery", |told| told.discovery)).await {
        return other;
    }
    let changes = told.lock().unwrap().metadata.clone();
    let issuer = changes["issuer"].as_str().unwrap();
    let metadata = json!({
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
    });
    Json(changed(metadata, &changes)).into_response()
}

async fn keys(told: Shared) -> Response {
    if let Some(other) = instead(count(&told, "keys", |told| told.keys)).await {
        return other;
    }
    let public: ring::rsa::PublicKeyComponents<Vec<u8>> = SIGNER.public().into();
    let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
    Json(json!({"keys": [{"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": n, "e": e}]})).into_response()
}

async fn token(told: Shared, body: String) -> Response {
    let form = Url::parse(&format!("http://form/?{body}")).unwrap();
    let form: HashMap<_, _> = form.query_pairs().into_owned().collect();
    if let Some(other) = instead(count(&told, "token", |told| told.token)).await {
        return other;
    }
    let told = told.lock().unwrap();
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, form["code_verifier"].as_bytes()));
    let right = form["grant_type"] == "authorization_code"
        && form["code"] == "a-code"
        && form["client_id"] == "posthaste"
        && form["client_secret"] == "a secret of tests"
        && form["redirect_uri"] == told.brought["redirect_uri"]
        && told.brought["code_challenge_method"] == "S256"
        && told.brought["code_challenge"] == challenge;
    if !right {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    }
    let now = chrono::Utc::now().timestamp();
    let claims = json!({
        "iss": told.metadata["issuer"], "aud": "posthaste", "sub": "1084", "iat": now, "exp": now + 3600,
        "nonce": told.brought["nonce"], "email": "ada@example.org", "email_verified": true, "name": "Ada",
    });
    let claims = changed(claims, &told.claims);
    let head = changed(json!({"alg": "RS256", "kid": "one", "typ": "JWT"}), &told.head);
    let part = |of: &Value| URL_SAFE_NO_PAD.encode(of.to_string());
    let message = format!("{}.{}", part(&head), part(&claims));
    let mut signature = vec![0; SIGNER.public().modulus_len()];
    SIGNER.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    let shown = format!("{}.{}", part(&head), part(&changed(claims, &told.forged)));
    let id_token = format!("{shown}.{}", URL_SAFE_NO_PAD.encode(signature));
    Json(json!({"access_token": "x", "token_type": "Bearer", "id_token": id_token})).into_response()
}

fn changed(mut of: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().into_iter().flatten() {
        of[name] = value.clone();
    }
    of
}
