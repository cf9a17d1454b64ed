//! W3C Trace Context: the header `traceparent`, by which a request is followed through several programs.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The header.
pub const TRACEPARENT: &str = "traceparent";

/// The id of a trace: the same in every program that a request goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub NonZeroU128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The step of it that sent this.
    pub step: NonZeroU64,
    /// Whether the sender records the trace.
    pub sampled: bool,
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{:016x}-{:02x}", self.trace, self.step, u8::from(self.sampled))
    }
}

impl From<TraceParent> for String {
    fn from(step: TraceParent) -> Self {
        step.to_string()
    }
}

impl TryFrom<String> for TraceParent {
    type Error = NoTraceParent;

    fn try_from(text: String) -> Result<Self, NoTraceParent> {
        text.parse()
    }
}

/// A text that is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct NoTraceParent;

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    /// Reads version 00, and of later versions what they have in common with it.
    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let bytes = text.as_bytes();
        let dashes = bytes.len() >= 55 && [2, 35, 52].iter().all(|at| bytes[*at] == b'-');
        let hexadecimal = |from: usize, to: usize| {
            let digits = bytes.get(from..to).ok_or(NoTraceParent)?;
            let lower = digits.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
            let digits = std::str::from_utf8(digits).ok().filter(|_| lower).ok_or(NoTraceParent)?;
            u128::from_str_radix(digits, 16).map_err(|_| NoTraceParent)
        };
        if !dashes {
            return Err(NoTraceParent);
        }
        let long_enough = match hexadecimal(0, 2)? {
            0 => bytes.len() == 55,
            0xff => false,
            _ => bytes.len() == 55 || bytes[55] == b'-',
        };
        let step = u64::try_from(hexadecimal(36, 52)?).ok().and_then(NonZeroU64::new);
        match (NonZeroU128::new(hexadecimal(3, 35)?), step) {
            (Some(trace), Some(step)) if long_enough => {
                Ok(Self { trace: TraceId(trace), step, sampled: hexadecimal(53, 55)? & 1 == 1 })
            }
            _ => Err(NoTraceParent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_sound_one_is_read_and_written_the_same() {
        let read: TraceParent = SOUND.parse().unwrap();
        assert_eq!(read.to_string(), SOUND);
        assert_eq!(read.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let small = SOUND.replace("4bf92f3577b34da6a3ce929d0e0e473", &"0".repeat(31));
        assert_eq!(small.parse::<TraceParent>().unwrap().to_string(), small);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = SOUND.replacen("00-", "cc-", 1);
        for text in [later.clone(), format!("{later}-what-the-future-brings")] {
            assert_eq!(text.parse::<TraceParent>(), SOUND.parse());
        }
        assert!(format!("{later}.x").parse::<TraceParent>().is_err());
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        let nothing = SOUND.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let nobody = SOUND.replace("00f067aa0ba902b7", &"0".repeat(16));
        let cut = &SOUND[..54];
        let upper = SOUND.to_uppercase();
        let other = [&nothing, &nobody, cut, &upper, &format!("{SOUND}-"), &SOUND.replacen("00-", "ff-", 1)];
        for text in other.into_iter().chain(["", "-", "é", &"é".repeat(28), &SOUND.replace("0e0e", "+e0e")]) {
            assert_eq!(text.parse::<TraceParent>(), Err(NoTraceParent), "{text}");
        }
    }
}
