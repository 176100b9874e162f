//! The table `[uplink]`: where events are published, as whom, and how.

use crate::{
    document::{Report, Table},
    uplink::{Delivery, Drain, Login, Protocol, Secret, Server, Settings, TlsFiles},
};
use std::{ops::RangeInclusive, path::Path, time::Duration};
use vitrine_protocol::envelope::MqttVersion;

const SERVERS_MAX: usize = 8;
const BANDWIDTH_BYTES_PER_S: RangeInclusive<u64> = 1024..=1 << 30;
const START_JITTER_S: RangeInclusive<u64> = 0..=3600;
/// Zero turns them off.
const METRICS_EVERY_S: RangeInclusive<u64> = 0..=86_400;
const METRICS_EVERY_S_MIN: u64 = 10;

/// Reads the table. Relative paths start from `dir`.
pub(super) fn read(mut table: Table<'_>, report: &mut Report, dir: &Path) -> Option<Settings> {
    let span = table.span.clone();
    if !table.has("url") {
        report.at(span.clone(), "[uplink] lacks `url`: write url = \"mqtts://host\" or \"mqtt://host:port\"");
    }
    let servers = table.texts("url", report, str::parse::<Server>);
    if servers.len() > SERVERS_MAX {
        report.at(span.clone(), format!("[uplink] has more than {SERVERS_MAX} in `url`: leave some out"));
    }
    let mut settings = Settings::new(servers.first().cloned().unwrap_or_else(|| Server::tcp("", 0)));
    let is_tls = servers.iter().any(|server| server.scheme.is_tls());
    let is_read = !servers.is_empty();
    if is_read {
        settings.servers = servers;
    }
    settings.login = read_login(&mut table, report, dir);
    settings.tls = read_tls(&mut table, report, dir);
    if is_read && !is_tls && settings.tls != TlsFiles::default() {
        report.at(
            span.clone(),
            "[uplink] names certificates, and no `url` uses them: write mqtts:// or wss://, or leave them out",
        );
    }
    settings.proxy = table.converted("proxy", report, str::parse);
    let versions = &[
        ("auto", Protocol::Auto),
        ("5", Protocol::Only(MqttVersion::V5)),
        ("3.1.1", Protocol::Only(MqttVersion::V311)),
    ];
    settings.protocol = choice(&mut table, "protocol", report, versions).unwrap_or(settings.protocol);
    let deliveries = &[("broker", Delivery::Broker), ("end_to_end", Delivery::EndToEnd)];
    settings.delivery = choice(&mut table, "delivery", report, deliveries).unwrap_or(settings.delivery);
    let drains = &[("oldest_first", Drain::OldestFirst), ("live_first", Drain::LiveFirst)];
    settings.drain = choice(&mut table, "drain", report, drains).unwrap_or(settings.drain);
    settings.compress =
        choice(&mut table, "compression", report, &[("none", false), ("zstd", true)]).unwrap_or(false);
    settings.bandwidth_bytes_per_s = table.has("bandwidth_bytes_per_s").then(|| {
        table.number("bandwidth_bytes_per_s", *BANDWIDTH_BYTES_PER_S.start(), BANDWIDTH_BYTES_PER_S, report)
    });
    settings.start_jitter = Duration::from_secs(table.number("start_jitter_s", 0, START_JITTER_S, report));
    settings.metered = table.or("metered", false, report);
    let default_s = settings.metrics_every.map_or(0, |every| every.as_secs());
    let every_s = table.number("metrics_every_s", default_s, METRICS_EVERY_S, report);
    if (1..METRICS_EVERY_S_MIN).contains(&every_s) {
        report.at(
            span.clone(),
            format!("[uplink] has `metrics_every_s` below {METRICS_EVERY_S_MIN}: 0 turns metrics off"),
        );
    }
    settings.metrics_every = (every_s > 0 && !settings.metered).then(|| Duration::from_secs(every_s));
    if (settings.delivery, settings.drain) == (Delivery::EndToEnd, Drain::LiveFirst) {
        report.at(
            span,
            "[uplink] has delivery = \"end_to_end\" and drain = \"live_first\": the platform acknowledges a stream in order, \
             so what is sent ahead could not be freed. Write drain = \"oldest_first\"",
        );
    }
    table.finish(report);
    is_read.then_some(settings)
}

fn read_login(table: &mut Table<'_>, report: &mut Report, dir: &Path) -> Option<Login> {
    let user = table.optional::<String>("user", report);
    let file = table.optional::<String>("password_file", report);
    let credential = table.converted("password_credential", report, |name| {
        let is_name = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        if is_name {
            Ok(name.to_owned())
        } else {
            Err("write the name that the unit's LoadCredential= has".into())
        }
    });
    let file = file.map(|path| Secret::File(dir.join(path.into_inner())));
    let credential = credential.map(Secret::Credential);
    match (user, file.xor(credential.clone())) {
        (None, None) if credential.is_none() => None,
        (Some(user), Some(password)) => Some(Login { user: user.into_inner(), password }),
        _ => {
            let what =
                "[uplink] needs both `user` and `password_file` (or `password_credential`), or neither";
            report.at(table.span.clone(), what);
            None
        }
    }
}

fn read_tls(table: &mut Table<'_>, report: &mut Report, dir: &Path) -> TlsFiles {
    let mut path = |key| table.optional::<String>(key, report).map(|path| dir.join(path.into_inner()));
    let (ca, cert, key) = (path("ca_file"), path("cert_file"), path("key_file"));
    if cert.is_some() != key.is_some() {
        report.at(table.span.clone(), "[uplink] needs both `cert_file` and `key_file`, or neither");
    }
    TlsFiles { ca, client: cert.zip(key) }
}

fn choice<T: Copy>(
    table: &mut Table<'_>,
    key: &'static str,
    report: &mut Report,
    choices: &[(&str, T)],
) -> Option<T> {
    table.converted(key, report, |text| {
        let chosen = choices.iter().find(|(name, _)| *name == text).map(|&(_, value)| value);
        chosen.ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            format!("write {}", names.join(" or "))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;
    use expect_test::{Expect, expect};

    fn parse(text: &str) -> Result<Settings, document::Problems> {
        document::parse(Path::new("gateway.toml"), text, |table, report| {
            let uplink = table.table("uplink", report)?;
            read(uplink, report, Path::new("/etc/vitrine"))
        })
    }

    fn check(text: &str, problems: Expect) {
        problems.assert_eq(&parse(&format!("[uplink]\n{text}")).unwrap_err().to_string());
    }

    #[test]
    fn an_address_alone_will_do() {
        assert_eq!(parse("[uplink]\nurl = 'mqtt://a'\n").unwrap(), Settings::new(Server::tcp("a", 1883)));
    }

    #[test]
    fn what_is_said_is_taken() {
        let text = "[uplink]\nurl = ['mqtts://a', 'wss://b/x']\nuser = 'u'\npassword_credential = 'mqtt'\n\
             ca_file = 'ca.pem'\ncert_file = '/c.pem'\nkey_file = 'k.pem'\nproxy = 'http://p:8080'\nprotocol = '3.1.1'\n\
             delivery = 'end_to_end'\ncompression = 'zstd'\nbandwidth_bytes_per_s = 64_000\nstart_jitter_s = 300\n\
             metrics_every_s = 0\n";
        let mut expected = Settings::new("mqtts://a".parse().unwrap());
        expected.servers.push("wss://b/x".parse().unwrap());
        expected.login = Some(Login { user: "u".into(), password: Secret::Credential("mqtt".into()) });
        expected.tls = TlsFiles {
            ca: Some("/etc/vitrine/ca.pem".into()),
            client: Some(("/c.pem".into(), "/etc/vitrine/k.pem".into())),
        };
        expected.proxy = Some("http://p:8080".parse().unwrap());
        expected.protocol = Protocol::Only(MqttVersion::V311);
        expected.delivery = Delivery::EndToEnd;
        expected.compress = true;
        expected.bandwidth_bytes_per_s = Some(64_000);
        expected.start_jitter = Duration::from_secs(300);
        expected.metrics_every = None;
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn the_reference_file_says_what_is_the_default_anyway() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config/gateway.toml");
        let config = crate::config::load(&path).unwrap();
        assert_eq!(config.uplink, Settings::new(Server::tcp("127.0.0.1", 1883)));
    }

    /// Every key that the reference file shows in a comment is one.
    #[test]
    fn what_the_reference_file_shows_is_right() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config/gateway.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, table) = text.split_once("[uplink]\n").unwrap();
        let (table, _) = table.split_once("\n[").unwrap();
        let is_shown = |line: &&str| line.starts_with("# ") && line.contains(" = ");
        let shown: Vec<_> = table.lines().filter(is_shown).map(|line| &line[2..]).collect();
        assert!(shown.len() >= 14, "{shown:?}");
        // `url` stands there twice, and a password has one place.
        let keys =
            shown.iter().filter(|line| !line.starts_with("url") && !line.starts_with("password_credential"));
        let text: String = keys.map(|line| format!("{line}\n")).collect();
        parse(&format!("[uplink]\nurl = 'mqtts://a'\n{text}")).unwrap();
        for line in shown.iter().filter(|line| line.starts_with("url")) {
            parse(&format!("[uplink]\n{line}\n")).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        check(
            "url = ['mqtt://a', 'tcp://b', 7]\nuser = 'u'\nkey_file = 'k'\nproxy = 'p'\nprotocol = '3'\ndelivery = 'x'\n\
             drain = 'y'\ncompression = 'gzip'\nbandwidth_bytes_per_s = 10\nmetrics_every_s = 5\nmetred = true\n",
            expect![[r#"
                gateway.toml:1:1: [uplink] has `metrics_every_s` below 10: 0 turns metrics off
                gateway.toml:1:1: [uplink] needs both `cert_file` and `key_file`, or neither
                gateway.toml:1:1: [uplink] needs both `user` and `password_file` (or `password_credential`), or neither
                gateway.toml:2:20: `url`: write mqtt://host, mqtts://host, ws://host/mqtt or wss://host/mqtt
                gateway.toml:2:31: `url`: write a text in quotes, or a list of them in brackets
                gateway.toml:5:9: `proxy`: write http://host:port: the proxy is asked to CONNECT over plain HTTP
                gateway.toml:6:12: `protocol`: write "auto" or "5" or "3.1.1"
                gateway.toml:7:12: `delivery`: write "broker" or "end_to_end"
                gateway.toml:8:9: `drain`: write "oldest_first" or "live_first"
                gateway.toml:9:15: `compression`: write "none" or "zstd"
                gateway.toml:10:25: `bandwidth_bytes_per_s` must be from 1024 to 1073741824
                gateway.toml:12:1: unknown key `metred`: did you mean `metered`?"#]],
        );
        check(
            "url = []\npassword_file = 'a'\npassword_credential = 'b'\n",
            expect![[r#"
            gateway.toml:1:1: [uplink] needs both `user` and `password_file` (or `password_credential`), or neither
            gateway.toml:2:7: `url` must not be empty"#]],
        );
        check(
            "url = 'mqtt://a'\nca_file = 'ca.pem'\ndelivery = 'end_to_end'\ndrain = 'live_first'\n",
            expect![[r#"
                gateway.toml:1:1: [uplink] has delivery = "end_to_end" and drain = "live_first": the platform acknowledges a stream in order, so what is sent ahead could not be freed. Write drain = "oldest_first"
                gateway.toml:1:1: [uplink] names certificates, and no `url` uses them: write mqtts:// or wss://, or leave them out"#]],
        );
    }
}
