//! What can go wrong on a beacon.

use crate::{Channel, Invalid, Page};
use core::fmt;

/// What went wrong; `E` is the board's own error of the part concerned. The variant says what may still work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error<E> {
    /// The radio did not send on this channel. It was counted; the next event is scheduled.
    Radio {
        /// The first channel that failed.
        channel: Channel,
        /// The radio's error.
        cause: E,
    },
    /// The store failed. What was stored before is still there, in the other page.
    Store {
        /// The page concerned.
        page: Page,
        /// The store's error.
        cause: E,
    },
    /// Neither copy of the configuration is whole: the beacon was never configured, or both were destroyed.
    NoConfiguration,
    /// A whole copy says what cannot be done: it was written by other software.
    Configuration(Invalid),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Radio { channel, cause } => write!(f, "radio, channel {}: {cause}", channel.index()),
            Self::Store { page, cause } => write!(f, "store, {page:?}: {cause}"),
            Self::NoConfiguration => f.write_str("no configuration: write one to the configuration page"),
            Self::Configuration(invalid) => write!(f, "configuration: {invalid}"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Radio { cause, .. } | Self::Store { cause, .. } => Some(cause),
            Self::NoConfiguration => None,
            Self::Configuration(invalid) => Some(invalid),
        }
    }
}
