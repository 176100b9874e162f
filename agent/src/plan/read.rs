//! From the text of a tagging plan to checked values.

mod layouts;
mod places;

use super::{
    Anchor, CounterKind, Facing, Identity, Kiosk, Layouts, Plan, PrivacyRules, Register, Rider, Tag,
    VisitRules, Zone, ZoneKind,
};
use crate::{
    document::{FromToml, Report, Table},
    private::Address,
};
use jiff::{civil, tz::TimeZone};
use std::collections::{HashMap, HashSet, hash_map::Entry};
use toml::Spanned;
use vitrine_protocol::{Id, event::Action, layout::Layout};

const DEFAULT_K: u32 = 10;
const SENSITIVE_K: u32 = 20;
const DEFAULT_WINDOW_S: u32 = 4 * 3600;
const DEFAULT_SLOT_S: u32 = 900;
const MAX_SLOT_S: u32 = 3600;
const MAX_WINDOW_S: u32 = 86_400;
const DEFAULT_CLOSES: civil::Time = civil::Time::constant(22, 0, 0, 0);
/// What a beacon may ride on.
const CARRIERS: [&str; 5] = ["cart", "basket", "staff", "shelf", "fixed"];

pub(super) fn read(table: &mut Table<'_>, report: &mut Report) -> Option<Plan> {
    table.version(report);
    let version = table.required::<Id>("plan", report);
    let time_zone = table.converted("time_zone", report, |name| {
        TimeZone::get(name)
            .map_err(|_| "write a name of the IANA time zone database, such as \"Europe/Paris\"".into())
    });
    let closes = table.converted("closes", report, |text| {
        text.parse::<civil::Time>().map_err(|_| "write a time of day, such as \"20:00\"".into())
    });
    let privacy = read_privacy(table, report);
    let visits = read_visits(table, report);
    let zones = read_zones(table, report, privacy.k);
    let mut carriers = places::Carriers::default();
    let places::Receivers { receivers, mobile } = places::receivers(table, report, &zones, &mut carriers);
    let formats = layouts::read(table, report);
    let mut layouts = Layouts::new(formats.iter().map(|(_, layout)| layout.clone()));
    let Beacons { beacons, register, places } =
        read_beacons(table, report, &zones, &mut carriers, &formats, &mut layouts);
    let facings = read_shelves(table, report);
    let kiosks = read_kiosks(table, report);
    let counters = read_counters(table, report);
    table.finish(report);
    let plan = Plan {
        version: version?.into_inner(),
        time_zone: time_zone.unwrap_or(TimeZone::UTC),
        closes: closes.unwrap_or(DEFAULT_CLOSES),
        privacy,
        visits,
        zones,
        receivers,
        mobile,
        places,
        beacons,
        register,
        layouts,
        carriers: carriers.count(),
        facings,
        kiosks,
        counters,
    };
    Some(plan)
}

fn read_privacy(table: &mut Table<'_>, report: &mut Report) -> PrivacyRules {
    let mut rules = PrivacyRules { k: DEFAULT_K, window_s: DEFAULT_WINDOW_S, slot_s: DEFAULT_SLOT_S };
    let Some(mut privacy) = table.table("privacy", report) else { return rules };
    rules.k = at_least("k", 10, &mut privacy, report, rules.k);
    rules.window_s = at_least("window_s", 1, &mut privacy, report, rules.window_s);
    rules.slot_s = at_least("slot_s", 1, &mut privacy, report, rules.slot_s);
    if rules.slot_s > MAX_SLOT_S
        || rules.window_s > MAX_WINDOW_S
        || !rules.window_s.is_multiple_of(rules.slot_s)
    {
        report.at(
            privacy.span.clone(),
            "`slot_s` is at most 3600, `window_s` at most 86400 and a multiple of `slot_s`",
        );
    }
    privacy.finish(report);
    rules
}

fn read_visits(table: &mut Table<'_>, report: &mut Report) -> VisitRules {
    let mut rules = VisitRules { hysteresis_db: 4, hold_ms: 8_000, silence_ms: 600_000, least_ms: 30_000 };
    let Some(mut visits) = table.table("visits", report) else { return rules };
    rules.hysteresis_db = visits.or("hysteresis_db", rules.hysteresis_db, report);
    rules.hold_ms = u64::from(visits.or("hold_s", 8u32, report)) * 1000;
    rules.least_ms = u64::from(visits.or("least_s", 30u32, report)) * 1000;
    rules.silence_ms = u64::from(at_least("silence_s", 1, &mut visits, report, 600)) * 1000;
    visits.finish(report);
    rules
}

fn at_least(key: &'static str, least: u32, table: &mut Table<'_>, report: &mut Report, default: u32) -> u32 {
    match table.optional::<u32>(key, report) {
        Some(value) if *value.get_ref() < least => {
            report.at(value.span(), format!("`{key}` must be at least {least}"));
            default
        }
        value => value.map_or(default, Spanned::into_inner),
    }
}

fn read_zones(table: &mut Table<'_>, report: &mut Report, k: u32) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    for mut table in table.tables("zones", report) {
        let id = table.required::<Id>("id", report);
        let department = table.optional::<Id>("department", report).map(Spanned::into_inner);
        let kind = table.converted("kind", report, |kind| match kind {
            "sales" => Ok(ZoneKind::Sales),
            "checkout" => Ok(ZoneKind::Checkout),
            "bay" => Ok(ZoneKind::Bay),
            _ => Err("write \"sales\", \"checkout\" or \"bay\"".into()),
        });
        let sensitive = table.or("sensitive", false, report);
        table.finish(report);
        let Some(id) = id else { continue };
        if zones.iter().any(|zone| zone.id == *id.get_ref()) {
            report
                .at(id.span(), format!("there is a zone `{}` already: give each its own name", id.get_ref()));
        }
        zones.push(Zone {
            id: *id.get_ref(),
            department: department.unwrap_or(*id.get_ref()),
            kind: kind.unwrap_or(ZoneKind::Sales),
            k: if sensitive { k.max(SENSITIVE_K) } else { k },
        });
    }
    zones
}

#[derive(Default)]
struct Beacons {
    beacons: HashMap<Identity, Rider>,
    register: Register,
    places: HashMap<Id, Anchor>,
}

fn read_beacons(
    table: &mut Table<'_>,
    report: &mut Report,
    zones: &[Zone],
    carriers: &mut places::Carriers,
    formats: &[(Id, Layout)],
    layouts: &mut Layouts,
) -> Beacons {
    let (mut read, mut names) = (Beacons::default(), HashSet::new());
    for mut table in table.tables("beacons", report) {
        let id = table.required::<Id>("id", report);
        let span = table.span.clone();
        let rider = table.required::<String>("carrier", report).and_then(|kind| {
            let carrier = CARRIERS.into_iter().find(|carrier| carrier == kind.get_ref());
            let rider = carriers.rider(kind.get_ref(), &CARRIERS);
            let rider = rider.map_err(|problem| report.at(kind.span(), problem)).ok()?;
            Some((carrier?, rider))
        });
        let mut identities = read_identities(&mut table, report);
        identities.extend(layouts::read_identity(&mut table, report, formats, layouts));
        let place = places::place(&mut table, report, zones, rider.map(|(_, rider)| rider));
        table.finish(report);
        if identities.is_empty() {
            report.at(span.clone(), "a beacon has an `ibeacon`, an `eddystone_uid`, a `layout` or an `address`: write ibeacon = { uuid = \"...\", major = 1, minor = 1 }");
        }
        let Some(id) = id else { continue };
        if !names.insert(*id.get_ref()) {
            report.at(
                id.span(),
                format!("there is a beacon `{}` already: give each its own name", id.get_ref()),
            );
        }
        read.places.extend(place.map(|place| (*id.get_ref(), place)));
        let Some((carrier, rider)) = rider else { continue };
        for identity in identities {
            read.register.insert(identity, Tag { beacon: *id.get_ref(), carrier });
            if read.beacons.insert(identity, rider).is_some() {
                report.at(span.clone(), "another beacon transmits the same: give each its own numbers");
            }
        }
    }
    read
}

fn read_identities(table: &mut Table<'_>, report: &mut Report) -> Vec<Identity> {
    let mut identities = Vec::new();
    if let Some(mut ibeacon) = table.table("ibeacon", report) {
        let uuid = ibeacon.required::<Hex<16>>("uuid", report);
        let major = ibeacon.required::<u16>("major", report);
        let minor = ibeacon.required::<u16>("minor", report);
        ibeacon.finish(report);
        if let (Some(uuid), Some(major), Some(minor)) = (uuid, major, minor) {
            let (major, minor) = (major.into_inner(), minor.into_inner());
            identities.push(Identity::IBeacon { uuid: uuid.into_inner().0, major, minor });
        }
    }
    if let Some(mut uid) = table.table("eddystone_uid", report) {
        let namespace = uid.required::<Hex<10>>("namespace", report);
        let instance = uid.required::<Hex<6>>("instance", report);
        uid.finish(report);
        if let (Some(namespace), Some(instance)) = (namespace, instance) {
            let (namespace, instance) = (namespace.into_inner().0, instance.into_inner().0);
            identities.push(Identity::EddystoneUid { namespace, instance });
        }
    }
    let address = table.converted("address", report, |text| {
        Address::parse(text).ok_or("write 12 hexadecimal digits, such as \"c0:01:02:03:04:05\"".into())
    });
    identities.extend(address.map(Identity::Address));
    identities
}

fn read_shelves(table: &mut Table<'_>, report: &mut Report) -> HashMap<(Id, Id), Facing> {
    let (mut facings, mut names) = (HashMap::new(), HashSet::new());
    for mut table in table.tables("shelves", report) {
        let shelf = table.required::<Id>("id", report);
        for mut facing in table.tables("facings", report) {
            let span = facing.span.clone();
            let id = facing.required::<Id>("id", report);
            let sku = facing.required::<Sku>("sku", report);
            let gtin = facing.optional::<Gtin>("gtin", report);
            let unit_g = facing.required::<u32>("unit_g", report);
            let capacity = facing.required::<u32>("capacity", report);
            facing.finish(report);
            let (Some(shelf), Some(id), Some(sku), Some(unit_g), Some(capacity)) =
                (&shelf, id, sku, unit_g, capacity)
            else {
                continue;
            };
            if *unit_g.get_ref() == 0 {
                report.at(unit_g.span(), "`unit_g` must be at least 1: the weight of one unit in grams");
            }
            let value = Facing {
                sku: sku.into_inner().0,
                gtin: gtin.map(|gtin| gtin.into_inner().0),
                unit_g: unit_g.into_inner(),
                capacity: capacity.into_inner(),
            };
            if facings.insert((*shelf.get_ref(), *id.get_ref()), value).is_some() {
                report
                    .at(span, format!("shelf `{}` has a facing `{}` already", shelf.get_ref(), id.get_ref()));
            }
        }
        table.finish(report);
        if let Some(shelf) = shelf
            && !names.insert(*shelf.get_ref())
        {
            report.at(
                shelf.span(),
                format!("there is a shelf `{}` already: give each its own name", shelf.get_ref()),
            );
        }
    }
    facings
}

fn read_kiosks(table: &mut Table<'_>, report: &mut Report) -> HashMap<Id, Kiosk> {
    let mut kiosks = HashMap::new();
    for mut table in table.tables("kiosks", report) {
        let id = table.required::<Id>("id", report);
        let idle_s = at_least("idle_s", 1, &mut table, report, 60);
        let interactions = table.optional::<Vec<String>>("interactions", report);
        table.finish(report);
        if let Some(interactions) = &interactions {
            for unknown in
                interactions.get_ref().iter().filter(|kind| !Action::KINDS.contains(&kind.as_str()))
            {
                let known = Action::KINDS.join(", ");
                report.at(
                    interactions.span(),
                    format!("there is no interaction `{unknown}`: choose from {known}"),
                );
            }
        }
        let interactions = interactions.map(Spanned::into_inner).unwrap_or_default();
        insert_new(&mut kiosks, id, Kiosk { idle_ms: u64::from(idle_s) * 1000, interactions }, report);
    }
    kiosks
}

fn read_counters(table: &mut Table<'_>, report: &mut Report) -> HashMap<Id, CounterKind> {
    let mut counters = HashMap::new();
    for mut table in table.tables("counters", report) {
        let id = table.required::<Id>("id", report);
        let kind = table.required::<String>("kind", report).and_then(|kind| match kind.get_ref().as_str() {
            "door" => Some(CounterKind::Door),
            "till" => Some(CounterKind::Till),
            _ => {
                report.at(kind.span(), "`kind` must be \"door\" or \"till\"");
                None
            }
        });
        table.finish(report);
        if let Some(kind) = kind {
            insert_new(&mut counters, id, kind, report);
        }
    }
    counters
}

fn insert_new<T>(map: &mut HashMap<Id, T>, id: Option<Spanned<Id>>, value: T, report: &mut Report) {
    let Some(id) = id else { return };
    match map.entry(*id.get_ref()) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(_) => {
            report.at(id.span(), format!("there is a `{}` already: give each its own name", id.get_ref()));
        }
    }
}

/// Octets as hexadecimal digits, with or without hyphens.
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> FromToml for Hex<N> {
    const EXPECTED: &'static str = match N {
        16 => "32 hexadecimal digits, such as \"e2c56db5-dffb-48d2-b060-d0f5a71096e0\"",
        10 => "20 hexadecimal digits in quotes",
        _ => "12 hexadecimal digits in quotes",
    };

    fn from_toml(value: &toml::de::DeValue<'_>) -> Option<Self> {
        let mut octets = [0; N];
        hex::decode_to_slice(value.as_str()?.replace('-', ""), &mut octets).ok()?;
        Some(Self(octets))
    }
}

/// A product's number, as [`is_sku`] allows.
struct Sku(String);

impl FromToml for Sku {
    const EXPECTED: &'static str = "1 to 40 letters, digits, dots, hyphens or underscores, in quotes";

    fn from_toml(value: &toml::de::DeValue<'_>) -> Option<Self> {
        value.as_str().filter(|text| crate::capture::is_sku(text)).map(|text| Self(text.to_owned()))
    }
}

struct Gtin(String);

impl FromToml for Gtin {
    const EXPECTED: &'static str = "8 to 14 digits in quotes";

    fn from_toml(value: &toml::de::DeValue<'_>) -> Option<Self> {
        let digits = |text: &&str| (8..=14).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        value.as_str().filter(digits).map(|text| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Identity, parse};
    use crate::plan::{Rider, ZoneKind};
    use expect_test::{Expect, expect};
    use vitrine_protocol::{Id, time::Timestamp};

    const GOOD: &str = include_str!("../../../deploy/config/store.toml");

    #[test]
    fn the_reference_plan_is_read() {
        let plan = parse(GOOD).unwrap();
        assert_eq!(plan.zones.iter().filter(|zone| zone.kind == ZoneKind::Checkout).count(), 1);
        assert!(plan.beacons.keys().any(|identity| matches!(identity, Identity::Address(_))));
        assert!(plan.beacons.values().any(|rider| *rider == Rider::Staff));
        assert!(plan.facings.contains_key(&(Id::new("shelf-1").unwrap(), Id::new("left").unwrap())));
    }

    #[test]
    fn closing_time_is_local_also_when_the_clock_changes() {
        let plan = parse("version = 1\nplan = '1'\ntime_zone = 'Europe/Paris'\ncloses = '20:00'\n").unwrap();
        let at = |text: &str| Timestamp::from(text.parse::<jiff::Timestamp>().unwrap());
        assert_eq!(plan.next_closing(at("2026-03-28T10:00:00Z")), at("2026-03-28T19:00:00Z"));
        assert_eq!(plan.next_closing(at("2026-03-28T19:00:00Z")), at("2026-03-29T18:00:00Z"));
        assert_eq!(plan.business_date(at("2026-03-28T23:30:00Z")), jiff::civil::date(2026, 3, 29));
    }

    fn check(text: &str, problems: Expect) {
        problems.assert_eq(&parse(text).unwrap_err().to_string());
    }

    #[test]
    fn every_problem_is_told_with_its_place_and_remedy() {
        check(
            "version = 1
plan = '1'
time_zone = 'Paris'
[privacy]
k = 3
[[zones]]
id = 'shoes'
kind = 'cellar'
[[zones]]
id = 'shoes'
[[receivers]]
id = 'r1'
zones = [{ zone = 'shoes' }, { zone = 'hats', min_rssi_dbm = -60 }]
[[beacons]]
id = 'cart-1'
carrier = 'trolley'
[[beacons]]
id = 'cart-2'
carrier = 'cart'
ibeacon = { uuid = 'e2c5', major = 1, minor = 70000 }
[[shelves]]
id = 's1'
facings = [{ id = 'f1', sku = 'a b', unit_g = 0, capacity = 4 }]
[[kiosks]]
id = 'k1'
interactions = ['dance']
",
            expect![[r#"
                store.toml:3:13: `time_zone`: write a name of the IANA time zone database, such as "Europe/Paris"
                store.toml:5:5: `k` must be at least 10
                store.toml:8:8: `kind`: write "sales", "checkout" or "bay"
                store.toml:10:6: there is a zone `shoes` already: give each its own name
                store.toml:13:39: there is no zone `hats`: add it under [[zones]]
                store.toml:14:1: a beacon has an `ibeacon`, an `eddystone_uid`, a `layout` or an `address`: write ibeacon = { uuid = "...", major = 1, minor = 1 }
                store.toml:16:11: `carrier` must be "cart", "basket", "staff", "shelf" or "fixed"
                store.toml:17:1: a beacon has an `ibeacon`, an `eddystone_uid`, a `layout` or an `address`: write ibeacon = { uuid = "...", major = 1, minor = 1 }
                store.toml:20:20: `uuid` must be 32 hexadecimal digits, such as "e2c56db5-dffb-48d2-b060-d0f5a71096e0"
                store.toml:20:47: `minor` must be a whole number that fits u16
                store.toml:23:31: `sku` must be 1 to 40 letters, digits, dots, hyphens or underscores, in quotes
                store.toml:26:16: there is no interaction `dance`: choose from product_view, search, availability_check, order, click_and_collect_pickup, check_in, assistance_request, offer_shown, feedback, store_to_web_handoff, session_end"#]],
        );
    }
}
