//! What was released and decided: stream `audit`, a chain of hashes that shows whether an entry was altered or left out.

use crate::Id;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// An entry of the agent's audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Its number, from 1, without holes.
    pub number: u64,
    /// What it records.
    pub records: Recorded,
    /// SHA-256 of what it records, in 64 hexadecimal digits.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Sha256"))]
    pub digest: String,
    /// The hash of the entry before it.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Sha256"))]
    pub previous: String,
    /// Its own hash.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Sha256"))]
    pub hash: String,
}

/// What an audit entry records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::grows))]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// A window's release.
    Release,
    /// Another plan came into force.
    PlanChange,
    /// A person withdrew.
    Withdrawal,
    /// Something that this reader does not know; never written.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// The newest entry, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditHead {
    /// Its number.
    pub number: u64,
    /// Its hash.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Sha256"))]
    pub hash: String,
    /// The gateway's key.
    pub kid: Id,
    /// An Ed25519 signature, in base64.
    pub sig: String,
}
