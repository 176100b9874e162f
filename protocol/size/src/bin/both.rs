//! An iBeacon and an Eddystone-EID advertisement, with a chip's AES.
#![no_std]
#![no_main]

use core::hint::black_box;
use vitrine_protocol::{
    frame::{EddystoneEid, IBeacon},
    identity::{Exponent, IdentityKey, eid},
};
use vitrine_size::ChipAes;

vitrine_size::measure!({
    let beacon = IBeacon { uuid: [7; 16], major: 1, minor: 2, measured_power_dbm: -59 };
    let (key, time_s) = black_box((IdentityKey::new([7; 16]), 1_000_000));
    let eid = eid::identifier::<ChipAes>(&key, Exponent::SECURE, time_s);
    (black_box(beacon).encode(), EddystoneEid { tx_power_dbm: -20, eid }.encode())
});
