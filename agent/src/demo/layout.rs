//! The simulated store: a supermarket of 9 zones around 3 receivers, and its tagging plan.
//!
//! Each receiver has a near, a middle and a far zone, some 10 dB apart by path loss; the receivers are over 50 m apart,
//! so that a cart is clearly louder at its own.

use crate::plan::{ZoneIndex, ZoneKind};
use std::fmt::Write;
use vitrine_protocol::Id;

/// How many carts there are; they are the beacons `0..CARTS`.
pub const CARTS: usize = 40;
/// How many staff badges there are; they are the beacons `CARTS..CARTS + BADGES`.
pub const BADGES: usize = 3;
/// The carts' and badges' iBeacon UUID. Carts have major 1, badges major 2; minors count from 1.
pub const UUID: [u8; 16] =
    [0x5f, 0x0c, 0x1e, 0x52, 0x9a, 0x3b, 0x4c, 0x77, 0x8e, 0x21, 0xb4, 0x6d, 0x30, 0x9f, 0x11, 0xd8];
/// The zone that carts wait in.
pub const BAY: ZoneIndex = 0;
/// The zone that every visit begins in.
pub const ENTRANCE: ZoneIndex = 1;
/// The zone that every visit ends in.
pub const CHECKOUT: ZoneIndex = 2;

/// RSSI at 1 m, in dBm, and the path-loss exponent: typical of BLE indoors.
const RSSI_AT_1_M_DBM: f64 = -59.0;
const PATH_LOSS_EXPONENT: f64 = 2.2;
/// A kiosk session ends when nobody touches it for so long.
pub(super) const KIOSK_IDLE_S: u32 = 60;

/// A zone, and where its middle is, in metres.
struct Place(&'static str, &'static str, ZoneKind, [f64; 2]);

const PLACES: [Place; 9] = [
    Place("cart-bay", "bay", ZoneKind::Bay, [31.5, 0.0]),
    Place("entrance", "entrance", ZoneKind::Sales, [25.9, 0.0]),
    Place("tills", "checkout", ZoneKind::Checkout, [41.2, 0.0]),
    Place("fruit", "produce", ZoneKind::Sales, [5.5, 45.0]),
    Place("vegetables", "produce", ZoneKind::Sales, [4.0, 49.1]),
    Place("spices", "spices", ZoneKind::Sales, [4.0, 33.8]),
    Place("milk", "dairy", ZoneKind::Sales, [54.5, 45.0]),
    Place("cheese", "dairy", ZoneKind::Sales, [56.0, 49.1]),
    Place("drinks", "drinks", ZoneKind::Sales, [56.0, 56.2]),
];

/// Receivers: name, place, and the zones around them from near to far.
const RECEIVERS: [(&str, [f64; 2], [ZoneIndex; 3]); 3] = [
    ("front", [30.0, 0.0], [BAY, ENTRANCE, CHECKOUT]),
    ("left", [4.0, 45.0], [3, 4, 5]),
    ("right", [56.0, 45.0], [6, 7, 8]),
];

/// A zone of the store.
#[derive(Clone, Copy, Debug)]
pub struct Zone {
    /// Its name.
    pub id: Id,
    /// Its department.
    pub department: Id,
    /// What it is for.
    pub kind: ZoneKind,
}

/// A product's place on a shelf.
#[derive(Clone, Debug)]
pub struct Facing {
    /// The shelf, by its place in [`Layout::shelves`].
    pub shelf: usize,
    /// Its name on the shelf.
    pub id: Id,
    /// The product.
    pub sku: String,
    /// The product's GTIN, where it has one.
    pub gtin: Option<String>,
    /// Grams of one unit.
    pub unit_g: u32,
    /// Units on it in the morning, and after it was refilled.
    pub capacity: u32,
    /// The zone that it stands in.
    pub zone: ZoneIndex,
}

/// The store.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The zones, as in the plan.
    pub zones: Vec<Zone>,
    /// The receivers.
    pub receivers: Vec<Id>,
    /// The shelves.
    pub shelves: Vec<Id>,
    /// The products' places, by shelf.
    pub facings: Vec<Facing>,
    /// The kiosks and their zones.
    pub kiosks: Vec<(Id, ZoneIndex)>,
    /// The counter at the door.
    pub door: Id,
    /// The counter at the tills.
    pub till: Id,
}

impl Default for Layout {
    fn default() -> Self {
        let zones = PLACES.iter().map(|&Place(zone, department, kind, _)| Zone {
            id: id(zone),
            department: id(department),
            kind,
        });
        let zones: Vec<_> = zones.collect();
        let stocked =
            (0..).zip(&zones).filter(|&(index, zone)| index != ENTRANCE && zone.kind == ZoneKind::Sales);
        let (mut shelves, mut facings) = (Vec::new(), Vec::new());
        for (zone, Zone { id: name, .. }) in stocked {
            for (letter, places) in [("a", 3), ("b", 2)] {
                for place in 1..=places {
                    facings.push(facing(zone, shelves.len(), place, facings.len() as u32));
                }
                shelves.push(id(&format!("{name}-{letter}")));
            }
        }
        Self {
            zones,
            receivers: RECEIVERS.iter().map(|(name, ..)| id(name)).collect(),
            shelves,
            facings,
            kiosks: vec![(id("kiosk-recipes"), 5), (id("kiosk-wine"), 8)],
            door: id("main-door"),
            till: id("tills"),
        }
    }
}

/// The `n`th facing of the store. Every ninth has little room, and is sold out now and then.
fn facing(zone: ZoneIndex, shelf: usize, place: u32, n: u32) -> Facing {
    Facing {
        shelf,
        id: id(&format!("f{place}")),
        sku: format!("{}-{place:02}", 4100 + n),
        gtin: (n % 3 != 2).then(|| gtin13(200_000_000_000 + u64::from(4100 + n))),
        unit_g: 160 + n * 37 % 840,
        capacity: if n % 9 == 4 { 14 } else { 80 },
        zone,
    }
}

/// A GTIN-13 of the range for numbers within a store, with its check digit (GS1 General Specifications, 7.9).
fn gtin13(twelve_digits: u64) -> String {
    let digits = format!("{twelve_digits:012}");
    let sum: u32 =
        digits.bytes().zip([1, 3].into_iter().cycle()).map(|(b, weight)| u32::from(b - b'0') * weight).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// A name out of this module's constants.
fn id(text: &str) -> Id {
    Id::new(text).expect("the names of the layout are ids")
}

/// The mean RSSI at a receiver, by its place in [`Layout::receivers`], of a beacon in the middle of a zone.
pub fn mean_rssi_dbm(zone: ZoneIndex, receiver: usize) -> f64 {
    RSSI_AT_1_M_DBM - 10.0 * PATH_LOSS_EXPONENT * distance_m(zone, receiver).log10()
}

fn distance_m(zone: ZoneIndex, receiver: usize) -> f64 {
    let Place(.., [x, y]) = PLACES[usize::from(zone)];
    let (_, [receiver_x, receiver_y], _) = RECEIVERS[receiver];
    (x - receiver_x).hypot(y - receiver_y)
}

impl Layout {
    /// The tagging plan, as the text of a `store.toml`.
    pub fn plan_text(&self) -> String {
        let mut text = String::from(
            "# The tagging plan of the demo's store.\nversion = 1\nplan = \"demo-1\"\ntime_zone = \"Europe/Paris\"\ncloses = \"20:00\"\n\n[privacy]\nk = 10\nwindow_s = 14400\nslot_s = 900\n",
        );
        self.write_plan(&mut text).expect("writing into a String cannot fail");
        text
    }

    fn write_plan(&self, out: &mut String) -> std::fmt::Result {
        for Zone { id, department, kind } in &self.zones {
            let kind = match kind {
                ZoneKind::Sales => "sales",
                ZoneKind::Checkout => "checkout",
                ZoneKind::Bay => "bay",
            };
            writeln!(out, "\n[[zones]]\nid = \"{id}\"\ndepartment = \"{department}\"\nkind = \"{kind}\"")?;
        }
        for (index, (name, _, zones)) in RECEIVERS.iter().enumerate() {
            let zone = |place: usize| self.zones[usize::from(zones[place])].id;
            let rssi = |place: usize| mean_rssi_dbm(zones[place], index);
            let halfway = |place: usize| ((rssi(place) + rssi(place + 1)) / 2.0).round();
            writeln!(out, "\n[[receivers]]\nid = \"{name}\"\nzones = [")?;
            for place in 0..2 {
                writeln!(out, "    {{ zone = \"{}\", min_rssi_dbm = {} }},", zone(place), halfway(place))?;
            }
            writeln!(out, "    {{ zone = \"{}\" }},\n]", zone(2))?;
        }
        let uuid = hex::encode(UUID);
        for (name, carrier, major, count) in [("cart", "cart", 1, CARTS), ("badge", "staff", 2, BADGES)] {
            for minor in 1..=count {
                writeln!(out, "\n[[beacons]]\nid = \"{name}-{minor}\"\ncarrier = \"{carrier}\"")?;
                writeln!(out, "ibeacon = {{ uuid = \"{uuid}\", major = {major}, minor = {minor} }}")?;
            }
        }
        for (index, shelf) in self.shelves.iter().enumerate() {
            writeln!(out, "\n[[shelves]]\nid = \"{shelf}\"\nfacings = [")?;
            for Facing { id, sku, gtin, unit_g, capacity, .. } in
                self.facings.iter().filter(|f| f.shelf == index)
            {
                let gtin = gtin.as_ref().map(|gtin| format!("gtin = \"{gtin}\", ")).unwrap_or_default();
                writeln!(
                    out,
                    "    {{ id = \"{id}\", sku = \"{sku}\", {gtin}unit_g = {unit_g}, capacity = {capacity} }},"
                )?;
            }
            writeln!(out, "]")?;
        }
        for (kiosk, _) in &self.kiosks {
            writeln!(out, "\n[[kiosks]]\nid = \"{kiosk}\"\nidle_s = {KIOSK_IDLE_S}")?;
        }
        for (counter, kind) in [(self.door, "door"), (self.till, "till")] {
            writeln!(out, "\n[[counters]]\nid = \"{counter}\"\nkind = \"{kind}\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;
    use std::collections::BTreeSet;

    #[test]
    fn the_plan_is_valid_and_says_what_the_layout_does() {
        let layout = Layout::default();
        let plan = plan::parse(&layout.plan_text()).unwrap();
        assert_eq!(plan.zones.len(), 9);
        assert_eq!(plan.beacons.len(), CARTS + BADGES);
        assert_eq!(plan.carriers as usize, CARTS);
        assert_eq!(layout.shelves.len(), 12);
        assert_eq!(plan.facings.len(), layout.facings.len());
        assert_eq!((plan.kiosks.len(), plan.counters.len(), plan.receivers.len()), (2, 2, 3));
        for (zone, place) in plan.zones.iter().zip(&layout.zones) {
            assert_eq!((zone.id, zone.department, zone.kind), (place.id, place.department, place.kind));
        }
        let kept = |zone: &&Zone| zone.kind == ZoneKind::Sales && zone.id.as_str() != "entrance";
        let departments: BTreeSet<_> = layout.zones.iter().filter(kept).map(|zone| zone.department).collect();
        assert!(departments.len() >= 4);
    }

    #[test]
    fn bands_are_7_to_10_db_apart_and_other_receivers_are_clearly_weaker() {
        for (receiver, (.., zones)) in RECEIVERS.iter().enumerate() {
            for pair in zones.windows(2) {
                let step = mean_rssi_dbm(pair[0], receiver) - mean_rssi_dbm(pair[1], receiver);
                assert!((7.0..=10.0).contains(&step), "{step}");
            }
            for &zone in zones {
                for other in (0..RECEIVERS.len()).filter(|&other| other != receiver) {
                    let lead = mean_rssi_dbm(zone, receiver) - mean_rssi_dbm(zone, other);
                    assert!(lead > 12.0, "zone {zone}: {lead}");
                }
            }
        }
    }

    #[test]
    fn gtins_have_the_check_digit_of_the_specification() {
        assert_eq!(gtin13(629_104_150_021), "6291041500213"); // the specification's example
    }
}
