//! What a Vitrine beacon, gateway and platform agree on, byte for byte.
//!
//! The crate is `no_std` and, without its feature `alloc`, allocates nothing. Nothing in it panics on any
//! input, reads a clock, or does I/O.
//!
//! | module | agreed between |
//! |---|---|
//! | [`advertisement`], [`frame`] | beacon and gateway: BLE advertisements |
//! | `identity` (feature `crypto`) | beacon and gateway: rotating identifiers, sealed telemetry |
//! | [`layout`] | beacon and plan: formats that the plan describes |
//! | `shelf` (feature `shelf`) | shelf controller and gateway: frames on a serial line |
//! | [`id`], [`topic`] | gateway and platform: names and MQTT topics |
//! | `sighting` (feature `alloc`) | satellite and hub: what never leaves the store |
//! | `event`, `envelope` (feature `alloc`) | gateway and platform: what is published |
//!
//! `schema` (feature `schema`) adds what the documents in this crate's directory `schema` are generated from.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod advertisement;
#[cfg(feature = "alloc")]
pub mod envelope;
#[cfg(feature = "alloc")]
pub mod event;
pub mod frame;
pub mod id;
#[cfg(feature = "crypto")]
pub mod identity;
pub mod layout;
#[cfg(feature = "alloc")]
pub mod metrics;
#[cfg(feature = "schema")]
pub mod schema;
#[cfg(feature = "shelf")]
pub mod shelf;
#[cfg(feature = "alloc")]
pub mod sighting;
#[cfg(feature = "alloc")]
pub mod time;
pub mod topic;

pub use id::Id;
