//! Cookies that hold secrets: no script reads them, and they travel over TLS only (or to the machine itself).

use axum::http::{HeaderMap, HeaderValue, header};
use posthaste_domain::Span;
use posthaste_protocol::accounts::Secret;

use crate::refused::Refused;

/// Who may send a cookie along.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SameSite {
    /// Pages of this site alone.
    Strict,
    /// Also links from elsewhere that lead here, as on the way back from Google.
    Lax,
}

/// A cookie: its name, the paths it is sent to, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookie {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) same_site: SameSite,
}

impl Cookie {
    /// What a browser sent. Several of one name are refused: a page of a sibling domain can set one with a longer path,
    /// which comes first, and nobody can tell whose is whose.
    ///
    /// # Errors
    ///
    /// [`Refused::Malformed`] where there are several.
    pub(crate) fn read(self, headers: &HeaderMap) -> Result<Option<Secret>, Refused> {
        let values = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut ours = pairs.filter(|(name, text)| name.trim_end() == self.name && !text.is_empty());
        match (ours.next(), ours.next()) {
            (first, None) => Ok(first.map(|(_, text)| text.into())),
            (_, Some(_)) => Err(Refused::Malformed(
                "several cookies have the name of one: remove those of this site and its neighbours, and sign in again",
            )),
        }
    }

    /// The header that sets it for a time; none takes it away.
    pub(crate) fn set(self, text: &str, lives: Span) -> HeaderValue {
        let Self { name, path, same_site } = self;
        let seconds = lives.num_seconds().max(0);
        let text = format!("{name}={text}; Path={path}; Max-Age={seconds}; HttpOnly; Secure; SameSite={same_site:?}");
        // Secrets are base 64: this is always a sound header.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The header that takes it away.
    pub(crate) fn clear(self) -> HeaderValue {
        self.set("", Span::zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH: Cookie =
        Cookie { name: "__Secure-posthaste_refresh", path: "/v1/sessions", same_site: SameSite::Strict };

    #[test]
    fn a_cookie_is_found_among_others_and_kept_from_scripts_and_other_sites() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; __Secure-posthaste_refresh=phr_x; c=d".parse().unwrap());
        assert_eq!(REFRESH.read(&headers).unwrap().unwrap().expose(), "phr_x");
        headers.clear();
        headers.append(header::COOKIE, "posthaste_refresh=phr_x; __Secure-posthaste_refresh=".parse().unwrap());
        assert_eq!(REFRESH.read(&headers).unwrap(), None);
        let set = REFRESH.set("phr_x", Span::days(1));
        let text = set.to_str().unwrap();
        for part in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/v1/sessions", "Max-Age=86400"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn of_several_with_one_name_none_is_taken() {
        let both = ["__Secure-posthaste_refresh=phr_eve; __Secure-posthaste_refresh=phr_ada"];
        let apart = ["__Secure-posthaste_refresh=phr_eve", "a=b;__Secure-posthaste_refresh =phr_ada"];
        for lines in [&both[..], &apart[..]] {
            let mut headers = HeaderMap::new();
            lines.iter().for_each(|line| _ = headers.append(header::COOKIE, line.parse().unwrap()));
            assert!(matches!(REFRESH.read(&headers), Err(Refused::Malformed(_))), "{lines:?}");
        }
    }
}
