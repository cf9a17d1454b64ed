//! With which Google account of the operator's, and for which pages, people sign in. Pure: URLs in, URLs out.

use posthaste_outside::Url;
use posthaste_protocol::accounts::Secret;

/// Where Google is, unless it is said otherwise.
pub const GOOGLE: &str = "https://accounts.google.com";
/// Where the browser comes back to, on this server.
pub(crate) const CALLBACK: &str = "/v1/sessions/google/callback";
/// The longest address of a page, in bytes.
pub(crate) const LONGEST_PAGE: usize = 2000;

/// What signing in with Google needs. Made by [`GoogleSettings::new`], which checks it.
#[derive(Debug, Clone)]
pub struct GoogleSettings {
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    /// Exactly as ID tokens name it.
    pub(crate) issuer: String,
    pub(crate) callback: Url,
    /// Origins of pages that browsers may be sent back to, as browsers write them.
    origins: Vec<String>,
    /// Whether plain http will do: in development.
    pub(crate) plain_http: bool,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct WrongSetting {
    /// The setting, as the configuration names it.
    pub name: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl GoogleSettings {
    /// `public_url` is where browsers reach this server; `origins` are those of other pages that they may be sent back
    /// to. `plain_http`: they, and the issuer, need no TLS.
    ///
    /// # Errors
    ///
    /// [`WrongSetting`] for what is no URL, holds more than it should, or has no TLS.
    pub fn new(
        client_id: &str,
        client_secret: Secret,
        issuer: &str,
        public_url: &str,
        origins: &[String],
        plain_http: bool,
    ) -> Result<Self, WrongSetting> {
        let empty = |name| WrongSetting { name, problem: "must not be empty".to_owned() };
        if client_id.trim().is_empty() {
            return Err(empty("google_client_id"));
        }
        if client_secret.expose().trim().is_empty() {
            return Err(empty("google_client_secret"));
        }
        base(issuer, plain_http).map_err(|problem| WrongSetting { name: "google_issuer", problem })?;
        let wrong = |problem| WrongSetting { name: "public_url", problem };
        let public = base(public_url, plain_http).map_err(wrong)?;
        let callback = format!("{}{CALLBACK}", public.as_str().trim_end_matches('/'));
        let callback = Url::parse(&callback).map_err(|error| wrong(format!("is no URL: {error}")))?;
        let mut origins = origins.to_vec();
        origins.push(public.origin().ascii_serialization());
        let (client_id, issuer) = (client_id.trim().to_owned(), issuer.to_owned());
        Ok(Self { client_id, client_secret, issuer, callback, origins, plain_http })
    }

    /// The page that the browser is sent back to, or what is wrong with it.
    pub(crate) fn page(&self, asked: &str) -> Result<Url, &'static str> {
        const FOREIGN: &str = "must be a page of this server, or of an origin in cors_origins";
        if asked.len() > LONGEST_PAGE {
            return Err("is too long");
        }
        let url = Url::parse(asked).map_err(|_| "must be a whole URL, as in https://shop.example.org/signed-in")?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err("must hold no user and no fragment");
        }
        if !self.origins.contains(&url.origin().ascii_serialization()) {
            return Err(FOREIGN);
        }
        if is_safe(&url, self.plain_http) { Ok(url) } else { Err("must be https") }
    }
}

/// Whether nobody on the way can read along, or that does not matter.
pub(crate) fn is_safe(url: &Url, plain_http: bool) -> bool {
    url.scheme() == "https" || (plain_http && url.scheme() == "http")
}

/// A URL that others are made from: no query, no fragment, no user.
fn base(text: &str, plain_http: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    if !is_safe(&url, plain_http) {
        return Err("must be https (http is for development)".to_owned());
    }
    let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if bare && url.has_host() { Ok(url) } else { Err("must be scheme, host and path, and nothing else".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(issuer: &str, public_url: &str, plain_http: bool) -> Result<GoogleSettings, WrongSetting> {
        let origins = ["https://shop.example.org".to_owned(), "http://plain.example.org".to_owned()];
        GoogleSettings::new("id", "secret".into(), issuer, public_url, &origins, plain_http)
    }

    #[test]
    fn what_is_configured_is_checked_by_name() {
        let sound = settings(GOOGLE, "https://api.example.org/delivery/", false).unwrap();
        assert_eq!(sound.issuer, GOOGLE);
        assert_eq!(sound.callback.as_str(), "https://api.example.org/delivery/v1/sessions/google/callback");
        assert!(settings("http://localhost:3000", "http://localhost:8080", true).is_ok());
        for (issuer, public_url, name) in [
            ("http://localhost:3000", "https://api.example.org", "google_issuer"),
            ("accounts.google.com", "https://api.example.org", "google_issuer"),
            (GOOGLE, "http://api.example.org", "public_url"),
            (GOOGLE, "https://api.example.org/?a=b", "public_url"),
            (GOOGLE, "https://me@api.example.org", "public_url"),
            (GOOGLE, "", "public_url"),
        ] {
            assert_eq!(settings(issuer, public_url, false).unwrap_err().name, name, "{issuer} {public_url}");
        }
        let shown = format!("{sound:?}");
        assert!(!shown.contains("\"secret\""), "{shown}");
    }

    #[test]
    fn browsers_are_sent_back_to_pages_that_are_listed_and_to_no_others() {
        let settings = settings(GOOGLE, "https://api.example.org", false).unwrap();
        for sound in ["https://shop.example.org/a?b=c", "https://api.example.org/", "https://SHOP.example.org:443/x"] {
            assert!(settings.page(sound).is_ok(), "{sound}");
        }
        for wrong in [
            "",
            "/signed-in",
            "//shop.example.org/",
            "https://evil.example.org/",
            "https://shop.example.org.evil.org/",
            "https://shop.example.org@evil.org/",
            "https://me@shop.example.org/",
            "https://shop.example.org:8443/",
            "https://shop.example.org/#here",
            "http://shop.example.org/",
            "http://plain.example.org/",
            "javascript:alert(1)",
            "https:\\\\evil.org\\shop.example.org",
        ] {
            assert!(settings.page(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_the_page_has_a_listed_origin(asked in "(https?:)?[/\\\\]{0,3}(shop.example.org|evil.org|[@:#?/.\\\\a-z]{1,8}){1,4}") {
            let settings = settings(GOOGLE, "https://api.example.org", false).unwrap();
            if let Ok(page) = settings.page(&asked) {
                let origin = page.origin().ascii_serialization();
                prop_assert!(["https://shop.example.org", "https://api.example.org"].contains(&origin.as_str()), "{}", page);
            }
        }
    }
}
