//! The document of the API as a collection for Postman (format 2.1): a folder for each tag, and in it a request for each
//! operation, with the examples of the document in it.

use serde_json::{Map, Value, json};

/// What the collection is written in.
const FORMAT: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

/// The collection of an API document (OpenAPI 3.1). Sockets are left out: they are no requests of HTTP.
#[must_use]
pub(super) fn collection(document: &Value) -> Value {
    let folders = document["tags"].as_array().into_iter().flatten().filter_map(|tag| folder(document, tag));
    let info = &document["info"];
    json!({
        "info": {
            "name": info["title"],
            "version": info["version"],
            "description": info["description"],
            "schema": FORMAT,
        },
        "auth": { "type": "bearer", "bearer": [{ "key": "token", "value": "{{token}}", "type": "string" }] },
        "variable": [
            { "key": "baseUrl", "value": address(document), "type": "string" },
            { "key": "token", "value": "", "type": "string",
                "description": "The access token of a login, or a merchant's key." },
        ],
        "item": folders.collect::<Vec<_>>(),
    })
}

/// Where the server is that says where it is: the address with its variables filled in.
fn address(document: &Value) -> String {
    let servers = document["servers"].as_array().into_iter().flatten();
    let server = servers.into_iter().find(|server| server["url"].as_str().is_some_and(|url| url.starts_with("http")));
    let server = server.unwrap_or(&Value::Null);
    let mut url = server["url"].as_str().unwrap_or_default().to_owned();
    for (name, variable) in server["variables"].as_object().into_iter().flatten() {
        url = url.replace(&format!("{{{name}}}"), variable["default"].as_str().unwrap_or_default());
    }
    url
}

fn folder(document: &Value, tag: &Value) -> Option<Value> {
    let mut items = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let is_socket = !operation["responses"]["101"].is_null();
            if operation["tags"][0] == tag["name"] && !is_socket {
                items.push(request(path, method, operation));
            }
        }
    }
    let folder = json!({ "name": tag["name"], "description": tag["description"], "item": items });
    (!items.is_empty()).then_some(folder)
}

fn request(path: &str, method: &str, operation: &Value) -> Value {
    let mut request = json!({
        "method": method.to_uppercase(),
        "description": operation["description"],
        "url": url(path, operation),
        "header": headers(operation),
    });
    let needs_token =
        operation["security"].as_array().is_some_and(|ways| ways.iter().any(|way| way["bearer"].is_array()));
    if !needs_token {
        request["auth"] = json!({ "type": "noauth" });
    }
    let content = &operation["requestBody"]["content"]["application/json"];
    if !content["example"].is_null() {
        let raw = serde_json::to_string_pretty(&content["example"]).unwrap_or_default();
        request["body"] = json!({ "mode": "raw", "raw": raw, "options": { "raw": { "language": "json" } } });
    }
    let statuses: Vec<_> =
        operation["responses"].as_object().into_iter().flatten().map(|(status, _)| status.as_str()).collect();
    let test = [
        "pm.test(\"the status is one that the document names\", () => {".to_owned(),
        format!("    pm.expect([{}]).to.include(pm.response.code);", statuses.join(", ")),
        "});".to_owned(),
    ];
    json!({
        "name": operation["summary"],
        "id": operation["operationId"],
        "request": request,
        "response": [],
        "event": [{ "listen": "test", "script": { "type": "text/javascript", "exec": test } }],
    })
}

/// The parameters of one place.
fn parameters<'d>(operation: &'d Value, place: &'d str) -> impl Iterator<Item = &'d Value> {
    operation["parameters"].as_array().into_iter().flatten().filter(move |parameter| parameter["in"] == place)
}

/// A parameter as it is filled in: with its example, or nothing.
fn filled_in(parameter: &Value) -> Map<String, Value> {
    let example = match &parameter["example"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Map::from_iter([
        ("key".to_owned(), parameter["name"].clone()),
        ("value".to_owned(), Value::from(example)),
        ("description".to_owned(), parameter["description"].clone()),
    ])
}

fn url(path: &str, operation: &Value) -> Value {
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => format!(":{name}"),
            None => part.to_owned(),
        })
        .collect();
    let query = parameters(operation, "query").map(|parameter| {
        let mut filled_in = filled_in(parameter);
        // What may be left out is there to be switched on.
        filled_in.insert("disabled".to_owned(), Value::from(parameter["required"] != true));
        Value::Object(filled_in)
    });
    let variables = parameters(operation, "path").map(|parameter| Value::Object(filled_in(parameter)));
    json!({
        "raw": format!("{{{{baseUrl}}}}/{}", parts.join("/")),
        "host": ["{{baseUrl}}"],
        "path": parts,
        "query": query.collect::<Vec<_>>(),
        "variable": variables.collect::<Vec<_>>(),
    })
}

fn headers(operation: &Value) -> Vec<Value> {
    let mut headers = Vec::new();
    if operation["requestBody"].is_object() {
        headers.push(json!({ "key": "content-type", "value": "application/json" }));
    }
    for parameter in parameters(operation, "header") {
        let mut filled_in = filled_in(parameter);
        if parameter["name"] == "Idempotency-Key" {
            // A new one for every request that is sent.
            filled_in.insert("value".to_owned(), Value::from("{{$guid}}"));
        }
        headers.push(Value::Object(filled_in));
    }
    headers
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn document() -> Value {
        serde_json::to_value(crate::openapi::document()).unwrap()
    }

    fn requests(collection: &Value) -> Vec<Value> {
        let folders = collection["item"].as_array().unwrap().iter();
        folders.flat_map(|folder| folder["item"].as_array().unwrap().clone()).collect()
    }

    #[test]
    fn every_operation_but_sockets_is_a_request_in_a_folder() {
        let document = document();
        let mut operations = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let all = item.as_object().unwrap().keys().filter(|_| !path.starts_with("/v1/ws/"));
            operations.extend(all.map(|method| format!("{} {path}", method.to_uppercase())));
        }
        let collection = collection(&document);
        let mut requested = BTreeSet::new();
        for item in requests(&collection) {
            let url = &item["request"]["url"];
            let parts = url["path"].as_array().unwrap().iter().map(|part| part.as_str().unwrap());
            let mut path: String = parts.map(|part| format!("/{part}")).collect();
            for variable in url["variable"].as_array().unwrap() {
                let name = variable["key"].as_str().unwrap();
                assert!(!variable["value"].as_str().unwrap().is_empty(), "{item}: {name} has no example");
                path = path.replace(&format!("/:{name}"), &format!("/{{{name}}}"));
            }
            assert!(!path.contains(':'), "{path}: a variable without a value");
            requested.insert(format!("{} {path}", item["request"]["method"].as_str().unwrap()));
        }
        assert_eq!(requested, operations);
    }

    #[test]
    fn a_request_says_who_may_and_has_the_documents_example_in_it() {
        let collection = collection(&document());
        assert_eq!(collection["variable"][0]["value"], "http://127.0.0.1:8080");
        let all = requests(&collection);
        let of = |id: &str| all.iter().find(|item| item["id"] == id).unwrap_or_else(|| panic!("no {id}"));
        let place = &of("orders_place")["request"];
        let body: Value = serde_json::from_str(place["body"]["raw"].as_str().unwrap()).unwrap();
        assert!(place["auth"].is_null() && body["pickups"][0]["lat"].is_number(), "{place}");
        assert!(place["header"].as_array().unwrap().iter().any(|header| header["value"] == "{{$guid}}"), "{place}");
        assert_eq!(of("health_live")["request"]["auth"]["type"], "noauth");
        let list = &of("orders_list")["request"]["url"]["query"];
        assert!(list.as_array().unwrap().iter().all(|one| one["disabled"] == true), "{list}");
    }
}
