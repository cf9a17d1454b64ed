//! Instants that callers name.
//!
//! chrono reads years that Postgres cannot hold and with which times cannot be reckoned. Every instant of a request goes
//! through here, so that what comes further in is an ordinary time: in the years 2000 to 2200. The exception are the
//! positions of devices, whose clocks are wrong at times (see [`PositionReport`](crate::drivers::PositionReport)).
//!
//! What is read is cut to whole microseconds, of devices too: finer is not stored, and what is checked has to be what is
//! stored. A window within one microsecond is empty here, as it would be in Postgres.

use std::fmt;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, Utc};
use posthaste_domain::whole_micros;
use serde::{Deserialize, Deserializer, de};

/// The first year of an instant that a caller names.
pub const FIRST_YEAR: i32 = 2000;
/// The last one.
pub const LAST_YEAR: i32 = 2200;

/// Why a text is no instant that a caller may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInstant {
    /// Not RFC 3339.
    #[error("must be a time like 2026-05-01T12:00:00Z")]
    NotATime,
    /// Not in the years that are understood.
    #[error("must lie in the years {FIRST_YEAR} to {LAST_YEAR}")]
    OutOfRange,
}

/// Whether a caller may name it.
#[must_use]
pub fn is_sensible(at: DateTime<Utc>) -> bool {
    (FIRST_YEAR..=LAST_YEAR).contains(&at.year())
}

/// What a caller may name of an instant: all of it down to the microsecond, or nothing.
fn sensible(at: DateTime<Utc>) -> Result<DateTime<Utc>, InvalidInstant> {
    // In this order: years that cannot be reckoned with are not reckoned with.
    let at = if is_sensible(at) { whole_micros(at) } else { return Err(InvalidInstant::OutOfRange) };
    if is_sensible(at) { Ok(at) } else { Err(InvalidInstant::OutOfRange) }
}

/// Reads an instant in RFC 3339.
pub fn parse(text: &str) -> Result<DateTime<Utc>, InvalidInstant> {
    sensible(DateTime::parse_from_rfc3339(text).map_err(|_| InvalidInstant::NotATime)?.to_utc())
}

/// Whether a text can be read as an instant, of whatever year.
#[must_use]
pub fn is_instant(text: &str) -> bool {
    text.parse::<DateTime<FixedOffset>>().is_ok()
}

/// Whether a text can be read as a day, of whatever year.
#[must_use]
pub fn is_day(text: &str) -> bool {
    text.parse::<NaiveDate>().is_ok()
}

/// What is read from a text where it lies; what the text is meant to be is said in our own words.
struct Read<T>(T);

impl<'de> Deserialize<'de> for Read<DateTime<Utc>> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = DateTime<Utc>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time like 2026-05-01T12:00:00Z")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<DateTime<Utc>, E> {
                let at = text.parse::<DateTime<FixedOffset>>().map_err(|_| E::custom(InvalidInstant::NotATime))?;
                Ok(at.to_utc())
            }
        }
        from.deserialize_str(Text).map(Self)
    }
}

impl<'de> Deserialize<'de> for Read<NaiveDate> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = NaiveDate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a day like 2026-05-01")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<NaiveDate, E> {
                text.parse().map_err(|_| E::custom("must be a day like 2026-05-01"))
            }
        }
        from.deserialize_str(Text).map(Self)
    }
}

/// For serde's `deserialize_with`.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime<Utc>, D::Error> {
    sensible(Read::deserialize(from)?.0).map_err(de::Error::custom)
}

/// The same for one that may be left out.
pub(crate) fn read_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let at = Option::<Read<DateTime<Utc>>>::deserialize(from)?;
    at.map(|Read(at)| sensible(at)).transpose().map_err(de::Error::custom)
}

/// The same for a device's own time, whose year may be any.
pub(crate) fn read_device_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    Ok(Option::<Read<DateTime<Utc>>>::deserialize(from)?.map(|Read(at)| whole_micros(at)))
}

/// The same for a day that may be left out.
pub(crate) fn read_day_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<NaiveDate>, D::Error> {
    let day = Option::<Read<NaiveDate>>::deserialize(from)?.map(|Read(day)| day);
    let is_sensible = day.is_none_or(|day| (FIRST_YEAR..=LAST_YEAR).contains(&day.year()));
    if is_sensible { Ok(day) } else { Err(de::Error::custom(InvalidInstant::OutOfRange)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    const INSIDE: [&str; 3] = ["2000-01-01T00:00:00Z", "2026-05-01T12:00:00+02:00", "2200-12-31T23:59:59.999999999Z"];
    const OUTSIDE: [&str; 8] = [
        "1999-12-31T23:59:59Z",
        "2201-01-01T00:00:00Z",
        "2000-01-01T00:30:00+01:00",
        "0000-01-01T00:00:00Z",
        "-4713-01-01T00:00:00Z",
        "-100000-01-01T00:00:00Z",
        "+262142-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
    ];

    #[test]
    fn an_instant_is_read_inside_its_years_and_refused_outside() {
        for text in INSIDE {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in OUTSIDE {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("9999-12-31T23:59:59Z"), Err(InvalidInstant::OutOfRange));
        for text in ["", "yesterday", "2026-05-01", "2026-05-01T12:00:00", "2026-13-01T12:00:00Z"] {
            assert_eq!(parse(text), Err(InvalidInstant::NotATime), "{text}");
        }
    }

    #[test]
    fn what_is_finer_than_a_microsecond_is_left_out_wherever_an_instant_is_read() {
        let (given, kept) = ("2026-05-01T12:00:00.123456789Z", "2026-05-01T12:00:00.123456Z");
        let kept = parse(kept).unwrap();
        assert_eq!(parse(given), Ok(kept));
        let window = json!({"start": given, "end": "2026-05-01T12:00:00.123456999Z"});
        let window: crate::orders::WindowView = serde_json::from_value(window).unwrap();
        assert_eq!(
            (window.start, window.end),
            (kept, kept),
            "what is empty when it is stored is empty when it is read"
        );
        let confirm: crate::orders::ConfirmOrder = serde_json::from_value(json!({"ready_at": given})).unwrap();
        assert_eq!(confirm.ready_at, Some(kept));
        let position = json!({"lat": 1, "lng": 2, "at": given});
        let position: crate::drivers::PositionReport = serde_json::from_value(position).unwrap();
        assert_eq!(position.at, Some(kept));
        let proof: crate::orders::ProofView = serde_json::from_value(json!({"device_at": given})).unwrap();
        assert_eq!(proof.device_at, Some(kept));
        let before_1970 =
            serde_json::from_value::<crate::orders::ProofView>(json!({"device_at": "1969-12-31T23:59:59.9999999Z"}));
        assert_eq!(before_1970.unwrap().device_at.unwrap().timestamp_micros(), -1);
    }

    #[test]
    fn a_leap_second_is_the_first_of_the_next_minute() {
        assert_eq!(parse("2016-12-31T23:59:60.5Z"), parse("2017-01-01T00:00:00.5Z"));
        assert_eq!(parse("2200-12-31T23:59:60Z"), Err(InvalidInstant::OutOfRange));
    }

    /// `body` with the value at `pointer` taken from the texts: read inside, refused outside by its name.
    fn bounded<T: DeserializeOwned>(body: &Value, pointer: &str) {
        let with = |text: &str| {
            let mut body = body.clone();
            *body.pointer_mut(pointer).expect("the field") = json!(text);
            serde_path_to_error::deserialize::<_, T>(body)
        };
        for text in INSIDE {
            assert!(with(text).is_ok(), "{pointer}: {text}");
        }
        for text in OUTSIDE {
            let Err(error) = with(text) else { panic!("{pointer} takes {text}") };
            let path = format!(".{}", error.path()).replace(['[', ']'], ".").replace("..", ".");
            assert_eq!(path.trim_end_matches('.'), pointer.replace('/', "."), "{error}");
        }
    }

    #[test]
    fn every_instant_of_a_request_is_bounded() {
        let at = "2026-05-01T12:00:00Z";
        let window = json!({"start": at, "end": at});
        let order = json!({"speed": "slow", "delivery": {"lat": 1, "lng": 2, "window": window},
            "pickups": [{"lat": 1, "lng": 2, "ready_at": at, "window": window}]});
        for pointer in [
            "/delivery/window/start",
            "/delivery/window/end",
            "/pickups/0/ready_at",
            "/pickups/0/window/start",
            "/pickups/0/window/end",
        ] {
            bounded::<crate::orders::CreateOrder>(&order, pointer);
        }
        bounded::<crate::orders::ConfirmOrder>(&json!({"ready_at": at}), "/ready_at");
        bounded::<crate::drivers::ShiftView>(&json!({"state": "available", "until": at}), "/until");
        let shift = json!({"start": at, "end": at});
        bounded::<crate::drivers::PlanShift>(&shift, "/start");
        bounded::<crate::drivers::PlanShift>(&shift, "/end");
        let replay = json!({"from": at, "to": at});
        bounded::<crate::webhooks::ReplayFrom>(&replay, "/from");
        bounded::<crate::webhooks::ReplayFrom>(&replay, "/to");
    }

    #[test]
    fn what_is_no_instant_is_told_what_one_looks_like() {
        let read = |text: &str| serde_json::from_value::<crate::orders::ConfirmOrder>(json!({ "ready_at": text }));
        for text in ["", "tomorrow", "2027-01-10T10:00:00", "2026-05-01"] {
            let error = read(text).unwrap_err().to_string();
            assert_eq!(error, "must be a time like 2026-05-01T12:00:00Z", "{text}");
            assert!(!is_instant(text));
        }
    }

    #[test]
    fn a_day_on_which_a_document_ends_is_bounded() {
        let document = |day: &str| {
            serde_json::from_value::<crate::profiles::Document>(json!({"kind": "licence", "expires_on": day}))
        };
        assert!(document("2030-01-31").is_ok());
        assert!(document("1999-12-31").is_err() && document("+262142-12-31").is_err());
    }

    #[test]
    fn what_may_be_left_out_may_be_null() {
        assert_eq!(serde_json::from_str::<crate::orders::ConfirmOrder>(r#"{"ready_at":null}"#).unwrap().ready_at, None);
        assert_eq!(serde_json::from_str::<crate::orders::ConfirmOrder>("{}").unwrap().ready_at, None);
    }
}
