//! Bodies, paths and queries. A rejection is a problem that names what was wrong and where.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use bytes::Bytes;
use posthaste_protocol::problem::{Code, FieldError, Problem, holds_nul};
use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;

use crate::bounds::Bounds;
use crate::problem::{Answer, Failure};
use crate::shapes::{Faults, QUERY, WHOLE, with_readers_word};
use crate::words;

/// What is said of a text that cannot be stored.
const NUL: &str = "no text may hold the character U+0000";

/// A JSON body, with the bytes it came as (an idempotency key stands for them).
#[derive(Debug, Clone)]
pub struct Json<T> {
    /// What the body says.
    pub value: T,
    /// The body.
    pub bytes: Bytes,
}

/// A JSON body that may be left out.
#[derive(Debug, Clone)]
pub struct JsonOrDefault<T>(pub T);

/// Parameters of the path.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

/// Parameters of the query.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Failure;
    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        require_json(request.headers())?;
        let bounds = bounds(request.extensions());
        let bytes = read(request, state).await?;
        Ok(Self { value: parse_within(bounds, &bytes)?, bytes })
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for JsonOrDefault<T> {
    type Rejection = Failure;
    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let is_json = require_json(request.headers());
        let bounds = bounds(request.extensions());
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        is_json?;
        Ok(Self(parse_within(bounds, &bytes)?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                let given = RawPathParams::from_request_parts(parts, state).await.ok();
                let field = given.and_then(|given| wrong_parameter::<T>(&given));
                Err(bad_path(&rejection, field.as_deref().unwrap_or("path")).into())
            }
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            let error = FieldError { field: QUERY.to_owned(), problem: NUL.to_owned() };
            return Err(Problem::new(Code::Malformed).errors(vec![error]).into());
        }
        if let (Some(bounds), Some(query)) = (bounds(&parts.extensions), parts.uri.query()) {
            bounds.check_query(query)?;
        }
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
                let (bounds, pairs) = (bounds(&parts.extensions), pairs.map(|pairs| pairs.0).unwrap_or_default());
                let faults = bounds.map(|bounds| bounds.faults_of_query(&pairs)).unwrap_or_default();
                Err(unreadable_query(&rejection.body_text(), faults).into())
            }
        }
    }
}

/// The limits of the operation that is asked for, as whoever sorts the requests put them beside it.
fn bounds(extensions: &Extensions) -> Option<&'static Bounds> {
    extensions.get::<&'static Bounds>().copied()
}

fn require_json(headers: &HeaderMap) -> Result<(), Failure> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = media_type.strip_prefix("application/");
    if subtype.is_some_and(|s| s == "json" || s.ends_with("+json")) {
        return Ok(());
    }
    let problem = Problem::new(Code::UnsupportedMediaType);
    Err(problem.detail("send the body with `content-type: application/json`").into())
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Failure> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Problem::new(Code::TooLarge).detail("the body is larger than this server takes").into()
        }
        other => {
            tracing::debug!(error = %other, "a body could not be read");
            Problem::new(Code::Malformed).detail("the body broke off").into()
        }
    })
}

/// Reads JSON that holds no more than it may.
fn parse_within<T: DeserializeOwned>(bounds: Option<&Bounds>, bytes: &[u8]) -> Answer<T> {
    if holds_nul(bytes) {
        return Err(Problem::new(Code::Malformed).detail(NUL).into());
    }
    // Keeping the path costs as much as reading: only what does not fit is read again to say where.
    match serde_json::from_slice(bytes) {
        Ok(value) => {
            bounds.map_or(Ok(()), |bounds| bounds.check(bytes))?;
            Ok(value)
        }
        Err(error) => Err(unreadable::<T>(bounds, bytes, &error).into()),
    }
}

/// The problem of a text that cannot be read as what it should be: 400 where it is no JSON, 422 with every field that is wrong
/// where it does not fit.
fn unreadable<T: DeserializeOwned>(bounds: Option<&Bounds>, bytes: &[u8], error: &serde_json::Error) -> Problem {
    let value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => return Problem::new(Code::Malformed).detail(words::not_json(&error)),
    };
    let faults = bounds.map(|bounds| bounds.faults(&value)).unwrap_or_default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let (path, said) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => (error.path().to_string(), error.inner().to_string()),
        Ok(_) => (".".to_owned(), error.to_string()),
    };
    let field = field_of(&path, &said, WHOLE);
    Problem::new(Code::Invalid).errors(with_readers_word(faults, &field, &said))
}

/// The field that was met first: serde names a missing, unknown or doubled one only in its words. `whole` is the name of what
/// has no path.
#[must_use]
pub fn field_of(path: &str, said: &str, whole: &str) -> String {
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| said.strip_prefix(start))
        .and_then(|rest| rest.split('`').next());
    let parent = if path == "." || path == "?" { "" } else { path };
    match named {
        Some(name) if parent.is_empty() || parent == name => name.to_owned(),
        Some(name) if parent.ends_with(&format!(".{name}")) => parent.to_owned(),
        Some(name) => format!("{parent}.{name}"),
        None if parent.is_empty() => whole.to_owned(),
        None => parent.to_owned(),
    }
}

/// Which parameter cannot be read. axum does not say when the type itself refuses it.
fn wrong_parameter<T: DeserializeOwned>(given: &RawPathParams) -> Option<String> {
    let mut names = given.iter().map(|(name, _)| name);
    if let (Some(only), None) = (names.next(), names.next()) {
        return Some(only.to_owned());
    }
    let pairs = MapDeserializer::<_, serde::de::value::Error>::new(given.iter());
    serde_path_to_error::deserialize::<_, T>(pairs).err().map(|error| error.path().to_string())
}

/// `field` is the parameter that is wrong, where the rejection itself does not say.
fn bad_path(rejection: &PathRejection, field: &str) -> Problem {
    let malformed = Problem::new(Code::Malformed);
    let PathRejection::FailedToDeserializePathParams(inner) = rejection else {
        return malformed.detail("the path cannot be read");
    };
    let (field, problem) = match inner.kind() {
        ErrorKind::DeserializeError { key, message, .. } => (key.clone(), words::plain(message)),
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
            (key.clone(), words::plain(&format!("invalid type: text, expected {expected_type}")))
        }
        ErrorKind::InvalidUtf8InPathParam { key } => (key.clone(), "is not UTF-8".to_owned()),
        ErrorKind::Message(message) => (field.to_owned(), words::plain(message)),
        _ => (field.to_owned(), "cannot be read".to_owned()),
    };
    malformed.errors(vec![FieldError { field, problem }])
}

/// The problem of a query that cannot be read: every parameter that is wrong.
fn unreadable_query(text: &str, faults: Faults) -> Problem {
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    let (path, said) = match text.split_once(": ") {
        Some((path, said)) if !path.contains(' ') => (path, said),
        _ => (".", text),
    };
    let field = field_of(path, said, QUERY);
    Problem::new(Code::Malformed).errors(with_readers_word(faults, &field, said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_protocol::orders::CreateOrder;

    /// Without a document, what the reader said has to do.
    fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
        parse_within(None, bytes)
    }

    fn only_field(body: &str) -> (Code, String, String) {
        let problem = parse::<CreateOrder>(body.as_bytes()).unwrap_err().into_problem();
        let error =
            problem.errors.first().cloned().unwrap_or(FieldError { field: String::new(), problem: String::new() });
        (problem.code, error.field, error.problem)
    }

    #[test]
    fn a_missing_field_is_named_with_its_path() {
        let (code, field, _) = only_field(r#"{"speed":"fast","pickups":[{"lat":1.0}],"delivery":{"lat":1,"lng":2}}"#);
        assert_eq!((code, field.as_str()), (Code::Invalid, "pickups[0].lng"));
    }

    #[test]
    fn an_unknown_field_is_named_with_its_path() {
        let (code, field, _) = only_field(r#"{"speed":"fast","pickups":[],"delivery":{"lat":1,"lng":2,"lon":3}}"#);
        assert_eq!((code, field.as_str()), (Code::Invalid, "delivery.lon"));
        let (_, field, _) = only_field(r#"{"tip":3}"#);
        assert_eq!(field, "tip");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_in_plain_words() {
        let (code, field, problem) = only_field(r#"{"speed":"fast","pickups":[{"lat":"north"}]}"#);
        assert_eq!((code, field.as_str()), (Code::Invalid, "pickups[0].lat"));
        assert_eq!(problem, "must be a number");
        let (_, field, problem) = only_field(r#"{"speed":3,"pickups":[]}"#);
        assert_eq!((field.as_str(), problem.as_str()), ("speed", "is of another type than is wanted"));
    }

    #[test]
    fn an_id_of_another_kind_is_named() {
        let body = r#"{"speed":"fast","pickups":[],"delivery":{"lat":1,"lng":2},"merchant_id":"drv_1"}"#;
        let (_, field, problem) = only_field(body);
        assert_eq!(field, "merchant_id");
        assert!(problem.contains("mer_"), "{problem}");
    }

    #[test]
    fn what_is_no_json_is_malformed_and_says_where() {
        let problem = parse::<CreateOrder>(b"{\"speed\": fast}").unwrap_err().into_problem();
        assert_eq!(problem.code, Code::Malformed);
        assert!(problem.detail.unwrap().contains("line 1 column"));
        assert_eq!(parse::<CreateOrder>(b"").unwrap_err().problem().code, Code::Malformed);
        assert_eq!(parse::<serde_json::Value>(b"{} {}").unwrap_err().problem().code, Code::Malformed);
    }

    #[test]
    fn a_body_of_another_shape_is_named_as_the_body() {
        assert_eq!(only_field("[]").1, "body");
    }
}
