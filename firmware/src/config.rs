//! What a beacon sends and when: [`Settings`] as written down, [`Config`] once checked.

use crate::{Holds, Interval, Triggers, pdu::AdvertisingData};
use arrayvec::ArrayVec;
use core::{fmt, ops::Deref};
use vitrine_protocol::{
    advertisement,
    frame::IBeacon,
    identity::{DeviceKey, Exponent, IdentityKey},
};

/// The proximity UUID of beacons that nobody has configured: `76697472-696e-6500-756e-636f6e666967`.
pub const UNCONFIGURED_UUID: [u8; 16] = *b"vitrine\0unconfig";

/// What a beacon is to do. [`Config::check`] says whether it can.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What goes on air: at least one, in the order in which they go first when due together.
    pub slots: ArrayVec<Slot, { Self::SLOTS_MAX }>,
    /// Who it is, for slots whose content rotates.
    pub identity: Option<Identity>,
    /// How long inputs last.
    pub holds: Holds,
    /// When to be silent.
    pub quiet: Option<QuietHours>,
    /// What to do when the battery runs low.
    pub low_battery: Option<LowBattery>,
}

impl Settings {
    /// The most slots.
    pub const SLOTS_MAX: usize = 6;
}

/// One of the advertisements that a beacon interleaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What is sent.
    pub content: Content,
    /// How often as a rule; `None` sends only when triggered.
    pub interval: Option<Interval>,
    /// How often when triggered.
    pub fast: Option<Fast>,
    /// Transmit power in dBm, as asked of the radio.
    pub power_dbm: i8,
}

impl Slot {
    /// A slot that no input concerns.
    pub const fn every(interval: Interval, power_dbm: i8, content: Content) -> Self {
        Self { content, interval: Some(interval), fast: None, power_dbm }
    }
}

/// A slot's rate while one of its inputs lasts. The first event follows the input at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fast {
    /// How often.
    pub interval: Interval,
    /// The inputs that count.
    pub on: Triggers,
}

/// What a slot sends: content that is always the same, or that rotates. One beacon does not do both: the fixed one
/// would tell whose the rotating one is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// This, from the beacon's own address: what a frame of [`vitrine_protocol`] encodes to (iBeacon, Eddystone-UID
    /// and URL, AltBeacon), or any other AD structures.
    Fixed(AdvertisingData),
    /// Eddystone-TLM: battery, temperature, count and uptime, from the beacon's own address.
    Tlm,
    /// Eddystone-EID, rotating.
    Eid {
        /// RSSI at 0 m, in dBm (-100 to 20).
        tx_power_dbm: i8,
    },
    /// Eddystone-eTLM: telemetry encrypted under the identity key, rotating.
    Etlm,
    /// Vitrine's secure frame, rotating.
    Secure {
        /// The integrator's company identifier.
        company: u16,
    },
}

impl Content {
    /// The advertising data that a frame encodes to. That it has at most 31 octets is checked when compiling.
    pub fn fixed<const N: usize>(data: &[u8; N]) -> Self {
        const { assert!(N <= advertisement::LEGACY_MAX, "advertising data has at most 31 octets") };
        let mut out = AdvertisingData::new();
        for &octet in data {
            if out.try_push(octet).is_err() {
                break;
            }
        }
        Self::Fixed(out)
    }

    /// Whether identifier and address change.
    pub const fn rotates(&self) -> bool {
        matches!(self, Self::Eid { .. } | Self::Etlm | Self::Secure { .. })
    }
}

/// Who a rotating beacon is.
#[derive(Clone)]
pub enum Identity {
    /// One of ours, by its one key; it rotates every 1024 s.
    Device(DeviceKey),
    /// An Eddystone-EID beacon as registered elsewhere: identity key and rotation period. Its frames are Eddystone's
    /// alone.
    Eddystone(IdentityKey, Exponent),
}

/// Keys are not printed.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(_) => f.write_str("Device(..)"),
            Self::Eddystone(_, exponent) => write!(f, "Eddystone(.., {})", exponent.get()),
        }
    }
}

/// When a beacon keeps silent but for what inputs trigger: every day from one minute to another, past midnight
/// where `until_min` is the smaller. Minutes are the beacon's clock's, in UTC where it was set to UTC. They are
/// kept only while that clock has run without a power cut since it was set: a beacon that does not know the time is
/// heard rather than silent at the wrong hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct QuietHours {
    /// The first silent minute of the day, 0 to 1439.
    pub from_min: u16,
    /// The first minute that is silent no more, 0 to 1439, another one.
    pub until_min: u16,
}

impl QuietHours {
    /// Minutes in a day.
    const DAY_MIN: u16 = 24 * 60;

    /// Whether it is quiet at `time_s`, seconds since a midnight.
    pub(crate) const fn covers(self, time_s: u32) -> bool {
        let minute = (time_s / 60 % Self::DAY_MIN as u32) as u16;
        if self.from_min < self.until_min {
            self.from_min <= minute && minute < self.until_min
        } else {
            self.from_min <= minute || minute < self.until_min
        }
    }
}

/// When a battery counts as low, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LowBattery {
    /// Below this it is low, in mV; from [`RECOVERY_MV`](Self::RECOVERY_MV) above it is well again.
    pub below_mv: u16,
    /// All intervals are that many times as long, 2 or more; fast ones too.
    pub stretch: u8,
}

impl LowBattery {
    /// A battery that is warmed, or rested, is not taken for a new one.
    pub const RECOVERY_MV: u16 = 150;
}

/// Checked [`Settings`]: every value of this type can be sent.
#[derive(Clone, Debug)]
pub struct Config(Settings);

impl Config {
    /// Checks `settings`.
    ///
    /// # Errors
    /// The first thing that is [`Invalid`].
    pub fn check(settings: Settings) -> Result<Self, Invalid> {
        if settings.slots.is_empty() {
            return Err(Invalid::NoSlot);
        }
        for (index, slot) in settings.slots.iter().enumerate() {
            if slot.interval.is_none() && slot.fast.is_none() {
                return Err(Invalid::NeverSent { slot: index as u8 });
            }
            if slot.fast.is_some_and(|fast| fast.on.is_none()) {
                return Err(Invalid::NoTrigger { slot: index as u8 });
            }
            if let Content::Fixed(data) = &slot.content
                && (data.is_empty() || advertisement::structures(data).any(|structure| structure.is_err()))
            {
                return Err(Invalid::Malformed { slot: index as u8 });
            }
        }
        Self::check_identity(&settings)?;
        let in_a_day = |minute| minute < QuietHours::DAY_MIN;
        if settings.quiet.is_some_and(|quiet| {
            !in_a_day(quiet.from_min) || !in_a_day(quiet.until_min) || quiet.from_min == quiet.until_min
        }) {
            return Err(Invalid::QuietHours);
        }
        if settings.low_battery.is_some_and(|low| low.stretch < 2) {
            return Err(Invalid::LowBattery);
        }
        Ok(Self(settings))
    }

    /// Whether identifier and address change.
    pub fn rotates(&self) -> bool {
        self.slots.iter().any(|slot| slot.content.rotates())
    }

    fn check_identity(settings: &Settings) -> Result<(), Invalid> {
        let mut rotating = settings.slots.iter().map(|slot| slot.content.rotates());
        let rotates = rotating.next().unwrap_or(false);
        if rotating.any(|other| other != rotates) {
            return Err(Invalid::Mixed);
        }
        let sealed = settings.slots.iter().any(|slot| matches!(slot.content, Content::Secure { .. }));
        match settings.identity {
            None if rotates => Err(Invalid::NoKey),
            Some(Identity::Eddystone(..)) if sealed => Err(Invalid::NoDeviceKey),
            _ => Ok(()),
        }
    }

    /// What a beacon sends that nobody has configured: an iBeacon under [`UNCONFIGURED_UUID`] each second, with the
    /// chip's identifier as major and minor, and telemetry every 10 s.
    pub fn unconfigured(chip: u32) -> Self {
        let me = IBeacon {
            uuid: UNCONFIGURED_UUID,
            major: (chip >> 16) as u16,
            minor: chip as u16,
            measured_power_dbm: -59,
        };
        let mut slots = ArrayVec::new();
        for slot in [
            Slot::every(const { every_ms(1_000) }, 0, Content::fixed(&me.encode())),
            Slot::every(const { every_ms(10_000) }, 0, Content::Tlm),
        ] {
            slots.try_push(slot).unwrap_or(()); // two fit
        }
        Self(Settings { slots, ..Settings::default() })
    }
}

const fn every_ms(ms: u32) -> Interval {
    match Interval::from_ms(ms) {
        Ok(interval) => interval,
        Err(_) => panic!("no interval"),
    }
}

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.0
    }
}

/// Why [`Settings`] cannot be used. Slots count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Invalid {
    /// There is no slot: nothing would be sent.
    NoSlot,
    /// The slot has neither an interval nor a fast one.
    NeverSent {
        /// Which.
        slot: u8,
    },
    /// The slot has a fast interval, but no input that starts it.
    NoTrigger {
        /// Which.
        slot: u8,
    },
    /// The slot's fixed content is not a sequence of AD structures.
    Malformed {
        /// Which.
        slot: u8,
    },
    /// Some slots rotate and others do not: together they would give the beacon away.
    Mixed,
    /// Slots rotate, but there is no key.
    NoKey,
    /// A secure frame needs a device key: an Eddystone identity does not do.
    NoDeviceKey,
    /// Quiet hours are two different minutes of the day.
    QuietHours,
    /// A low battery stretches intervals by 2 or more.
    LowBattery,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlot => f.write_str("no slot: nothing would be sent"),
            Self::NeverSent { slot } => write!(f, "slot {slot}: neither an interval nor a fast one"),
            Self::NoTrigger { slot } => {
                write!(f, "slot {slot}: a fast interval needs an input that starts it")
            }
            Self::Malformed { slot } => write!(f, "slot {slot}: the content is no sequence of AD structures"),
            Self::Mixed => f.write_str(
                "fixed content beside rotating content would tell whose it is: send one kind only",
            ),
            Self::NoKey => f.write_str("rotating content needs an identity"),
            Self::NoDeviceKey => f.write_str("a secure frame needs a device key, not an Eddystone identity"),
            Self::QuietHours => f.write_str("quiet hours are two different minutes of the day, 0 to 1439"),
            Self::LowBattery => f.write_str("a low battery stretches intervals by 2 or more"),
        }
    }
}

impl core::error::Error for Invalid {}

#[cfg(test)]
mod tests;
