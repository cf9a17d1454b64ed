//! From which network address a request comes.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;

/// The client's address, as far as it can be known. 0.0.0.0 where it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address that [`note`] has noted.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        request.extensions().get::<Self>().copied().unwrap_or(Self(Ipv4Addr::UNSPECIFIED.into()))
    }

    /// What counts as one caller: an IPv4 address, or the first half of an IPv6 address, as whoever has one address of
    /// it has all of them.
    #[must_use]
    pub fn network(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        }
    }

    /// What one customer of a carrier may have: an IPv4 address, or a /48 of IPv6 with its 65,536 networks.
    #[must_use]
    pub fn site(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 80 << 80).into(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self(Ipv4Addr::UNSPECIFIED.into())))
    }
}

/// One address or a block of them, as in `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address and no network, as in 10.0.0.7 or 10.0.0.0/8")]
pub struct NoNetwork(String);

impl FromStr for Network {
    type Err = NoNetwork;
    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let wrong = || NoNetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |p| p.trim().parse().map_err(|_| wrong()))?;
        if prefix > longest { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

impl Network {
    /// Whether the address belongs to it.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let differs = match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(given)) => u128::from(ours.to_bits() ^ given.to_bits()) << 96,
            (IpAddr::V6(ours), IpAddr::V6(given)) => ours.to_bits() ^ given.to_bits(),
            _ => return false,
        };
        differs.leading_zeros() >= u32::from(self.prefix)
    }
}

/// Notes the client's address: that of the connection, or, where the connection is one of `proxies`, whom they saw.
/// What anybody else writes into `x-forwarded-for` is worth nothing.
pub fn note(request: &mut Request, proxies: &[Network]) {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    if let Some(peer) = peer {
        let address = seen(peer, request.headers(), proxies);
        request.extensions_mut().insert(ClientAddress(address));
    }
}

/// Each proxy adds at the end whom it saw. Read from there, for as long as it was one of ours who wrote.
fn seen(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let ours = |address: IpAddr| proxies.iter().any(|network| network.holds(address));
    let mut client = peer;
    if !ours(peer) {
        return client;
    }
    for value in headers.get_all("x-forwarded-for").into_iter().rev() {
        for hop in value.to_str().unwrap_or_default().rsplit(',') {
            let Some(address) = address_of(hop.trim()) else { return client };
            client = address;
            if !ours(address) {
                return client;
            }
        }
    }
    client
}

/// An address, with or without a port.
fn address_of(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    bare.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_client_cannot_choose_its_address() {
        let proxies: [Network; 2] = ["10.0.0.0/8".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let at = |peer: &str, values: &[&str]| seen(peer.parse().unwrap(), &headers(values), &proxies).to_string();
        let forged = ["1.1.1.1, 198.51.100.7", "10.0.0.2"];
        assert_eq!(at("10.0.0.1", &forged), "198.51.100.7");
        assert_eq!(at("2001:db8::7", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(at("203.0.113.9", &forged), "203.0.113.9", "not one of our proxies");
        assert_eq!(at("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(at("10.0.0.1", &["1.1.1.1, nonsense"]), "10.0.0.1", "what lies before it cannot be trusted");
        assert_eq!(at("10.0.0.1", &["nonsense, 10.0.0.9"]), "10.0.0.9");
    }

    #[test]
    fn networks_hold_what_begins_alike() {
        let holds = |network: &str, address: &str| network.parse::<Network>().unwrap().holds(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1"), "the same address in other clothes");
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("::1", "::2"));
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "example.org", "::/129", "10.0.0.1/-1"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn somebody_with_a_block_of_addresses_is_one_caller() {
        let network = |text: &str| ClientAddress(text.parse().unwrap()).network().to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("198.51.100.7"), "198.51.100.7");
        assert_eq!(network("::ffff:198.51.100.7"), "198.51.100.7");
    }
}
