//! Adapters from what chip vendors' crates implement to the core's [traits](crate::traits).
//!
//! `embedded-hal` 1.0 has a delay and no clock, `embedded-storage` 0.3 has flash: [`DelayClock`] and [`FlashStore`].
//! Neither has a radio, random numbers or an analogue input: those a board implements itself.

mod delay;
mod flash;

pub use delay::DelayClock;
pub use flash::{FlashStore, Region};
