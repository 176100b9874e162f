//! How the client gets to a broker: the types that both versions of MQTT share.

use super::{Target, tls, tls::TlsError};
use crate::uplink::server::{Scheme, bracketed};
use rumqttc::{NetworkOptions, Proxy, ProxyAuth, ProxyType, TlsConfiguration, Transport};
use std::{sync::Arc, time::Duration};

pub(super) const CONNECT_TIMEOUT_S: u64 = 10;
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Packet ids in use: more than a window, so that an id has come free when its turn comes again even where
/// acknowledgements are out of order (the client stops sending until it has). It allocates a slot for each.
pub(super) const PACKET_IDS: u16 = 1024;

/// The way to a broker.
pub(super) struct Way {
    pub(super) transport: Transport,
    /// What the client calls the broker: a host, or the URL of a WebSocket.
    pub(super) address: String,
    pub(super) proxy: Option<Proxy>,
}

impl Way {
    /// The way to the target. Reads certificates.
    pub(super) fn to(target: &Target<'_>) -> Result<Self, TlsError> {
        let (server, settings) = (target.server, target.settings);
        let tls = || {
            let config = tls::config(&settings.tls)?;
            Ok::<_, TlsError>(TlsConfiguration::Rustls(Arc::new(config)))
        };
        let transport = match server.scheme {
            Scheme::Mqtt => Transport::Tcp,
            Scheme::Mqtts => Transport::Tls(tls()?),
            Scheme::Ws => Transport::Ws,
            Scheme::Wss => Transport::Wss(tls()?),
        };
        let address = if server.scheme.is_websocket() { server.to_string() } else { bracketed(&server.host) };
        let proxy = settings.proxy.as_ref().map(|proxy| Proxy {
            ty: ProxyType::Http,
            auth: ProxyAuth::None,
            addr: bracketed(&proxy.host),
            port: proxy.port,
        });
        Ok(Self { transport, address, proxy })
    }
}

pub(super) fn network_options() -> NetworkOptions {
    let mut options = NetworkOptions::new();
    options.set_tcp_nodelay(true);
    options.set_connection_timeout(CONNECT_TIMEOUT_S);
    options
}
