//! How messages are declared: one line each, from which reading, writing and their description follow.

use serde::de::DeserializeOwned;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

/// What a document says about one type of message.
pub struct Described {
    /// The message's `type`.
    pub kind: &'static str,
    /// What it says, in a sentence.
    pub summary: String,
    /// The name of the schema of its `data`.
    pub schema: &'static str,
    /// That schema, and those that it refers to, by name.
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

impl Described {
    /// The type `kind`, with data of type `T` as written in the declaration.
    pub(super) fn of<T: ToSchema + PartialSchema>(kind: &'static str, lines: &[&str], written: &'static str) -> Self {
        let schema = written.strip_prefix("Box<").and_then(|inner| inner.strip_suffix('>')).unwrap_or(written);
        let mut schemas = vec![(schema.to_owned(), T::schema())];
        T::schemas(&mut schemas);
        Self { kind, summary: lines.concat().trim().to_owned(), schema, schemas }
    }
}

/// Where a text does not fit a type, `.` for all of it, and why. Keeping the path costs as much as reading: only what does not
/// fit is read so.
pub(super) fn misfit<T: DeserializeOwned>(data: &str) -> Option<(String, serde_json::Error)> {
    let read = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(data));
    read.err().map(|error| (error.path().to_string(), error.into_inner()))
}

macro_rules! messages {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $text:literal])+ $kind:literal => $variant:ident($data:ty),)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name {
            $($(#[doc = $text])+ $variant($data),)+
        }

        impl $name {
            /// The `type` of every message in this direction.
            pub const KINDS: &'static [&'static str] = &[$($kind),+];

            /// The message's `type`.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)+ }
            }

            /// Where its `type` stands in [`KINDS`](Self::KINDS).
            #[must_use]
            pub fn place(&self) -> usize {
                enum Place { $($variant,)+ }
                match self { $(Self::$variant(_) => Place::$variant as usize,)+ }
            }

            /// What a document says about each, in the order of [`KINDS`](Self::KINDS).
            #[must_use]
            pub fn described() -> Vec<Described> {
                vec![$(Described::of::<$data>($kind, &[$($text),+], stringify!($data)),)+]
            }

            pub(super) fn write(&self, header: &Header, to: &mut Vec<u8>) {
                match self { $(Self::$variant(data) => write($kind, header, data, to),)+ }
            }

            /// Where data of this kind does not fit, and why.
            pub(super) fn misfit(kind: &str, data: &str) -> Option<(String, serde_json::Error)> {
                match kind {
                    $($kind => misfit::<$data>(data),)+
                    _ => None,
                }
            }

            pub(super) fn from_parts(kind: &str, data: &str) -> Option<Result<Self, serde_json::Error>> {
                match kind {
                    $($kind => Some(serde_json::from_str::<$data>(data).map(Self::$variant)),)+
                    _ => None,
                }
            }
        }
    };
}

pub(super) use messages;
