//! What may be shown of a call: where it went, and why it failed. No user, no query, no body.

use std::error::Error;

use reqwest::Url;

/// Characters of a cause that are shown.
const MOST_SHOWN: usize = 200;

/// An address without user, password, query and fragment.
#[must_use]
pub fn url(url: &Url) -> String {
    let mut bare = url.clone();
    // Of these only addresses without a host have none, and are then not changed.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.set_query(None);
    bare.set_fragment(None);
    bare.into()
}

/// The same of a text, or a word instead where it is no address.
#[must_use]
pub fn text(text: &str) -> String {
    Url::parse(text).map_or_else(|_| "no address".to_owned(), |parsed| url(&parsed))
}

/// The cause of an error in words: the innermost, as outer ones repeat addresses.
#[must_use]
pub fn cause(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string().chars().filter(|c| !c.is_control()).take(MOST_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_the_way_is_shown_and_nothing_secret() {
        for (given, shown) in [
            (
                "https://us:secret@api.example.org:8443/v1/texts?key=secret#secret",
                "https://api.example.org:8443/v1/texts",
            ),
            ("https://secret@api.example.org", "https://api.example.org/"),
            ("smtps://us:secret@mail.example.org:465?tls=required", "smtps://mail.example.org:465"),
            ("secret", "no address"),
        ] {
            assert_eq!(text(given), shown, "{given}");
        }
    }

    #[test]
    fn of_an_error_the_innermost_cause_is_shown_on_one_line() {
        let inner = std::io::Error::other(format!("refused\r\nby {}", "x".repeat(500)));
        let outer = std::io::Error::other(inner);
        let shown = cause(&outer);
        assert!(shown.starts_with("refusedby x") && shown.len() == MOST_SHOWN, "{shown}");
    }
}
