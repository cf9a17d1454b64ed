//! The document of the sockets for people: one page, made from the document alone. No script.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::page::{begin, escape};

/// The page.
pub(super) fn render(document: &Value) -> String {
    let mut page = begin(document["info"]["title"].as_str().unwrap_or_default());
    navigation(document, &mut page);
    page.push_str("<main>\n");
    opening(document, &mut page);
    for (name, channel) in entries(&document["channels"]) {
        show_channel(document, name, channel, &mut page);
    }
    page.push_str("<h2 id=\"messages\">Messages</h2>\n");
    for (name, message) in entries(&document["components"]["messages"]) {
        show_message(name, message, &mut page);
    }
    page.push_str("<h2 id=\"schemas\">Schemas</h2>\n");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        let _ = writeln!(page, "<h3 id=\"schema-{0}\"><code>{0}</code></h3>", escape(name));
        show_schema(schema, &mut page);
    }
    page.push_str("</main></body></html>\n");
    page
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// Text with `code` in it.
fn words(text: &Value) -> String {
    crate::page::words(text.as_str().unwrap_or_default())
}

/// The last part of what a reference refers to.
fn target(reference: &Value) -> &str {
    reference["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default()
}

fn navigation(document: &Value, page: &mut String) {
    page.push_str("<nav aria-label=\"Contents\"><strong>Sockets</strong><ul>");
    for (name, channel) in entries(&document["channels"]) {
        let _ = write!(page, "<li><a href=\"#channel-{}\">{}</a></li>", escape(name), words(&channel["title"]));
    }
    for (prefix, heading) in [("server_", "From the server"), ("client_", "From clients")] {
        let _ = write!(page, "</ul><strong>{heading}</strong><ul>");
        for (name, message) in entries(&document["components"]["messages"]).filter(|(name, _)| name.starts_with(prefix))
        {
            let _ = write!(page, "<li>{}</li>", link_to_message(name, message));
        }
    }
    page.push_str("</ul><a href=\"#schemas\">Schemas</a></nav>\n");
}

fn link_to_message(name: &str, message: &Value) -> String {
    format!("<a href=\"#message-{}\"><code>{}</code></a>", escape(name), words(&message["name"]))
}

fn opening(document: &Value, page: &mut String) {
    let info = &document["info"];
    let _ = writeln!(
        page,
        "<h1>{} {}</h1>\n<p>{}</p>",
        words(&info["title"]),
        words(&info["version"]),
        words(&info["description"])
    );
    page.push_str("<p>The same for programs: <a href=\"/asyncapi.json\">asyncapi.json</a> (AsyncAPI ");
    page.push_str(&words(&document["asyncapi"]));
    page.push_str("). The routes: <a href=\"/docs/\">REST</a>.</p>\n<h4>Who may connect</h4><ul>");
    for (_, scheme) in entries(&document["components"]["securitySchemes"]) {
        let how = match scheme["type"].as_str() {
            Some("http") => "<code>Authorization: Bearer …</code>".to_owned(),
            _ => format!("<code>?{}=…</code>", words(&scheme["name"])),
        };
        let _ = write!(page, "<li>{how}: {}</li>", words(&scheme["description"]));
    }
    page.push_str("</ul>\n");
}

fn show_channel(document: &Value, name: &str, channel: &Value, page: &mut String) {
    let _ = writeln!(page, "<h2 id=\"channel-{}\">{}</h2>", escape(name), words(&channel["title"]));
    let _ =
        writeln!(page, "<p><code>{}</code></p>\n<p>{}</p>", words(&channel["address"]), words(&channel["description"]));
    let given = entries(&channel["parameters"]).chain(entries(&channel["bindings"]["ws"]["query"]["properties"]));
    let rows: Vec<_> =
        given.map(|(name, given)| [format!("<code>{}</code>", escape(name)), words(&given["description"])]).collect();
    table(["parameter", ""], &rows, page);
    let messages: Vec<_> = entries(&channel["messages"]).map(|(name, _)| name).collect();
    for (prefix, heading) in [("server_", "From the server"), ("client_", "From clients")] {
        let _ = write!(page, "<h4>{heading}</h4><p class=\"names\">");
        for name in messages.iter().filter(|name| name.starts_with(prefix)) {
            page.push_str(&link_to_message(name, &document["components"]["messages"][name.as_str()]));
        }
        page.push_str("</p>\n");
    }
    let rows: Vec<_> =
        entries(&channel["x-limits"]).map(|(name, most)| [escape(&name.replace('_', " ")), most.to_string()]).collect();
    table(["limit", ""], &rows, page);
    let codes = channel["x-close-codes"].as_array().into_iter().flatten();
    let rows: Vec<_> =
        codes.map(|code| [code["code"].to_string(), words(&code["why"]), words(&code["then"])]).collect();
    table(["closed with", "why", "what to do"], &rows, page);
}

fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]], page: &mut String) {
    if rows.is_empty() {
        return;
    }
    page.push_str("<div class=\"scroll\"><table><thead><tr>");
    for head in heads {
        let _ = write!(page, "<th>{head}</th>");
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{cell}</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>\n");
}

fn show_message(name: &str, message: &Value, page: &mut String) {
    let way = if name.starts_with("server_") { "from the server" } else { "from clients" };
    let _ = writeln!(
        page,
        "<h3 id=\"message-{}\"><code>{}</code> <span class=\"way\">{way}</span></h3>\n<p>{}</p>",
        escape(name),
        words(&message["name"]),
        words(&message["summary"]),
    );
    show_schema(&message["payload"], page);
    for example in message["examples"].as_array().into_iter().flatten() {
        let frame = serde_json::to_string_pretty(&example["payload"]).unwrap_or_default();
        let _ = writeln!(page, "<p>{}</p><pre tabindex=\"0\">{}</pre>", words(&example["summary"]), escape(&frame));
    }
}

/// A schema: what it is, and a line for each of its fields.
fn show_schema(schema: &Value, page: &mut String) {
    if schema["description"].is_string() {
        let _ = writeln!(page, "<p>{}</p>", words(&schema["description"]));
    }
    if !schema["properties"].is_object() {
        let _ = writeln!(page, "<p>{}</p>", type_of(schema));
        for one in schema["anyOf"].as_array().into_iter().flatten().filter(|one| one["properties"].is_object()) {
            show_schema(one, page);
        }
        return;
    }
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let rows: Vec<_> = entries(&schema["properties"])
        .map(|(name, field)| {
            let must = if required.contains(&name.as_str()) { "" } else { " <small>optional</small>" };
            [format!("<code>{}</code>{must}", escape(name)), type_of(field), words(&field["description"])]
        })
        .collect();
    table(["field", "type", ""], &rows, page);
}

/// What a value is, in a few words.
fn type_of(schema: &Value) -> String {
    if schema["$ref"].is_string() {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(target(schema)));
    }
    if !schema["const"].is_null() {
        return format!("<code>{}</code>", escape(&schema["const"].to_string()));
    }
    let joined = |all: &Value, between: &str, show: fn(&Value) -> String| {
        all.as_array().map(|all| all.iter().map(show).collect::<Vec<_>>().join(between))
    };
    if let Some(values) = joined(&schema["enum"], ", ", |value| format!("<code>{}</code>", escape(&value.to_string())))
    {
        return values;
    }
    for word in ["allOf", "anyOf"] {
        if let Some(types) = joined(&schema[word], " or ", type_of) {
            return types;
        }
    }
    let plain = match &schema["type"] {
        Value::String(one) => escape(one),
        several => joined(several, " or ", words).unwrap_or_else(|| "anything".to_owned()),
    };
    let detail = match (&schema["items"], schema["format"].as_str()) {
        (Value::Object(_), _) => format!(" of {}", type_of(&schema["items"])),
        (_, Some(format)) => format!(" ({})", escape(format)),
        _ => String::new(),
    };
    format!("{plain}{detail}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_link_leads_to_something_on_the_page() {
        let page = render(&crate::asyncapi::document());
        let named = |mark: &str| -> BTreeSet<String> {
            page.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
        };
        let (links, ids) = (named("href=\"#"), named(" id=\""));
        assert!(links.len() > 60, "{} links", links.len());
        assert_eq!(links.difference(&ids).collect::<Vec<_>>(), Vec::<&String>::new());
    }

    #[test]
    fn what_the_document_says_is_text_and_never_markup() {
        let page = words(&json!("a <b> & `c < d`"));
        assert_eq!(page, "a &lt;b&gt; &amp; <code>c &lt; d</code>");
        assert_eq!(type_of(&json!({ "const": "<script>" })), "<code>&quot;&lt;script&gt;&quot;</code>");
    }
}
