//! From what is derived of a type to what a reader is told.

use serde_json::{Map, Value, json};
use vitrine_protocol::schema::LATER;

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
            if reader == Reader::Refuses {
                refuse_later_forms(fields);
            }
            unbreak(fields);
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

/// Of the forms that a later version may add, the agent takes none.
fn refuse_later_forms(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(forms)) = fields.get_mut("oneOf") {
        forms.retain(|form| form["description"] != LATER);
    }
}

/// The lines of a comment are broken for an editor; paragraphs stay.
fn unbreak(fields: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = fields.get_mut("description") {
        let paragraphs: Vec<_> = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
        *text = paragraphs.join("\n\n");
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
