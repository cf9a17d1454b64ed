//! For how long an answer asks to be left alone.

use std::time::Duration;

use chrono::NaiveDateTime;
use posthaste_domain::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The longest that is believed. Who needs less bounds it again.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The three forms of a date that receivers must read (RFC 9110, 5.6.7). All of them are GMT.
const DATES: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// `Retry-After`, in seconds or as a date, where it is there and makes sense at `wall`, the machine's own time: dates that are
/// past ask for nothing.
#[must_use]
pub fn of(headers: &HeaderMap, wall: Timestamp) -> Option<Duration> {
    read(headers.get(RETRY_AFTER)?.to_str().ok()?, wall)
}

/// The same of its text.
#[must_use]
pub fn read(text: &str, wall: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let asked = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than a number holds are more than is believed.
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let at = DATES.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
        (at.and_utc() - wall).to_std().ok()?
    };
    Some(asked.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wall() -> Timestamp {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn it_is_seconds_or_a_date() {
        let asked = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            of(&headers, wall()).map(|d| d.as_secs())
        };
        assert_eq!(of(&HeaderMap::new(), wall()), None);
        for (text, seconds) in [
            ("120", 120),
            (" 0 ", 0),
            ("Fri, 01 May 2026 12:05:00 GMT", 300),
            ("Friday, 01-May-26 12:05:00 GMT", 300),
            ("Fri May  1 12:05:00 2026", 300),
            ("Sat, 01 May 2027 12:05:00 GMT", LONGEST.as_secs()),
            ("86401", LONGEST.as_secs()),
            ("99999999999999999999999", LONGEST.as_secs()),
        ] {
            assert_eq!(asked(text), Some(seconds), "{text}");
        }
        for wrong in [
            "",
            "soon",
            "-5",
            "+5",
            "1.5",
            "12 0",
            "Fri, 01 May 2026 11:05:00 GMT",
            "Fri, 01 May 2026 12:05:00 +0200",
            "Fri, 01 May 2026 12:05:00",
            "Mon, 01 May 2026 12:05:00 GMT",
            "2026-05-01T12:05:00Z",
        ] {
            assert_eq!(asked(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_longer_than_is_believed(text in "(\\PC{0,40}|[0-9]{1,30}|Fri, [0-9]{2} May [0-9]{4} [0-9:]{8} GMT)") {
            prop_assert!(read(&text, wall()).is_none_or(|asked| asked <= LONGEST));
        }
    }
}
