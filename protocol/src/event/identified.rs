//! What a person agreed to tell: stream `identified`, of the profile `identified` alone.

use crate::{Id, time::Timestamp};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// Something that a person did under a pseudonym, on a legal basis. What it was is sealed to the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Identified {
    /// The person's pseudonym, as the platform issued it.
    pub subject: String,
    /// The legal basis.
    pub basis: Basis,
    /// What it may be used for, as the plan names it.
    pub purposes: Vec<Id>,
    /// When it has to be forgotten.
    pub expires: Timestamp,
    /// A random reference, by which a withdrawal finds what it is about.
    pub consent_ref: String,
    /// What was done.
    pub sealed: Sealed,
}

/// On what basis a person is identified (GDPR, article 6 (1) a and b).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The person consented.
    Consent,
    /// A contract needs it, such as the collection of an order.
    Contract,
}

/// A text that only the platform can read, by HPKE (RFC 9180).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sealed {
    /// The platform's key.
    pub kid: Id,
    /// The encapsulated key, in base64url without padding.
    pub enc: String,
    /// The ciphertext, in base64url without padding.
    pub ct: String,
}
