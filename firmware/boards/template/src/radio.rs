//! The radio.
//!
//! What yours must be set to, once (Bluetooth Core Specification 5.4, Vol 6, Part B): 1 Mbit/s GFSK, access address
//! 0x8e89bed6, CRC of 24 bits (polynomial 0x00065b, from 0x555555) over the PDU, whitening from the channel's index.
//! A radio that takes whole advertising events from a link layer of its own is `asynch::AsyncRadio` instead.

use crate::chip;
use core::{convert::Infallible, fmt};
use vitrine_firmware::{Channel, Pdu, Radio};

/// The radio, set up.
pub(crate) struct Air(());

impl Air {
    /// Sets it up.
    pub(crate) fn start() -> Self {
        Self(())
    }
}

impl Radio for Air {
    /// Why your radio fails to send.
    type Error = Infallible;

    /// Starts what transmitting needs and sleeping does not: the crystal of the radio.
    fn wake(&mut self) {}

    /// Sends one PDU on `channel.frequency_mhz()`, whitened from `channel.index()`, and returns when it was sent.
    fn transmit(&mut self, channel: Channel, pdu: &Pdu, power_dbm: i8) -> Result<(), Infallible> {
        chip::say(format_args!("adv {} {power_dbm} {}", channel.index(), Hex(pdu.bytes())));
        Ok(())
    }

    /// Stops it again.
    fn rest(&mut self) {}
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
