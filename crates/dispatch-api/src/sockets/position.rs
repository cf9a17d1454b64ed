//! What a driver says most, read quickly.
//!
//! One pass over the bytes, without a general JSON reader. It reads what devices write and gives up on everything else
//! (escapes, unknown fields, numbers or times written otherwise): then the general way reads the message, or refuses
//! it with the right words. What is read here is read as the general way reads it; a test holds the two together.

use chrono::NaiveDate;
use posthaste_domain::Timestamp;
use posthaste_protocol::drivers::PositionReport;

/// A `position` message.
#[derive(Debug, PartialEq)]
pub(super) struct Position<'a> {
    /// The message's id: only then it is answered.
    pub(super) id: Option<&'a str>,
    /// Where the driver is.
    pub(super) data: PositionReport,
}

impl<'a> Position<'a> {
    /// The position, where the text is one that is read here.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        let (mut is_position, mut id, mut data) = (false, None, None);
        reader.object(|reader, name| {
            match name {
                "type" if !is_position => is_position = reader.string()? == "position",
                "id" if id.is_none() => {
                    id = Some(reader.string().filter(|id| posthaste_http::idempotency::is_sound(id))?)
                }
                "data" if data.is_none() => data = Some(report(reader)?),
                _ => return None,
            }
            Some(())
        })?;
        reader.skip_space();
        if !is_position || reader.at < text.len() {
            return None;
        }
        Some(Self { id, data: data? })
    }
}

fn report(reader: &mut Reader<'_>) -> Option<PositionReport> {
    let (mut lat, mut lng, mut at, mut accuracy, mut heading, mut speed) = (None, None, None, None, None, None);
    reader.object(|reader, name| {
        let field = match name {
            "at" if at.is_none() => {
                at = Some(reader.time()?);
                return Some(());
            }
            "lat" => &mut lat,
            "lng" => &mut lng,
            "accuracy_meters" => &mut accuracy,
            "heading_degrees" => &mut heading,
            "speed_meters_per_second" => &mut speed,
            _ => return None,
        };
        if field.is_some() {
            return None;
        }
        *field = Some(reader.number()?);
        Some(())
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "as the general way does")]
    let narrow = |value: Option<f64>| value.map(|value| value as f32);
    Some(PositionReport {
        lat: lat?,
        lng: lng?,
        at,
        accuracy_meters: narrow(accuracy),
        heading_degrees: narrow(heading),
        speed_meters_per_second: narrow(speed),
    })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The next byte that is no space is this one.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// An object that is not empty; `field` reads the value after each name.
    fn object(&mut self, mut field: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        loop {
            let name = self.string()?;
            self.expect(b':')?;
            field(self, name)?;
            self.skip_space();
            let next = self.peek()?;
            self.at += 1;
            match next {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// A string without escapes or control characters.
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' | 0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        Some(text)
    }

    /// A number without an exponent.
    fn number(&mut self) -> Option<f64> {
        self.skip_space();
        let start = self.at;
        let is_negative = self.peek()? == b'-';
        self.at += usize::from(is_negative);
        let whole = self.at;
        let mut digits = 0_u64;
        self.digits(&mut digits);
        if self.at == whole || self.at - whole > 1 && self.text.as_bytes()[whole] == b'0' {
            return None;
        }
        let mut places = 0;
        if self.peek()? == b'.' {
            self.at += 1;
            let fraction = self.at;
            self.digits(&mut digits);
            places = self.at - fraction;
            if places == 0 {
                return None;
            }
        }
        if matches!(self.peek()?, b'e' | b'E') {
            return None;
        }
        // Up to 2^53 and 10^22 both sides are exact, and so is their quotient but for its one rounding.
        let few = self.at - whole <= 18 && digits <= 1 << 53;
        match POWERS_OF_TEN.get(places).filter(|_| few) {
            #[expect(clippy::cast_precision_loss, reason = "up to 2^53 there is none")]
            Some(power) => {
                let value = digits as f64 / power;
                Some(if is_negative { -value } else { value })
            }
            None => self.text[start..self.at].parse().ok(),
        }
    }

    fn digits(&mut self, value: &mut u64) {
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            *value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
    }

    /// A time in UTC as RFC 3339 has it: `2026-05-01T12:00:00Z`, with up to nine places after the second.
    fn time(&mut self) -> Option<Timestamp> {
        let text = self.string()?.as_bytes();
        let (head, tail) = text.split_at_checked(19)?;
        let (fraction, b"Z") = tail.split_at_checked(tail.len().checked_sub(1)?)? else { return None };
        let number = |from: usize, to: usize| {
            head[from..to].iter().try_fold(0_u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
        };
        if [4, 7, 10, 13, 16].map(|n| head[n]) != *b"--T::" {
            return None;
        }
        let nanos = match fraction {
            [] => 0,
            [b'.', places @ ..] if (1..=9).contains(&places.len()) => {
                let digits =
                    places.iter().try_fold(0_u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')));
                digits? * 10_u32.pow(9 - places.len() as u32)
            }
            _ => return None,
        };
        let date = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 7)?, number(8, 10)?)?;
        let time = date.and_hms_nano_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?, nanos)?;
        Some(posthaste_domain::whole_micros(time.and_utc()))
    }
}

const POWERS_OF_TEN: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_protocol::socket::{ClientMessage, decode_client};
    use serde_json::json;

    /// What the general way makes of it.
    fn general(text: &str) -> Option<(Option<String>, PositionReport)> {
        match decode_client(text) {
            Ok((header, ClientMessage::Position(report))) => Some((header.id, report)),
            _ => None,
        }
    }

    #[track_caller]
    fn read_alike(text: &str) {
        let read = Position::read(text).unwrap_or_else(|| panic!("{text} is read quickly"));
        let (id, report) = general(text).unwrap_or_else(|| panic!("{text} is a position"));
        assert_eq!(read.id, id.as_deref(), "{text}");
        assert_eq!(read.data.at, report.at, "{text}");
        let close = |a: f64, b: f64| (a - b).abs() <= f64::EPSILON * a.abs();
        assert!(close(read.data.lat, report.lat) && close(read.data.lng, report.lng), "{text}");
        let others = |r: &PositionReport| (r.accuracy_meters, r.heading_degrees, r.speed_meters_per_second);
        assert_eq!(others(&read.data), others(&report), "{text}");
    }

    #[test]
    fn what_devices_write_is_read_as_the_general_way_reads_it() {
        let at = Timestamp::from_timestamp(1_777_777_777, 123_456_789).unwrap();
        for n in 0..2000 {
            let share = f64::from(n) / 2000.0;
            let places = 10_f64.powi(n % 17);
            let round = |degrees: f64| (degrees * places).round() / places;
            let data = json!({"lat": round(share * 180.0 - 90.0), "lng": round(share * 359.9 - 180.0),
                "at": at + posthaste_domain::Span::milliseconds(i64::from(n) * 86_399_983), "heading_degrees": share * 360.0,
                "speed_meters_per_second": (share * 300.0).round() / 10.0, "accuracy_meters": n});
            // Fields by name, and the type first.
            read_alike(&json!({"type": "position", "id": n.to_string(), "data": data}).to_string());
            read_alike(&format!(r#"{{"type":"position","id":"{n}","data":{data}}}"#));
        }
        for text in [
            r#"{"type":"position","data":{"lat":52.5,"lng":13.4}}"#,
            r#" { "type" : "position" , "data" : { "lng" : -13 , "lat" : 0.0 , "at" : "2026-02-28T23:59:59Z" } } "#,
            r#"{"type":"position","data":{"lat":52.500000000000000000000001,"lng":123456789012345678901234567890.5}}"#,
            r#"{"type":"position","data":{"lat":9007199254740993,"lng":0.0000000000000000000000001}}"#,
            r#"{"type":"position","data":{"lat":1,"lng":1,"at":"2024-02-29T00:00:00.5Z"},"id":"x"}"#,
        ] {
            read_alike(text);
        }
        assert_eq!(Position::read(r#"{"type":"position","data":{"lat":-0.0,"lng":-12.25}}"#).unwrap().data.lng, -12.25);
    }

    #[test]
    fn what_is_not_read_here_is_left_to_the_general_way() {
        for text in [
            "",
            "{}",
            "null",
            r#"{"type":"position"}"#,
            r#"{"type":"position","data":{}}"#,
            r#"{"type":"position","data":{"lat":52.5}}"#,
            r#"{"type":"position","data":{"lat":52.5,"lng":13.4}"#,
            r#"{"type":"position","data":{"lat":52.5,"lng":13.4}} x"#,
            r#"{"type":"position","data":{"lat":52.5,"lng":13.4,}}"#,
            r#"{"type":"position","data":{"lat":52.5,"lng":13.4,"lat":1}}"#,
            r#"{"type":"position","data":{"lat":52.5,"lng":13.4,"mood":1}}"#,
            r#"{"type":"position","data":{"lat":052.5,"lng":13.4}}"#,
            r#"{"type":"position","data":{"lat":.5,"lng":13.4}}"#,
            r#"{"type":"position","data":{"lat":5.,"lng":13.4}}"#,
            r#"{"type":"position","data":{"lat":+5,"lng":13.4}}"#,
            r#"{"type":"position","data":{"lat":-,"lng":13.4}}"#,
            r#"{"type":"position","data":{"lat":1e1,"lng":13.4}}"#,
            r#"{"type":"position","data":{"lat":NaN,"lng":13.4}}"#,
            r#"{"type":"position","data":{"lat":"1","lng":13.4}}"#,
            r#"{"type":"position","data":{"lat":1,"lng":1,"at":null}}"#,
            r#"{"type":"position","data":{"lat":1,"lng":1,"at":"2026-02-29T00:00:00Z"}}"#,
            r#"{"type":"position","data":{"lat":1,"lng":1,"at":"2026-02-28T24:00:00Z"}}"#,
            r#"{"type":"position","data":{"lat":1,"lng":1,"at":"2026-02-28T23:59:60Z"}}"#,
            r#"{"type":"position","data":{"lat":1,"lng":1,"at":"2026-02-28T23:00:00+01:00"}}"#,
            r#"{"type":"position","data":{"lat":1,"lng":1,"at":"2026-02-28T23:00:00.Z"}}"#,
            r#"{"type":"position","data":{"lat":1,"lng":1,"at":"2026-02-28T23:00:00.1234567890Z"}}"#,
            r#"{"type":"position","data":{"lat":1,"lng":1,"at":"Z"}}"#,
            r#"{"type":"position","data":{"lat":1,"lng":1,"at":""}}"#,
            r#"{"type":"position","id":"","data":{"lat":1,"lng":1}}"#,
            r#"{"type":"position","id":"ü","data":{"lat":1,"lng":1}}"#,
            r#"{"type":"position","id":7,"data":{"lat":1,"lng":1}}"#,
            r#"{"type":"positi\u006fn","data":{"lat":1,"lng":1}}"#,
            r#"{"type":"positions","data":{"positions":[]}}"#,
            r#"{"type":"accept","id":"\"position\"","data":{"lat":1,"lng":1}}"#,
            r#"{"data":{"lat":1,"lng":1}}"#,
            r#"{"data":{"lat":1,"lng":1},"type":"heartbeat"}"#,
        ] {
            assert_eq!(Position::read(text), None, "{text}");
        }
    }

    mod whatever {
        use proptest::prelude::*;

        use super::{Position, read_alike};

        /// Numbers, times and other values, written in ways that devices write them and in ways that nobody should.
        fn value() -> impl Strategy<Value = String> {
            prop_oneof![
                4 => any::<f64>().prop_filter("JSON has no other", |n| n.is_finite()).prop_map(|n| n.to_string()),
                4 => (-180..=180i32, 0..1_000_000u32).prop_map(|(whole, part)| format!("{whole}.{part:06}")),
                2 => "-?[0-9]{1,25}(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
                2 => "\"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?(Z|\\+01:00)\"",
                1 => Just("null".to_owned()),
                1 => "\"[a-z\\\\]{0,4}\"",
            ]
        }

        fn text() -> impl Strategy<Value = String> {
            const NAMES: [&str; 7] =
                ["lat", "lng", "at", "accuracy_meters", "heading_degrees", "speed_meters_per_second", "mood"];
            let field = (proptest::sample::select(&NAMES[..]), value(), "[ \t\n]{0,2}");
            let fields = proptest::collection::vec(field, 0..7);
            let place = (-90..=90i32, -180..=180i32).prop_map(|(lat, lng)| format!(r#""lat":{lat}.25,"lng":{lng}"#));
            (
                place,
                fields,
                "[!-~]{0,5}",
                any::<bool>(),
                any::<prop::sample::Index>(),
                proptest::option::of(any::<u8>()),
            )
                .prop_map(|(place, fields, id, has_place, at, odd)| {
                    let mut all: Vec<_> =
                        fields.iter().map(|(name, value, space)| format!("{space}\"{name}\":{space}{value}")).collect();
                    all.extend(has_place.then_some(place));
                    let mut text =
                        format!(r#"{{"type":"position","id":"{id}","data":{{{}}}}}"#, all.join(",")).into_bytes();
                    // One byte in it is another.
                    if let Some(odd) = odd.filter(u8::is_ascii) {
                        let at = at.index(text.len());
                        text[at] = odd;
                    }
                    String::from_utf8(text).expect("plain letters")
                })
        }

        proptest! {
            #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn is_read_quickly_is_read_so_the_general_way(text in text()) {
                if Position::read(&text).is_some() {
                    read_alike(&text);
                }
            }
        }
    }
}
