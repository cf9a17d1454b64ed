//! What every answer carries, and how often somebody may ask.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use posthaste_domain::Span;
use posthaste_http::browsers::Browsers;
use posthaste_http::limits::Limits;
use posthaste_http::quota::Quotas;
use serde_json::json;

use crate::stage::{Answer, Stage, order_body};

/// A request from an address, with these headers.
async fn ask(stage: &Stage, method: Method, path: &str, from: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "here.example");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(from.parse::<SocketAddr>().unwrap()));
    stage.send(request).await
}

async fn get(stage: &Stage, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(stage, Method::GET, path, "198.51.100.7:4711", headers).await
}

fn told<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_what_they_may_do_with_it() {
    let browsers = Browsers { hsts_seconds: 600, ..Browsers::default() };
    let stage = Stage::with(Limits { browsers, ..Limits::default() }).await;
    let bearer = format!("Bearer {}", stage.admin);
    for path in ["/v1/orders", "/v1/nowhere", "/version", "/docs/", "/openapi.json", "/health/live"] {
        let headers = get(&stage, path, &[("authorization", &bearer)]).await.headers;
        assert_eq!(told(&headers, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(told(&headers, "referrer-policy"), "no-referrer", "{path}");
        assert_eq!(told(&headers, "strict-transport-security"), "max-age=600", "{path}");
        // What is the same for everybody may be kept and asked about.
        let keep = if path == "/openapi.json" { "no-cache" } else { "no-store" };
        assert_eq!(told(&headers, "cache-control"), keep, "{path}");
        let policy = told(&headers, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(policy.contains("script-src 'self'"), path.starts_with("/docs"), "{path}: {policy}");
    }
    let nobody = get(&stage, "/version", &[]).await;
    assert_eq!(told(&nobody.headers, "cache-control"), "");
    let nobody = get(&stage, "/v1/orders", &[]).await;
    assert_eq!((nobody.status, told(&nobody.headers, "cache-control")), (StatusCode::UNAUTHORIZED, "no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_configured_origins_may_ask_and_no_others() {
    let preflight = [("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")];
    let asked = async |stage: &Stage, origin: &str| {
        let headers = [&preflight[..], &[("origin", origin)]].concat();
        ask(stage, Method::OPTIONS, "/v1/orders", "198.51.100.7:1", &headers).await
    };
    let closed = Stage::new().await;
    let answer = asked(&closed, "https://shop.example.org").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"));
    assert_eq!(told(&answer.headers, "access-control-allow-origin"), "");
    let browsers = Browsers { origins: vec!["https://shop.example.org".parse().unwrap()], hsts_seconds: 0 };
    let open = Stage::with(Limits { browsers, ..Limits::default() }).await;
    let answer = asked(&open, "https://shop.example.org").await;
    assert_eq!(told(&answer.headers, "access-control-allow-origin"), "https://shop.example.org");
    assert!(told(&answer.headers, "access-control-allow-headers").contains("idempotency-key"));
    for other in ["https://evil.example.org", "https://shop.example.org.evil.org", "http://shop.example.org", "null"] {
        assert_eq!(told(&asked(&open, other).await.headers, "access-control-allow-origin"), "", "{other}");
    }
    let answer = get(&open, "/v1/orders", &[("origin", "https://shop.example.org")]).await;
    assert_eq!(answer.code(), "unauthenticated");
    let exposed = told(&answer.headers, "access-control-expose-headers").to_owned();
    for name in ["x-request-id", "location", "ratelimit", "ratelimit-policy", "retry-after", "idempotent-replayed"] {
        assert!(exposed.split(',').any(|given| given.trim() == name), "{name} is not in {exposed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_are_compressed_for_those_who_take_it() {
    let stage = Stage::new().await;
    let gzip = [("accept-encoding", "gzip")];
    let document = get(&stage, "/openapi.json", &gzip).await;
    assert_eq!(told(&document.headers, "content-encoding"), "gzip");
    assert_eq!(told(&get(&stage, "/openapi.json", &[]).await.headers, "content-encoding"), "");
    let short = get(&stage, "/version", &gzip).await;
    assert_eq!((told(&short.headers, "content-encoding"), &short.body["name"]), ("", &json!("posthaste")));
    // A problem is written anew with the request's id: what is compressed is what is sent in the end.
    let problem = get(&stage, &format!("/v1/orders?cursor={}", "x".repeat(3000)), &gzip).await;
    assert_eq!(problem.code(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_where_the_caller_sent_one() {
    let stage = Stage::new().await;
    let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = get(&stage, "/version", &[("traceparent", sent)]).await;
    let back = told(&answer.headers, "traceparent");
    assert!(back.starts_with(&sent[..36]) && back[36..52] != sent[36..52], "{back}");
    assert!(back.ends_with("-00"), "nobody records it here: {back}");
    for unsound in ["", "00-0-0-0", &sent.to_uppercase()] {
        let answer = get(&stage, "/v1/nowhere", &[("traceparent", unsound)]).await;
        let back = told(&answer.headers, "traceparent");
        assert!(back.len() == 55 && !back.contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{back}");
    }
}

fn frugal(caller_per_minute: u32, address_per_minute: u32) -> Limits {
    Limits { quotas: Quotas { caller_per_minute, address_per_minute }, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_asks_too_often_waits_and_another_does_not() {
    // Three a minute, one of which made the zone of the stage.
    let stage = Stage::with(frugal(3, 0)).await;
    let asked = async |token: &str| {
        let bearer = format!("Bearer {token}");
        get(&stage, "/v1/zones", &[("authorization", &bearer)]).await
    };
    let first = asked(&stage.admin).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(told(&first.headers, "ratelimit-policy"), "\"caller\";q=3;w=60");
    let left = told(&first.headers, "ratelimit");
    assert!(left.starts_with("\"caller\";r=1;t=") && left.len() == "\"caller\";r=1;t=40".len(), "{left}");
    assert!(told(&asked(&stage.admin).await.headers, "ratelimit").starts_with("\"caller\";r=0;t="));
    let refused = asked(&stage.admin).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"), "{refused:?}");
    let wait: u32 = told(&refused.headers, "retry-after").parse().unwrap();
    assert!((15..=20).contains(&wait), "one comes back every 20 s: {wait}");
    assert!(told(&refused.headers, "ratelimit").starts_with("\"caller\";r=0;t="), "{refused:?}");
    assert_eq!(refused.body["retry_after_seconds"], wait);
    assert_eq!(refused.header("x-request-id"), refused.body["request_id"].as_str().unwrap());
    // Nothing is done for whoever is refused.
    let bearer = format!("Bearer {}", stage.merchant);
    for _ in 0..3 {
        assert_eq!(get(&stage, "/v1/zones", &[("authorization", &bearer)]).await.status, StatusCode::OK);
    }
    let placing = stage.post("/v1/orders", &stage.merchant, &order_body()).await;
    assert_eq!((placing.status, placing.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    let counted = stage.get("/v1/orders", &stage.other_merchant).await;
    assert_eq!((counted.status, counted.header("ratelimit").is_empty()), (StatusCode::OK, false), "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_comes_back_with_time() {
    // One every second.
    let stage = Stage::by_hand(frugal(60, 0), |_| {}).await;
    let ask = async || stage.get("/v1/clock", &stage.merchant).await.status;
    for _ in 0..60 {
        assert_eq!(ask().await, StatusCode::OK);
    }
    assert_eq!(ask().await, StatusCode::TOO_MANY_REQUESTS);
    stage.advance(Span::milliseconds(999));
    assert_eq!(ask().await, StatusCode::TOO_MANY_REQUESTS);
    stage.advance(Span::milliseconds(1));
    assert_eq!((ask().await, ask().await), (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_counted_by_address_and_cannot_forge_one() {
    let proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let stage = Stage::with(Limits { proxies, ..frugal(0, 2) }).await;
    let from = async |address: &str, path: &str, headers: &[(&str, &str)]| {
        ask(&stage, Method::GET, path, address, headers).await.status
    };
    let (fine, no, many) = (StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(from("198.51.100.7:1", "/version", &[]).await, fine);
    assert_eq!(from("198.51.100.7:2", "/v1/orders", &[("authorization", "Bearer a.b.c")]).await, no);
    for path in ["/version", "/v1/orders", "/v1/nowhere", "/docs/", "/v1/tracking/trk_x"] {
        let forged = [("x-forwarded-for", "203.0.113.9"), ("authorization", "Bearer a.b.c")];
        assert_eq!(from("198.51.100.7:3", path, &forged).await, many, "{path}");
    }
    assert_eq!(from("198.51.100.8:1", "/version", &[]).await, fine, "another address");
    let admin = format!("Bearer {}", stage.admin);
    assert_eq!(from("198.51.100.7:4", "/v1/zones", &[("authorization", &admin)]).await, fine, "who is known is known");
    assert_eq!(from("198.51.100.7:5", "/health/live", &[]).await, fine);
    // Behind a proxy of ours it is the client who counts, and what they wrote themselves does not.
    for (client, status) in [("1.1.1.1, 192.0.2.1", fine), ("2.2.2.2, 192.0.2.1", fine), ("3.3.3.3, 192.0.2.1", many)] {
        assert_eq!(from("10.0.0.1:1", "/version", &[("x-forwarded-for", client)]).await, status, "{client}");
    }
    // All addresses of a block are one.
    for (address, status) in [("1::1", fine), ("1::2", fine), ("1::ffff:3", many), ("1:1::1", fine)] {
        assert_eq!(from(&format!("[2001:db8:{address}]:1"), "/version", &[]).await, status, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_made_once_and_strangers_are_counted_before() {
    let quotas = Quotas { address_per_minute: 60, ..Quotas::default() };
    let stage = Stage::with(Limits { quotas, ..Limits::default() }).await;
    for path in ["/openapi.json", "/asyncapi.json", "/docs/sockets", "/problems/invalid"] {
        let first = get(&stage, path, &[]).await;
        let tag = told(&first.headers, "etag").to_owned();
        assert!(first.status == StatusCode::OK && tag.len() > 10, "{path}: {:?}", first.headers);
        let again = get(&stage, path, &[("if-none-match", tag.as_str())]).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}");
    }
    let mut refused = None;
    for _ in 0..200 {
        let answer = get(&stage, "/openapi.json", &[]).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("one address may not ask without end");
    assert!(told(&refused.headers, "etag").is_empty(), "and nothing was made for the answer");
}
