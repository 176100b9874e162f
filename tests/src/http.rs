//! A device's side of HTTP/1.1, by hand: one request a connection.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

/// Longer than the agent takes to say that it is busy.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, a `name: value` a line.
    pub headers: String,
    /// The content.
    pub body: String,
}

/// Sends a request to the loopback address and waits for the whole answer.
///
/// # Errors
/// Where nobody listens, or the connection ends before the answer does: the request may have been taken or not.
pub fn request(port: u16, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    // Who refuses a body without reading it resets the connection after the answer.
    let end = stream.read_to_end(&mut answer);
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| end.err().unwrap_or(io::ErrorKind::UnexpectedEof.into()))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (status_line, headers) = head.split_once("\r\n")?;
    let status = status_line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let headers = headers.to_ascii_lowercase();
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(Some(0), |length| length.parse().ok())?;
    (body.len() >= length).then(|| Answer { status, headers, body: body.to_owned() })
}
