//! The portable core of a Vitrine beacon.
//!
//! A beacon interleaves iBeacon frames, which say who it is, with Eddystone-TLM frames, which say how it is.
//! The core decides what goes on air and when; a board supplies the radio, the clock and the rest as traits.
//!
//! | module | what it holds |
//! |---|---|
//! | [`beacon`] | [`Beacon`]: frames, counters, the loop |
//! | [`schedule`] | when the next advertising event is due |
//! | [`radio`], [`pdu`] | the radio's trait, and what it sends |
//! | [`traits`] | clock, entropy, battery |
//! | [`board`] | adapters from `embedded-hal` to those traits |
//!
//! The crate is `no_std`, allocates nothing, has no unsafe code and does not panic. It holds no wiring of any
//! board, no storage and no rotating identity.
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
//! let config = Config {
//!     address: Address::random_static([0xc1, 2, 3, 4, 5, 6])?,
//!     interval: Interval::from_ms(1_000)?,
//!     power_dbm: 0,
//!     ibeacon: IBeacon { uuid: [7; 16], major: 1, minor: 2, measured_power_dbm: -59 },
//!     tlm_every: 0,
//! };
//! let mut beacon = Beacon::new(config, Air(0), Seeded(1), Mains, 0);
//! while beacon.next_ms() < 60_000 {
//!     let Ok(()) = beacon.advertise(beacon.next_ms());
//! }
//! assert_eq!(beacon.radio_mut().0, 3 * 60);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod beacon;
pub mod board;
pub mod pdu;
pub mod radio;
pub mod schedule;
#[cfg(test)]
mod testing;
pub mod traits;

pub use beacon::{Beacon, Config, Counters};
pub use pdu::{Address, InvalidAddress, Pdu};
pub use radio::{Channel, Radio};
pub use schedule::{Interval, InvalidInterval};
pub use traits::{BatteryMonitor, BatteryReading, Clock, Entropy};
