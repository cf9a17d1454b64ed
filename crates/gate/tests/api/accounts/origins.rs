//! Pages of other origins and the cookie of a session.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use posthaste_http::browsers::Browsers;
use posthaste_http::limits::Limits;
use serde_json::json;

use super::people;
use crate::stage::{Answer, Stage};

/// What a browser sends along for a page.
type Page<'a> = &'a [(&'static str, &'a str)];

const OWN: Page =
    &[("host", "api.example.org"), ("origin", "https://api.example.org"), ("sec-fetch-site", "same-origin")];
const FRIEND: Page =
    &[("host", "api.example.org"), ("origin", "https://shop.example.org"), ("sec-fetch-site", "same-site")];
const SUBDOMAIN: Page =
    &[("host", "api.example.org"), ("origin", "https://blog.example.org"), ("sec-fetch-site", "same-site")];
const EVIL: Page = &[("host", "api.example.org"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];

async fn post(stage: &Stage, path: &str, page: Page<'_>, cookie: Option<&str>) -> Answer {
    let mut request = Request::post(path);
    for (name, value) in page {
        request = request.header(*name, *value);
    }
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    stage.send(request.body(Body::empty()).unwrap()).await
}

/// The cookie of an answer, where it sets one.
fn cookie(answer: &Answer) -> String {
    answer.header(header::SET_COOKIE).split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_ones_own_origin_and_configured_ones_use_the_cookie() {
    let browsers = Browsers { origins: vec!["https://shop.example.org".parse().unwrap()], hsts_seconds: 0 };
    let stage = Stage::with(Limits { browsers, ..Limits::default() }).await;
    people::register(&stage, "customer", "ada@example.org").await;
    let body = json!({"email": "ada@example.org", "password": people::PASSWORD});
    let login = stage.call(Method::POST, "/v1/sessions", None, Some(&body)).await;
    let mut known = cookie(&login);

    for page in [SUBDOMAIN, EVIL] {
        for path in ["/v1/sessions/refresh", "/v1/sessions/end"] {
            for sent in [Some(known.as_str()), None] {
                let refused = post(&stage, path, page, sent).await;
                assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"), "{path} {page:?}");
                assert_eq!(refused.header(header::SET_COOKIE), "", "{path} {page:?}: the cookie is left alone");
            }
        }
    }
    for page in [OWN, FRIEND, &[]] {
        let next = post(&stage, "/v1/sessions/refresh", page, Some(&known)).await;
        assert_eq!(next.status, StatusCode::OK, "{page:?}: {next:?}");
        known = cookie(&next);
    }
    let ended = post(&stage, "/v1/sessions/end", OWN, Some(&known)).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert!(ended.header(header::SET_COOKIE).contains("Max-Age=0"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_taken_away_only_where_one_came() {
    let stage = Stage::new().await;
    let ended = post(&stage, "/v1/sessions/end", OWN, None).await;
    assert_eq!((ended.status, ended.header(header::SET_COOKIE)), (StatusCode::NO_CONTENT, ""));
    let over = post(&stage, "/v1/sessions/end", OWN, Some("__Secure-posthaste_refresh=phr_over")).await;
    assert!(over.header(header::SET_COOKIE).contains("Max-Age=0"), "{over:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_a_neighbour_planted_beside_ones_own_is_not_taken() {
    let stage = Stage::new().await;
    let sign_in = async |email: &str| {
        people::register(&stage, "customer", email).await;
        let body = json!({"email": email, "password": people::PASSWORD});
        cookie(&stage.call(Method::POST, "/v1/sessions", None, Some(&body)).await)
    };
    let (mine, planted) = (sign_in("ada@example.org").await, sign_in("eve@example.org").await);
    for path in ["/v1/sessions/refresh", "/v1/sessions/end"] {
        let refused = post(&stage, path, OWN, Some(&format!("{planted}; {mine}"))).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, "malformed"), "{path}");
        assert!(refused.body["detail"].as_str().unwrap().contains("several cookies"), "{refused:?}");
        assert_eq!(refused.header(header::SET_COOKIE), "", "{path}");
    }
    assert_eq!(
        post(&stage, "/v1/sessions/refresh", OWN, Some(&mine)).await.status,
        StatusCode::OK,
        "nothing was used up"
    );
}
