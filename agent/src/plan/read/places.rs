//! Receivers, and beacons that mark places: what stands where, and what moves.

use super::insert_new;
use crate::{
    document::{Report, Table},
    plan::{Anchor, Band, Rider, Zone, ZoneIndex},
    private::CarrierId,
};
use std::collections::HashMap;
use vitrine_protocol::Id;

/// Numbers what moves.
#[derive(Debug, Default)]
pub(super) struct Carriers(u32);

impl Carriers {
    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.0
    }

    /// What `kind` is to ride on, out of those that are `allowed`.
    pub(super) fn rider(&mut self, kind: &str, allowed: &[&str]) -> Result<Rider, String> {
        match kind {
            _ if !allowed.contains(&kind) => {
                let quoted: Vec<_> = allowed.iter().map(|kind| format!("\"{kind}\"")).collect();
                let (last, first) =
                    quoted.split_last().map_or((String::new(), &[][..]), |(l, f)| (l.clone(), f));
                Err(format!("`carrier` must be {} or {last}", first.join(", ")))
            }
            "staff" => Ok(Rider::Staff),
            "shelf" | "fixed" => Ok(Rider::Fixed),
            _ => {
                self.0 += 1;
                Ok(Rider::Carrier(CarrierId::new(self.0 - 1)))
            }
        }
    }
}

/// The fixed receivers, and the moving ones.
#[derive(Default)]
pub(super) struct Receivers {
    pub(super) receivers: HashMap<Id, Anchor>,
    pub(super) mobile: HashMap<Id, Rider>,
}

pub(super) fn receivers(
    table: &mut Table<'_>,
    report: &mut Report,
    zones: &[Zone],
    carriers: &mut Carriers,
) -> Receivers {
    let mut read = Receivers::default();
    for mut table in table.tables("receivers", report) {
        let id = table.required::<Id>("id", report);
        if table.or("mobile", false, report) {
            let rider = table.required::<String>("carrier", report).and_then(|kind| {
                let rider = carriers.rider(kind.get_ref(), &["cart", "basket", "staff"]);
                rider.map_err(|problem| report.at(kind.span(), problem)).ok()
            });
            table.finish(report);
            if let Some(id) = &id
                && read.receivers.contains_key(id.get_ref())
            {
                report
                    .at(id.span(), format!("there is a `{}` already: give each its own name", id.get_ref()));
            }
            insert_new(&mut read.mobile, id, rider.unwrap_or(Rider::Staff), report);
            continue;
        }
        let anchor = read_anchor(&mut table, report, zones);
        table.finish(report);
        if let Some(id) = &id
            && read.mobile.contains_key(id.get_ref())
        {
            report.at(id.span(), format!("there is a `{}` already: give each its own name", id.get_ref()));
        }
        insert_new(&mut read.receivers, id, anchor, report);
    }
    read
}

/// The zones that a beacon marks, if it is to mark any: only one that does not move can.
pub(super) fn place(
    table: &mut Table<'_>,
    report: &mut Report,
    zones: &[Zone],
    rider: Option<Rider>,
) -> Option<Anchor> {
    if !(table.has("zone") || table.has("zones") || table.has("offset_db")) {
        return None;
    }
    if rider.is_some_and(|rider| rider != Rider::Fixed) {
        let span = table.span.clone();
        report.at(span, "only a beacon with carrier = \"fixed\" or \"shelf\" marks zones: leave them out");
    }
    Some(read_anchor(table, report, zones))
}

const ZONES: &str = "a receiver has one `zone`, or `zones` with falling `min_rssi_dbm`, the last one without: write zones = [{ zone = \"near\", min_rssi_dbm = -65 }, { zone = \"far\" }]";

/// The zones around something.
fn read_anchor(table: &mut Table<'_>, report: &mut Report, zones: &[Zone]) -> Anchor {
    let offset_db = table.or("offset_db", 0i8, report);
    let alone = table.optional::<Id>("zone", report).map(|zone| (zone, i8::MIN));
    let banded = table.tables("zones", report).into_iter().filter_map(|mut band| {
        let zone = band.required::<Id>("zone", report);
        let min_rssi_dbm = band.or("min_rssi_dbm", i8::MIN, report);
        band.finish(report);
        zone.map(|zone| (zone, min_rssi_dbm))
    });
    let (mut bands, mut unknown) = (Vec::new(), false);
    for (zone, min_rssi_dbm) in banded.collect::<Vec<_>>().into_iter().chain(alone) {
        match zones.iter().position(|known| known.id == *zone.get_ref()) {
            Some(index) => bands.push(Band { min_rssi_dbm, zone: index as ZoneIndex }),
            None => {
                report.at(
                    zone.span(),
                    format!("there is no zone `{}`: add it under [[zones]]", zone.get_ref()),
                );
                unknown = true;
            }
        }
    }
    let falling = bands.windows(2).all(|pair| pair[0].min_rssi_dbm > pair[1].min_rssi_dbm);
    if !unknown && (!falling || bands.last().is_none_or(|band| band.min_rssi_dbm != i8::MIN)) {
        report.at(table.span.clone(), ZONES);
    }
    Anchor { offset_db, bands }
}

#[cfg(test)]
mod tests {
    use crate::plan::{Rider, parse};
    use expect_test::expect;
    use vitrine_protocol::Id;

    #[test]
    fn what_moves_and_what_marks_a_place() {
        let plan = parse(
            "version = 1\nplan = '1'\n[[zones]]\nid = 'shoes'
[[receivers]]\nid = 'cart-7'\nmobile = true\ncarrier = 'cart'
[[receivers]]\nid = 'scanner-1'\nmobile = true\ncarrier = 'staff'
[[beacons]]\nid = 'pillar'\ncarrier = 'fixed'\nzone = 'shoes'\naddress = 'c0:00:00:00:00:01'
[[beacons]]\nid = 'cart-1'\ncarrier = 'cart'\naddress = 'c0:00:00:00:00:02'
",
        )
        .unwrap();
        assert_eq!(plan.carriers, 2);
        assert_eq!(plan.mobile[&Id::new("scanner-1").unwrap()], Rider::Staff);
        assert!(plan.has_receiver(&Id::new("cart-7").unwrap()) && plan.receivers.is_empty());
        assert_eq!(plan.places[&Id::new("pillar").unwrap()].bands.len(), 1);
    }

    #[test]
    fn the_reference_file_has_an_example() {
        let reference = include_str!("../../../../deploy/config/store.toml");
        let (before, example) = reference.split_once("# [[receivers]]").unwrap();
        let example: Vec<_> = example.lines().skip(1).map_while(|line| line.strip_prefix("# ")).collect();
        let plan = parse(&format!("{before}[[receivers]]\n{}\n", example.join("\n"))).unwrap();
        assert_eq!((plan.mobile.len(), plan.places.len()), (1, 1));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let problems = parse(
            "version = 1\nplan = '1'\n[[zones]]\nid = 'shoes'
[[receivers]]\nid = 'cart-7'\nmobile = true\ncarrier = 'fixed'
[[receivers]]\nid = 'cart-7'\nzone = 'shoes'
[[receivers]]\nid = 'r'
[[receivers]]\nid = 'm'\nmobile = true\ncarrier = 'cart'\nzone = 'shoes'
[[beacons]]\nid = 'cart-1'\ncarrier = 'cart'\nzone = 'shoes'\naddress = 'c0:00:00:00:00:02'
",
        );
        expect![[r#"
            store.toml:8:11: `carrier` must be "cart", "basket" or "staff"
            store.toml:10:6: there is a `cart-7` already: give each its own name
            store.toml:12:1: a receiver has one `zone`, or `zones` with falling `min_rssi_dbm`, the last one without: write zones = [{ zone = "near", min_rssi_dbm = -65 }, { zone = "far" }]
            store.toml:18:1: unknown key `zone`: [[receivers]] knows id, mobile, carrier
            store.toml:19:1: only a beacon with carrier = "fixed" or "shelf" marks zones: leave them out"#]]
        .assert_eq(&problems.unwrap_err().to_string());
    }
}
