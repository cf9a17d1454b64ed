//! How stand-ins misbehave. Pure: who asks, and what is done with them.
//!
//! A rule says it for the receivers that its pattern fits. Without one, some receivers say it by themselves:
//!
//! | receiver | what happens |
//! |---|---|
//! | `ada+451@example.org` | the mail server refuses them with that code, 400 to 599 |
//! | `ada+hang@…`, `ada+cut@…`, `ada+slow@…` | [`Manner::TakesAndHangs`], [`Manner::TakesAndCuts`], [`Manner::Slow`] with a second |
//! | `+15005550001` | 21211, no such number. As with Twilio's test credentials, and so are these: |
//! | `+15005550002`, `…3`, `…4`, `…9` | 21612 not reachable, 21408 not to this country, 21610 they said STOP, 21614 no mobile |
//! | `+15005550451` | 20429, too many requests |

use serde::{Deserialize, Serialize};

use crate::kept::Kind;

/// Most rules at a time.
pub const MOST_RULES: usize = 64;
/// The longest pattern, in bytes.
pub const LONGEST_PATTERN: usize = 200;
/// The longest that anybody is kept waiting on purpose by [`Manner::Slow`], in milliseconds for a line.
pub const SLOWEST: u64 = 60_000;

/// What is done to who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// Nobody is served: the mail server greets with this code and hangs up, the sender of texts answers with this status.
    Closed {
        /// A reply of SMTP, a status of HTTP.
        code: u16,
    },
    /// The connection is taken, and nothing is said.
    Silent,
    /// What is said is no answer at all.
    Garbage,
    /// The password is wrong.
    WrongPassword,
    /// This receiver is refused.
    Refuses {
        /// A reply of SMTP to RCPT, a code of Twilio's.
        code: u16,
    },
    /// The contents are refused: after all of them were sent.
    RefusesContents {
        /// A reply of SMTP to the end of DATA, a code of Twilio's.
        code: u16,
    },
    /// The message is taken, and no answer comes.
    TakesAndHangs,
    /// The message is taken, and the connection is cut before an answer.
    TakesAndCuts,
    /// All is well, after so long before each line or answer.
    Slow {
        /// Milliseconds.
        millis: u64,
    },
}

impl Manner {
    /// Whether it begins before a receiver is known. Such rules are for everybody.
    fn is_early(self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Silent | Self::Garbage | Self::WrongPassword | Self::Slow { .. })
    }
}

/// When somebody is treated so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// At which server; at all of them where there is none.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Which receivers; `*` stands for any text.
    #[serde(default = "anybody")]
    pub to: String,
    /// What is done.
    pub manner: Manner,
    /// How often; until the rules are removed where there is none.
    #[serde(default)]
    pub times: Option<u32>,
}

fn anybody() -> String {
    "*".to_owned()
}

impl Rule {
    /// With everybody, at all servers.
    #[must_use]
    pub fn everybody(manner: Manner) -> Self {
        Self { kind: None, to: anybody(), manner, times: None }
    }
}

/// There are [`MOST_RULES`] already, or the pattern is longer than [`LONGEST_PATTERN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl std::fmt::Display for TooMany {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at most {MOST_RULES} rules, with patterns of at most {LONGEST_PATTERN} bytes")
    }
}

impl std::error::Error for TooMany {}

/// The rules, newest last. The newest that fits is kept to.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) -> Result<(), TooMany> {
        if self.0.len() >= MOST_RULES || rule.to.len() > LONGEST_PATTERN {
            return Err(TooMany);
        }
        self.0.push(rule);
        Ok(())
    }

    pub(crate) fn all(&self) -> &[Rule] {
        &self.0
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is done with who connects.
    pub(crate) fn with_caller(&mut self, kind: Kind) -> Option<Manner> {
        self.take(kind, |rule| rule.manner.is_early() && rule.to == "*")
    }

    /// What is done with a receiver.
    pub(crate) fn with_receiver(&mut self, kind: Kind, to: &str) -> Option<Manner> {
        let ruled = self.take(kind, |rule| !(rule.manner.is_early() && rule.to == "*") && fits(&rule.to, to));
        ruled.or_else(|| match kind {
            Kind::Email => of_address(to),
            Kind::Text => of_number(to),
        })
    }

    fn take(&mut self, kind: Kind, fits: impl Fn(&Rule) -> bool) -> Option<Manner> {
        let at = self.0.iter().rposition(|rule| rule.kind.is_none_or(|only| only == kind) && fits(rule))?;
        let (rule, mut is_over) = (&mut self.0[at], false);
        let manner = rule.manner;
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
            is_over = *times == 0;
        }
        if is_over {
            self.0.remove(at);
        }
        Some(manner)
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn of_address(to: &str) -> Option<Manner> {
    let word = to.rsplit_once('@')?.0.rsplit_once('+')?.1;
    match word {
        "hang" => Some(Manner::TakesAndHangs),
        "cut" => Some(Manner::TakesAndCuts),
        "slow" => Some(Manner::Slow { millis: 1000 }),
        code => code.parse().ok().filter(|code| (400..600).contains(code)).map(|code| Manner::Refuses { code }),
    }
}

fn of_number(to: &str) -> Option<Manner> {
    let code = match to {
        "+15005550001" => 21211,
        "+15005550002" => 21612,
        "+15005550003" => 21408,
        "+15005550004" => 21610,
        "+15005550009" => 21614,
        "+15005550451" => 20429,
        _ => return None,
    };
    Some(Manner::Refuses { code })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_newest_rule_that_fits_is_kept_to_as_often_as_it_says() {
        let mut rules = Rules::default();
        let refuses = |code| Manner::Refuses { code };
        rules.add(Rule { to: "*@example.org".into(), ..Rule::everybody(refuses(550)) }).unwrap();
        rules.add(Rule { to: "ada@*".into(), times: Some(1), ..Rule::everybody(refuses(451)) }).unwrap();
        rules.add(Rule { kind: Some(Kind::Text), ..Rule::everybody(refuses(21211)) }).unwrap();
        let mut ask = |to: &str| rules.with_receiver(Kind::Email, to);
        assert_eq!(ask("ada@example.org"), Some(refuses(451)));
        assert_eq!(ask("ada@example.org"), Some(refuses(550)));
        assert_eq!(ask("ada@example.com"), None);
        assert_eq!(rules.with_receiver(Kind::Text, "+4930123456"), Some(refuses(21211)));
        assert_eq!(rules.with_caller(Kind::Email), None, "none of them is for who connects");
        rules.add(Rule::everybody(Manner::Silent)).unwrap();
        assert_eq!(rules.with_caller(Kind::Email), Some(Manner::Silent));
        assert_eq!(rules.with_receiver(Kind::Email, "grace@example.com"), None, "it was kept to when they connected");
    }

    #[test]
    fn receivers_say_by_themselves_what_happens_to_them() {
        let mut rules = Rules::default();
        for (to, manner) in [
            ("ada+451@example.org", Some(Manner::Refuses { code: 451 })),
            ("ada+250@example.org", None),
            ("ada+cut@example.org", Some(Manner::TakesAndCuts)),
            ("ada+news@example.org", None),
            ("ada@example.org", None),
            ("nobody", None),
        ] {
            assert_eq!(rules.with_receiver(Kind::Email, to), manner, "{to}");
        }
        assert_eq!(rules.with_receiver(Kind::Text, "+15005550004"), Some(Manner::Refuses { code: 21610 }));
        assert_eq!(rules.with_receiver(Kind::Text, "+15005550006"), None);
    }

    #[test]
    fn rules_are_bounded_and_written_as_json() {
        let mut rules = Rules::default();
        (0..MOST_RULES).for_each(|_| rules.add(Rule::everybody(Manner::Silent)).unwrap());
        assert_eq!(rules.add(Rule::everybody(Manner::Silent)), Err(TooMany));
        rules.clear();
        let long = Rule { to: "x".repeat(LONGEST_PATTERN + 1), ..Rule::everybody(Manner::Silent) };
        assert_eq!(rules.add(long), Err(TooMany));
        let read = |text| serde_json::from_str::<Rule>(text);
        assert_eq!(read(r#"{"manner":"silent"}"#).unwrap(), Rule::everybody(Manner::Silent));
        let rule = read(r#"{"kind":"email","to":"ada@*","manner":{"refuses":{"code":550}},"times":2}"#).unwrap();
        assert_eq!((rule.kind, rule.manner, rule.times), (Some(Kind::Email), Manner::Refuses { code: 550 }, Some(2)));
        assert!(read(r#"{"manner":"silent","too":"ada@*"}"#).is_err());
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, does) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("abc", "abcd", false),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, text), does, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_with_parts_of_it_left_out_fits(parts in prop::collection::vec("[ab]{0,3}", 1..5), gaps in prop::collection::vec("[ab]{0,3}", 4)) {
            let text: String = parts.iter().zip(gaps.iter().chain([&String::new()])).enumerate()
                .map(|(n, (part, gap))| if n + 1 < parts.len() { format!("{part}{gap}") } else { part.clone() }).collect();
            prop_assert!(fits(&parts.join("*"), &text), "{} {}", parts.join("*"), text);
        }
    }
}
