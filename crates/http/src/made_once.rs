//! Documents that are the same for everybody: made once, and never again for a request.

use std::io::Write;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// A document, as it is and compressed, with a tag that changes with it.
#[derive(Debug, Clone)]
pub struct MadeOnce {
    kind: HeaderValue,
    tag: HeaderValue,
    plain: Bytes,
    gzip: Option<Bytes>,
}

impl MadeOnce {
    /// A document of a media type.
    #[must_use]
    pub fn new(kind: &'static str, document: impl Into<Bytes>) -> Self {
        let plain = document.into();
        let digest: String = Sha256::digest(&plain)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::try_from(format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder.write_all(&plain).and_then(|()| encoder.finish()).ok().map(Bytes::from);
        Self { kind: HeaderValue::from_static(kind), tag, plain, gzip }
    }

    /// The answer to somebody who may have it already, and may take it compressed.
    #[must_use]
    pub fn answer(&self, asked: &HeaderMap) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, self.tag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if has(asked, header::IF_NONE_MATCH, |known| known == "*" || known.trim_start_matches("W/") == self.tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(header::CONTENT_TYPE, self.kind.clone());
        let takes_gzip = has(asked, header::ACCEPT_ENCODING, |coding| {
            let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
            let quality = quality.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            name.trim().eq_ignore_ascii_case("gzip") && quality.is_ok_and(|quality| quality > 0.0)
        });
        match &self.gzip {
            Some(gzip) if takes_gzip => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                (headers, gzip.clone()).into_response()
            }
            _ => (headers, self.plain.clone()).into_response(),
        }
    }
}

/// Whether one of the values of a header, parted by commas, is wanted.
fn has(headers: &HeaderMap, name: header::HeaderName, is_wanted: impl Fn(&str) -> bool) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| is_wanted(value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn who_has_it_is_told_so_and_who_takes_it_compressed_gets_it_so() {
        let text = "posthaste ".repeat(1000);
        let document = MadeOnce::new("text/plain", text.clone());
        let plain = document.answer(&asked(&[]));
        let tag = plain.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!((plain.status(), plain.headers().get(header::CONTENT_ENCODING)), (StatusCode::OK, None));
        let gzip = document.answer(&asked(&[(header::ACCEPT_ENCODING, "br, gzip;q=0.8")]));
        assert_eq!(gzip.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(
            document.answer(&asked(&[(header::ACCEPT_ENCODING, "gzip;q=0")])).headers().get("content-encoding"),
            None
        );
        let tag: &'static str = format!("\"other\", W/{tag}").leak();
        assert_eq!(document.answer(&asked(&[(header::IF_NONE_MATCH, tag)])).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(document.answer(&asked(&[(header::IF_NONE_MATCH, "\"other\"")])).status(), StatusCode::OK);
        assert!(document.gzip.unwrap().len() < text.len() / 10);
    }
}
