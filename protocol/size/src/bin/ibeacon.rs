//! An iBeacon advertisement.
#![no_std]
#![no_main]

use core::hint::black_box;
use vitrine_protocol::frame::IBeacon;

vitrine_size::measure!({
    let beacon = IBeacon { uuid: [7; 16], major: 1, minor: 2, measured_power_dbm: -59 };
    black_box(beacon).encode()
});
