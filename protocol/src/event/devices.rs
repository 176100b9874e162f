//! What is the matter with devices: stream `devices`.
//!
//! A beacon is named as a thing that needs a battery, never as the carrier of a visit: its facts are told without a
//! place, and no more than once a store-day.

use crate::{Id, time::Timestamp};
use serde::{Deserialize, Serialize};

/// What a beacon tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BeaconTelemetry {
    /// The beacon, by its name in the plan.
    pub beacon: Id,
    /// Battery voltage in millivolts, where it tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery_mv: Option<u32>,
    /// Battery level in per cent, where it tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = 100)))]
    pub battery_pct: Option<u8>,
    /// Temperature in thousandths of a degree Celsius, where it tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_mdeg: Option<i32>,
    /// Time since it was started in seconds, where it tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_s: Option<u64>,
}

/// A beacon whose battery has to be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatteryLow {
    /// The beacon, by its name in the plan.
    pub beacon: Id,
    /// Battery voltage in millivolts, where it tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery_mv: Option<u32>,
}

/// A device that has not been heard for longer than it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceSilent {
    /// What kind of device.
    pub kind: DeviceKind,
    /// The device, by its name in the plan.
    pub device: Id,
    /// When it was last heard; of a beacon, the start of that store-day.
    pub since: Timestamp,
}

/// A silent device that is heard again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceBack {
    /// What kind of device.
    pub kind: DeviceKind,
    /// The device, by its name in the plan.
    pub device: Id,
}

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::grows))]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A beacon.
    Beacon,
    /// A radio that hears beacons.
    Receiver,
    /// A scanner that passes on what it hears.
    Relay,
    /// A shelf.
    Shelf,
    /// A kiosk.
    Kiosk,
    /// A door or till counter.
    Counter,
    /// A kind that this reader does not know; never written.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// One identity heard in two places at once: somebody has copied the beacon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CloneSuspected {
    /// The beacon, by its name in the plan.
    pub beacon: Id,
}

/// A rotating identifier heard again after its time: somebody has recorded the beacon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReplaySuspected {
    /// The beacon, by its name in the plan.
    pub beacon: Id,
    /// How often, at least 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub count: u32,
}

/// A radio of the gateway that changed its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Radio {
    /// The receiver, by its name in the plan.
    pub receiver: Id,
    /// Its state from now on.
    pub state: RadioState,
}

/// The state of a radio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::grows))]
#[serde(rename_all = "snake_case")]
pub enum RadioState {
    /// It hears.
    Scanning,
    /// It was switched off.
    Off,
    /// It is not there.
    Absent,
    /// It is there, and hears nothing that it should.
    Failing,
    /// A state that this reader does not know; never written.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// A fault that a shelf controller reports of itself as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShelfFault {
    /// The shelf.
    pub shelf: Id,
    /// What it reports.
    pub fault: ControllerFault,
    /// Whether it has begun, or ended.
    pub active: bool,
}

/// What a shelf controller reports of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::grows))]
#[serde(rename_all = "snake_case")]
pub enum ControllerFault {
    /// Its supply is low.
    Supply,
    /// It had to drop reports that nobody acknowledged.
    LostReports,
    /// It was restarted, by its watchdog or a failing supply.
    Restarted,
    /// It could not use the configuration that it was given.
    Configuration,
    /// A fault that this reader does not know; never written.
    #[serde(other, skip_serializing)]
    Unknown,
}
