//! A client for MQTT 3.1.1 and 5, by hand: quality of service 1 both ways, and nothing done on its own account but pings.

use crate::mqtt::{Packet, decode, field, kind};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};
use tokio::time::Instant;

/// How long a broker may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What the broker is promised to hear from us in; rumqttd takes no connection without such a promise.
const KEEP_ALIVE_S: u8 = 60;
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a session is kept, under MQTT 5; under 3.1.1 that is the broker's affair.
const SESSION_S: u32 = 86_400;

/// A version of MQTT, as CONNECT says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1.
    V311 = 4,
    /// 5.
    V5 = 5,
}

/// Who connects.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The session's name.
    pub client_id: &'a str,
    /// User name and password.
    pub credentials: (&'a str, &'a str),
    /// Whether the session starts anew and ends with the connection.
    pub clean: bool,
}

/// A message as it comes to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic.
    pub topic: String,
    /// What an acknowledgement names; 0 at quality of service 0.
    pub packet_id: u16,
    /// Whether the broker says that it may have sent it before.
    pub again: bool,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A connection.
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    version: Version,
    pinged: Instant,
}

impl Client {
    /// Connects to the loopback address.
    ///
    /// # Errors
    /// Nobody is there, or refuses.
    pub fn connect(port: u16, version: Version, login: &Login<'_>) -> io::Result<Self> {
        let stream =
            TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ANSWER_WITHIN)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        let mut client = Self { stream, unread: Vec::new(), version, pinged: Instant::now() };
        let (user, password) = login.credentials;
        let flags = 0b1100_0000 | u8::from(login.clean) << 1;
        let expiry = [&[0x11][..], &SESSION_S.to_be_bytes()].concat();
        let connect = [
            field("MQTT"),
            vec![version as u8, flags, 0, KEEP_ALIVE_S],
            client.properties(if login.clean { &[] } else { &expiry }),
            field(login.client_id),
            field(user),
            field(password),
        ];
        client.send(&Packet::new(kind::CONNECT, connect.concat()))?;
        let answer = client.expect(kind::CONNACK)?;
        match answer.body.get(1) {
            Some(0) => Ok(client),
            reason => Err(io::Error::new(ErrorKind::ConnectionRefused, format!("CONNACK {reason:?}"))),
        }
    }

    /// Subscribes to `filters` at quality of service 1. Returns what came before the answer: an old session goes on at once.
    ///
    /// # Errors
    /// The connection is over, or the broker refuses.
    pub fn subscribe(&mut self, filters: &[&str]) -> io::Result<Vec<Packet>> {
        let mut body = [vec![0, 1], self.properties(&[])].concat();
        for filter in filters {
            body.extend(field(filter));
            body.push(1);
        }
        self.send(&Packet { flags: 2, ..Packet::new(kind::SUBSCRIBE, body) })?;
        let mut early = Vec::new();
        loop {
            let packet = self.next(ANSWER_WITHIN)?.ok_or(ErrorKind::TimedOut)?;
            if packet.kind != kind::SUBACK {
                early.push(packet);
            } else if packet.body.iter().rev().take(filters.len()).all(|&granted| granted == 1) {
                return Ok(early);
            } else {
                let told = format!("SUBACK {:?}", packet.body);
                return Err(io::Error::new(ErrorKind::PermissionDenied, told));
            }
        }
    }

    /// Publishes at quality of service 1.
    ///
    /// # Errors
    /// The connection is over.
    pub fn publish(&mut self, packet_id: u16, topic: &str, payload: &[u8], retain: bool) -> io::Result<()> {
        let body = [field(topic), packet_id.to_be_bytes().into(), self.properties(&[]), payload.into()];
        self.send(&Packet { flags: 0b0010 | u8::from(retain), ..Packet::new(kind::PUBLISH, body.concat()) })
    }

    /// Tells the broker that a message is safe.
    ///
    /// # Errors
    /// The connection is over.
    pub fn acknowledge(&mut self, packet_id: u16) -> io::Result<()> {
        self.send(&Packet::new(kind::PUBACK, packet_id.to_be_bytes()))
    }

    /// The next packet; `None` if none comes in time.
    ///
    /// # Errors
    /// The connection is over.
    pub fn next(&mut self, within: Duration) -> io::Result<Option<Packet>> {
        loop {
            if let Some(packet) = self.ready() {
                return Ok(Some(packet));
            }
            if self.pinged.elapsed() > PING_EVERY {
                self.send(&Packet::new(kind::PINGREQ, []))?;
                self.pinged = Instant::now();
            }
            self.stream.set_read_timeout(Some(within))?;
            let mut bytes = [0; 64 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.unread.extend(&bytes[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The next packet of those that were read already.
    pub fn ready(&mut self) -> Option<Packet> {
        let (packet, length) = decode(&self.unread)?;
        self.unread.drain(..length);
        Some(packet)
    }

    /// The message in a packet, if it is one.
    pub fn delivery(&self, packet: &Packet) -> Option<Delivery> {
        if packet.kind != kind::PUBLISH {
            return None;
        }
        let (topic, mut rest) = packet.body.split_at(2 + usize::from(u16_at(&packet.body)));
        let topic = String::from_utf8_lossy(&topic[2..]).into_owned();
        let mut packet_id = 0;
        if packet.flags & 0b0110 != 0 {
            packet_id = u16_at(rest);
            rest = &rest[2..];
        }
        if self.version == Version::V5 {
            assert!(rest[0] < 128, "longer properties are not needed here");
            rest = &rest[1 + usize::from(rest[0])..];
        }
        Some(Delivery { topic, packet_id, again: packet.flags & 0b1000 != 0, payload: rest.to_vec() })
    }

    /// Properties with their length, where the version has them.
    fn properties(&self, properties: &[u8]) -> Vec<u8> {
        match self.version {
            Version::V311 => Vec::new(),
            Version::V5 => [&[u8::try_from(properties.len()).unwrap()], properties].concat(),
        }
    }

    fn send(&mut self, packet: &Packet) -> io::Result<()> {
        self.stream.write_all(&packet.encode())
    }

    fn expect(&mut self, kind: u8) -> io::Result<Packet> {
        let packet = self.next(ANSWER_WITHIN)?.ok_or(ErrorKind::TimedOut)?;
        if packet.kind != kind {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{packet:?}")));
        }
        Ok(packet)
    }
}

fn u16_at(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}
