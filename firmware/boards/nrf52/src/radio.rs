//! The radio, set up for BLE advertising at 1 Mbit/s.
//!
//! Register values: nRF52832 Product Specification 1.4, chapter 23; the same on the other chips of the family. The
//! packet lies in memory as it goes on air: S0 is the PDU's first octet, LENGTH the second.

use crate::event;
use core::{
    convert::Infallible,
    sync::atomic::{Ordering, compiler_fence},
};
use nrf_pac::{
    CLOCK, Interrupt, RADIO,
    radio::{
        regs::Txpower as TxpowerRegister,
        vals::{Endian, Len, Mode, Plen, Ru, Skipaddr},
    },
};
use vitrine_firmware::{Channel, Pdu};

/// What the chip can transmit at, in dBm: PS, register TXPOWER.
#[cfg(any(feature = "nrf52810", feature = "nrf52832"))]
const POWERS_DBM: [i8; 9] = [-40, -20, -16, -12, -8, -4, 0, 3, 4];
#[cfg(any(feature = "nrf52833", feature = "nrf52840"))]
const POWERS_DBM: [i8; 14] = [-40, -20, -16, -12, -8, -4, 0, 2, 3, 4, 5, 6, 7, 8];

/// The access address of advertising channels, 0x8e89bed6 (Core Specification 5.4, Vol 6, Part B, 2.1.2).
const ACCESS_PREFIX: u8 = 0x8e;
const ACCESS_BASE: u32 = 0x89be_d600;
/// CRC of advertising packets: x^24 + x^10 + x^9 + x^6 + x^4 + x^3 + x + 1, from 0x555555 (3.1.1).
const CRC_POLYNOMIAL: u32 = 0x0100_065b;
const CRC_START: u32 = 0x55_5555;

/// The radio.
pub(crate) struct Radio(());

impl Radio {
    /// Sets it up. Registers keep their values while it is off in between.
    pub(crate) fn new() -> Self {
        RADIO.mode().write(|w| w.set_mode(Mode::Ble1mbit));
        RADIO.modecnf0().write(|w| w.set_ru(Ru::Fast));
        RADIO.pcnf0().write(|w| {
            w.set_s0len(true);
            w.set_lflen(8);
            w.set_plen(Plen::_8bit);
        });
        RADIO.pcnf1().write(|w| {
            w.set_maxlen((Pdu::MAX - 2) as u8);
            w.set_balen(3);
            w.set_endian(Endian::Little);
            w.set_whiteen(true);
        });
        RADIO.base0().write_value(ACCESS_BASE);
        RADIO.prefix0().write(|w| w.set_ap0(ACCESS_PREFIX));
        RADIO.crccnf().write(|w| {
            w.set_len(Len::Three);
            w.set_skipaddr(Skipaddr::Skip);
        });
        RADIO.crcpoly().write(|w| w.set_crcpoly(CRC_POLYNOMIAL));
        RADIO.crcinit().write(|w| w.set_crcinit(CRC_START));
        RADIO.shorts().write(|w| {
            w.set_ready_start(true);
            w.set_end_disable(true);
        });
        RADIO.intenset().write(|w| w.set_disabled(true));
        Self(())
    }
}

impl vitrine_firmware::Radio for Radio {
    type Error = Infallible;

    /// Starts the 32 MHz crystal and sleeps until it is stable.
    fn wake(&mut self) {
        CLOCK.intenset().write(|w| w.set_hfclkstarted(true));
        CLOCK.tasks_hfclkstart().write_value(1);
        event::wait(CLOCK.events_hfclkstarted(), Interrupt::CLOCK_POWER);
        CLOCK.intenclr().write(|w| w.set_hfclkstarted(true));
    }

    fn transmit(&mut self, channel: Channel, pdu: &Pdu, power_dbm: i8) -> Result<(), Infallible> {
        RADIO.frequency().write(|w| w.set_frequency((channel.frequency_mhz() - 2_400) as u8));
        RADIO.datawhiteiv().write(|w| w.set_datawhiteiv(channel.index()));
        RADIO.txpower().write_value(TxpowerRegister(nearest_dbm(power_dbm) as u8 as u32));
        RADIO.packetptr().write_value(pdu.bytes().as_ptr() as u32);
        compiler_fence(Ordering::SeqCst); // the PDU is in memory before the radio reads it
        RADIO.tasks_txen().write_value(1);
        event::wait(RADIO.events_disabled(), Interrupt::RADIO);
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }

    fn rest(&mut self) {
        CLOCK.tasks_hfclkstop().write_value(1);
    }
}

/// The nearest power that the chip has, the lower of two.
fn nearest_dbm(power_dbm: i8) -> i8 {
    POWERS_DBM.into_iter().min_by_key(|level_dbm| level_dbm.abs_diff(power_dbm)).unwrap_or(0)
}
