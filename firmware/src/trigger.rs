//! What wakes a beacon up besides time: a hand, a foot, a door.
//!
//! A board reports the inputs that fired from [`Clock::sleep_until`](crate::Clock::sleep_until). Debouncing is the
//! board's; what an input does (faster advertising, for how long) is the [configuration](crate::config)'s.

use core::ops::BitOr;
use vitrine_protocol::identity::seal::Trigger;

/// A set of inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Triggers(u8);

impl Triggers {
    /// No input.
    pub const NONE: Self = Self(0);
    /// An accelerometer or a tilt switch: the carrier moves.
    pub const MOTION: Self = Self(1);
    /// A push button.
    pub const BUTTON: Self = Self(1 << 1);
    /// A reed or Hall contact: a door, a drawer, a lid.
    pub const CONTACT: Self = Self(1 << 2);
    /// A PIR sensor: somebody is near.
    pub const PRESENCE: Self = Self(1 << 3);
    /// Every single input, in the order of their bits.
    pub const EACH: [Self; 4] = [Self::MOTION, Self::BUTTON, Self::CONTACT, Self::PRESENCE];

    /// The set with these bits: 0 motion, 1 button, 2 contact, 3 presence. Others are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x0f)
    }

    /// The bits of [`from_bits`](Self::from_bits).
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether there is no input in the set.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether the sets share an input.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Triggers {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// How long each input lasts once it has fired, in seconds; 0 ignores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Holds {
    /// [`Triggers::MOTION`].
    pub motion_s: u16,
    /// [`Triggers::BUTTON`].
    pub button_s: u16,
    /// [`Triggers::CONTACT`].
    pub contact_s: u16,
    /// [`Triggers::PRESENCE`].
    pub presence_s: u16,
}

impl Holds {
    /// In the order of [`Triggers::EACH`].
    const fn each(self) -> [u16; 4] {
        [self.motion_s, self.button_s, self.contact_s, self.presence_s]
    }
}

/// The inputs that are lasting.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Active {
    /// In the order of [`Triggers::EACH`]; an input lasts while `now_ms` is below.
    until_ms: [u64; 4],
    /// The input that began last.
    latest: Option<Triggers>,
    /// How many began, modulo 2^16.
    count: u16,
}

impl Active {
    /// Takes in what fired and returns what began by it: an input that was lasting already only lasts longer.
    pub(crate) fn fire(&mut self, fired: Triggers, holds: Holds, now_ms: u64) -> Triggers {
        let before = self.at(now_ms);
        for ((until_ms, hold_s), input) in self.until_ms.iter_mut().zip(holds.each()).zip(Triggers::EACH) {
            if fired.meets(input) && hold_s > 0 {
                *until_ms = now_ms.saturating_add(u64::from(hold_s) * 1_000);
            }
        }
        let begun = Triggers(self.at(now_ms).0 & !before.0);
        for input in Triggers::EACH.into_iter().filter(|input| input.meets(begun)) {
            self.latest = Some(input);
            self.count = self.count.wrapping_add(1);
        }
        begun
    }

    pub(crate) fn latest(&self) -> Option<Triggers> {
        self.latest
    }

    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// What lasts at `now_ms`.
    pub(crate) fn at(&self, now_ms: u64) -> Triggers {
        let lasting = self.until_ms.iter().zip(Triggers::EACH).filter(|&(&until_ms, _)| now_ms < until_ms);
        lasting.fold(Triggers::NONE, |set, (_, input)| set | input)
    }
}

/// The input as a secure frame names it.
pub(crate) fn sealed(input: Triggers) -> Option<Trigger> {
    match input {
        Triggers::MOTION => Some(Trigger::Motion),
        Triggers::BUTTON => Some(Trigger::Button),
        Triggers::CONTACT => Some(Trigger::Contact),
        Triggers::PRESENCE => Some(Trigger::Presence),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDS: Holds = Holds { motion_s: 10, button_s: 60, contact_s: 0, presence_s: 1 };

    #[test]
    fn an_input_lasts_as_long_as_held_and_begins_once() {
        let mut active = Active::default();
        assert_eq!(active.fire(Triggers::MOTION | Triggers::BUTTON, HOLDS, 5), Triggers(0b0011));
        assert_eq!(
            active.fire(Triggers::MOTION, HOLDS, 9_000),
            Triggers::NONE,
            "lasts longer, begins no more"
        );
        assert_eq!(active.at(18_999), Triggers(0b0011));
        assert_eq!(active.at(19_000), Triggers::BUTTON);
        assert_eq!(active.at(60_005), Triggers::NONE);
        assert_eq!(active.fire(Triggers::MOTION, HOLDS, 20_000), Triggers::MOTION);
        assert_eq!((active.count(), active.latest()), (3, Some(Triggers::MOTION)));
    }

    #[test]
    fn an_input_without_hold_is_ignored() {
        let mut active = Active::default();
        assert_eq!(active.fire(Triggers::CONTACT, HOLDS, 0), Triggers::NONE);
        assert_eq!(active.at(0), Triggers::NONE);
    }

    #[test]
    fn unknown_bits_are_dropped() {
        assert_eq!(Triggers::from_bits(0xf8), Triggers::PRESENCE);
    }
}
