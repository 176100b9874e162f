//! What a secure frame carries, and how it is sealed.
//!
//! AES-CCM (NIST SP 800-38C) with the device's [`SealingKey`], a MIC of 4 octets, and
//!
//! - **associated data**: the 12 octets that are sent in the clear (type, identifier, counter);
//! - **nonce**, 13 octets: type, start of the window in the beacon's time (4, big endian), counter (3), zeros (5).
//!
//! A nonce must not come twice under one key. It does not, because a beacon takes its counters from a
//! [`Sequence`](super::sequence::Sequence), which says why. The clock's 32 bits and the counter's 24 bits both
//! go round without a new key; setting a beacon's clock back by hand, or losing what the sequence had stored,
//! needs one.
//!
//! Telemetry, 8 octets, numbers big endian:
//!
//! | octets | field |
//! |---|---|
//! | 0, 1 | battery in mV; 0 is not measured |
//! | 2, 3 | temperature in 1/256 °C, signed; 0x8000 is not measured |
//! | 4 | state: bit 0 moving, 1 button held, 2 contact open, 3 presence, 4 battery low, 5 clock restored |
//! | 5 | the latest trigger: 0 none yet, 1 motion, 2 button, 3 contact, 4 presence |
//! | 6, 7 | triggers so far, modulo 2^16: a lost advertisement loses no trigger |
//!
//! Bits and triggers that are not in the table are sent as zero and ignored when read.

use super::{
    Exponent, Forged,
    aes::{Adapter, Aes128},
    eid,
    key::{IdentityKey, SealingKey},
};
use crate::frame::{Counter, SecureFrame};
use ccm::{
    AeadInOut, Ccm,
    consts::{U4, U13},
};

/// What a beacon reports. The default has measured nothing and seen nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// Battery voltage in mV; `None` where there is no battery, or it is not measured.
    pub battery_mv: Option<u16>,
    /// Temperature in 1/256 °C; `None` where it is not measured.
    pub temperature_c_256: Option<i16>,
    /// How things stand.
    pub state: State,
    /// What happened last.
    pub trigger: Option<Trigger>,
    /// How often a trigger fired, modulo 2^16.
    pub triggers: u16,
}

/// What is so at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The accelerometer feels motion.
    pub moving: bool,
    /// The button is held.
    pub button_held: bool,
    /// The reed or Hall contact is open.
    pub contact_open: bool,
    /// The infrared sensor sees somebody.
    pub presence: bool,
    /// The battery is near its end.
    pub battery_low: bool,
    /// The clock was restored after a loss of power, and may be late.
    pub clock_restored: bool,
}

/// What made a beacon send out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// It was moved.
    Motion = 1,
    /// Its button was pressed.
    Button = 2,
    /// Its contact opened or closed.
    Contact = 3,
    /// Somebody came near.
    Presence = 4,
}

/// The frame that a beacon sends at its time `time_s`. A `counter` is used for one frame only.
pub fn seal<A: Aes128>(
    identity: &IdentityKey,
    sealing: &SealingKey,
    time_s: u32,
    counter: Counter,
    telemetry: &Telemetry,
) -> SecureFrame {
    let identifier = eid::identifier::<A>(identity, Exponent::SECURE, time_s);
    let mut frame = SecureFrame { identifier, counter, ciphertext: telemetry.to_bytes(), mic: [0; 4] };
    let mut text = frame.ciphertext;
    let sealed = ccm(&sealing.cipher::<A>()).encrypt_inout_detached(
        &nonce(time_s, counter).into(),
        &frame.clear(),
        text.as_mut_slice().into(),
    );
    // It fails for texts of 64 KiB and more only; nothing must leave unsealed all the same.
    (frame.ciphertext, frame.mic) = sealed.map_or(([0; 8], [0; 4]), |mic| (text, mic.0));
    frame
}

/// What `frame` says, heard in the window that the beacon's time `time_s` lies in: the resolver tells both.
///
/// # Errors
/// [`Forged`]
pub fn open<A: Aes128>(sealing: &SealingKey, time_s: u32, frame: &SecureFrame) -> Result<Telemetry, Forged> {
    let mut text = frame.ciphertext;
    ccm(&sealing.cipher::<A>())
        .decrypt_inout_detached(
            &nonce(time_s, frame.counter).into(),
            &frame.clear(),
            text.as_mut_slice().into(),
            &frame.mic.into(),
        )
        .map_err(|_| Forged)?;
    Ok(Telemetry::from_bytes(text))
}

fn ccm<A: Aes128>(cipher: &A) -> Ccm<Adapter<'_, A>, U4, U13> {
    Adapter(cipher).into()
}

fn nonce(time_s: u32, counter: Counter) -> [u8; 13] {
    let mut nonce = [0; 13];
    nonce[0] = SecureFrame::TYPE;
    nonce[1..5].copy_from_slice(&Exponent::SECURE.window_start_s(time_s).to_be_bytes());
    nonce[5..8].copy_from_slice(&counter.to_be_bytes());
    nonce
}

const TEMPERATURE_NOT_MEASURED: i16 = i16::MIN;

impl Telemetry {
    fn to_bytes(self) -> [u8; 8] {
        let [a, b] = self.battery_mv.unwrap_or(0).to_be_bytes();
        let [c, d] = self.temperature_c_256.unwrap_or(TEMPERATURE_NOT_MEASURED).to_be_bytes();
        let [e, f] = self.triggers.to_be_bytes();
        [a, b, c, d, self.state.to_bits(), self.trigger.map_or(0, |trigger| trigger as u8), e, f]
    }

    fn from_bytes([a, b, c, d, state, trigger, e, f]: [u8; 8]) -> Self {
        Self {
            battery_mv: Some(u16::from_be_bytes([a, b])).filter(|&mv| mv != 0),
            temperature_c_256: Some(i16::from_be_bytes([c, d])).filter(|&t| t != TEMPERATURE_NOT_MEASURED),
            state: State::from_bits(state),
            trigger: Trigger::from_octet(trigger),
            triggers: u16::from_be_bytes([e, f]),
        }
    }
}

impl State {
    fn to_bits(self) -> u8 {
        u8::from(self.moving)
            | u8::from(self.button_held) << 1
            | u8::from(self.contact_open) << 2
            | u8::from(self.presence) << 3
            | u8::from(self.battery_low) << 4
            | u8::from(self.clock_restored) << 5
    }

    fn from_bits(bits: u8) -> Self {
        let bit = |n: u8| bits >> n & 1 == 1;
        Self {
            moving: bit(0),
            button_held: bit(1),
            contact_open: bit(2),
            presence: bit(3),
            battery_low: bit(4),
            clock_restored: bit(5),
        }
    }
}

impl Trigger {
    fn from_octet(octet: u8) -> Option<Self> {
        [Self::Motion, Self::Button, Self::Contact, Self::Presence].into_iter().find(|&t| t as u8 == octet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::DEVELOPMENT_COMPANY,
        identity::{DeviceKey, SoftwareAes},
    };
    use proptest::prelude::*;

    fn keys() -> (IdentityKey, SealingKey) {
        let device = DeviceKey::new(core::array::from_fn(|i| i as u8));
        (device.identity::<SoftwareAes>(), device.sealing::<SoftwareAes>())
    }

    fn seal_at(time_s: u32, counter: u32, telemetry: &Telemetry) -> SecureFrame {
        let (identity, sealing) = keys();
        seal::<SoftwareAes>(&identity, &sealing, time_s, Counter::wrapping(counter), telemetry)
    }

    fn open_at(time_s: u32, frame: &SecureFrame) -> Result<Telemetry, Forged> {
        open::<SoftwareAes>(&keys().1, time_s, frame)
    }

    /// Expected octets: `AESCCM(key, tag_length=4)` of the Python package `cryptography` 46, over identifiers
    /// and keys that it computed too.
    #[test]
    fn seals_as_another_implementation_does() {
        let telemetry = Telemetry {
            battery_mv: Some(2987),
            temperature_c_256: Some(-640),
            state: State { button_held: true, battery_low: true, ..State::default() },
            trigger: Some(Trigger::Motion),
            triggers: 515,
        };
        let frame = seal_at(1_772_622_000, 0x00_abcd, &telemetry);
        assert_eq!(
            hex::encode(&frame.encode(DEVELOPMENT_COMPANY)[7..]),
            "01acd40f3ff099defc00abcd2b4b9e53af70b0f709f2ac59"
        );
        assert_eq!(open_at(1_772_621_824, &frame), Ok(telemetry));
    }

    #[test]
    fn a_frame_belongs_to_its_window() {
        let frame = seal_at(10 * 1024, 1, &Telemetry::default());
        assert_eq!(open_at(10 * 1024 + 1023, &frame), Ok(Telemetry::default()));
        assert_eq!(open_at(11 * 1024, &frame), Err(Forged));
        assert_eq!(open_at(10 * 1024 - 1, &frame), Err(Forged));
    }

    #[test]
    fn equal_telemetry_looks_different_in_each_frame_and_window() {
        let text = |time_s, counter| seal_at(time_s, counter, &Telemetry::default()).ciphertext;
        assert_ne!(text(0, 1), text(0, 2));
        assert_ne!(text(0, 1), text(1024, 1));
    }

    #[test]
    fn bits_and_triggers_of_a_later_version_are_ignored() {
        let read = Telemetry::from_bytes([0, 0, 0x80, 0, 0b1100_0001, 77, 0, 1]);
        let state = State { moving: true, ..State::default() };
        assert_eq!(read, Telemetry { state, triggers: 1, ..Telemetry::default() });
    }

    proptest! {
        #[test]
        fn any_telemetry_comes_back(bytes: [u8; 8], time_s: u32, counter: u32) {
            let telemetry = Telemetry::from_bytes(bytes);
            prop_assert_eq!(open_at(time_s, &seal_at(time_s, counter, &telemetry)), Ok(telemetry));
        }

        #[test]
        fn any_flipped_bit_is_rejected(bytes: [u8; 8], time_s: u32, counter: u32, bit in 8_usize..192) {
            let frame = seal_at(time_s, counter, &Telemetry::from_bytes(bytes));
            let mut data: [u8; 24] = core::array::from_fn(|i| frame.encode(DEVELOPMENT_COMPANY)[7 + i]);
            data[bit / 8] ^= 1 << (bit % 8);
            let damaged = SecureFrame::decode(&data).unwrap().unwrap();
            prop_assert_eq!(open_at(time_s, &damaged), Err(Forged));
        }
    }
}
