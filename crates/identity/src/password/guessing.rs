//! Which passwords are guessed first: common ones, rows of keys, dates, words with a digit behind, and what its owner
//! is called. Pure, and slow for what it says, up to some tens of milliseconds: never on a thread that answers
//! requests.

use zxcvbn::{Score, zxcvbn};

/// What a new password is worth at least: more than a million guesses. The throttles of logins leave a guesser some
/// thousands a day; a higher mark refuses passwords that people can remember and nobody guesses over a network.
const LEAST: Score = Score::Two;
/// Characters of a password that are looked at. The time grows far faster than their number: 72 with digits in place of
/// letters take half a second, these twenty milliseconds. What is worth enough so far is not worth less with more behind it.
const LOOKED_AT: usize = 32;
/// The shortest part of a name or an address that counts as one.
const SHORTEST_PART: usize = 3;
/// Parts of names and addresses that are looked at.
const MOST_PARTS: usize = 20;

/// Why the password is guessed first; `about` is what its owner is called: their email address, their name.
pub(super) fn guessed_first(password: &str, about: &[String]) -> Option<String> {
    let looked_at: String = password.chars().take(LOOKED_AT).collect();
    let parts: Vec<&str> = std::iter::once("posthaste").chain(about.iter().flat_map(|text| parts(text))).collect();
    let found = zxcvbn(&looked_at, &parts[..parts.len().min(MOST_PARTS)]);
    if found.score() >= LEAST {
        return None;
    }
    let why = found.feedback().and_then(|feedback| feedback.warning()).map(|warning| warning.to_string());
    let why = why.map_or_else(|| "it is a word or two with little added".to_owned(), |why| plain(&why));
    Some(format!(
        "is one of those that are guessed first ({why}): several words that do not belong together are better"
    ))
}

/// A text and what it is made of.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let pieces = text.split(|c: char| !c.is_alphanumeric());
    std::iter::once(text).chain(pieces).filter(|part| part.chars().count() >= SHORTEST_PART)
}

/// A sentence as part of another.
fn plain(sentence: &str) -> String {
    let mut letters = sentence.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_everybody_tries_first_is_refused_with_the_reason() {
        for common in
            ["1234567890", "password123", "qwertyuiop", "Password1!", "iloveyou123", "aaaaabbbbb", "2012-12-12"]
        {
            let why = guessed_first(common, &[]).unwrap_or_else(|| panic!("{common} is taken"));
            assert!(why.starts_with("is one of those that are guessed first (") && !why.contains(common), "{why}");
        }
    }

    #[test]
    fn what_somebody_is_called_is_no_secret() {
        let about = ["lovelace.bakery@example.org".to_owned(), "Augusta Ada Kingsworth".to_owned()];
        for own in
            ["lovelace.bakery@example.org", "Lovelace1!", "bakery2024", "kingsworth1", "augusta123", "posthaste1"]
        {
            assert!(guessed_first(own, &about).is_some(), "{own}");
        }
        assert_eq!(guessed_first("lovelace.bakery@example.org", &[]), None, "of somebody else it is one");
    }

    /// Every password that tests, demonstrations and documents of this repository set.
    #[test]
    fn passwords_that_are_hard_to_guess_are_taken() {
        let about = ["shop@example.org".to_owned(), "Bakery".to_owned()];
        for fine in ["correct horse battery", "battery staple horse", "horse staple battery", "correct horse"] {
            assert_eq!(guessed_first(fine, &about), None, "{fine}");
        }
        for _ in 0..20 {
            let made = crate::random_password();
            assert_eq!(guessed_first(&made, &about), None, "{made}");
        }
    }

    #[test]
    fn a_long_password_is_judged_by_its_beginning() {
        let long = "correct horse battery".to_owned() + &"0".repeat(179);
        assert_eq!(guessed_first(&long, &[]), None);
        assert!(guessed_first(&("ab".repeat(36) + "K7#"), &[]).is_some(), "so that nobody waits for the rest");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_is_typed_gets_a_verdict(password in "\\PC{10,120}", name in "\\PC{0,100}") {
            let _ = guessed_first(&password, &[name]);
        }

        #[test]
        fn what_stands_behind_the_part_that_is_looked_at_changes_nothing(first in "[ -~]{32}", more in "[ -~]{0,100}") {
            prop_assert_eq!(guessed_first(&first, &[]), guessed_first(&(first.clone() + &more), &[]));
        }
    }
}
