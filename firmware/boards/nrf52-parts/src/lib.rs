//! What the boards on the nRF52 family share, whatever drives the radio: who the chip is, its supply voltage, its
//! watchdog, the pages at the end of its flash.
#![no_std]

pub mod flash;
pub mod identity;
pub mod supply;
pub mod watchdog;
