//! Why a connection is over, or was none.

use super::{
    tls::{self, TlsError},
    transport::CONNECT_TIMEOUT_S,
};
use crate::uplink::{refusal::Reason, settings::FileError};
use std::{error::Error, fmt};

/// Why a connection is over, or was none.
#[derive(Debug, thiserror::Error)]
pub(in crate::uplink) enum Lost {
    #[error("the broker did not answer within {CONNECT_TIMEOUT_S} s")]
    ConnectTimeout,
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It does not lead to the broker, or did.
    #[error("{0}")]
    Connection(Box<dyn Error + Send + Sync>),
    /// The broker let go in the middle, or said what is no MQTT.
    #[error("{0}")]
    Broken(Box<dyn Error + Send + Sync>),
    /// The same, in place of CONNACK.
    #[error("the broker does not answer as this version of MQTT wants it: {0}")]
    NoConnack(Box<dyn Error + Send + Sync>),
    #[error("the broker does not speak MQTT {0}")]
    Version(&'static str),
    #[error("the broker refused the connection: {0}")]
    Denied(String),
    #[error("the broker's CONNACK {0}")]
    Terms(&'static str),
    #[error("{0}")]
    Ended(String),
    /// With a reason that speaks of a message.
    #[error("the broker ended the connection: {0}")]
    Disconnected(Reason),
    #[error("the broker refused a message: {0}")]
    Refused(Reason),
    #[error("the broker acknowledged nothing for {0} s")]
    Silent(u64),
    #[error("the broker does not let the agent subscribe to ack/+: allow it, or write delivery = \"broker\"")]
    NoMarks,
    #[error("the platform's marks stand still: sending again from them")]
    MarksStandStill,
    #[error("the connection ended without a reason")]
    Unknown,
    #[error("a message could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("a message could not be compressed: {0}")]
    Compress(std::io::Error),
    #[error("the system has no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

impl Lost {
    /// Whether the broker is there, but will have none of what it is sent: coming back at once would not help.
    pub(in crate::uplink) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Refused(_) | Self::Disconnected(_) | Self::Terms(_) | Self::Denied(_) | Self::NoMarks
        )
    }

    /// Whether another version of MQTT may fare better.
    pub(in crate::uplink) fn is_about_the_version(&self) -> bool {
        matches!(self, Self::Version(_) | Self::NoConnack(_))
    }

    /// Whether it was the broker that ended a connection that it had accepted, so that a message may be to blame.
    pub(in crate::uplink) fn is_brokers_doing(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Disconnected(_))
    }

    /// A CONNACK with a refusal.
    pub(super) fn denied(code: impl fmt::Debug) -> Self {
        let code = format!("{code:?}");
        let hint = match code.as_str() {
            "NotAuthorized" | "BadUserNamePassword" => ": check `user` and its password, or the certificate",
            "ClientIdentifierNotValid" | "BadClientId" => ": it does not take a client id with colons",
            _ => "",
        };
        Self::Denied(format!("{code}{hint}"))
    }

    /// An error of the protocol, or the connection's end.
    pub(super) fn broken(error: impl Error + Send + Sync + 'static) -> Self {
        tls::find(&error).map_or_else(|| Self::Broken(Box::new(error)), Self::Tls)
    }

    /// Any other error.
    pub(super) fn connection(error: impl Error + Send + Sync + 'static) -> Self {
        tls::find(&error).map_or_else(|| Self::Connection(Box::new(error)), Self::Tls)
    }

    /// The same, where it came instead of CONNACK.
    pub(super) fn before_connack(self) -> Self {
        match self {
            Self::Broken(error) => Self::NoConnack(error),
            other => other,
        }
    }
}
