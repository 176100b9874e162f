//! A process that uses a spool for all it is worth, to be killed at any instant.
//!
//! It is the program `spool_child`; what it says, line by line, is specified there. What it was heard to say counts as
//! promised.

use super::{ledger::Ledger, queue::Settings};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};
use vitrine_agent::spool::{Lane, Record};
use vitrine_protocol::topic::Stream;

/// How the process reads what it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Not at all: the line is down.
    None,
    /// As fast as it can.
    Follow,
}

/// How much room the process gives its spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// [`Settings::ROOMY`]
    Roomy,
    /// [`Settings::TIGHT`]
    Tight,
}

impl Room {
    /// What it stands for.
    pub fn settings(self) -> Settings {
        match self {
            Self::Roomy => Settings::ROOMY,
            Self::Tight => Settings::TIGHT,
        }
    }
}

/// A running process.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    heard: Arc<Mutex<Vec<Heard>>>,
    listener: JoinHandle<()>,
}

/// Something that the process said.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What the clock of the caller of [`Worker::start`] said.
    pub at: u64,
    /// What it is.
    pub what: Said,
}

/// What a process can say.
#[derive(Clone, Debug)]
pub enum Said {
    /// The spool is open.
    Open,
    /// Events are durable.
    Answered(Stream, std::ops::Range<u64>),
    /// An event was read; once this was heard, it may be acknowledged.
    Read(Record),
    /// Everything in a lane up to a position was read.
    ReadUpto(Lane, u64),
    /// Something that should not happen.
    Wrong(String),
}

impl Worker {
    /// Starts a process on the spool in `dir`, whose events have serial numbers from `serial` on. What it says is
    /// noted with the time that `clock` tells.
    pub fn start(
        program: &str,
        dir: &Path,
        room: Room,
        reading: Reading,
        serial: u64,
        clock: impl Fn() -> u64 + Send + 'static,
    ) -> Self {
        let mut command = Command::new(program);
        command.arg(dir).arg(serial.to_string()).arg(if reading == Reading::Follow {
            "follow"
        } else {
            "none"
        });
        command.arg(match room {
            Room::Roomy => "roomy",
            Room::Tight => "tight",
        });
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = thread::spawn({
            let heard = heard.clone();
            move || listen(stdout, stdin, &heard, clock)
        });
        Self { child, heard, listener }
    }

    /// Whether something was said that `is` what is looked for.
    pub fn has_said(&self, is: impl Fn(&Said) -> bool) -> bool {
        self.heard.lock().unwrap().iter().any(|heard| is(&heard.what))
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills the process, which cannot do anything about it, and returns all that it said.
    pub fn kill(mut self) -> Vec<Heard> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.listener.join().unwrap();
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

/// Enters what was said into the account.
///
/// # Errors
/// As [`Ledger::received`], and what the process itself found to be wrong.
pub fn enter<'a>(ledger: &mut Ledger, heard: impl IntoIterator<Item = &'a Heard>) -> Result<(), String> {
    enter_all(ledger, heard.into_iter().map(|heard| &heard.what))
}

/// [`enter`] for what was said, whenever that was.
///
/// # Errors
/// As [`enter`].
pub fn enter_all<'a>(ledger: &mut Ledger, said: impl IntoIterator<Item = &'a Said>) -> Result<(), String> {
    for what in said {
        match what {
            Said::Answered(stream, serials) => ledger.answered(*stream, serials.clone()),
            Said::Read(record) => ledger.received(record)?,
            Said::Wrong(why) => return Err(why.clone()),
            Said::Open | Said::ReadUpto(..) => {}
        }
    }
    Ok(())
}

/// Hears the process out. Without a line's end, a line was not said.
fn listen(stdout: ChildStdout, mut stdin: ChildStdin, heard: &Mutex<Vec<Heard>>, clock: impl Fn() -> u64) {
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|n| n > 0) && line.ends_with('\n') {
        let what = parse(line.trim_end()).unwrap_or_else(|| Said::Wrong(format!("not understood: {line}")));
        let acknowledge = match &what {
            Said::ReadUpto(lane, upto) => Some(format!("{} {upto}\n", lane.name())),
            _ => None,
        };
        heard.lock().unwrap().push(Heard { at: clock(), what });
        if let Some(acknowledge) = acknowledge {
            // A process that was killed meanwhile does not need it.
            stdin.write_all(acknowledge.as_bytes()).ok();
        }
        line.clear();
    }
}

/// Understands a line.
pub(super) fn parse(line: &str) -> Option<Said> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    Some(match word {
        "open" => Said::Open,
        "answered" => {
            let (stream, serials) = rest.split_once(' ')?;
            let (from, to) = serials.split_once(' ')?;
            Said::Answered(stream_of(stream)?, from.parse().ok()?..to.parse().ok()?)
        }
        "read" => {
            let (stream, rest) = rest.split_once(' ')?;
            let (seq, json) = rest.split_once(' ')?;
            let (stream, seq) = (stream_of(stream)?, seq.parse().ok()?);
            Said::Read(Record { pos: 0, stream, seq, context: super::load::context(), json: json.into() })
        }
        "upto" => {
            let (name, upto) = rest.split_once(' ')?;
            let lane = Lane::ALL.into_iter().find(|lane| lane.name() == name)?;
            Said::ReadUpto(lane, upto.parse().ok()?)
        }
        _ => Said::Wrong(rest.to_owned()),
    })
}

fn stream_of(name: &str) -> Option<Stream> {
    Stream::ALL.iter().copied().find(|stream| stream.name() == name)
}
