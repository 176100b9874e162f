//! What was done at a facing: stream `shelf`.

use super::Band;
use crate::Id;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// Units of one product taken from (`pick_up`) or put on (`put_back`) a facing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShelfStep {
    /// The place and product.
    #[serde(flatten)]
    pub facing: Facing,
    /// Units, at least 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub quantity: u32,
    /// Units on the facing afterwards.
    pub level: u32,
}

/// Units that were taken and put back soon after: somebody looked at the product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Considered {
    /// The place and product.
    #[serde(flatten)]
    pub facing: Facing,
    /// Units, at least 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub quantity: u32,
    /// How long they were off the facing, in seconds, as a band.
    pub held_s: Band,
}

/// A facing: one product's place on a shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Facing {
    /// The shelf.
    pub shelf: Id,
    /// The facing on the shelf.
    pub facing: Id,
    /// The product: 1 to 40 letters, digits, dots, hyphens or underscores.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Sku"))]
    pub sku: String,
    /// The product's GTIN, 8 to 14 digits, where the plan has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Gtin>"))]
    pub gtin: Option<String>,
}
