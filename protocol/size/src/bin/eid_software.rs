//! An Eddystone-EID advertisement, with AES in software.
#![no_std]
#![no_main]

use core::hint::black_box;
use vitrine_protocol::{
    frame::EddystoneEid,
    identity::{Exponent, IdentityKey, SoftwareAes, eid},
};

vitrine_size::measure!({
    let (key, time_s) = black_box((IdentityKey::new([7; 16]), 1_000_000));
    let eid = eid::identifier::<SoftwareAes>(&key, Exponent::SECURE, time_s);
    EddystoneEid { tx_power_dbm: -20, eid }.encode()
});
