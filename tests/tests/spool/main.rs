//! The spool, broken on purpose: killed, cut off from power, out of space, bit by bit damaged; and what it promises
//! must hold.
//!
//! Every test has a bounded form and a long one (`tests/run soak`), and prints its seed.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod kill;
