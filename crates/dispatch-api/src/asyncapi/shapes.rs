//! The schemas of everything that is said over sockets, with what validation allows written into them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use posthaste_protocol::socket::{ClientMessage, ServerMessage};
use serde_json::Value;
use utoipa::openapi::{Components, OpenApiBuilder};

use crate::limits::of_messages;

/// The schemas by name, in a document that their references lead into.
pub struct Shapes {
    /// `{"components": {"schemas": {…}}}`, and what else such a document has.
    pub document: Value,
    of_clients: BTreeMap<&'static str, &'static str>,
}

impl Shapes {
    /// The schema of what a client's message says.
    pub fn of_client(&self, kind: &str) -> Option<&Value> {
        self.document["components"]["schemas"].get(self.of_clients.get(kind)?)
    }

    /// All schemas by name.
    pub fn schemas(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.document["components"]["schemas"].as_object().into_iter().flatten()
    }
}

/// All of them.
pub fn all() -> &'static Shapes {
    static ALL: LazyLock<Shapes> = LazyLock::new(|| {
        let mut components = Components::new();
        let mut of_clients = BTreeMap::new();
        let from_clients = ClientMessage::described();
        of_clients.extend(from_clients.iter().map(|one| (one.kind, one.schema)));
        for (name, schema) in from_clients.into_iter().chain(ServerMessage::described()).flat_map(|one| one.schemas) {
            components.schemas.entry(name).or_insert(schema);
        }
        let mut document = OpenApiBuilder::new().components(Some(components)).build();
        // What is of REST alone finds no home here.
        posthaste_http::openapi::limits::write(&mut document, &of_messages());
        Shapes { document: serde_json::to_value(&document).unwrap_or_default(), of_clients }
    });
    &ALL
}
