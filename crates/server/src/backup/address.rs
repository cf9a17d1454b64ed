//! The address of a database as Postgres' own programs take it: the password apart, as everybody on the machine sees what
//! a program was started with.

use url::Url;

use crate::Fatal;

/// Names of parameters that the program's own client takes, and what Postgres' programs call them. None: not at all.
const NAMES: [(&str, Option<&str>); 6] = [
    ("ssl-mode", Some("sslmode")),
    ("ssl-root-cert", Some("sslrootcert")),
    ("ssl-ca", Some("sslrootcert")),
    ("ssl-cert", Some("sslcert")),
    ("ssl-key", Some("sslkey")),
    ("statement-cache-capacity", None),
];

/// An address.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Without the password.
    pub(super) url: String,
    pub(super) password: Option<String>,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, Fatal> {
        let mut parsed = Url::parse(url).map_err(|error| format!("database_url (DATABASE_URL) is wrong: {error}"))?;
        let mut password = parsed.password().map(decoded);
        let mut query = Vec::new();
        for (name, value) in parsed.query_pairs() {
            match NAMES.iter().find(|(ours, _)| *ours == name) {
                _ if name == "password" => password = Some(value.into_owned()),
                Some((_, Some(theirs))) => query.push(((*theirs).to_owned(), value.into_owned())),
                Some((_, None)) => {}
                None => query.push((name.into_owned(), value.into_owned())),
            }
        }
        // An address without a host has no password in its authority.
        let _ = parsed.set_password(None);
        parsed.set_query(None);
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        if !query.is_empty() {
            parsed.set_query(Some(&query.join("&")));
        }
        Ok(Self { url: parsed.into(), password })
    }
}

/// Percent signs in front of two hexadecimal digits are bytes. A plus is a plus.
fn decoded(text: &str) -> String {
    let (bytes, mut plain, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let code =
            text.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(|code| u8::from_str_radix(code, 16).ok());
        plain.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// As in a path: Postgres' programs take a plus for a plus.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            all.push_str(&format!("%{byte:02X}"));
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_password_is_taken_out_wherever_it_stands() {
        for (url, without, password) in [
            ("postgres://ada:s3%20cret@db:5432/posthaste", "postgres://ada@db:5432/posthaste", Some("s3 cret")),
            ("postgres://db/posthaste?user=ada&password=a+b", "postgres://db/posthaste?user=ada", Some("a b")),
            (
                "postgres://postgres@%2Ftmp%2Fa%20b:5432/posthaste?sslmode=disable",
                "postgres://postgres@%2Ftmp%2Fa%20b:5432/posthaste?sslmode=disable",
                None,
            ),
            (
                "postgresql://db/p?ssl-mode=verify-full&ssl-root-cert=/a b.pem&statement-cache-capacity=9",
                "postgresql://db/p?sslmode=verify-full&sslrootcert=%2Fa%20b.pem",
                None,
            ),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.url.as_str(), address.password.as_deref()), (without, password), "{url}");
        }
        assert!(Address::parse("nothing").is_err());
    }

    proptest! {
        #[test]
        fn any_password_comes_out_as_it_went_in_and_stands_nowhere_else(password in "\\PC{4,20}") {
            let url = format!("postgres://ada:{}@db:5432/posthaste", encoded(&password));
            let address = Address::parse(&url).unwrap();
            prop_assert_eq!(address.password.as_deref(), Some(password.as_str()));
            prop_assert_eq!(address.url, "postgres://ada@db:5432/posthaste");
        }
    }
}
