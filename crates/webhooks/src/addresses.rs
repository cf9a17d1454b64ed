//! Which addresses may be called. A merchant names them, so they must not lead into the operator's own network: the
//! address that is dialled is the one that was looked at, as names are resolved here and nowhere else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The longest URL.
pub(crate) const MOST_URL: usize = 2_000;

/// What the configuration allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Addresses that are not public, and any port: for development, or receivers in one's own network.
    pub private: bool,
    /// `http` beside `https`: for development, or a network that is trusted.
    pub plain_http: bool,
}

/// An address that leads nowhere public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the address is private, local or reserved: only public ones are called, unless this server's operator allows others"
)]
pub(crate) struct NotPublic;

/// A name that leads nowhere, or nowhere public. One text for both: which names the operator's own network knows is nobody's
/// business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no public address is known for the host: only public ones are called, unless this server's operator allows others"
)]
pub(crate) struct NowherePublic;

/// To a merchant who tries out on their own machine: that it is a matter of the server. How it is allowed is told to its
/// operator, in the documentation.
const HTTPS: &str = "must begin with https://";
const NO_PLAIN_HTTP: &str = "must begin with https://, unless this server's operator allows http";

impl Allowed {
    /// The URL of an endpoint that is made or changed, or what is wrong with it: what a reader of URLs would pass over or repair
    /// is refused.
    pub(crate) fn new_url(self, text: &str) -> Result<Url, String> {
        // A reader of URLs passes over these.
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("holds a space or a control character".to_owned());
        }
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        if rest.starts_with('/') || rest.contains('\\') {
            return Err("is not a URL: it has more slashes than it should".to_owned());
        }
        self.url(text)
    }

    /// The URL, or what is wrong with it.
    pub(crate) fn url(self, text: &str) -> Result<Url, String> {
        if text.len() > MOST_URL {
            return Err(format!("is longer than {MOST_URL} characters"));
        }
        let url: Url = text.parse().map_err(|error| format!("is not a URL: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.plain_http => {}
            "http" => return Err(NO_PLAIN_HTTP.to_owned()),
            _ => return Err(HTTPS.to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a user name or password: verify the signature instead".to_owned());
        }
        if url.fragment().is_some() {
            return Err("holds a fragment, which is never sent".to_owned());
        }
        // A dot at the end says that the name is whole, and names the same.
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let named_local = host == "localhost" || host.ends_with(".localhost") || host.ends_with(".local");
        if named_local && !self.private {
            return Err(NotPublic.to_string());
        }
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            self.address(address).map_err(|not| not.to_string())?;
        }
        let usual = matches!(url.port(), None | Some(443 | 8443)) || (self.plain_http && url.port() == Some(8080));
        if !usual && !self.private {
            return Err("has a port other than 443 and 8443".to_owned());
        }
        Ok(url)
    }

    /// Whether an address may be dialled.
    pub(crate) fn address(self, address: IpAddr) -> Result<(), NotPublic> {
        let public = match address {
            IpAddr::V4(v4) => is_public_v4(v4),
            IpAddr::V6(v6) => is_public_v6(v6),
        };
        if self.private || public { Ok(()) } else { Err(NotPublic) }
    }
}

/// By IANA's registry of special-purpose addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 31, 196)
            | (192, 52, 193)
            | (192, 88, 99)
            | (192, 168, _)
            | (192, 175, 48)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

/// Global unicast (2000::/3) without what is special in it. Whatever carries an IPv4 address inside (mapped, NAT64,
/// 6to4, Teredo) lies outside and is refused: its inner address could be private.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let special =
        matches!((first, second), (0x2001, 0..=0x01ff | 0x0db8) | (0x2002, _) | (0x2620, 0x004f) | (0x3fff, _));
    (0x2000..0x4000).contains(&first) && !special
}

/// Resolves names for the sender, and leaves out what may not be dialled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolver(pub(crate) Allowed);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = match tokio::net::lookup_host((name.as_str(), 0)).await {
                Ok(found) => found.collect(),
                Err(error) if allowed.private => return Err(error.into()),
                Err(_) => return Err(NowherePublic.into()),
            };
            let may: Vec<_> = found.into_iter().filter(|at| allowed.address(at.ip()).is_ok()).collect();
            if may.is_empty() {
                return Err(NowherePublic.into());
            }
            Ok(Box::new(may.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Allowed = Allowed { private: false, plain_http: false };
    const OPEN: Allowed = Allowed { private: true, plain_http: true };

    #[test]
    fn nothing_private_local_or_reserved_is_dialled() {
        for refused in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.1.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address = refused.parse().unwrap();
            assert_eq!(STRICT.address(address), Err(NotPublic), "{refused}");
            assert_eq!(OPEN.address(address), Ok(()), "{refused}");
        }
        for public in [
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert_eq!(STRICT.address(public.parse().unwrap()), Ok(()), "{public}");
        }
    }

    #[test]
    fn a_url_is_public_https_on_a_usual_port() {
        for right in ["https://shop.example/hooks", "https://shop.example:8443/a?b=c", "https://8.8.8.8/"] {
            assert!(STRICT.new_url(right).is_ok(), "{right}");
        }
        for wrong in [
            "http://shop.example/",
            "ftp://shop.example/",
            "shop.example",
            "https://user@shop.example/",
            "https://:secret@shop.example/",
            "https://shop.example/#a",
            "https://localhost/",
            "https://a.localhost/",
            "https://printer.local/",
            "https://localhost./",
            "https://a.localhost./",
            "https://printer.local./",
            "https:///shop.example/",
            "https://shop.example\\@127.0.0.1/",
            " https://shop.example/",
            "https://shop.example/\r\nx: y",
            "https://shop.example/\thooks",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest",
            "https://shop.example:22/",
            "https://shop.example:6379/",
            "https://",
            "",
        ] {
            assert!(STRICT.new_url(wrong).is_err(), "{wrong}");
        }
        assert!(OPEN.new_url("http://127.0.0.1:9000/hooks").is_ok());
        assert!(OPEN.new_url("ftp://127.0.0.1/").is_err());
        for operators in ["http://localhost:9000/", "https://localhost/", "https://10.0.0.1/"] {
            let problem = STRICT.new_url(operators).unwrap_err();
            assert!(problem.contains("unless this server's operator"), "{operators}: {problem}");
            assert!(!problem.contains("webhook_"), "settings are the operator's: {problem}");
        }
        assert!(STRICT.new_url(&format!("https://shop.example/{}", "a".repeat(MOST_URL))).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_not_resolved() {
        let refused = Resolver(STRICT).resolve("localhost".parse().unwrap()).await;
        assert_eq!(refused.err().map(|e| e.to_string()), Some(NowherePublic.to_string()));
        let allowed = Resolver(OPEN).resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(allowed.count() > 0);
    }
}
