//! The OpenAPI document: what devices post to the agent.

use super::{
    generator,
    tidy::{Reader, tidy},
};
use serde_json::{Map, Value, json};
use vitrine_agent::capture::{
    http::{BODY_LIMIT, radio, schema},
    relay::MESSAGE_MAX,
};

const DESCRIPTION: &str = "\
What shelves, kiosks and counters post to the agent, inside the store. A body is taken as a whole or not at all.\n\n\
**No answer, or 503? Send the same again.** Inputs carry a number or an id, and a repeat is recognised, also after a crash \
of the agent.";

/// The document.
pub(super) fn document() -> Value {
    let mut generator = generator("#/components/schemas/");
    let problem = Value::from(schema::problem(&mut generator));
    let mut paths = Map::new();
    for schema::Route { path, operation, summary, item } in schema::routes(&mut generator) {
        let operation = json!({
            "operationId": operation,
            "summary": summary,
            "requestBody": {
                "required": true,
                "description": format!("At most {BODY_LIMIT} octets."),
                "content": { "application/json": { "schema": { "type": "array", "items": Value::from(item) } } },
            },
            "responses": {
                "202": { "description": "All events that these inputs complete are on disk." },
                "400": answer("Nothing was taken; `pointer` names the place of the first problem.", &problem),
                "413": answer("The body is too large: send fewer items at once. Nothing was taken.", &problem),
                "503": busy(&problem),
            },
        });
        paths.insert(path.to_owned(), json!({ "post": operation }));
    }
    let relayed = json!({
        "operationId": "postRelayed",
        "summary": "What a scanner of another make heard, in its own format",
        "parameters": [{
            "name": "id", "in": "path", "required": true, "description": "The relay, by its name in gateway.toml.",
            "schema": { "type": "string", "pattern": "^[a-z0-9_-]{1,40}$" },
        }],
        "requestBody": {
            "required": true,
            "description": format!("One message, as docs/relays.md has it. At most {MESSAGE_MAX} octets."),
            "content": { "*/*": {} },
        },
        "responses": {
            "202": { "description": "It was read. Radio is lossy: nothing is on disk by now." },
            "400": answer("Nothing in it could be read.", &problem),
            "404": answer("There is no such relay.", &problem),
            "413": answer("The body is too large: let the relay send more often.", &problem),
        },
    });
    paths.insert(radio::RELAYS.into(), json!({ "post": relayed }));
    let healthy = json!({
        "operationId": "health",
        "summary": "Whether the agent is up",
        "responses": {
            "200": { "description": "It is.", "content": { "text/plain": { "schema": { "type": "string" } } } },
        },
    });
    paths.insert("/healthz".into(), json!({ "get": healthy }));
    let mut schemas = Value::from(generator.take_definitions(true));
    tidy(&mut schemas, Reader::Refuses);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Vitrine: from the store's devices to the agent",
            "version": "1.0.0",
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:7400", "description": "As `listen` in gateway.toml says." }],
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn answer(description: &str, problem: &Value) -> Value {
    json!({ "description": description, "content": { "application/problem+json": { "schema": problem } } })
}

fn busy(problem: &Value) -> Value {
    let mut answer = answer("The agent is behind, or going down: send the same again.", problem);
    let retry = json!({ "description": "Seconds to wait.", "schema": { "type": "integer", "minimum": 1 } });
    answer["headers"] = json!({ "Retry-After": retry });
    answer
}
