//! MQTT topics and streams.
//!
//! ```text
//! vitrine/v1/{tenant}/{store}/{gateway}/evt/{stream}       batches of events
//! vitrine/v1/{tenant}/{store}/{gateway}/evt/{stream}-zst   the same, compressed with zstd, where the agent is told to
//! vitrine/v1/{tenant}/{store}/{gateway}/status             retained birth and last will
//! vitrine/v1/{tenant}/{store}/{gateway}/metrics            how the agent is, every minute or so
//! vitrine/v1/{tenant}/{store}/{gateway}/ack/{stream}       how far the platform has got
//! ```

use crate::Id;
use core::fmt;

macro_rules! streams {
    ($($(#[$doc:meta])* $variant:ident = $code:literal $name:literal),* $(,)?) => {
        /// A stream of events: its own topic and its own sequence numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "alloc", serde(rename_all = "snake_case"))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[repr(u8)]
        pub enum Stream { $($(#[$doc])* $variant = $code),* }

        impl Stream {
            /// Every stream, by code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The last part of the stream's topic.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The stream of a code; codes are what storage keeps and never change.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

streams! {
    /// Per zone and window: visits and dwell bands.
    Carriers = 1 "carriers",
    /// Per window: moves between two zones.
    Flows = 2 "flows",
    /// Per window: classes of visits.
    Traces = 3 "traces",
    /// Per window: what part of the carriers a release stands for.
    Coverage = 4 "coverage",
    /// What was lost, and why.
    Gaps = 5 "gaps",
    /// Products taken and put back.
    Shelf = 6 "shelf",
    /// Kiosk interactions and sessions.
    Kiosk = 7 "kiosk",
    /// Entries and exits counted at a door.
    Door = 8 "door",
    /// Transactions counted at a till.
    Till = 9 "till",
    /// Facts about stock: levels, empty facings, their refilling, what lies in the wrong place.
    Stock = 10 "stock",
    /// Per slot and queue: length, wait and crowding, in bands.
    Queues = 11 "queues",
    /// Coarsened records of single visits, under a random id; of the profile `pseudonymous` alone.
    Visits = 12 "visits",
    /// What a person agreed to tell under a pseudonym, sealed to the platform; of the profile `identified` alone.
    Identified = 13 "identified",
    /// What was released and decided: a chain of hashes.
    Audit = 14 "audit",
    /// Facts about devices: batteries, silence, suspected copies, radios.
    Devices = 15 "devices",
}

impl Stream {
    /// The stream's number in storage: 1 to 255, never 0, never reused.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A gateway, by its full name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gateway {
    /// The retailer.
    pub tenant: Id,
    /// The store.
    pub store: Id,
    /// The gateway within the store.
    pub gateway: Id,
}

impl Gateway {
    /// Where batches of `stream` are published.
    pub fn events(&self, stream: Stream) -> impl fmt::Display {
        Topic { gateway: *self, leaf: Leaf::Events(stream) }
    }

    /// Where batches of `stream` are published when they are compressed.
    pub fn compressed_events(&self, stream: Stream) -> impl fmt::Display {
        Topic { gateway: *self, leaf: Leaf::CompressedEvents(stream) }
    }

    /// Where the retained status is published.
    pub fn status(&self) -> impl fmt::Display {
        Topic { gateway: *self, leaf: Leaf::Status }
    }

    /// Where the agent's metrics are published.
    pub fn metrics(&self) -> impl fmt::Display {
        Topic { gateway: *self, leaf: Leaf::Metrics }
    }

    /// Where the platform says how far it has got with `stream`.
    pub fn ack(&self, stream: Stream) -> impl fmt::Display {
        Topic { gateway: *self, leaf: Leaf::Ack(stream) }
    }

    /// A filter for all of these.
    pub fn acks(&self) -> impl fmt::Display {
        Topic { gateway: *self, leaf: Leaf::Acks }
    }
}

enum Leaf {
    Events(Stream),
    CompressedEvents(Stream),
    Status,
    Metrics,
    Ack(Stream),
    Acks,
}

struct Topic {
    gateway: Gateway,
    leaf: Leaf,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gateway { tenant, store, gateway } = self.gateway;
        write!(f, "vitrine/v1/{tenant}/{store}/{gateway}/")?;
        match self.leaf {
            Leaf::Events(stream) => write!(f, "evt/{stream}"),
            Leaf::CompressedEvents(stream) => write!(f, "evt/{stream}-zst"),
            Leaf::Status => f.write_str("status"),
            Leaf::Metrics => f.write_str("metrics"),
            Leaf::Ack(stream) => write!(f, "ack/{stream}"),
            Leaf::Acks => f.write_str("ack/+"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn topics_are_as_documented() {
        let id = |text| Id::new(text).unwrap();
        let gateway = Gateway { tenant: id("acme"), store: id("s1"), gateway: id("gw-1") };
        assert_eq!(gateway.events(Stream::Traces).to_string(), "vitrine/v1/acme/s1/gw-1/evt/traces");
        assert_eq!(
            gateway.compressed_events(Stream::Traces).to_string(),
            "vitrine/v1/acme/s1/gw-1/evt/traces-zst"
        );
        assert_eq!(gateway.metrics().to_string(), "vitrine/v1/acme/s1/gw-1/metrics");
        assert_eq!(gateway.status().to_string(), "vitrine/v1/acme/s1/gw-1/status");
        assert_eq!(gateway.ack(Stream::Till).to_string(), "vitrine/v1/acme/s1/gw-1/ack/till");
        assert_eq!(gateway.acks().to_string(), "vitrine/v1/acme/s1/gw-1/ack/+");
    }

    #[test]
    fn codes_round_trip() {
        for &stream in Stream::ALL {
            assert_eq!(Stream::from_code(stream.code()), Some(stream));
        }
        assert_eq!(Stream::from_code(0), None);
    }
}
