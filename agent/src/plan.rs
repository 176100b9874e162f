//! `store.toml`: the tagging plan. Which zones, receivers, beacons, shelves, kiosks and counters the store has, and the
//! rules of privacy. Raw text in, checked values out; every name is resolved once, here.

mod layouts;
mod read;
mod register;

pub use layouts::{LAYOUTS_MAX, Layouts};
pub use register::{Register, Tag};

use crate::{
    document::{self, Problems},
    private::{Address, CarrierId, LayoutBeacon},
};
use jiff::{civil, tz::TimeZone};
use std::{collections::HashMap, path::Path};
use vitrine_protocol::{Id, frame::Frame, time::Timestamp};

/// A checked tagging plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its version, as the retailer counts.
    pub version: Id,
    /// The store's time zone.
    pub time_zone: TimeZone,
    /// When the store closes, in its time zone: visits and windows end then.
    pub closes: civil::Time,
    /// What may leave the store.
    pub privacy: PrivacyRules,
    /// How sightings become stays and visits.
    pub visits: VisitRules,
    /// The zones.
    pub zones: Vec<Zone>,
    /// The fixed receivers.
    pub receivers: HashMap<Id, Anchor>,
    /// The receivers that move, and what they ride on.
    pub mobile: HashMap<Id, Rider>,
    /// The fixed beacons that moving receivers place themselves by.
    pub places: HashMap<Id, Anchor>,
    /// What registered beacons ride on, by what they transmit.
    pub beacons: HashMap<Identity, Rider>,
    /// What registered beacons are called, by what they transmit.
    pub register: Register,
    /// Formats of beacons that the plan describes, and the beacons that are identified by them.
    pub layouts: Layouts,
    /// How many carriers there are.
    pub carriers: u32,
    /// Products' places, by shelf and facing.
    pub facings: HashMap<(Id, Id), Facing>,
    /// The kiosks.
    pub kiosks: HashMap<Id, Kiosk>,
    /// The counters at doors and tills.
    pub counters: HashMap<Id, CounterKind>,
}

/// What may leave the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivacyRules {
    /// The smallest count of visits that is released.
    pub k: u32,
    /// The length of a window; windows are aligned to the clock (UTC).
    pub window_s: u32,
    /// The length of a slot, to which times of shelf and kiosk events are floored.
    pub slot_s: u32,
}

/// How sightings become stays and visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitRules {
    /// Another receiver, or band, must be stronger by this to count.
    pub hysteresis_db: u8,
    /// And for so long.
    pub hold_ms: u64,
    /// A carrier that is not heard for so long has ended its visit.
    pub silence_ms: u64,
    /// A shorter visit is none.
    pub least_ms: u64,
}

/// A named floor area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub id: Id,
    /// The department it belongs to.
    pub department: Id,
    /// What it is for.
    pub kind: ZoneKind,
    /// The smallest count that is released of it.
    pub k: u32,
}

/// What a zone is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneKind {
    /// Selling.
    Sales,
    /// Paying: a visit ends when the carrier leaves it.
    Checkout,
    /// Where carts and baskets wait: no part of a visit.
    Bay,
}

/// A zone, by its place in [`Plan::zones`].
pub type ZoneIndex = u16;

/// What stands still at one end of a sighting: a fixed receiver, or a fixed beacon that a moving one hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Added to every RSSI of it, to make anchors comparable.
    pub offset_db: i8,
    /// The zones around it, the nearest first, each from a signal strength on; the last from any.
    pub bands: Vec<Band>,
}

/// A zone around an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// The weakest signal that counts, in dBm.
    pub min_rssi_dbm: i8,
    /// The zone.
    pub zone: ZoneIndex,
}

/// What a beacon transmits that tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Identity {
    /// iBeacon.
    IBeacon {
        /// Proximity UUID.
        uuid: [u8; 16],
        /// Major number.
        major: u16,
        /// Minor number.
        minor: u16,
    },
    /// Eddystone-UID.
    EddystoneUid {
        /// Namespace.
        namespace: [u8; 10],
        /// Instance.
        instance: [u8; 6],
    },
    /// A beacon of [`Plan::layouts`].
    Layout(LayoutBeacon),
    /// Any frame of a fixed address.
    Address(Address),
}

impl Identity {
    /// The identity that a frame states, if it states one.
    pub fn of(frame: &Frame) -> Option<Self> {
        match frame {
            Frame::IBeacon(b) => Some(Self::IBeacon { uuid: b.uuid, major: b.major, minor: b.minor }),
            Frame::EddystoneUid(uid) => {
                Some(Self::EddystoneUid { namespace: uid.namespace, instance: uid.instance })
            }
            _ => None,
        }
    }
}

/// What a registered beacon rides on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rider {
    /// A cart or a basket: its moves are a visit's.
    Carrier(CarrierId),
    /// A staff badge: dropped at once, never in any count.
    Staff,
    /// A shelf, or a fixed place: known, and not moving.
    Fixed,
}

/// A product's place on a shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facing {
    /// The product.
    pub sku: String,
    /// Its GTIN.
    pub gtin: Option<String>,
    /// Grams of one unit.
    pub unit_g: u32,
    /// The most units that fit.
    pub capacity: u32,
}

/// A kiosk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kiosk {
    /// A session ends when nobody touches it for so long.
    pub idle_ms: u64,
    /// The kinds of interactions that it may send; empty for all.
    pub interactions: Vec<String>,
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterKind {
    /// People through a door.
    Door,
    /// Transactions at a till.
    Till,
}

/// Reads and checks a `store.toml`.
///
/// # Errors
/// [`Problems`], all of them.
pub fn load(path: &Path) -> Result<Plan, Problems> {
    document::load(path, read::read)
}

/// [`load`] for a text in memory.
///
/// # Errors
/// [`Problems`]
pub fn parse(text: &str) -> Result<Plan, Problems> {
    document::parse(Path::new("store.toml"), text, read::read)
}

impl Plan {
    /// The store-day of a point in time.
    pub fn business_date(&self, time: Timestamp) -> civil::Date {
        time.to_jiff().to_zoned(self.time_zone.clone()).date()
    }

    /// The first closing time after `time`.
    pub fn next_closing(&self, time: Timestamp) -> Timestamp {
        let date = self.business_date(time);
        let closing = |date: civil::Date| {
            let zoned = date.to_datetime(self.closes).to_zoned(self.time_zone.clone());
            zoned.ok().map(|zoned| Timestamp::from(zoned.timestamp()))
        };
        let days = [Some(date), date.tomorrow().ok(), date.tomorrow().and_then(civil::Date::tomorrow).ok()];
        let next = days.into_iter().flatten().filter_map(closing).find(|&closing| closing > time);
        next.unwrap_or_else(|| time.plus_ms(24 * 3600 * 1000))
    }

    /// Whether the plan has this receiver, fixed or moving.
    pub fn has_receiver(&self, id: &Id) -> bool {
        self.receivers.contains_key(id) || self.mobile.contains_key(id)
    }

    /// The zone of an index.
    pub fn zone(&self, index: ZoneIndex) -> &Zone {
        &self.zones[usize::from(index)]
    }
}
