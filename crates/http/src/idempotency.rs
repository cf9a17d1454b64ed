//! The `Idempotency-Key` header: the same request sent twice is done once.
//!
//! What was answered is kept by the live system, in the transaction of the work itself. Here are the header, the
//! fingerprint of what the key stands for, and the guard that refuses a second request while the first is running.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthaste_domain::party::Party;
use posthaste_protocol::problem::{Code, Problem};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::problem::{Answer, Failure};

/// The header.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Says that the answer is the first one to the same key.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key.
pub const LONGEST: usize = 255;
/// What keys look like, as a regular expression.
pub const FORM: &str = "^[!-~]{1,255}$";

/// The request's key, where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let mut given = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = given.next() else { return Ok(Self(None)) };
        let wrong = |problem: &str| Failure::from(Problem::invalid("idempotency-key", problem));
        if given.next().is_some() {
            return Err(wrong("was sent more than once"));
        }
        let sound = value.to_str().ok().filter(|key| is_sound(key));
        let key = sound.ok_or_else(|| wrong("must be 1 to 255 visible ASCII characters"))?;
        Ok(Self(Some(key.to_owned())))
    }
}

/// Whether a key, or a socket command's id, is 1 to [`LONGEST`] visible ASCII characters.
#[must_use]
pub fn is_sound(key: &str) -> bool {
    !key.is_empty() && key.len() <= LONGEST && key.bytes().all(|b| b.is_ascii_graphic())
}

/// The digest of what a request with a JSON body means, which is kept; and that of its bytes, which was kept before and counts as
/// well, so that a request sent again after an upgrade is found.
#[must_use]
pub fn fingerprints(method: &Method, path: &str, body: &[u8]) -> [[u8; 32]; 2] {
    let meant = serde_json::from_slice(body).map_or_else(|_| body.to_vec(), |value| canonical(&value));
    [fingerprint(method, path, &meant), fingerprint(method, path, body)]
}

/// A JSON text that is the same for all texts that say the same: fields by their names, nothing between them, characters and
/// numbers written in one way. What is left out and what is said as `null` or as its default stay apart.
fn canonical(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, to: &mut Vec<u8>) {
    /// Whole numbers up to here are exact, however they are written.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let plain = |value: &Value, to: &mut Vec<u8>| to.extend_from_slice(value.to_string().as_bytes());
    match value {
        Value::Array(entries) => {
            to.push(b'[');
            for entry in entries {
                write(entry, to);
                to.push(b',');
            }
            to.push(b']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            to.push(b'{');
            for (name, field) in fields {
                plain(&Value::from(name.as_str()), to);
                to.push(b':');
                write(field, to);
                to.push(b',');
            }
            to.push(b'}');
        }
        Value::Number(number) => {
            match number.as_f64().filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() < EXACT) {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole, and exact")]
                Some(whole) => plain(&Value::from(whole as i64), to),
                None => plain(value, to),
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => plain(value, to),
    }
}

/// SHA-256 over method, path and body, each with its length before it.
#[must_use]
pub fn fingerprint(method: &Method, path: &str, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [method.as_str().as_bytes(), path.as_bytes(), body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The first answer again, with the location under `path` that its id gives.
#[must_use]
pub fn replayed(status: u16, body: String, path: &str) -> Response {
    #[derive(serde::Deserialize)]
    struct Made {
        id: String,
    }
    let made = serde_json::from_str::<Made>(&body).ok();
    let location = made.and_then(|made| HeaderValue::try_from(format!("{path}/{}", made.id)).ok());
    let mut response = replayed_as_it_was(status, body);
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The first answer again, where it named no location.
#[must_use]
pub fn replayed_as_it_was(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::CREATED);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// Which keys are being worked on in this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<(Party, String)>>>);

/// One key being worked on; dropping it lets the next request with the key through.
#[derive(Debug)]
pub struct Running {
    all: InFlight,
    key: Option<(Party, String)>,
}

impl InFlight {
    /// Enters the key; a problem when a request with it is already running.
    pub fn enter(&self, principal: Party, key: &str) -> Answer<Running> {
        let entry = (principal, key.to_owned());
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.insert(entry.clone()) {
            return Err(Problem::new(Code::IdempotencyRunning).retry_after(1).into());
        }
        Ok(Running { all: self.clone(), key: Some(entry) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_tells_method_path_and_body_apart() {
        let base = fingerprint(&Method::POST, "/v1/orders", b"{}");
        assert_eq!(base, fingerprint(&Method::POST, "/v1/orders", b"{}"));
        assert_ne!(base, fingerprint(&Method::PUT, "/v1/orders", b"{}"));
        assert_ne!(base, fingerprint(&Method::POST, "/v1/zones", b"{}"));
        assert_ne!(base, fingerprint(&Method::POST, "/v1/orders{", b"}"));
    }

    #[test]
    fn what_means_the_same_has_the_same_fingerprint_and_what_does_not_has_another() {
        let of = |body: &str| fingerprints(&Method::POST, "/v1/orders", body.as_bytes());
        let body = r#"{"size":2,"pickups":[{"lat":52.5,"lng":13}],"note":"é","at":null}"#;
        let same = [
            r#"{ "pickups": [ {"lng": 13.0, "lat": 52.50} ],  "size": 2,"at":null, "note":"\u00e9"}"#,
            r#"{"size":2e0,"pickups":[{"lat":5.25e1,"lng":13}],"note":"é","at":null}"#,
        ];
        for other in same {
            assert_eq!(of(other)[0], of(body)[0], "{other}");
            assert_ne!(of(other)[1], of(body)[1], "the bytes are others");
        }
        let others = [
            r#"{"size":3,"pickups":[{"lat":52.5,"lng":13}],"note":"é","at":null}"#,
            r#"{"size":"2","pickups":[{"lat":52.5,"lng":13}],"note":"é","at":null}"#,
            r#"{"size":2,"pickups":[{"lat":52.5,"lng":13},{}],"note":"é","at":null}"#,
            r#"{"size":2,"pickups":[{"lat":52.5,"lng":13}],"note":"é"}"#,
        ];
        for other in others {
            assert_ne!(of(other)[0], of(body)[0], "{other}");
        }
        assert_eq!(of(body)[1], fingerprint(&Method::POST, "/v1/orders", body.as_bytes()), "as it was kept before");
        assert_eq!(of("-0.0")[0], of("0")[0]);
        assert_ne!(of(r#"["a","b"]"#)[0], of(r#"["a\",\"b"]"#)[0]);
    }

    #[test]
    fn a_key_runs_once_at_a_time_for_each_principal() {
        let all = InFlight::default();
        let first = all.enter(Party::System, "k").unwrap();
        assert_eq!(all.enter(Party::System, "k").unwrap_err().problem().code, Code::IdempotencyRunning);
        assert!(all.enter(Party::System, "other").is_ok());
        drop(first);
        assert!(all.enter(Party::System, "k").is_ok());
    }

    #[test]
    fn a_key_is_visible_ascii_of_bounded_length() {
        assert!(is_sound("a-1") && is_sound(&"x".repeat(LONGEST)));
        assert!(!is_sound("") && !is_sound("a b") && !is_sound("ü") && !is_sound(&"x".repeat(LONGEST + 1)));
    }
}
