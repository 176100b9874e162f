//! MQTT 3.1.1: no reasons, no limits told; a broker that will not have a message closes the connection.

use super::{
    Answer, CLIENT_REQUESTS, Client, EventLoop as Polled, Lost, Raw, Target, Terms,
    transport::{KEEP_ALIVE, PACKET_IDS, Way, network_options},
};
use rumqttc::{
    AsyncClient, ConnAck, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions,
    Outgoing, Packet, QoS, SubscribeReasonCode,
};

/// The client wants to be told what it may send and receive; more than any message here.
const PACKET_BYTES_MAX: usize = 1 << 20;

pub(super) struct V311(EventLoop);

/// Ready to be polled.
pub(super) fn open(
    target: &Target<'_>,
    way: Way,
    login: Option<(String, String)>,
    will: Vec<u8>,
) -> (Client, V311) {
    let mut options = MqttOptions::new(target.client_id(), way.address, target.server.port);
    options
        .set_transport(way.transport)
        .set_clean_session(true)
        .set_keep_alive(KEEP_ALIVE)
        .set_inflight(PACKET_IDS)
        .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX)
        .set_last_will(LastWill::new(target.gateway.status().to_string(), will, QoS::AtLeastOnce, true));
    if let Some(proxy) = way.proxy {
        options.set_proxy(proxy);
    }
    if let Some((user, password)) = login {
        options.set_credentials(user, password);
    }
    let (client, mut event_loop) = AsyncClient::new(options, CLIENT_REQUESTS);
    event_loop.set_network_options(network_options());
    (Client::V311(client), V311(event_loop))
}

impl Polled for V311 {
    async fn next(&mut self) -> Result<Option<Raw>, Lost> {
        self.0.poll().await.map(translate).map_err(lost)
    }

    fn rest(&mut self) -> Vec<Raw> {
        std::mem::take(&mut self.0.state.events).into_iter().filter_map(translate).collect()
    }
}

fn translate(event: Event) -> Option<Raw> {
    Some(match event {
        Event::Incoming(Packet::ConnAck(connack)) => Raw::Connected(terms(&connack)),
        Event::Incoming(Packet::PubAck(puback)) => Raw::Answered(puback.pkid, Answer::Taken),
        Event::Incoming(Packet::Publish(publish)) => {
            Raw::Message { topic: publish.topic, payload: publish.payload.to_vec() }
        }
        Event::Incoming(Packet::SubAck(suback)) => Raw::Subscribed {
            is_granted: suback
                .return_codes
                .iter()
                .all(|code| matches!(code, SubscribeReasonCode::Success(_))),
        },
        Event::Outgoing(Outgoing::Publish(packet_id)) => Raw::Announced(packet_id),
        Event::Outgoing(Outgoing::Disconnect) => Raw::Left,
        Event::Incoming(_) | Event::Outgoing(_) => return None,
    })
}

fn terms(connack: &ConnAck) -> Result<Terms, Lost> {
    if connack.session_present {
        return Err(Lost::Terms("resumes a session that was to start clean"));
    }
    Ok(Terms { receive_maximum: u16::MAX, packet_bytes_max: None })
}

fn lost(error: ConnectionError) -> Lost {
    match error {
        ConnectionError::NetworkTimeout => Lost::ConnectTimeout,
        ConnectionError::ConnectionRefused(ConnectReturnCode::RefusedProtocolVersion) => {
            Lost::Version("3.1.1")
        }
        ConnectionError::ConnectionRefused(code) => Lost::denied(code),
        ConnectionError::MqttState(error) => Lost::broken(error),
        ConnectionError::NotConnAck(packet) => Lost::broken(ConnectionError::NotConnAck(packet)),
        error => Lost::connection(error),
    }
}
