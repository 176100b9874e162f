//! `vitrine demo`: a simulated store, with ground truth, in front of the real agent line, and a broker behind it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`layout`] | the store: zones, receivers, shelves, kiosks, counters, and its tagging plan |
//! | [`shoppers`] | who walks where, and when |
//! | [`radio`] | the carts' beacons, which are the real firmware core, and what the receivers hear of them |
//! | [`shelves`], [`kiosks`], [`counters`] | what the store's other devices report |
//! | [`simulation`] | all of these, moved on together in virtual time |
//! | [`play`] | the day played through a real agent, and its summary |
//! | [`broker`], [`line`](mod@line), [`platform`] | an MQTT broker in process, a line to it that can be cut, and what arrives |
//!
//! The simulation is determined by its seed: it reads no clock and no system randomness, and does no I/O.

pub mod broker;
mod chance;
pub mod counters;
pub mod kiosks;
pub mod layout;
pub mod line;
pub mod platform;
pub mod play;
pub mod radio;
pub mod shelves;
pub mod shoppers;
pub mod simulation;
