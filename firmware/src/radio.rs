//! The radio's trait.

use crate::Pdu;

/// Transmits advertising PDUs.
pub trait Radio {
    /// Why a transmission failed.
    type Error;

    /// Makes ready for an advertising event: a crystal oscillator that runs only while transmitting starts here.
    fn wake(&mut self) {}

    /// Transmits `pdu` once on `channel` at `power_dbm`, or the nearest power the radio has, and returns when
    /// it has been sent. The radio adds what surrounds a PDU on air: preamble, access address, CRC, whitening
    /// (Bluetooth Core Specification 5.4, Vol 6, Part B, sections 2.1 and 3).
    ///
    /// # Errors
    /// The PDU was not sent. The beacon counts it and goes on; it does not try again.
    fn transmit(&mut self, channel: Channel, pdu: &Pdu, power_dbm: i8) -> Result<(), Self::Error>;

    /// The event is over: what [`wake`](Self::wake) started stops here.
    fn rest(&mut self) {}
}

/// A primary advertising channel (Vol 6, Part B, section 1.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Channel {
    /// 2402 MHz.
    Adv37 = 37,
    /// 2426 MHz.
    Adv38 = 38,
    /// 2480 MHz.
    Adv39 = 39,
}

impl Channel {
    /// All three, in the order in which an advertising event uses them.
    pub const ALL: [Self; 3] = [Self::Adv37, Self::Adv38, Self::Adv39];

    /// The channel index, which also seeds whitening.
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// The centre frequency in MHz.
    pub const fn frequency_mhz(self) -> u16 {
        match self {
            Self::Adv37 => 2402,
            Self::Adv38 => 2426,
            Self::Adv39 => 2480,
        }
    }
}
