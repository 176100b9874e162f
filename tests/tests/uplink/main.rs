//! The uplink: against real brokers, and against brokers in the test's own hand that misbehave.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod drain;
mod faults;
mod fleet;
mod kill;
mod manners;
mod marks;
mod refusals;
mod tls;
mod ways;
