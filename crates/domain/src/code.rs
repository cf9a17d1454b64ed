//! Codes as people type them: what authenticators, letters and phones show in groups comes back in groups, and from keyboards
//! of many scripts. There is one reading for all codes: at the door, of a login, of a second factor.

/// The zeros of the decimal digits that keyboards write, each followed by the other nine.
const ZEROS: &[char] = &[
    '0', '\u{0660}', '\u{06f0}', '\u{07c0}', '\u{0966}', '\u{09e6}', '\u{0a66}', '\u{0ae6}', '\u{0b66}', '\u{0be6}',
    '\u{0c66}', '\u{0ce6}', '\u{0d66}', '\u{0de6}', '\u{0e50}', '\u{0ed0}', '\u{0f20}', '\u{1040}', '\u{17e0}',
    '\u{1810}', '\u{ff10}',
];

/// What was meant by a code that somebody typed: without spaces and dashes, digits of whatever script as 0 to 9, letters small.
/// It is nothing else than what it was, so a guess stays one guess.
#[must_use]
pub fn as_meant(typed: &str) -> String {
    typed.chars().filter(|c| !is_between(*c)).flat_map(|c| plain(c).to_lowercase()).collect()
}

/// Whether it only parts what stands beside it, or is not seen at all.
fn is_between(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '-' | '\u{ad}'
                | '\u{2010}'..='\u{2015}'
                | '\u{2212}'
                | '\u{fe58}'
                | '\u{fe63}'
                | '\u{ff0d}'
                | '\u{30fc}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// A digit as one of 0 to 9, a wide letter as a narrow one.
fn plain(c: char) -> char {
    let digit = ZEROS.iter().find_map(|zero| {
        let value = u32::from(c).checked_sub(u32::from(*zero)).filter(|value| *value < 10)?;
        char::from_digit(value, 10)
    });
    let narrow = || u32::from(c).checked_sub(0xFEE0).and_then(char::from_u32).filter(char::is_ascii_alphabetic);
    digit.or_else(narrow).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_as_it_was_meant() {
        for typed in [
            "123456",
            "123 456",
            " 123-456 ",
            "12 34 56",
            "123\u{a0}456",
            "123\u{2013}456",
            "１２３４５６",
            "１２３ー４５６",
            "١٢٣٤٥٦",
            "۱۲۳۴۵۶",
            "१२३४५६",
            "\u{200e}123\u{202f}456\n",
        ] {
            assert_eq!(as_meant(typed), "123456", "{typed}");
        }
        for typed in ["abcde-fghjk", "ABCDE FGHJK", "ＡＢＣＤＥ－ｆｇｈｊｋ", "abcdefghjk"] {
            assert_eq!(as_meant(typed), "abcdefghjk", "{typed}");
        }
    }

    #[test]
    fn what_is_another_code_stays_another() {
        for typed in ["", "12345", "1234567", "12345o", "12.34.56", "½23456", "१२३४५"] {
            assert_ne!(as_meant(typed), "123456", "{typed}");
        }
    }

    #[test]
    fn every_script_has_ten_digits() {
        for zero in ZEROS {
            let digits: String = (0..10).filter_map(|n| char::from_u32(u32::from(*zero) + n)).collect();
            assert!(digits.chars().all(char::is_numeric), "{digits}");
            assert_eq!(as_meant(&digits), "0123456789", "{digits}");
        }
    }

    proptest! {
        #[test]
        fn reading_twice_changes_nothing(typed in ".{0,20}") {
            let once = as_meant(&typed);
            prop_assert_eq!(as_meant(&once), once);
        }

        #[test]
        fn a_code_as_it_is_kept_is_its_own_meaning(code in "[0-9a-z]{1,12}") {
            prop_assert_eq!(as_meant(&code), code);
        }
    }
}
