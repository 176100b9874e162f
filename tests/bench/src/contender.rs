//! What is compared: five durable queues.

use crate::{
    databases::{Fjall, Redb},
    raw::Raw,
    spooled::Spooled,
};
use anyhow::Context;
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// A group of commits ends at so many octets at the latest.
pub(crate) const GROUP_BYTES: usize = 256 * 1024;
/// How often a cursor becomes durable.
pub(crate) const CURSOR_EVERY: Duration = Duration::from_millis(200);

/// A durable queue.
pub(crate) trait Queue {
    /// Appends events as one commit; durable when this returns.
    fn append(&mut self, events: &[Box<str>]) -> anyhow::Result<()>;

    /// Appends events that come one by one, as fast as they are taken, so that groups end at [`GROUP_BYTES`]; durable when
    /// this returns.
    fn append_grouped(&mut self, events: &[Box<str>]) -> anyhow::Result<()> {
        let (mut from, mut bytes) = (0, 0);
        for (index, event) in events.iter().enumerate() {
            bytes += event.len();
            if bytes >= GROUP_BYTES {
                self.append(&events[from..=index])?;
                (from, bytes) = (index + 1, 0);
            }
        }
        self.append(&events[from..])
    }

    /// Reads everything in order, keeps a durable cursor, gives disk back. Returns how many events and octets of them there
    /// were.
    fn drain(&mut self) -> anyhow::Result<(usize, usize)>;

    /// Lets what goes on in the background come to its end.
    fn settle(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Spool,
    Raw,
    RawZstd,
    Fjall,
    Redb,
}

impl Contender {
    pub(crate) const ALL: [Self; 5] = [Self::Spool, Self::Raw, Self::RawZstd, Self::Fjall, Self::Redb];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Spool => "spool",
            Self::Raw => "raw",
            Self::RawZstd => "raw + zstd",
            Self::Fjall => "fjall 3",
            Self::Redb => "redb 4",
        }
    }

    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|contender| contender.name() == name);
        found.with_context(|| format!("there is no contender {name}"))
    }

    /// Opens its queue in `dir`, or creates it. The spool gathers commits for `commit_delay`.
    pub(crate) fn open(self, dir: &Path, commit_delay: Duration) -> anyhow::Result<Box<dyn Queue>> {
        Ok(match self {
            Self::Spool => Box::new(Spooled::open(dir, commit_delay)?),
            Self::Raw => Box::new(Raw::create(dir, false)?),
            Self::RawZstd => Box::new(Raw::create(dir, true)?),
            Self::Fjall => Box::new(Fjall::open(dir)?),
            Self::Redb => Box::new(Redb::open(dir)?),
        })
    }

    /// The command that runs one part of the measurements in a process of its own.
    pub(crate) fn command(self, part: &str, dir: &Path, how_much: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([crate::CHILD, part, self.name()]).arg(dir).arg(how_much).stderr(Stdio::inherit());
        Ok(command)
    }
}
