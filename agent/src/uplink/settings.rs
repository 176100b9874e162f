//! Where to publish, as whom, and how: checked values.

use super::server::{Proxy, Server};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};
use vitrine_protocol::{
    Id,
    envelope::{Capability, MqttVersion},
    topic::Gateway,
};

/// Where to publish, and as whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway, which names the topics and the MQTT client.
    pub gateway: Gateway,
    /// The version of the tagging plan that the status tells.
    pub plan: Id,
    /// How.
    pub settings: Settings,
}

/// The table `[uplink]` of `gateway.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Brokers, in the order in which they are tried; at least one.
    pub servers: Vec<Server>,
    /// User and password.
    pub login: Option<Login>,
    /// Certificates and keys.
    pub tls: TlsFiles,
    /// The HTTP proxy between.
    pub proxy: Option<Proxy>,
    /// The versions of MQTT that are spoken.
    pub protocol: Protocol,
    /// Whose word frees an event.
    pub delivery: Delivery,
    /// What goes first after an outage.
    pub drain: Drain,
    /// Whether batches are compressed with zstd.
    pub compress: bool,
    /// The most that is sent in the long run.
    pub bandwidth_bytes_per_s: Option<u64>,
    /// The first connection waits up to this long, at random.
    pub start_jitter: Duration,
    /// Nothing but the critical lane is sent.
    pub metered: bool,
    /// How often metrics are published, if they are.
    pub metrics_every: Option<Duration>,
}

impl Settings {
    /// Nothing special, towards one broker.
    pub fn new(server: Server) -> Self {
        Self {
            servers: vec![server],
            login: None,
            tls: TlsFiles::default(),
            proxy: None,
            protocol: Protocol::Auto,
            delivery: Delivery::Broker,
            drain: Drain::OldestFirst,
            compress: false,
            bandwidth_bytes_per_s: None,
            start_jitter: Duration::ZERO,
            metered: false,
            metrics_every: Some(Duration::from_secs(60)),
        }
    }

    /// What the status says that the agent can.
    pub(super) fn capabilities(&self) -> Vec<Capability> {
        let set = [
            (self.compress, Capability::Zstd),
            (self.delivery == Delivery::EndToEnd, Capability::EndToEnd),
            (self.drain == Drain::LiveFirst, Capability::LiveFirst),
            (self.metered, Capability::Metered),
            (self.metrics_every.is_some(), Capability::Metrics),
        ];
        set.into_iter().filter_map(|(is_set, capability)| is_set.then_some(capability)).collect()
    }
}

/// User name, and where the password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password's place.
    pub password: Secret,
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In a file.
    File(PathBuf),
    /// In a credential of this name that systemd hands over.
    Credential(String),
}

/// A file that the uplink needs cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}; `{key}` under [uplink] in gateway.toml names it")]
pub struct FileError {
    /// The key that names the file.
    pub key: &'static str,
    /// The file.
    pub path: String,
    /// What is wrong.
    pub what: String,
}

impl FileError {
    pub(super) fn new(key: &'static str, path: &Path, what: impl fmt::Display) -> Self {
        Self { key, path: path.display().to_string(), what: what.to_string() }
    }
}

impl Secret {
    /// Reads the secret, without the line's end. It is read at each connection, so that a new one counts at once.
    pub(super) fn read(&self) -> Result<String, FileError> {
        let (key, path) = match self {
            Self::File(path) => ("password_file", path.clone()),
            Self::Credential(name) => {
                let key = "password_credential";
                let dir = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    let what = "systemd hands over no credentials; write LoadCredential= into the unit";
                    FileError::new(key, Path::new(name), what)
                })?;
                (key, Path::new(&dir).join(name))
            }
        };
        match fs::read_to_string(&path) {
            Ok(secret) => Ok(secret.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => Err(FileError::new(key, &path, error)),
        }
    }
}

/// Certificates and keys, all PEM. They are read at each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CAs that the broker's certificate may come from; the system's otherwise.
    pub ca: Option<PathBuf>,
    /// The agent's own certificate (with those between it and its CA), and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Which version of MQTT to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// 5, and 3.1.1 where a broker refuses that.
    Auto,
    /// This one.
    Only(MqttVersion),
}

/// Whose word frees an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The broker's PUBACK.
    Broker,
    /// The platform's mark on `ack/{stream}`.
    EndToEnd,
}

/// What goes first after an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// What waits longest.
    OldestFirst,
    /// What happens now.
    LiveFirst,
}
