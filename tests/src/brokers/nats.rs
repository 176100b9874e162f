//! NATS with JetStream: one server, and a cluster of three.
//!
//! The platform's own stream is made as an operator would, through NATS' API, from `stream.json`.

use super::{Broker, PASSWORD, PLATFORM, configure};
use crate::{client::Version, mosquitto::free_port, wait::wait_for};
use serde_json::Value;
use std::{
    fs,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    process::Command,
    time::Duration,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const INBOX: &str = "_INBOX.tests";

impl Broker {
    /// A single NATS server.
    ///
    /// # Panics
    /// Where it is missing.
    pub fn nats() -> Self {
        Self::nats_of("NATS", "nats", 1)
    }

    /// Three NATS servers, of which any one may fail.
    ///
    /// # Panics
    /// Where they are missing.
    pub fn nats_cluster() -> Self {
        Self::nats_of("NATS x 3", "nats-cluster", 3)
    }

    fn nats_of(name: &'static str, files: &str, count: usize) -> Self {
        let mut broker = Self::new(name, Version::V311);
        let routes: Vec<_> = (0..count).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let mut api = Vec::new();
        for (n, route) in routes.iter().enumerate() {
            let directory = broker.directory.path().join(n.to_string());
            fs::create_dir(&directory).unwrap();
            let (client, mqtt) = (free_port(), free_port());
            api.push(client);
            let data = directory.join("data").display().to_string();
            let [name, client, http, mqtt_at, route] = [
                format!("server_name: vitrine-{}", n + 1),
                format!("127.0.0.1:{client}"),
                format!("127.0.0.1:{}", free_port()),
                format!("127.0.0.1:{mqtt}"),
                format!("listen: {route}"),
            ];
            let mut edits = vec![
                ("server_name: vitrine-1", &*name),
                ("127.0.0.1:4222", &client),
                ("127.0.0.1:8222", &http),
                ("127.0.0.1:1883", &mqtt_at),
                ("/var/lib/nats", &data),
            ];
            if let [first, second, third] = &*routes {
                edits.extend([
                    ("listen: 127.0.0.1:6222", &*route),
                    ("nats-1:6222", first),
                    ("nats-2:6222", second),
                    ("nats-3:6222", third),
                ]);
            }
            let config = configure(&format!("{files}/nats.conf"), &directory, &edits);
            configure("nats/accounts.conf", &directory, &[]);
            broker.node([mqtt; 2], move || {
                let mut command = Command::new("nats-server");
                command.arg("-c").arg(&config);
                command
            });
        }
        let broker = broker.started();
        let stream = configure(&format!("{files}/stream.json"), broker.directory.path(), &[]);
        let stream = fs::read_to_string(stream).unwrap();
        wait_for("the stream is made", 60, || {
            let answer = ask(api[0], "$JS.API.STREAM.CREATE.VITRINE", &stream).ok()?;
            answer["error"].is_null().then_some(())
        });
        broker
    }
}

/// Asks JetStream.
///
/// # Errors
/// No server is there, or none answers in time.
pub(super) fn ask(port: u16, subject: &str, request: &str) -> io::Result<Value> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let hello = format!(
        "CONNECT {{\"verbose\":false,\"user\":\"{PLATFORM}\",\"pass\":\"{PASSWORD}\"}}\r\nSUB {INBOX} 1\r\nPUB {subject} {INBOX} {}\r\n{request}\r\n",
        request.len()
    );
    stream.write_all(hello.as_bytes())?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line.starts_with("-ERR") {
            return Err(io::Error::new(ErrorKind::PermissionDenied, line));
        }
        let Some(head) = line.strip_prefix("MSG ") else { continue };
        let length = head.split_whitespace().next_back().and_then(|length| length.parse().ok());
        let mut answer = vec![0; length.ok_or(ErrorKind::InvalidData)?];
        reader.read_exact(&mut answer)?;
        return Ok(serde_json::from_slice(&answer)?);
    }
}
