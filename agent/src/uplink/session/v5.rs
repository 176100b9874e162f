//! MQTT 5.

use super::{
    Answer, CLIENT_REQUESTS, Client, EventLoop as Polled, Lost, Raw, Target, Terms,
    transport::{CONNECT_TIMEOUT_S, KEEP_ALIVE, PACKET_IDS, Way, network_options},
};
use crate::uplink::{batch::PACKET_BYTES_MIN, refusal::Reason};
use rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError,
        mqttbytes::{
            self, QoS,
            v5::{
                ConnAck, ConnectReturnCode, DisconnectReasonCode, LastWill, Packet, PubAck, PubAckReason,
                SubscribeReasonCode,
            },
        },
    },
};

pub(super) struct V5(EventLoop);

/// Ready to be polled.
pub(super) fn open(
    target: &Target<'_>,
    way: Way,
    login: Option<(String, String)>,
    will: Vec<u8>,
) -> (Client, V5) {
    let mut options = MqttOptions::new(target.client_id(), way.address, target.server.port);
    options
        .set_transport(way.transport)
        .set_clean_start(true)
        .set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(CONNECT_TIMEOUT_S)
        .set_outgoing_inflight_upper_limit(PACKET_IDS)
        .set_network_options(network_options())
        .set_last_will(LastWill::new(
            target.gateway.status().to_string(),
            will,
            QoS::AtLeastOnce,
            true,
            None,
        ));
    if let Some(proxy) = way.proxy {
        options.set_proxy(proxy);
    }
    if let Some((user, password)) = login {
        options.set_credentials(user, password);
    }
    let (client, event_loop) = AsyncClient::new(options, CLIENT_REQUESTS);
    (Client::V5(client), V5(event_loop))
}

impl Polled for V5 {
    async fn next(&mut self) -> Result<Option<Raw>, Lost> {
        let event = self.0.poll().await;
        // A server keep alive of zero turns it off; the client would take it for an interval and ping at once,
        // for ever.
        if self.0.options.keep_alive().is_zero() {
            self.0.options.set_keep_alive(KEEP_ALIVE);
        }
        event.map(translate).map_err(lost)
    }

    fn rest(&mut self) -> Vec<Raw> {
        std::mem::take(&mut self.0.state.events).into_iter().filter_map(translate).collect()
    }
}

fn translate(event: Event) -> Option<Raw> {
    Some(match event {
        Event::Incoming(Packet::ConnAck(connack)) => Raw::Connected(terms(&connack)),
        Event::Incoming(Packet::PubAck(PubAck { pkid, reason, .. })) => Raw::Answered(pkid, answer(reason)),
        Event::Incoming(Packet::Publish(publish)) => Raw::Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload.to_vec(),
        },
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

fn answer(reason: PubAckReason) -> Answer {
    Answer::Refused(match reason {
        PubAckReason::Success => return Answer::Taken,
        PubAckReason::NoMatchingSubscribers => return Answer::NobodySubscribes,
        PubAckReason::UnspecifiedError => Reason::Unspecified,
        PubAckReason::ImplementationSpecificError => Reason::Implementation,
        PubAckReason::NotAuthorized => Reason::NotAuthorized,
        PubAckReason::TopicNameInvalid => Reason::Topic,
        PubAckReason::PacketIdentifierInUse => Reason::PacketId,
        PubAckReason::QuotaExceeded => Reason::Quota,
        PubAckReason::PayloadFormatInvalid => Reason::PayloadFormat,
    })
}

fn terms(connack: &ConnAck) -> Result<Terms, Lost> {
    let says = connack.properties.as_ref();
    let terms = Terms {
        receive_maximum: says.and_then(|says| says.receive_max).unwrap_or(u16::MAX),
        packet_bytes_max: says.and_then(|says| says.max_packet_size),
    };
    if connack.session_present {
        return Err(Lost::Terms("resumes a session that was to start clean"));
    }
    if terms.receive_maximum == 0 {
        return Err(Lost::Terms("allows no message at all (receive maximum 0)"));
    }
    if says.and_then(|says| says.max_qos) == Some(0) {
        return Err(Lost::Terms("allows no acknowledged messages (maximum QoS 0)"));
    }
    if terms.packet_bytes_max.is_some_and(|bytes| bytes < PACKET_BYTES_MIN) {
        return Err(Lost::Terms("allows packets of less than 8 KiB only: raise the broker's limit"));
    }
    Ok(terms)
}

fn lost(error: ConnectionError) -> Lost {
    match error {
        ConnectionError::Timeout(_) => Lost::ConnectTimeout,
        ConnectionError::ConnectionRefused(ConnectReturnCode::UnsupportedProtocolVersion) => {
            Lost::Version("5")
        }
        ConnectionError::ConnectionRefused(code) => Lost::denied(code),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => match reason_code {
            DisconnectReasonCode::PacketTooLarge => Lost::Disconnected(Reason::TooLarge),
            DisconnectReasonCode::PayloadFormatInvalid => Lost::Disconnected(Reason::PayloadFormat),
            DisconnectReasonCode::NotAuthorized => Lost::Disconnected(Reason::NotAuthorized),
            DisconnectReasonCode::QuotaExceeded => Lost::Disconnected(Reason::Quota),
            other => Lost::Ended(format!("the broker ended the connection: {other:?}")),
        },
        // Not a reason of a PUBACK by the standard, and given all the same.
        ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::InvalidReason(0x95))) => {
            Lost::Disconnected(Reason::TooLarge)
        }
        // It does not pass for the error's source.
        ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::Io(error))) => {
            Lost::broken(error)
        }
        ConnectionError::MqttState(error) => Lost::broken(error),
        ConnectionError::NotConnAck(packet) => Lost::broken(ConnectionError::NotConnAck(packet)),
        error => Lost::connection(error),
    }
}
