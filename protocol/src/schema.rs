//! How the texts of the wire look, for JSON Schema (feature `schema`): the types that write themselves as text,
//! and names for those texts that are a `String` here.

use crate::{Id, event::EventId, time::Timestamp};
use alloc::borrow::Cow;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// See [`crate::event::Facing::sku`].
pub(crate) struct Sku;
/// See [`crate::event::Facing::gtin`].
pub(crate) struct Gtin;
/// See [`crate::event::AuditEntry::hash`].
pub(crate) struct Sha256;

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
