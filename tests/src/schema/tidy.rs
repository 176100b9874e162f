//! From what is derived of a type to what a reader is told.

use serde_json::{Map, Value, json};

/// What the reader of a text has to do with what it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The platform: bear it.
    BearsMore,
    /// The agent: refuse it.
    Refuses,
}

/// Tidies a schema and all within it.
pub(super) fn tidy(schema: &mut Value, reader: Reader) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(|inner| tidy(inner, reader));
            bound_integers(fields);
            absent_is_not_null(fields);
            open_values(fields, reader);
            open_kinds(fields, reader);
            refer_alone(fields);
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| tidy(inner, reader)),
        _ => {}
    }
}

/// A Rust integer's range is told by bounds that every validator knows.
fn bound_integers(fields: &mut Map<String, Value>) {
    let (min, max) = match fields.get("format").and_then(Value::as_str) {
        Some("uint8") => (json!(0), json!(u8::MAX)),
        Some("uint16") => (json!(0), json!(u16::MAX)),
        Some("uint32") => (json!(0), json!(u32::MAX)),
        Some("int32") => (json!(i32::MIN), json!(i32::MAX)),
        // Larger numbers are not exact everywhere that reads JSON.
        Some("uint64" | "uint") => (json!(0), Value::Null),
        _ => return,
    };
    fields.remove("format");
    fields.entry("minimum").or_insert(min);
    if !max.is_null() {
        fields.entry("maximum").or_insert(max);
    }
}

/// A field that may be left out is never written as `null`.
fn absent_is_not_null(fields: &mut Map<String, Value>) {
    let required = fields.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|n| n == name));
    let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in properties {
        let Some(property) = property.as_object_mut().filter(|_| !is_required(name)) else { continue };
        if let Some(types) = property.get_mut("type").filter(|types| types.is_array()) {
            *types = types[0].take();
        }
        if let Some(Value::Array(either)) = property.get_mut("anyOf")
            && let [one, null] = &mut either[..]
            && *null == json!({ "type": "null" })
        {
            let one = one.take();
            property.remove("anyOf");
            property.insert("allOf".into(), json!([one]));
        }
    }
}

/// Where a type has a variant for what it does not know, the derive leaves an empty `enum`.
fn open_values(fields: &mut Map<String, Value>, reader: Reader) {
    let nothing = json!({ "type": "string", "enum": [] });
    let Some(Value::Array(values)) = fields.get_mut("oneOf") else { return };
    let Some(place) = values.iter().position(|value| *value == nothing) else { return };
    values.remove(place);
    if reader == Reader::BearsMore {
        let known: Vec<Value> = values.iter().map(|value| value["const"].clone()).collect();
        values.push(json!({
            "description": "A value of a later version.",
            "type": "string",
            "not": { "enum": known },
        }));
    }
}

/// An object whose form depends on its `kind` may have one that a later version adds.
fn open_kinds(fields: &mut Map<String, Value>, reader: Reader) {
    let Some(Value::Array(kinds)) = fields.get_mut("oneOf") else { return };
    let known: Vec<Value> = kinds.iter().map(|kind| kind["properties"]["kind"]["const"].clone()).collect();
    if reader == Reader::BearsMore && known.iter().all(Value::is_string) {
        kinds.push(json!({
            "description": "A kind of a later version.",
            "type": "object",
            "properties": { "kind": { "type": "string", "not": { "enum": known } } },
            "required": ["kind"],
        }));
    }
}

/// Draft-07 does not look at what stands beside a reference.
fn refer_alone(fields: &mut Map<String, Value>) {
    if fields.len() > 1
        && let Some(reference) = fields.remove("$ref")
    {
        fields.insert("allOf".into(), json!([{ "$ref": reference }]));
    }
}
