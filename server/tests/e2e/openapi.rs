//! `docs/openapi.json` against the control plane: its paths are those of the code, and what is answered is what it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::admin::{ask_as_operator, start_with_socket};
use crate::wire::Wire;

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn document() -> Value {
    let text = fs::read_to_string(repository().join("docs/openapi.json")).expect("the file");
    serde_json::from_str(&text).expect("JSON")
}

/// What is wrong with a value by a schema; of JSON Schema, as much as the file uses.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(&name[1..]).expect("it refers to a schema");
        return faults(document, schema, value, at);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[choice].as_array() {
            let fits = |schema: &&Value| faults(document, schema, value, at).is_empty();
            return match schemas.iter().filter(fits).count() {
                1 => Vec::new(),
                count => vec![format!("{at}: {count} of {choice} fit {value}")],
            };
        }
    }
    let mut found = Vec::new();
    if let Some(only) = schema.get("const").filter(|only| *only != value) {
        found.push(format!("{at}: {value} is not {only}"));
    }
    let choices = schema["enum"].as_array();
    if choices.is_some_and(|choices| !choices.contains(value)) {
        found.push(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        many => many
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect(),
    };
    if !kinds.is_empty() && !kinds.contains(&kind) {
        found.push(format!("{at}: {value} is no {kinds:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(
            document,
            &schema["items"],
            item,
            &format!("{at}/{index}"),
        ));
    }
    // What is no object by the schema has been found to be none.
    if let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(name.as_str().expect("a name")) {
                found.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, value) in object {
            match properties.get(name) {
                Some(schema) => {
                    let at = format!("{at}/{name}");
                    found.extend(faults(document, schema, value, &at));
                }
                None => found.push(format!("{at}: nobody knows {name}")),
            }
        }
    }
    found
}

#[test]
fn its_paths_are_those_of_the_code() {
    let mut routes = BTreeSet::new();
    for file in fs::read_dir(repository().join("server/src/control")).expect("the folder") {
        let text = fs::read_to_string(file.expect("a file").path()).expect("text");
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        for route in shipped.split(".route(\"").skip(1) {
            let (path, rest) = route.split_once('"').expect("a path");
            let method = rest.trim_start_matches([',', ' ']);
            let method = method.split('(').next().expect("a method");
            routes.insert((path.to_owned(), method.to_owned()));
        }
    }
    let document = document();
    let mut told = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            told.insert((path.clone(), method.clone()));
        }
    }
    assert_eq!(told, routes);
}

#[test]
fn what_is_answered_is_what_it_says() {
    let document = document();
    let (relay, _folder, place) = start_with_socket(&[]);
    let _players = [(); 2].map(|()| Wire::join(relay.addr(), "/rooms/lobby"));
    Wire::join(relay.addr(), "/rooms/lobby").reset();
    let commands: Vec<Value> = vec![
        json!({"id": "a", "do": "say", "room": "lobby", "text": "hello"}),
        json!({"id": "b", "do": "notice", "text": "hello"}),
        json!({"id": "c", "do": "kick", "connection": 0}),
        json!({"id": "i", "do": "kick", "room": "lobby", "player": 1}),
        json!({"id": "d", "do": "ban", "address": "192.0.2.1", "seconds": 1}),
        json!({"id": "e", "do": "reload"}),
        json!({"id": "f", "do": "drain", "delay_ms": 3_600_000, "spread_ms": null}),
        json!({"id": "g", "do": "undrain"}),
        json!({"id": "h", "do": "close_room", "room": "lobby"}),
    ];
    let command = &document["components"]["schemas"]["Command"];
    let known = command["oneOf"].as_array().expect("commands").len();
    assert_eq!(known, commands.len(), "each is tried");
    let mut asked: Vec<(&str, &str, Option<Value>, u16)> = vec![
        ("/v1/ends", "/v1/ends", None, 200),
        ("/v1/status", "/v1/status", None, 200),
        ("/v1/rooms", "/v1/rooms", None, 200),
        ("/v1/rooms", "/v1/rooms?from=1.0", None, 200),
        ("/v1/rooms", "/v1/rooms?from=x", None, 400),
        ("/v1/rooms", "/v1/rooms?from=9.0", None, 503),
        (
            "/v1/rooms/{room}/players",
            "/v1/rooms/lobby/players",
            None,
            200,
        ),
        (
            "/v1/rooms/{room}/players",
            "/v1/rooms/nowhere/players",
            None,
            404,
        ),
        (
            "/v1/rooms/{room}/residence",
            "/v1/rooms/lobby/residence",
            None,
            200,
        ),
        (
            "/v1/rooms/{room}/residence",
            "/v1/rooms/nowhere/residence",
            None,
            404,
        ),
        (
            "/v1/commands",
            "/v1/commands",
            Some(json!({"do": "reload"})),
            400,
        ),
        (
            "/v1/commands",
            "/v1/commands",
            Some(json!({"id": "z", "do": "undrain"})),
            409,
        ),
        (
            "/v1/commands",
            "/v1/commands",
            Some(json!({"id": "y", "do": "ban", "connection": 0, "seconds": 1})),
            404,
        ),
    ];
    for body in commands {
        assert_eq!(faults(&document, command, &body, "command"), [""; 0]);
        asked.push(("/v1/commands", "/v1/commands", Some(body), 200));
    }
    for (path, target, body, status) in asked {
        let (got, text) = ask_as_operator(&place, target, body.as_ref());
        assert_eq!(got, status, "{target} {body:?}: {text}");
        let method = if body.is_some() { "post" } else { "get" };
        let answers = &document["paths"][path][method]["responses"];
        let schema = &answers[status.to_string()]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path} may answer {status}");
        let answer = serde_json::from_str(&text).expect("JSON");
        assert_eq!(faults(&document, schema, &answer, target), [""; 0]);
    }
}

#[test]
fn planted_faults_are_found() {
    let document = document();
    let status = &document["components"]["schemas"]["Status"];
    let good = json!({"version": "1", "players": 0, "players_max": 1, "players_away": 0, "connections": 0,
        "draining": false, "reactors": 1});
    let count = |change: fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        faults(&document, status, &value, "").len()
    };
    assert_eq!(count(|_| {}), 0);
    assert_eq!(count(|value| value["players"] = json!("many")), 1);
    assert_eq!(count(|value| value["more"] = json!(1)), 1);
    assert_eq!(
        count(|value| drop(value.as_object_mut().unwrap().remove("players"))),
        1
    );
    let command = &document["components"]["schemas"]["Command"];
    for wrong in [
        json!({"id": "a", "do": "explode"}),
        json!({"id": "a", "do": "kick"}),
        json!({"do": "reload"}),
    ] {
        assert_eq!(faults(&document, command, &wrong, "").len(), 1, "{wrong}");
    }
}
