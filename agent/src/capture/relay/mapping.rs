//! Any other scanner that sends JSON: where in its messages things stand, as `gateway.toml` says.
//!
//! A [`Path`] is looked up in the item, and in the whole message where the item does not have it: so a message can name
//! its relay once. A mapping is checked when it is loaded (`config/mapping.rs`); here only a message can be wrong.

mod path;
mod topic;

pub use path::Path;
pub use topic::Topic;

use super::{Heard, Items, Message, Relayed, Unreadable, json, payloads::Payloads, rssi_dbm};
use crate::{capture::source::Content, private::Address};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

/// Where things stand in a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// What the levels of the topic say.
    pub topic: Option<Topic>,
    /// The list of advertisements, or the object of them by address; without it, the message is one advertisement.
    pub list: Option<Path>,
    /// Who heard it.
    pub relay: Option<Path>,
    /// The sender's address.
    pub address: Option<Path>,
    /// Signal strength in dBm.
    pub rssi: Option<Path>,
    /// The whole advertisement.
    pub raw: Option<Path>,
    /// Manufacturer data, company first.
    pub manufacturer_data: Option<Path>,
    /// The UUID of service data, and the data.
    pub service_data: Option<(Path, Path)>,
    /// How octets are written.
    pub encoding: Encoding,
    /// When it was heard.
    pub time: Option<(Path, TimeUnit)>,
}

/// How octets are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Two hexadecimal digits each.
    #[default]
    Hex,
    /// RFC 4648, with padding.
    Base64,
}

impl Encoding {
    fn octets(self, text: &Value) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text.as_str()?).ok(),
            Self::Base64 => BASE64_STANDARD.decode(text.as_str()?).ok(),
        }
    }
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since the epoch.
    UnixS,
    /// Milliseconds since the epoch.
    UnixMs,
    /// A date and time with its offset from UTC.
    Rfc3339,
    /// Seconds before the message was sent.
    AgeS,
    /// Milliseconds before the message was sent.
    AgeMs,
}

impl TimeUnit {
    fn heard(self, time: &Value) -> Heard {
        let placed = match self {
            Self::UnixS => number(time).map(Heard::at_s),
            Self::UnixMs => number(time).map(Heard::at_ms),
            Self::Rfc3339 => time.as_str().map(Heard::at_rfc_3339),
            Self::AgeS => number(time).map(|s| Heard::Ago((s * 1000.0) as u64)),
            Self::AgeMs => number(time).map(|ms| Heard::Ago(ms as u64)),
        };
        placed.unwrap_or(Heard::Unknown)
    }
}

/// A number, in quotes or not.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// An item, in its message.
#[derive(Clone, Copy)]
struct Place<'a> {
    message: &'a Value,
    item: &'a Value,
    /// The relay and the address that stand outside of it: in the topic, or as the key of an object.
    relay: Option<&'a str>,
    address: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn find(&self, path: &Path) -> Option<&'a Value> {
        path.find(self.item).or_else(|| path.find(self.message))
    }

    fn text(&self, path: Option<&Path>) -> Option<&'a str> {
        path.and_then(|path| self.find(path)).and_then(Value::as_str)
    }
}

impl Mapping {
    /// Whether it says where something stands by which a sender is known.
    pub fn identifies(&self) -> bool {
        let in_topic = self.topic.as_ref().is_some_and(Topic::has_address);
        let said = [&self.address, &self.raw, &self.manufacturer_data].iter().any(|path| path.is_some());
        // A list may be an object by address.
        in_topic || said || self.service_data.is_some() || self.list.is_some()
    }

    pub(super) fn read(&self, message: &Message<'_>, items: &mut Items<'_>) -> Result<(), Unreadable> {
        let whole: Value = json::parse(message.payload)?;
        let (relay, address) = self.topic.as_ref().map_or((None, None), |topic| topic.names(message.topic));
        let mut put = |item, address| {
            if !items.cut() {
                self.put(Place { message: &whole, item, relay, address }, items);
            }
        };
        match self.list.as_ref().map(|list| list.find(&whole)) {
            None => put(&whole, address),
            Some(Some(Value::Array(list))) => list.iter().for_each(|item| put(item, address)),
            Some(Some(Value::Object(senders))) => {
                senders.iter().for_each(|(address, item)| put(item, Some(address)));
            }
            Some(_) => {
                return Err(Unreadable::OtherFormat { expected: "a list or an object where `list` says" });
            }
        }
        Ok(())
    }

    fn put(&self, place: Place<'_>, items: &mut Items<'_>) {
        let raw = self.raw.as_ref().and_then(|path| place.find(path)).map(|raw| self.encoding.octets(raw));
        let address = place.text(self.address.as_ref()).or(place.address).and_then(Address::parse);
        let (Some(payloads), false) = (self.payloads(place), raw == Some(None)) else { return items.bad() };
        let raw = raw.flatten();
        if address.is_none() && raw.is_none() && payloads.is_empty() {
            return items.bad();
        }
        let time = self.time.as_ref().and_then(|(path, unit)| Some(unit.heard(place.find(path)?)));
        let relayed = Relayed {
            relay: place.text(self.relay.as_ref()).or(place.relay),
            address,
            rssi_dbm: self
                .rssi
                .as_ref()
                .and_then(|path| place.find(path))
                .and_then(number)
                .and_then(rssi_dbm),
            content: raw.as_deref().map_or(Content::Nothing, Content::Raw),
            heard: time.unwrap_or(Heard::Unknown),
        };
        if raw.is_some() || payloads.is_empty() {
            items.good(relayed);
        } else {
            payloads.with(|payloads| items.good(Relayed { content: Content::Payloads(payloads), ..relayed }));
        }
    }

    /// `None` where one is there that cannot be read.
    fn payloads(&self, place: Place<'_>) -> Option<Payloads> {
        let mut payloads = Payloads::default();
        if let Some(data) = self.manufacturer_data.as_ref().and_then(|path| place.find(path)) {
            payloads.manufacturer(&self.encoding.octets(data)?).then_some(())?;
        }
        if let Some((uuid, data)) = &self.service_data
            && let (Some(uuid), Some(data)) = (place.text(Some(uuid)), place.find(data))
        {
            payloads.service(uuid, self.encoding.octets(data)?).then_some(())?;
        }
        Some(payloads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::relay::{Format, tests::check};
    use expect_test::expect;

    fn path(text: &str) -> Option<Path> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_list_is_read_with_what_the_message_says_of_all() {
        let mapping = Mapping {
            list: path("data.seen"),
            relay: path("/gw"),
            address: path("mac"),
            rssi: path("rssi.0"),
            raw: path("adv"),
            time: Some(("t".parse().unwrap(), TimeUnit::UnixMs)),
            ..Mapping::default()
        };
        let payload = br#"{"gw":"door","t":1772622000000,"data":{"seen":[
            {"mac":"C3:00:00:00:00:01","rssi":[-60,-61],"adv":"020106"},
            {"mac":"C3:00:00:00:00:02","rssi":["-70"],"t":"1772622001500"},
            {"mac":"C3:00:00:00:00:03","adv":"02010"}, {"rssi":[-1]}, 7]}}"#;
        check(
            &Format::Mapping(mapping.clone()),
            "",
            payload,
            expect![[r#"
            door: -60 dBm, at 2026-03-04T11:00:00.000Z, addressed
            door: -70 dBm, at 2026-03-04T11:00:01.500Z, addressed
            3 bad, 0 cut
        "#]],
        );
        check(
            &Format::Mapping(mapping),
            "",
            br#"{"data":{"seen":7}}"#,
            expect![[r#"
            the message is not of this format: expected a list or an object where `list` says
        "#]],
        );
    }

    #[test]
    fn an_object_by_address_and_payloads_in_base64_are_read() {
        let mapping = Mapping {
            topic: Some("scanners/{relay}".parse().unwrap()),
            list: path("/"),
            rssi: path("rssi"),
            manufacturer_data: path("mfr"),
            service_data: Some(("uuid".parse().unwrap(), "svc".parse().unwrap())),
            encoding: Encoding::Base64,
            time: Some(("age".parse().unwrap(), TimeUnit::AgeS)),
            ..Mapping::default()
        };
        let payload = br#"{"c30000000001":{"rssi":-60,"age":1.5,"mfr":"TAACFeLFbbXf+0jSsGDQ9acQluAAAQACxQ=="},
            "c30000000002":{"uuid":"feaa","svc":"AO7t0evq5Ole3voBcAAAAAAAAQAA"},"c30000000003":{"uuid":"feaa","svc":"AO7"}}"#;
        check(
            &Format::Mapping(mapping),
            "scanners/door",
            payload,
            expect![[r#"
            door: -60 dBm, 1500 ms ago, addressed, ibeacon
            door: no RSSI, now, addressed, eddystone-uid
            1 bad, 0 cut
        "#]],
        );
    }

    #[test]
    fn a_message_can_be_one_advertisement() {
        let mapping = Mapping {
            topic: Some("scan/{relay}/{address}".parse().unwrap()),
            rssi: path("rssi"),
            time: Some(("at".parse().unwrap(), TimeUnit::Rfc3339)),
            ..Mapping::default()
        };
        let payload = br#"{"rssi":-60,"at":"2026-03-04T12:00:00+01:00"}"#;
        check(
            &Format::Mapping(mapping.clone()),
            "scan/door/C30000000001",
            payload,
            expect![[r#"
            door: -60 dBm, at 2026-03-04T11:00:00.000Z, addressed
        "#]],
        );
        check(
            &Format::Mapping(mapping),
            "scan/door",
            payload,
            expect![[r#"
            1 bad, 0 cut
        "#]],
        );
    }
}
