//! The portable core of a Vitrine beacon.
//!
//! A beacon interleaves advertisements that say who it is with some that say how it is, each at its own interval and
//! power. The core decides what goes on air and when; a board supplies radio, clock, entropy, battery and store.
//!
//! | module | what it holds |
//! |---|---|
//! | [`beacon`] | [`Beacon`]: the loop, the counters |
//! | [`config`], [`image`] | what a beacon sends and when; how that lies in flash |
//! | [`schedule`], [`trigger`] | when the next advertising event is due; the inputs that bring it forward |
//! | [`time`] | the beacon's time, over resets and battery swaps |
//! | [`radio`], [`pdu`] | the radio's trait, and what it sends |
//! | [`store`], [`traits`] | the other four traits of a board |
//! | [`board`] | adapters from `embedded-hal` and `embedded-storage` to those traits |
//! | [`check`] | checks of a new board's parts, to be run on it |
//! | [`error`] | what can go wrong |
//! | `asynch` (feature `async`) | the same steps, awaited |
//!
//! The crate is `no_std`, allocates nothing, has no unsafe code and does not panic. It holds no wiring of any
//! board.
//!
//! # Without a clock
//!
//! A simulator, or a board with its own executor, asks when the next event is due and says when it has come:
//!
//! ```
//! use core::convert::Infallible;
//! use vitrine_firmware::*;
//! use vitrine_protocol::frame::IBeacon;
//!
//! struct Air(u32);
//! impl Radio for Air {
//!     type Error = Infallible;
//!     fn transmit(&mut self, _: Channel, pdu: &Pdu, _power_dbm: i8) -> Result<(), Infallible> {
//!         assert_eq!(pdu.advertising_data().len(), IBeacon::ENCODED);
//!         self.0 += 1;
//!         Ok(())
//!     }
//! }
//! # struct Seeded(u32);
//! # impl Entropy for Seeded {
//! #     fn next_u32(&mut self) -> u32 { self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); self.0 }
//! # }
//! # struct Mains;
//! # impl BatteryMonitor for Mains {
//! #     fn sample(&mut self) -> BatteryReading { BatteryReading::default() }
//! # }
//!
//! let me = IBeacon { uuid: [7; 16], major: 1, minor: 2, measured_power_dbm: -59 };
//! let mut settings = Settings::default();
//! settings.slots.push(Slot::every(Interval::from_ms(1_000)?, 0, Content::fixed(&me.encode())));
//! let address = Address::random_static([0xc1, 2, 3, 4, 5, 6])?;
//! let parts = Parts { radio: Air(0), entropy: Seeded(1), battery: Mains, store: NoStore, cipher: Cipher::SOFTWARE };
//! let mut beacon = Beacon::new(Config::check(settings)?, address, parts, Start::unlogged(0), 0);
//! while beacon.next_ms() < 60_000 {
//!     beacon.advertise(beacon.next_ms())?;
//! }
//! assert!((3 * 59..=3 * 60).contains(&beacon.radio_mut().0));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod advertiser;
#[cfg(feature = "async")]
pub mod asynch;
pub mod beacon;
pub mod board;
pub mod check;
pub mod config;
pub mod error;
mod identity;
pub mod image;
pub mod pdu;
pub mod radio;
pub mod schedule;
pub mod store;
#[cfg(test)]
mod testing;
pub mod time;
pub mod traits;
pub mod trigger;

pub use beacon::{Beacon, Counters, Parts, STEP_MAX_MS};
pub use config::{Config, Content, Fast, Identity, Invalid, LowBattery, QuietHours, Settings, Slot};
pub use error::Error;
pub use identity::Cipher;
pub use pdu::{Address, AdvertisingData, InvalidAddress, Pdu};
pub use radio::{Channel, Radio};
pub use schedule::{Interval, InvalidInterval};
pub use store::{NoStore, Page, Store};
pub use time::{Calendar, Kept, Start};
pub use traits::{BatteryMonitor, BatteryReading, Clock, Entropy};
pub use trigger::{Holds, Triggers};
