//! What a relay sends: its `format`, and with "mapping" the table of where in its JSON things stand.

use crate::{
    capture::relay::{
        Format,
        mapping::{Encoding, Mapping, TimeUnit},
    },
    document::{Report, Table},
};
use std::str::FromStr;

/// Reads the keys `format` and `mapping` of a relay's table.
pub fn read_format(relay: &mut Table<'_>, report: &mut Report) -> Option<Format> {
    let name = relay.required::<String>("format", report);
    let mapping = relay.table("mapping", report);
    let name = name?;
    match (name.get_ref().as_str(), mapping) {
        ("mapping", Some(mapping)) => read(mapping, report).map(Format::Mapping),
        ("mapping", None) => {
            report.at(
                name.span(),
                "\"mapping\" needs a table `mapping`: write [relays.mapping] and its keys below",
            );
            None
        }
        (make, None) => {
            let format = Format::named(make);
            if format.is_none() {
                let makes = Format::MAKES.map(|(make, _)| format!("\"{make}\"")).join(", ");
                report.at(name.span(), format!("`format`: write one of {makes} or \"mapping\""));
            }
            format
        }
        (_, Some(mapping)) => {
            report.at(mapping.span, "a mapping goes with format = \"mapping\" only: leave out one of them");
            None
        }
    }
}

fn read(mut table: Table<'_>, report: &mut Report) -> Option<Mapping> {
    let problems = report.count();
    let topic = parsed(&mut table, "topic", report);
    let list = parsed(&mut table, "list", report);
    let relay = parsed(&mut table, "relay", report);
    let address = parsed(&mut table, "address", report);
    let rssi = parsed(&mut table, "rssi", report);
    let raw = parsed(&mut table, "raw", report);
    let manufacturer_data = parsed(&mut table, "manufacturer_data", report);
    let service_data = both(&mut table, ["service_uuid", "service_data"], report, parsed, parsed);
    let encoding = table.converted("encoding", report, |text| match text {
        "hex" => Ok(Encoding::Hex),
        "base64" => Ok(Encoding::Base64),
        _ => Err("write \"hex\" or \"base64\"".into()),
    });
    let time = both(&mut table, ["time", "time_unit"], report, parsed, time_unit);
    let mapping = Mapping {
        topic,
        list,
        relay,
        address,
        rssi,
        raw,
        manufacturer_data,
        service_data,
        encoding: encoding.unwrap_or_default(),
        time,
    };
    if report.count() == problems && !mapping.identifies() {
        report.at(
            table.span.clone(),
            "the mapping tells no sender apart: write raw = \"where the advertisement stands\", or manufacturer_data, \
             service_data or address",
        );
    }
    table.finish(report);
    (report.count() == problems).then_some(mapping)
}

fn parsed<T: FromStr<Err = String>>(
    table: &mut Table<'_>,
    key: &'static str,
    report: &mut Report,
) -> Option<T> {
    table.converted(key, report, str::parse)
}

fn time_unit(table: &mut Table<'_>, key: &'static str, report: &mut Report) -> Option<TimeUnit> {
    table.converted(key, report, |text| match text {
        "unix_s" => Ok(TimeUnit::UnixS),
        "unix_ms" => Ok(TimeUnit::UnixMs),
        "rfc3339" => Ok(TimeUnit::Rfc3339),
        "age_s" => Ok(TimeUnit::AgeS),
        "age_ms" => Ok(TimeUnit::AgeMs),
        _ => Err("write \"unix_s\", \"unix_ms\", \"rfc3339\", \"age_s\" or \"age_ms\"".into()),
    })
}

type Read<T> = fn(&mut Table<'_>, &'static str, &mut Report) -> Option<T>;

/// Two keys of which neither means anything alone.
fn both<A, B>(
    table: &mut Table<'_>,
    keys: [&'static str; 2],
    report: &mut Report,
    read_a: Read<A>,
    read_b: Read<B>,
) -> Option<(A, B)> {
    let written = keys.map(|key| table.has(key));
    if written[0] != written[1] {
        report.at(
            table.span.clone(),
            format!("`{}` and `{}` go together: write both, or neither", keys[0], keys[1]),
        );
    }
    let (a, b) = (read_a(table, keys[0], report), read_b(table, keys[1], report));
    a.zip(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        capture::relay::Message,
        document::{self, Problems},
    };
    use expect_test::{Expect, expect};
    use std::path::Path;

    fn parse(text: &str) -> Result<Format, Problems> {
        document::parse(Path::new("gateway.toml"), text, |table, report| {
            let format = read_format(table, report);
            table.finish(report);
            format
        })
    }

    fn check(text: &str, problems: Expect) {
        problems.assert_eq(&parse(text).unwrap_err().to_string());
    }

    #[test]
    fn what_is_said_is_taken() {
        let format = parse(
            "format = 'mapping'\n[mapping]\ntopic = 'scan/{relay}'\nlist = 'seen'\nrelay = '/gw'\naddress = 'mac'\n\
             rssi = 'rssi'\nraw = 'adv'\nencoding = 'base64'\ntime = 'age'\ntime_unit = 'age_ms'\n",
        );
        let path = |text: &str| text.parse().ok();
        let expected = Mapping {
            topic: "scan/{relay}".parse().ok(),
            list: path("seen"),
            relay: path("/gw"),
            address: path("mac"),
            rssi: path("rssi"),
            raw: path("adv"),
            encoding: Encoding::Base64,
            time: path("age").zip(Some(TimeUnit::AgeMs)),
            ..Mapping::default()
        };
        assert_eq!(format.unwrap(), Format::Mapping(expected));
        for (make, format) in Format::MAKES {
            assert_eq!(parse(&format!("format = '{make}'\n")).unwrap(), format);
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        check(
            "format = 'mapping'\n[mapping]\ntopic = 'a/{room}'\nlist = 'a..b'\nadress = 'mac'\nservice_uuid = 'uuid'\n\
             encoding = 'hexadecimal'\ntime = 'ts'\ntime_unit = 's'\n",
            expect![[r#"
                gateway.toml:2:1: `service_uuid` and `service_data` go together: write both, or neither
                gateway.toml:3:9: `topic`: `{room}` is no level: write a text, +, {relay} or {address}, and # at the end
                gateway.toml:4:8: `list`: a path has a name between all dots: write one such as `data.mac` or `/data/mac`
                gateway.toml:5:1: unknown key `adress`: did you mean `address`?
                gateway.toml:7:12: `encoding`: write "hex" or "base64"
                gateway.toml:9:13: `time_unit`: write "unix_s", "unix_ms", "rfc3339", "age_s" or "age_ms""#]],
        );
        check(
            "format = 'mapping'\n[mapping]\nrssi = 'rssi'\n",
            expect![[
                r#"gateway.toml:2:1: the mapping tells no sender apart: write raw = "where the advertisement stands", or manufacturer_data, service_data or address"#
            ]],
        );
        check(
            "format = 'mapping'\n",
            expect![[
                r#"gateway.toml:1:10: "mapping" needs a table `mapping`: write [relays.mapping] and its keys below"#
            ]],
        );
        check(
            "format = 'ruvi'\n",
            expect![[
                r#"gateway.toml:1:10: `format`: write one of "minew", "ruuvi", "openmqttgateway", "espresense", "aruba", "cisco" or "mapping""#
            ]],
        );
        check(
            "format = 'ruuvi'\n[mapping]\n",
            expect![[
                r#"gateway.toml:2:1: a mapping goes with format = "mapping" only: leave out one of them"#
            ]],
        );
    }

    /// The example of the documentation is one that the agent reads.
    #[test]
    fn the_documented_example_is_read() {
        let page = include_str!("../../../docs/relays.md");
        let example = page.split("```toml").find(|part| part.contains("[relays.mapping]")).unwrap();
        let example = example.split("```").next().unwrap();
        let mapping = example.split("[relays.mapping]").nth(1).unwrap();
        let Format::Mapping(mapping) = parse(&format!("format = 'mapping'\n[mapping]{mapping}")).unwrap()
        else {
            panic!()
        };
        let message = br#"{"gateway":"door","data":{"devices":[{"mac":"c3:00:00:00:00:01","rssi":-61,"payload":"020106","seen_at":1772622000000}]}}"#;
        let message = Message { topic: "scanners/1/seen", payload: message };
        let mut relays = Vec::new();
        let read = Format::Mapping(mapping)
            .read(&message, &mut |relayed| relays.push(relayed.relay.map(str::to_owned)));
        assert_eq!((read.unwrap().read, relays), (1, vec![Some("door".to_owned())]));
    }
}
