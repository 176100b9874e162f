//! How the texts of the wire look, for JSON Schema (feature `schema`): the types that write themselves as text,
//! names for those texts that are a `String` here, and enumerations that grow.

use crate::{Id, event::EventId, time::Timestamp};
use alloc::{borrow::Cow, vec::Vec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// The description of a form that only a later version can have.
pub const LATER: &str = "Of a later version.";

/// See [`crate::event::Facing::sku`].
pub(crate) struct Sku;
/// See [`crate::event::Facing::gtin`].
pub(crate) struct Gtin;
/// See [`crate::event::AuditEntry::hash`].
pub(crate) struct Sha256;

/// Adds to an enumeration, of values or of objects with a `kind`, what a later version may add: a reader must bear it.
pub(crate) fn grows(schema: &mut Schema) {
    let Some(Value::Array(forms)) = schema.get_mut("oneOf") else { return };
    let kinds =
        forms.iter().filter_map(|form| form.pointer("/properties/kind/const").cloned()).collect::<Vec<_>>();
    if kinds.is_empty() {
        let known: Vec<_> = forms.iter().map(|form| form["const"].clone()).collect();
        forms.push(json!({ "description": LATER, "type": "string", "not": { "enum": known } }));
    } else {
        let kind = json!({ "type": "string", "not": { "enum": kinds } });
        let (properties, required) = (json!({ "kind": kind }), json!(["kind"]));
        forms.push(
            json!({ "description": LATER, "type": "object", "properties": properties, "required": required }),
        );
    }
}

macro_rules! texts {
    ($($type:ty as $name:literal { $($schema:tt)* })*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", $($schema)* })
            }
        }
    )*};
}

texts! {
    Id as "Id" {
        "description": "A name out of the gateway's configuration or its tagging plan.",
        "pattern": "^[a-z0-9_-]{1,40}$"
    }
    EventId as "HexId" {
        "description": "128 bits, as 32 hexadecimal digits.",
        "pattern": "^[0-9a-f]{32}$"
    }
    Timestamp as "Timestamp" {
        "description": "RFC 3339, in UTC, with milliseconds.",
        "format": "date-time",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$"
    }
    Sku as "Sku" {
        "description": "A product's number: letters, digits, dots, hyphens and underscores.",
        "pattern": "^[A-Za-z0-9._-]{1,40}$"
    }
    Gtin as "Gtin" {
        "description": "A Global Trade Item Number.",
        "pattern": "^[0-9]{8,14}$"
    }
    Sha256 as "Sha256" {
        "description": "A SHA-256 digest, as 64 hexadecimal digits.",
        "pattern": "^[0-9a-f]{64}$"
    }
}
