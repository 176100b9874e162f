//! A broker's or a proxy's address, as it is written in a configuration.

use std::{fmt, str::FromStr};

/// How bytes get to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// MQTT over TCP.
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
    /// MQTT over a WebSocket.
    Ws,
    /// MQTT over a WebSocket over TLS.
    Wss,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Mqtt, Self::Mqtts, Self::Ws, Self::Wss];

    const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// Whether it is encrypted.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// Whether it is a WebSocket, which has a path.
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// A broker's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// How to get there.
    pub scheme: Scheme,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Of a WebSocket: the path, which starts with a slash. Empty otherwise.
    pub path: String,
}

impl Server {
    /// A broker behind plain TCP.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self { scheme: Scheme::Mqtt, host: host.into(), port, path: String::new() }
    }
}

/// Prints the URL.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, path } = self;
        write!(f, "{}://{}:{port}{path}", scheme.name(), bracketed(host))
    }
}

/// The error says what to write instead.
impl FromStr for Server {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let written = url.split_once("://");
        let scheme = written.and_then(|(name, rest)| {
            Some((Scheme::ALL.into_iter().find(|scheme| scheme.name() == name)?, rest))
        });
        let (scheme, rest) =
            scheme.ok_or("write mqtt://host, mqtts://host, ws://host/mqtt or wss://host/mqtt")?;
        let (authority, path) = match rest.find('/') {
            Some(at) if scheme.is_websocket() => rest.split_at(at),
            None if scheme.is_websocket() => (rest, "/mqtt"),
            Some(_) | None => (rest, ""),
        };
        let (host, port) = host_and_port(authority, scheme.default_port())
            .map_err(|what| format!("{what}: write {}://host or {0}://host:port", scheme.name()))?;
        if scheme.is_tls() && host.contains(':') {
            return Err(
                "a certificate is for a name: write the broker's name instead of its IPv6 address".into()
            );
        }
        Ok(Self { scheme, host, port, path: path.to_owned() })
    }
}

/// An HTTP proxy that takes CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// The error says what to write instead.
impl FromStr for Proxy {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let authority = url.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let authority =
            authority.ok_or("write http://host:port: the proxy is asked to CONNECT over plain HTTP")?;
        let (host, port) =
            host_and_port(authority, 3128).map_err(|what| format!("{what}: write http://host:port"))?;
        Ok(Self { host, port })
    }
}

/// The client joins host and port with a colon.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn host_and_port(authority: &str, default_port: u16) -> Result<(String, u16), String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.contains(']') => match port.parse() {
            Ok(0) | Err(_) => return Err(format!("`{port}` is no port, which is a number from 1 to 65535")),
            Ok(port) => (host, port),
        },
        _ => (authority, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.chars().find(|c| matches!(c, '/' | '@' | ' ' | '?' | '#')) {
        Some('@') => Err("user and password have keys of their own".into()),
        Some(c) => Err(format!("`{c}` does not belong here")),
        None if host.is_empty() => Err("the host is missing".into()),
        None => Ok((host.to_owned(), port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check<T: FromStr<Err = String> + fmt::Debug>(urls: &[&str], expected: Expect) {
        let line = |url: &&str| match url.parse::<T>() {
            Ok(read) => format!("{url} -> {read:?}\n"),
            Err(error) => format!("{url} !! {error}\n"),
        };
        expected.assert_eq(&urls.iter().map(line).collect::<String>());
    }

    #[test]
    fn addresses_of_brokers() {
        let read =
            ["mqtt://a", "mqtts://a:1", "ws://a", "wss://a:8/x/y", "mqtt://[::1]", "mqtt://[::1]:1884"];
        let printed = read.map(|url| url.parse::<Server>().unwrap().to_string());
        assert_eq!(
            printed,
            [
                "mqtt://a:1883",
                "mqtts://a:1",
                "ws://a:80/mqtt",
                "wss://a:8/x/y",
                "mqtt://[::1]:1883",
                "mqtt://[::1]:1884"
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        check::<Server>(
            &[
                "broker",
                "tcp://a",
                "mqtt://",
                "mqtt://a:b",
                "mqtt://a:99999",
                "mqtt://u@h",
                "mqtts://h/x",
                "mqtts://[::1]",
            ],
            expect![[r#"
                broker !! write mqtt://host, mqtts://host, ws://host/mqtt or wss://host/mqtt
                tcp://a !! write mqtt://host, mqtts://host, ws://host/mqtt or wss://host/mqtt
                mqtt:// !! the host is missing: write mqtt://host or mqtt://host:port
                mqtt://a:b !! `b` is no port, which is a number from 1 to 65535: write mqtt://host or mqtt://host:port
                mqtt://a:99999 !! `99999` is no port, which is a number from 1 to 65535: write mqtt://host or mqtt://host:port
                mqtt://u@h !! user and password have keys of their own: write mqtt://host or mqtt://host:port
                mqtts://h/x !! `/` does not belong here: write mqtts://host or mqtts://host:port
                mqtts://[::1] !! a certificate is for a name: write the broker's name instead of its IPv6 address
            "#]],
        );
        check::<Proxy>(
            &["http://proxy:8080", "http://proxy/", "proxy:8080", "https://proxy"],
            expect![[r#"
                http://proxy:8080 -> Proxy { host: "proxy", port: 8080 }
                http://proxy/ -> Proxy { host: "proxy", port: 3128 }
                proxy:8080 !! write http://host:port: the proxy is asked to CONNECT over plain HTTP
                https://proxy !! write http://host:port: the proxy is asked to CONNECT over plain HTTP
            "#]],
        );
    }
}
