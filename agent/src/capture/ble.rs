//! BLE advertisements through BlueZ: the source `bluez`.
//!
//! btleplug finds the adapters and starts and ends their scans. What is heard is read from BlueZ's signals as they come
//! (`signal`), on a connection of our own (`bus`): btleplug asks BlueZ twice about the device for every advertisement and
//! keeps the rest without a bound meanwhile. What to do about an adapter is decided in `watch`, purely, and done in `drive`;
//! `ear` gives each advertisement its signal strength, `monitor` keeps the kernel from filtering.
//!
//! Radio addresses go from a device's path on D-Bus straight into [`Address`](crate::private::Address).
//!
//! Left out: choosing which beacons matter (the [`Listener`]'s); active connections; switching an adapter on, which is the
//! operator's.

mod bus;
mod drive;
mod ear;
pub mod mgmt;
mod monitor;
mod scan;
mod signal;
mod watch;

use super::source::{AdvertSource, Listener, SourceError, Stop};
use crate::clock::Clock;
use futures_util::future::BoxFuture;
use std::{sync::Arc, time::Duration};
use vitrine_protocol::Id;

/// An adapter of this machine, and the receiver in the plan that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// BlueZ's name of the adapter, such as `hci0`.
    pub name: String,
    /// The receiver's name in the plan.
    pub receiver: Id,
}

/// How patient it is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// An adapter that brings nothing for so long is helped.
    pub silence: Duration,
    /// Connections of btleplug's, which it does not close: the bus has 255 for a user. After so many the source ends.
    pub connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { silence: Duration::from_secs(30), connections: 100 }
    }
}

/// Adapters that BlueZ drives, each for itself, on one connection.
#[derive(Debug)]
pub struct Bluez {
    adapters: Vec<Adapter>,
    limits: Limits,
}

impl Bluez {
    /// Of `adapters`, which need not be there yet.
    pub fn new(adapters: Vec<Adapter>, limits: Limits) -> Self {
        Self { adapters, limits }
    }
}

impl AdvertSource for Bluez {
    fn run(
        self: Box<Self>,
        listener: Arc<dyn Listener>,
        clock: Clock,
        stop: Stop,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(drive::run(self.adapters, self.limits, listener, clock, stop))
    }
}
