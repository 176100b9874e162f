//! As much of MQTT 5 as tests need, by hand: to be a broker that misbehaves, and a subscriber that hides nothing.

use std::{io, net::Ipv4Addr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Nothing here waits longer: the test fails then.
const PATIENCE: Duration = Duration::from_secs(40);

/// Packet types, as the upper half of the first byte.
pub mod kind {
    #![allow(missing_docs, reason = "they are MQTT's")]
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const SUBSCRIBE: u8 = 8;
    pub const SUBACK: u8 = 9;
    pub const PINGREQ: u8 = 12;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
}

/// An MQTT control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// See [`kind`].
    pub kind: u8,
    /// The lower half of the first byte.
    pub flags: u8,
    /// What follows the remaining length.
    pub body: Vec<u8>,
}

/// A PUBLISH packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The packet id; 0 at quality of service 0.
    pub packet_id: u16,
    /// The retain flag.
    pub retain: bool,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Packet {
    /// A packet without flags.
    pub fn new(kind: u8, body: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags: 0, body: body.into() }
    }

    /// CONNACK with a reason code and properties.
    pub fn connack(session_present: bool, reason: u8, properties: &[u8]) -> Self {
        let mut body = vec![u8::from(session_present), reason, u8::try_from(properties.len()).unwrap()];
        body.extend(properties);
        Self::new(kind::CONNACK, body)
    }

    /// PUBACK with a reason code.
    pub fn puback(packet_id: u16, reason: u8) -> Self {
        let [high, low] = packet_id.to_be_bytes();
        Self::new(kind::PUBACK, [high, low, reason])
    }

    /// The message, if this is a PUBLISH.
    pub fn message(&self) -> Option<Message> {
        if self.kind != kind::PUBLISH {
            return None;
        }
        let (topic, mut rest) = split_text(&self.body);
        let mut packet_id = 0;
        if self.flags & 0b0110 != 0 {
            packet_id = u16::from_be_bytes([rest[0], rest[1]]);
            rest = &rest[2..];
        }
        assert!(rest[0] < 128, "longer properties are not needed here");
        let payload = rest[1 + usize::from(rest[0])..].to_vec();
        Some(Message { topic, packet_id, retain: self.flags & 1 == 1, payload })
    }

    /// The message, if this is a PUBLISH of MQTT 3.1.1, which has no properties.
    pub fn message_v311(&self) -> Option<Message> {
        let end = 4 + usize::from(u16::from_be_bytes([*self.body.first()?, *self.body.get(1)?]));
        let no_properties = 0;
        let mut body = self.body.clone();
        body.insert(end, no_properties);
        Self { body, ..self.clone() }.message()
    }

    /// The version of MQTT that a CONNECT speaks: 5, or 4 for 3.1.1.
    pub fn protocol_level(&self) -> u8 {
        self.body[6]
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind << 4 | self.flags];
        let mut length = self.body.len();
        loop {
            let low = u8::try_from(length % 128).unwrap();
            length /= 128;
            bytes.push(low | if length > 0 { 128 } else { 0 });
            if length == 0 {
                break;
            }
        }
        bytes.extend(&self.body);
        bytes
    }
}

/// The packet that `bytes` begin with, and its length; `None` if it is not whole.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Packet, usize)> {
    let (&first, rest) = bytes.split_first()?;
    let digits = 1 + rest.iter().position(|&byte| byte < 128)?;
    let length = rest[..digits].iter().rev().fold(0, |length, &digit| length << 7 | usize::from(digit & 127));
    let body = rest.get(digits..digits + length)?.to_vec();
    Some((Packet { kind: first >> 4, flags: first & 15, body }, 1 + digits + length))
}

/// A text or binary field with its length before it.
pub fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length, bytes].concat()
}

fn split_text(bytes: &[u8]) -> (String, &[u8]) {
    let end = 2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    (String::from_utf8(bytes[2..end].to_vec()).unwrap(), &bytes[end..])
}

/// A connection that carries MQTT packets.
pub struct Link {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Link {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// The next connection that a client makes, without its CONNECT.
    pub async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("nobody connects").unwrap();
        Self::new(stream)
    }

    /// The next packet; `None` when the connection is over. Nothing is lost if it is dropped half-way.
    pub async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some((packet, length)) = decode(&self.unread) {
                self.unread.drain(..length);
                return Some(packet);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
            if read.expect("nothing more comes").ok()? == 0 {
                return None;
            }
        }
    }

    /// The next message, answering pings; `None` when the connection is over or the other side takes leave.
    pub async fn next_message(&mut self) -> Option<Message> {
        loop {
            let packet = self.next().await?;
            match packet.kind {
                kind::PINGREQ => self.send(&Packet::new(kind::PINGRESP, [])).await,
                kind::DISCONNECT => return None,
                _ => {
                    if let Some(message) = packet.message() {
                        return Some(message);
                    }
                }
            }
        }
    }

    /// Closes the connection.
    pub async fn close(mut self) {
        self.stream.shutdown().await.ok();
    }

    /// Sends a packet; if the connection is over, nothing happens.
    pub async fn send(&mut self, packet: &Packet) {
        self.stream.write_all(&packet.encode()).await.ok();
    }
}

/// Subscribes to `filter` at quality of service 0, as a new client.
pub async fn subscribe(port: u16, client_id: &str, filter: &str) -> io::Result<Link> {
    let mut link = Link::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
    let (clean_start, keep_alive, properties) = (2, [0, 0], 0);
    let connect =
        [field("MQTT"), vec![5, clean_start], keep_alive.into(), vec![properties], field(client_id)];
    link.send(&Packet::new(kind::CONNECT, connect.concat())).await;
    let connack = link.next().await.ok_or(io::ErrorKind::ConnectionReset)?;
    assert_eq!((connack.kind, connack.body[1]), (kind::CONNACK, 0));
    let subscribe = [vec![0, 1, properties], field(filter), vec![0]].concat();
    link.send(&Packet { flags: 2, ..Packet::new(kind::SUBSCRIBE, subscribe) }).await;
    let suback = link.next().await.ok_or(io::ErrorKind::ConnectionReset)?;
    assert_eq!(suback.kind, kind::SUBACK);
    Ok(link)
}
