//! Opaque cursors and page sizes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthaste_domain::Timestamp;
use posthaste_protocol::instant::is_sensible;
use posthaste_protocol::problem::FieldError;
use uuid::Uuid;

/// Items on a page where the caller does not say.
pub const DEFAULT_LIMIT: u32 = 20;
/// The most items on a page.
pub const MOST: u32 = 100;
/// What cursors look like, as a regular expression.
pub const FORM_OF_CURSORS: &str = "^[A-Za-z0-9_-]{32}$";

/// Where a page begins: after this item, in the order of the list. Opaque to callers, who pass it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The instant by which the list is ordered.
    pub at: Timestamp,
    /// The item, which decides between equal instants.
    pub id: Uuid,
}

impl Cursor {
    /// The text for `next_cursor`.
    #[must_use]
    pub fn encode(self) -> String {
        self.encode_in(0)
    }

    /// The same of a list of several sections, of which this is one: 0 to 127. It stands in the first byte of the time,
    /// which no time that a cursor may have needs.
    #[must_use]
    pub fn encode_in(self, section: u8) -> String {
        let mut bytes = [0u8; 24];
        bytes[..8].copy_from_slice(&self.at.timestamp_micros().to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_bytes());
        bytes[0] |= section;
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the text back; `None` when it is not one of ours.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        Self::decode_in(text).filter(|(section, _)| *section == 0).map(|(_, cursor)| cursor)
    }

    /// The same of a list of several sections, with the section.
    #[must_use]
    pub fn decode_in(text: &str) -> Option<(u8, Self)> {
        let mut bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let section = std::mem::take(&mut bytes[0]);
        let (at, id) = bytes.split_at(8);
        let at =
            Timestamp::from_timestamp_micros(i64::from_be_bytes(at.try_into().ok()?)).filter(|at| is_sensible(*at))?;
        Some((section, Self { at, id: Uuid::from_slice(id).ok()? }))
    }
}

/// Reads `limit`: 1 to [`MOST`], [`DEFAULT_LIMIT`] where absent. A wrong one is noted in `wrong`.
pub fn limit(given: Option<&str>, wrong: &mut Vec<FieldError>) -> u32 {
    let Some(text) = given else { return DEFAULT_LIMIT };
    match text.parse() {
        Ok(limit) if (1..=MOST).contains(&limit) => limit,
        _ => {
            let problem = format!("must be a whole number between 1 and {MOST}");
            wrong.push(FieldError { field: "limit".to_owned(), problem });
            DEFAULT_LIMIT
        }
    }
}

/// Reads `cursor`. A wrong one is noted in `wrong`.
pub fn cursor(given: Option<&str>, wrong: &mut Vec<FieldError>) -> Option<Cursor> {
    let text = given?;
    let cursor = Cursor::decode(text);
    if cursor.is_none() {
        let problem = "is not a cursor of this list: pass `next_cursor` of a page as it came".to_owned();
        wrong.push(FieldError { field: "cursor".to_owned(), problem });
    }
    cursor
}

/// Splits one item too many off a page: the list was read with `limit + 1`. The cursor points behind the last item.
pub fn cut<T>(mut items: Vec<T>, limit: u32, place: impl Fn(&T) -> Cursor) -> (Vec<T>, Option<String>) {
    let limit = limit as usize;
    if items.len() <= limit {
        return (items, None);
    }
    items.truncate(limit);
    let next = items.last().map(|item| place(item).encode());
    (items, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_garbage_does_not() {
        let cursor = Cursor { at: Timestamp::from_timestamp_micros(1_777_777_777_123_456).unwrap(), id: Uuid::max() };
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        assert_eq!(Cursor::decode("next"), None);
        assert_eq!(Cursor::decode(""), None);
        assert_eq!(Cursor::decode_in(&cursor.encode_in(7)), Some((7, cursor)));
        assert_eq!(Cursor::decode(&cursor.encode_in(7)), None, "of another list");
        for at in [i64::MIN, -300_000_000_000_000_000, 0, 300_000_000_000_000_000, i64::MAX] {
            let mut bytes = [0; 24];
            bytes[..8].copy_from_slice(&at.to_be_bytes());
            assert_eq!(Cursor::decode(&URL_SAFE_NO_PAD.encode(bytes)), None, "forged: {at}");
        }
    }

    #[test]
    fn a_limit_outside_its_range_is_named() {
        for text in ["0", "101", "-1", "many", ""] {
            let mut wrong = Vec::new();
            assert_eq!(limit(Some(text), &mut wrong), DEFAULT_LIMIT);
            assert_eq!(wrong[0].field, "limit");
        }
        let mut wrong = Vec::new();
        assert_eq!((limit(None, &mut wrong), limit(Some("100"), &mut wrong), wrong.len()), (20, 100, 0));
    }

    #[test]
    fn the_item_too_many_becomes_a_cursor() {
        let place = |n: &u128| Cursor { at: Timestamp::UNIX_EPOCH, id: Uuid::from_u128(*n) };
        let (items, next) = cut(vec![1u128, 2, 3], 2, place);
        assert_eq!((items, next), (vec![1, 2], Some(place(&2).encode())));
        assert_eq!(cut(vec![1u128, 2], 2, place).1, None);
    }
}
