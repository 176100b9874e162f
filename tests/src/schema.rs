//! The documents of `protocol/schema`, from the types: JSON Schema, AsyncAPI and OpenAPI.
//!
//! Every schema is written so that draft-07 (which AsyncAPI's own dialect extends) and 2020-12 read it alike, and says
//! what a reader has to bear: fields, types and values of later versions are valid. A document holds all that it
//! refers to.

mod asyncapi;
mod events;
mod openapi;
mod text;
mod tidy;

use schemars::{
    JsonSchema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use tidy::{Reader, tidy};
use vitrine_protocol::{
    envelope::{Ack, Envelope, Status},
    event::Body,
    metrics::Metrics,
};

/// The documents: file names below `protocol/schema`, and their content.
pub fn documents() -> BTreeMap<String, String> {
    let schemas = platform_schemas("#/$defs/");
    let mut documents = BTreeMap::new();
    let mut add = |name: String, document: &Value| documents.insert(name, text::pretty(document));
    for known in Body::TYPES {
        let schema = standing_alone(&schemas, &events::component(known.name), "event", known.name);
        add(format!("event/{}.json", known.name), &schema);
    }
    for (component, name) in
        [("Envelope", "envelope"), ("Status", "status"), ("Metrics", "metrics"), ("Ack", "ack")]
    {
        add(format!("{name}.json"), &standing_alone(&schemas, component, "message", name));
    }
    add("asyncapi.json".into(), &asyncapi::document(platform_schemas("#/components/schemas/")));
    add("openapi.json".into(), &openapi::document());
    documents
}

/// Where the documents are kept.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/schema")
}

/// A generator of schemas that refer to each other by `refs` and a name.
fn generator(refs: &str) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = Contract::Serialize;
    settings.definitions_path = refs.trim_start_matches('#').trim_end_matches('/').to_owned().into();
    settings.into_generator()
}

/// All schemas of what is exchanged with the platform, by name.
fn platform_schemas(refs: &str) -> Map<String, Value> {
    let mut generator = generator(refs);
    let names = [
        add::<Envelope>(&mut generator),
        add::<Status>(&mut generator),
        add::<Metrics>(&mut generator),
        add::<Ack>(&mut generator),
    ];
    for name in names {
        assert!(generator.definitions().contains_key(name.as_ref()), "{name} has no definition");
    }
    let mut schemas = generator.take_definitions(true);
    schemas.values_mut().for_each(|schema| tidy(schema, Reader::BearsMore));
    events::take_apart(&mut schemas, refs);
    schemas
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) -> std::borrow::Cow<'static, str> {
    generator.subschema_for::<T>();
    T::schema_name()
}

/// A document of its own for one of `schemas`, with all that it refers to.
fn standing_alone(schemas: &Map<String, Value>, component: &str, kind: &str, name: &str) -> Value {
    let mut document = schemas[component].clone();
    let mut definitions = Map::new();
    let mut wanted = references(&document);
    while let Some(name) = wanted.pop() {
        if !definitions.contains_key(&name) {
            wanted.extend(references(&schemas[&name]));
            definitions.insert(name.clone(), schemas[&name].clone());
        }
    }
    document["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    document["$id"] = json!(format!("urn:vitrine:{kind}:{name}"));
    document["title"] = json!(name);
    document["$defs"] = definitions.into();
    document
}

/// The names of the schemas that one refers to.
fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|path| path.rsplit_once('/')).map(|(_, name)| name.to_owned());
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
