//! The Vitrine agent as a library; the binary `vitrine` and the end-to-end tests are made of it.

pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod document;
pub mod health;
pub mod heart;
pub mod ids;
pub mod line;
pub mod lines;
pub mod local;
pub mod memory;
pub mod pipeline;
pub mod plan;
pub mod privacy;
pub mod private;
pub mod recent;
pub mod spool;
pub mod state;
pub mod store_broker;
pub mod supervisor;
pub mod uplink;
