//! The tables `[[relays]]` and `[[satellites]]`: who else hears for this hub, and which receivers of the plan they are.

use super::mapping;
use crate::{
    capture::relay::Format,
    document::{Report, Table},
    store_broker::{is_filter, overlap},
};
use std::collections::HashSet;
use vitrine_protocol::Id;

/// Most relays, and most satellites: each is watched.
const DEVICES_MAX: usize = 256;
/// Most relays that share one entry.
const NAMES_MAX: usize = 256;
const SILENT_AFTER_S: u32 = 60;
const LATE_S: u32 = 5;
/// The longest time that all sightings may have to wait for those of a relay.
const LATE_MAX_S: u32 = 120;

/// Scanners of one make that pass on what they hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Its name: `/v1/relays/{id}` is where it posts to.
    pub id: Id,
    /// What it sends.
    pub format: Format,
    /// The topics on the store's broker that it publishes on; none if it posts.
    pub topics: Vec<String>,
    /// The receivers of the plan that it is.
    pub receivers: Receivers,
    /// Not heard for so long, it is silent.
    pub silent_after_ms: u64,
    /// What it heard longer ago is not taken.
    pub late_ms: u64,
}

/// Which receivers of the plan a relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receivers {
    /// One, whatever it calls itself.
    One(Id),
    /// Several relays, by what their messages call them.
    Named(Vec<(String, Id)>),
}

/// A gateway of ours that hears for this hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Satellite {
    /// Its `gateway` name.
    pub id: Id,
    /// Not heard for so long, it is silent.
    pub silent_after_ms: u64,
}

impl Relay {
    /// The receivers of the plan that it is.
    pub fn receivers(&self) -> Vec<Id> {
        match &self.receivers {
            Receivers::One(receiver) => vec![*receiver],
            Receivers::Named(names) => names.iter().map(|(_, receiver)| *receiver).collect(),
        }
    }
}

/// Reads `[[relays]]`.
pub(super) fn read(table: &mut Table<'_>, report: &mut Report, has_broker: bool) -> Vec<Relay> {
    let (mut relays, mut names) = (Vec::<Relay>::new(), HashSet::new());
    for mut table in table.tables("relays", report) {
        let span = table.span.clone();
        if relays.len() >= DEVICES_MAX {
            report.at(
                span,
                format!(
                    "there are more than {DEVICES_MAX} relays: let several share an entry with `receivers`"
                ),
            );
            break;
        }
        let id = table.required::<Id>("id", report);
        let format = mapping::read_format(&mut table, report);
        let topics = read_topics(&mut table, report, format.as_ref(), has_broker, &relays);
        let receivers = read_receivers(&mut table, report);
        let silent_after_s = seconds("silent_after_s", SILENT_AFTER_S, u32::MAX, &mut table, report);
        let late_s = seconds("late_s", LATE_S, LATE_MAX_S, &mut table, report);
        table.finish(report);
        let (Some(id), Some(format), Some(receivers)) = (id, format, receivers) else { continue };
        if !names.insert(*id.get_ref()) {
            report.at(
                id.span(),
                format!("there is a relay `{}` already: give each its own name", id.get_ref()),
            );
        }
        relays.push(Relay {
            id: id.into_inner(),
            format,
            topics,
            receivers,
            silent_after_ms: u64::from(silent_after_s) * 1000,
            late_ms: u64::from(late_s) * 1000,
        });
    }
    relays
}

/// Reads `[[satellites]]`.
pub(super) fn read_satellites(
    table: &mut Table<'_>,
    report: &mut Report,
    has_broker: bool,
) -> Vec<Satellite> {
    let mut satellites = Vec::<Satellite>::new();
    for mut table in table.tables("satellites", report) {
        let span = table.span.clone();
        let id = table.required::<Id>("id", report);
        let silent_after_s = seconds("silent_after_s", SILENT_AFTER_S, u32::MAX, &mut table, report);
        table.finish(report);
        if !has_broker {
            report.at(
                span.clone(),
                "satellites speak over the store's broker: write [store_broker] with url = \"mqtt://host\"",
            );
        }
        let Some(id) = id else { continue };
        if satellites.iter().any(|known| known.id == *id.get_ref()) {
            report.at(id.span(), format!("there is a satellite `{}` already", id.get_ref()));
        }
        if satellites.len() >= DEVICES_MAX {
            report.at(span, format!("there are more than {DEVICES_MAX} satellites"));
            break;
        }
        satellites.push(Satellite { id: id.into_inner(), silent_after_ms: u64::from(silent_after_s) * 1000 });
    }
    satellites
}

fn read_topics(
    table: &mut Table<'_>,
    report: &mut Report,
    format: Option<&Format>,
    has_broker: bool,
    others: &[Relay],
) -> Vec<String> {
    let written = table.optional::<Vec<String>>("topics", report);
    let span = written.as_ref().map_or(table.span.clone(), |topics| topics.span());
    let usual =
        || format.filter(|_| has_broker).and_then(Format::topics).map(str::to_owned).into_iter().collect();
    let topics: Vec<String> = written.map_or_else(usual, toml::Spanned::into_inner);
    if !topics.is_empty() && !has_broker {
        report.at(
            span.clone(),
            "`topics` are on the store's broker: write [store_broker] with url = \"mqtt://host\"",
        );
    }
    for topic in &topics {
        if !is_filter(topic) {
            report.at(span.clone(), format!("`topics`: `{topic}` is no topic: write names between slashes, + for one of them, # for all that follows"));
        }
        let mut taken =
            others.iter().filter(|other| other.topics.iter().any(|theirs| overlap(theirs, topic)));
        if let Some(other) = taken.next() {
            let other = other.id;
            report.at(span.clone(), format!("`topics`: what comes on `{topic}` may be relay `{other}`'s: give each its own, or let both share an entry with `receivers`"));
        } else if overlap("vitrine-local/#", topic) {
            report.at(
                span.clone(),
                format!("`topics`: `{topic}` takes in Vitrine's own: name the relay's topic"),
            );
        }
    }
    topics
}

fn read_receivers(table: &mut Table<'_>, report: &mut Report) -> Option<Receivers> {
    let one = table.optional::<Id>("receiver", report);
    let named = table.table("receivers", report).map(|mut named| {
        let names = named.rest::<Id>(report).into_iter();
        names.map(|(name, receiver)| (name.to_owned(), receiver.into_inner())).collect::<Vec<_>>()
    });
    match (one, named) {
        (Some(one), None) => Some(Receivers::One(one.into_inner())),
        (None, Some(names)) if (1..=NAMES_MAX).contains(&names.len()) => Some(Receivers::Named(names)),
        _ => {
            report.at(
                table.span.clone(),
                "a relay has one `receiver` of the plan, or `receivers`: write receiver = \"door\" or receivers = { \"AABBCCDDEEFF\" = \"door\" }",
            );
            None
        }
    }
}

fn seconds(key: &'static str, default: u32, most: u32, table: &mut Table<'_>, report: &mut Report) -> u32 {
    match table.optional::<u32>(key, report) {
        Some(value) if !(1..=most).contains(value.get_ref()) => {
            report.at(value.span(), format!("`{key}` must be from 1 to {most}"));
            default
        }
        value => value.map_or(default, toml::Spanned::into_inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Problems, parse};
    use expect_test::expect;
    use std::path::Path;

    fn read_all(text: &str, has_broker: bool) -> Result<(Vec<Relay>, Vec<Satellite>), Problems> {
        parse(Path::new("gateway.toml"), text, |table, report| {
            let relays = read(table, report, has_broker);
            let satellites = read_satellites(table, report, has_broker);
            table.finish(report);
            Some((relays, satellites))
        })
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let text = "[[relays]]\nid = 'a'\nformat = 'ruuvi'\nreceivers = { 'AA:BB' = 'door', cc = 'back' }\n[[satellites]]\nid = 's'\n";
        let (relays, satellites) = read_all(text, true).unwrap();
        assert_eq!(relays[0].topics, ["ruuvi/#"]);
        assert_eq!((relays[0].silent_after_ms, relays[0].late_ms), (60_000, 5_000));
        assert_eq!(relays[0].receivers().len(), 2);
        assert_eq!(satellites[0].silent_after_ms, 60_000);
        let (relays, _) = read_all(&text.replace("[[satellites]]\nid = 's'\n", ""), false).unwrap();
        assert_eq!(relays[0].topics, [""; 0]);
    }

    #[test]
    fn the_reference_file_has_an_example() {
        let reference = include_str!("../../../deploy/config/gateway.toml");
        let example = reference.split("# The store's own broker").nth(1).unwrap();
        let lines = example.lines().skip(1).take_while(|line| !line.starts_with("# [[serial]]"));
        let lines = lines.filter_map(|line| line.strip_prefix("# "));
        let is_toml = |line: &&str| {
            let key = line.split_once(" = ").map(|(key, _)| key);
            line.starts_with('[') || key.is_some_and(|key| !key.contains(' '))
        };
        let text: String = lines.filter(is_toml).fold(
            "version = 1\ntenant = 'a'\nstore = 'b'\ngateway = 'c'\n[uplink]\nurl = 'mqtt://p'\n".to_owned(),
            |text, line| text + line + "\n",
        );
        let read =
            parse(Path::new("gateway.toml"), &text, |t, r| crate::config::read_role(t, r, Path::new("/")));
        let Ok(crate::config::Role::Hub(config)) = read else { panic!("{read:?}") };
        assert_eq!((config.relays.len(), config.satellites.len()), (2, 1));
        assert!(config.store_broker.unwrap().credentials.is_some());
    }

    #[test]
    fn what_is_wrong_is_told() {
        let text = "[[relays]]\nid = 'a'\nformat = 'ruuvi'\nreceiver = 'door'
[[relays]]\nid = 'a'\nformat = 'ruuvi'\nreceiver = 'back'\ntopics = ['ruuvi/x/+', 'a//#/b', '#']\nlate_s = 500
[[relays]]\nid = 'c'\nformat = 'fax'\n";
        expect![[r#"
            gateway.toml:6:6: there is a relay `a` already: give each its own name
            gateway.toml:9:10: `topics`: `a//#/b` is no topic: write names between slashes, + for one of them, # for all that follows
            gateway.toml:9:10: `topics`: what comes on `#` may be relay `a`'s: give each its own, or let both share an entry with `receivers`
            gateway.toml:9:10: `topics`: what comes on `ruuvi/x/+` may be relay `a`'s: give each its own, or let both share an entry with `receivers`
            gateway.toml:10:10: `late_s` must be from 1 to 120
            gateway.toml:11:1: a relay has one `receiver` of the plan, or `receivers`: write receiver = "door" or receivers = { "AABBCCDDEEFF" = "door" }
            gateway.toml:13:10: `format`: write one of "minew", "ruuvi", "openmqttgateway", "espresense", "aruba", "cisco" or "mapping""#]]
        .assert_eq(&read_all(text, true).unwrap_err().to_string());
        let text = "[[relays]]\nid = 'a'\nformat = 'ruuvi'\nreceiver = 'door'\ntopics = ['t', 'vitrine-local/x']\n[[satellites]]\nid = 's'\n";
        expect![[r#"
            gateway.toml:5:10: `topics` are on the store's broker: write [store_broker] with url = "mqtt://host"
            gateway.toml:5:10: `topics`: `vitrine-local/x` takes in Vitrine's own: name the relay's topic
            gateway.toml:6:1: satellites speak over the store's broker: write [store_broker] with url = "mqtt://host""#]]
        .assert_eq(&read_all(text, false).unwrap_err().to_string());
    }
}
