//! What the end-to-end tests share: starting and stopping real parts on free ports.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

pub mod agent;
pub mod bluez;
pub mod bus;
pub mod certificates;
pub mod consumer;
pub mod day;
pub mod gate;
pub mod hear;
pub mod http;
pub mod mosquitto;
pub mod mqtt;
pub mod program;
pub mod proxy;
pub mod pty;
pub mod schema;
pub mod shelf_controller;
pub mod spool;
pub mod store;
pub mod subscriber;
pub mod tools;
pub mod uplink;
pub mod vhci;
pub mod vm;
pub mod wait;
pub mod websocket;

use std::process::{Child, Command};

/// Sends SIGTERM. The shell has `kill` built in; a program of that name is not on every machine.
fn terminate(process: &mut Child) {
    let kill = format!("kill -TERM {}", process.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
}
