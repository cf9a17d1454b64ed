//! Lists where objects are wanted. The reader takes a list for an object, its entries by the order of the fields: what nobody
//! means, and nobody would find.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{DEEPEST, alternatives, is, resolve};

/// Where lists may stand in a body. Looked at in the bytes of it: what could be wrong is looked at closely then.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    /// Fields that are lists, everywhere in there.
    lists: BTreeSet<String>,
    /// Fields that are objects somewhere in there.
    objects: BTreeSet<String>,
    /// Whether there may be more in it than its schema says.
    is_open: bool,
}

impl Lists {
    /// Of a body with this schema.
    #[must_use]
    pub fn of(document: &Value, schema: &Value) -> Self {
        let mut all = Self::default();
        all.gather(document, schema, None, 0);
        all
    }

    fn gather(&mut self, document: &Value, schema: &Value, name: Option<&str>, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let schema = resolve(document, schema);
        if let Some(name) = name {
            if is(schema, "object") {
                self.objects.insert(name.to_owned());
            }
            if is(schema, "array") {
                self.lists.insert(name.to_owned());
            }
        }
        let is_free = !schema["properties"].is_object() && schema["additionalProperties"] != false;
        let is_made_of_others = schema["allOf"].is_array() || alternatives(schema).next().is_some();
        self.is_open |= is(schema, "object") && is_free && !is_made_of_others;
        for part in alternatives(schema).chain(schema["allOf"].as_array().into_iter().flatten()) {
            self.gather(document, part, name, depth + 1);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.gather(document, property, Some(name), depth + 1);
        }
        if let Some(items) = schema.get("items") {
            self.gather(document, items, None, depth + 1);
        }
    }

    /// Whether a list in there may stand where none should. Never says no where one does.
    #[must_use]
    pub fn may_be_stray(&self, body: &[u8]) -> bool {
        let mut starts = body.iter().enumerate().filter(|(_, byte)| **byte == b'[');
        starts.any(|(at, _)| self.is_odd(body[..at].trim_ascii_end()))
    }

    /// By what stands before it: the name of its field, nothing, or in another list or a text.
    fn is_odd(&self, before: &[u8]) -> bool {
        let Some((last, rest)) = before.split_last() else { return true };
        if *last != b':' {
            return !self.is_open;
        }
        let name = rest.trim_ascii_end().strip_suffix(b"\"").and_then(|rest| {
            let start = rest.iter().rposition(|byte| *byte == b'"')?;
            std::str::from_utf8(&rest[start + 1..]).ok()
        });
        match name {
            // Written with an escape, it may be any.
            Some(name) if name.contains('\\') => true,
            Some(name) if self.objects.contains(name) => true,
            Some(name) => !self.is_open && !self.lists.contains(name),
            None => !self.is_open,
        }
    }
}
