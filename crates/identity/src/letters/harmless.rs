//! What others wrote, made fit to stand in a letter of the operator's. A letter is believed for where it comes from: no
//! word in it may be a stranger's.

/// How a browser or program is recognised in what it calls itself, and what it is called in letters. The first that fits:
/// what pretends to be another stands before that one.
const PROGRAMS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];
/// The same of systems.
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];
/// The longest name in a letter, in characters: an email address may be one.
const LONGEST: usize = crate::accounts::LONGEST_EMAIL;

/// The device in words of ours: known browsers and systems, and nothing else of what it calls itself.
pub(super) fn device(user_agent: &str) -> String {
    let known = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (known(PROGRAMS), known(SYSTEMS)) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        (None, Some(system)) => format!("a program on {system}"),
        (None, None) if user_agent.trim().is_empty() => "an unnamed device".to_owned(),
        (None, None) => "a program".to_owned(),
    }
}

/// A name that somebody has chosen, in one line that mail programs make no link of: words that could be one are left out.
pub(super) fn name(given: &str) -> String {
    let fits = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '\'' | '@' | '.' | '_' | '+');
    let words = given.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !is_link(word));
    let words = words.map(|word| word.chars().filter(fits).collect::<String>());
    let mut line = String::new();
    for word in words.filter(|word| !word.is_empty() && !is_link(word)) {
        if line.chars().count() + word.chars().count() >= LONGEST {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if line.is_empty() { "a name that cannot be shown".to_owned() } else { line }
}

/// Whether a mail program might make a link of a word. An email address leads nowhere but to a mailbox.
fn is_link(word: &str) -> bool {
    let word = word.to_lowercase();
    let ends = word.trim_matches(|c: char| !c.is_alphanumeric()).rsplit_once('.').map(|(_, end)| end.chars().count());
    let is_email = crate::accounts::wrong_email(&word).is_none();
    word.contains('/') || word.starts_with("www.") || (ends.is_some_and(|letters| letters > 1) && !is_email)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn devices_have_the_names_that_people_know() {
        for (user_agent, expected) in [
            ("Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0", "Firefox on Android"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
                 Safari/537.36 Edg/126.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari on an iPhone",
            ),
            ("curl/8.5.0", "curl"),
            ("posthaste-driver/2.1 (Android 14)", "a program on Android"),
            ("python-requests/2.32", "a program"),
            (" ", "an unnamed device"),
        ] {
            assert_eq!(device(user_agent), expected, "{user_agent}");
        }
    }

    #[test]
    fn a_name_is_a_line_without_links() {
        assert_eq!(name("Ada O'Hara-Lovelace"), "Ada O'Hara-Lovelace");
        assert_eq!(name("J.R. Hacker"), "J.R. Hacker");
        assert_eq!(name("ada.l+shop@gmail.example"), "ada.l+shop@gmail.example");
        assert_eq!(
            name("Ada\r\n\r\nvisit https://evil.example/unlock or www.evil.example, evil.example now"),
            "Ada visit or now"
        );
        assert_eq!(name("https://evil.example"), "a name that cannot be shown");
        assert!(name(&"x".repeat(1000)).len() <= LONGEST);
    }

    proptest! {
        #[test]
        fn no_word_of_a_device_arrives(given in "\\PC{0,200}") {
            let ours = device(&given);
            let is_known = |part: &str| {
                ["a program", "an unnamed device"].contains(&part)
                    || PROGRAMS.iter().chain(SYSTEMS).any(|(_, name)| *name == part)
            };
            prop_assert!(ours.split(" on ").all(is_known), "{}", ours);
        }

        #[test]
        fn no_name_makes_a_link_or_a_second_line(given in "(\\PC|[\r\n\t]|https?://[a-z]{1,5}[.]example/|www[.]a[.]bc| ){0,60}") {
            let shown = name(&given);
            prop_assert!(shown.chars().count() <= LONGEST);
            prop_assert!(!shown.contains("://") && !shown.chars().any(|c| c.is_control() || c == '/'), "{:?}", shown);
            prop_assert!(shown.split(' ').all(|word| !is_link(word)), "{:?}", shown);
        }
    }
}
