//! The spool: a durable queue between the pipeline and the uplink, and the single durability point of the agent.
//!
//! Producers hand [`Commit`]s to one committer, which gathers them for a few milliseconds, writes them, makes
//! them durable, and only then answers. The uplink reads by position and acknowledges; what is acknowledged is
//! freed. This text specifies what is on disk, well enough to write another reader from it.
//!
//! # Constraints
//! - Nothing that was answered is lost by a crash or a power cut at any instant.
//! - A sequence number is never given to two events, whatever is lost. Numbers that will not come are stated in a gap, once.
//! - Damage costs the blocks that are damaged, never the agent.
//! - Disk space is bounded, and given back: a segment is removed as a whole, no single record is ever deleted.
//! - Memory does not depend on what waits: open are the segments being written, one a lane, and one ahead.
//!
//! # Layout
//! ```text
//! <spool>/spool, spool-copy              state file: {"v":2,"id":"<32 hex digits>","secret":"<32>"}: the format, the birth
//!                                        id, and the secret of event ids; written once
//! <spool>/lock                           locked by the process that has the spool
//! <spool>/checkpoint                     state file: {"lanes":{"<lane>":pos},"state":...}
//! <spool>/ballast                        room that is given up when the disk is full
//! <spool>/spare/                         an empty segment, opened ahead
//! <spool>/<lane>/lane                    twin file: {"cursor","oldest","head","reserved","stated","evicted"}
//! <spool>/<lane>/seg-<20 digits>[-dense]/  a segment: a sled 0.34 database, with everything in its file `db`; the digits are its
//!                                        first position
//! <spool>/<lane>/dead-*, new-*           a segment that is being removed, or written
//! <spool>/quarantine/<lane>-seg-*/       segments of which some part could not be read
//! ```
//! State files have the form that [`crate::state`] describes, twin files that of the module `twin`. There are three lanes,
//! [`Lane`]; a stream belongs to one.
//!
//! A *position* numbers the records of a lane from 1, a *sequence number* the events of a stream from 1. A *mark*
//! `{"pos","seqs":{"<stream>":seq},"exact"}` names the next of each; a stream that is not in it is at 1.
//!
//! # Blocks
//! The database holds *runs*: trees named by the position that they start at (8 octets, big endian). In a tree, key 0 (8
//! octets as well) holds the block of the run's mark, and the other keys, positions, the blocks of records from that position on.
//! A reader without sled finds the same blocks in the file, as sled keeps a value in one piece: at any offset, several times
//! perhaps, in no order. What a position holds is the same in all its copies.
//!
//! | octets | |
//! |---|---|
//! | 4 | `VSB2`; the digit is the format |
//! | 4 | CRC-32C of everything after it (numbers are little endian) |
//! | 4 | octets of the whole block, at most [`MAX_BLOCK`] |
//! | 1 | flags; bit 0: the block ends a commit; bit 1: it is a mark |
//! | 2 | number of records; 0 in a mark |
//! | 8 | position of the first record; of a mark, its own |
//! | 4 | how many positions before that its commit began |
//! | 8 | time until which the records are held, in ms since the epoch, or 0 |
//! | 8 | time when it was written, likewise |
//! | rest | of a mark: JSON; otherwise a zstd frame |
//!
//! Decompressed (64 KiB at most): length and text of the plan's version; year (2), month, day of the store-day; then
//! each record: stream code (1; 0 for a note), sequence number (8), length (4), and so many octets: an event's
//! JSON, or a note.
//!
//! A *note* is a record that is never published: what the agent has to remember together with an event, such as
//! a shelf's level or the id of an input. A commit is the blocks up to one with the end flag: all of it, or
//! nothing, is there after a crash. So the agent's memory agrees with what it has said.
//!
//! # Writing
//! A segment is written by one process, in order, and closed at 4 MiB of blocks, or 8 MiB of file. A commit is written block by
//! block; then `flush()` and `fdatasync`; then the answer; then the next commit. A new segment gets its name, and its parent is
//! synced, when its mark is durable. In the lane's file, `reserved` is kept ahead of writing, and names every
//! stream that was written, so that numbering can go on above it when the newest segment is lost. A process
//! starts with a new segment; the newest one stays, even if all of it is acknowledged, to tell the numbering.
//!
//! A closed segment that sled has made large, because its commits were small, and that will not be sent soon, is written anew in
//! full blocks, to `new-*`, which is then renamed `*-dense` and counts instead.
//!
//! # Bounds
//! A lane that has its bound, less two segments, gives up its oldest segment, or pushes back ([`Spool::admit`]), as configured. On a full
//! disk the ballast goes first, then the oldest segments of facts, slots and critical, in that order. Below the free-space floor the
//! spool does not grow: for a new segment an old one goes. What of an evicted segment is not acknowledged is remembered in the
//! lane's file as `evicted`: `{"from":mark,"reason"}` means everything from there to the first segment, until the reader
//! comes there, and one gap a stream says so. Gaps themselves are appended again before their segment goes.
//!
//! # Recovery
//! Segments before `oldest` were being removed when the agent was killed; they go. In the newest, everything before
//! its last commit was answered, since one is only written when the one before is durable; the lane ends after the last
//! commit if all of it is there, otherwise before. If that is before `head`, or nothing can be read, the next segment starts at `reserved`,
//! with a mark that is not `exact`. State is the checkpoint's, with the notes after its positions applied in order; a segment is
//! freed only when both the cursor and a checkpoint have passed it.
//!
//! A reader carries the number that each stream should have next. A mark or an event that is ahead of it tells of numbers that are
//! lost, and the spool appends a gap; `stated` in the lane's file, and the gaps in the newest segment of the critical lane,
//! keep it from saying so again. A segment with damage goes to `quarantine/` once the rest of it is drained. Trouble that may pass
//! (too many open files) is no damage: the same is tried again.
//!
//! One thing is not detected: where a crash and damage to the last commit come together, within the 200 ms until `head` is
//! written, that commit is taken for one that was not completed; its events are lost without a gap, and their numbers given anew.
//!
//! # Left out
//! Reading spools of format 1, which no released version has written.

mod acknowledged;
mod block;
mod bounds;
mod committer;
mod config;
mod dense;
mod dirs;
mod error;
mod files;
mod log;
mod mark;
mod pack;
mod reader;
mod record;
mod recover;
mod room;
mod salvage;
mod scan;
mod segment;
mod spare;
mod standing;
mod stats;
mod trail;
mod twin;
mod verify;
mod view;
mod writer;

pub use block::BlockError;
pub use config::{Bound, Config, WhenFull};
pub use error::{Full, SpoolError};
pub use log::Evicted;
pub use mark::Mark;
pub use record::{Chunk, Commit, Context, Draft, Lane, Record, Recovery};
pub use salvage::{Copies, Recovered, Salvage, StreamRecovered, copies};
pub use scan::{Entry, Found, Scan};
pub use standing::{LaneStanding, Standing, StreamStanding};
pub use stats::{LaneStats, Stats};
pub use trail::SeqRange;
pub use verify::{Consequence, Damage, Finding, PosRange, Verified, verify};
pub use view::{Aside, FileState, LaneFiles, Live, LiveLane, SegmentFiles, View};

use crate::{clock::Clock, ids::Ids, state::StateDir};
use committer::{Command, Committer};
use files::{Birth, Checkpoint};
use log::Log;
use mark::Loss;
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use vitrine_protocol::{
    event::{EventId, GapReason},
    time::Timestamp,
    topic::Stream,
};
use writer::Surroundings;

/// The most octets of an encoded block: sled keeps larger values in files that our sync would miss.
pub const MAX_BLOCK: usize = 14 * 1024;
/// The most octets of an event or a note.
pub const MAX_RECORD: usize = 4 * 1024;
/// Commits that wait for the committer. While it writes a group, the whole next one should come in, even of single events: to wait
/// for them one by one takes longer than to write them.
const QUEUE: usize = 2048;

/// A handle on the spool; clones are the same spool.
#[derive(Clone, Debug)]
pub struct Spool {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

/// What the committer and all handles share.
#[derive(Debug)]
struct Shared {
    id: EventId,
    ids: Ids,
    config: Config,
    logs: [Arc<Log>; Lane::ALL.len()],
    acknowledged: Notify,
    changed: watch::Sender<u64>,
    full: Mutex<Option<Full>>,
    counters: Counters,
    written_bytes: Arc<AtomicU64>,
}

/// What the spool has done since it was opened.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events made durable.
    pub events: AtomicU64,
    /// Octets of their JSON.
    pub payload_bytes: AtomicU64,
    /// Commits of the storage, each with one sync a lane.
    pub commits: AtomicU64,
    /// Events that are known to be lost; a gap was appended for each range.
    pub lost_events: AtomicU64,
    /// Segments that were removed to make room.
    pub evicted_segments: AtomicU64,
    /// Segments found to be damaged.
    pub damaged_segments: AtomicU64,
    /// The most events that waited for acknowledgement.
    pub backlog_max: AtomicU64,
}

impl Spool {
    /// Opens the spool that `config` describes, or creates it, and starts its committer, which dates gaps by `clock`.
    ///
    /// # Errors
    /// Every [`SpoolError`] but `Unrecoverable`: such a spool is set aside as a whole, and a new one is begun.
    pub fn open<S: DeserializeOwned>(
        config: &Config,
        context: Context,
        clock: Clock,
    ) -> Result<(Self, Recovery<S>), SpoolError> {
        match Self::open_once(config, context, clock.clone()) {
            Err(e @ SpoolError::Unrecoverable(_)) => {
                let dir = &config.dir;
                let aside = dir.with_extension(format!("damaged-{}", clock.now().utc.as_ms()));
                tracing::error!("{e}; the spool is set aside as {} and a new one is begun", aside.display());
                std::fs::rename(dir, aside).map_err(|e| SpoolError::io(dir, e))?;
                Self::open_once(config, context, clock)
            }
            opened => opened,
        }
    }

    fn open_once<S: DeserializeOwned>(
        config: &Config,
        context: Context,
        clock: Clock,
    ) -> Result<(Self, Recovery<S>), SpoolError> {
        let dir = &config.dir;
        let files = StateDir::open(dir)?;
        let lock = files::lock(dir)?;
        let Birth { id, secret, .. } = files::birth(&files)?;
        let (checkpoint, state) = match files::read_checkpoint(&files)? {
            Some(Checkpoint { lanes, state }) => (lanes, Some(state)),
            None => (BTreeMap::new(), None),
        };
        let written_bytes = Arc::new(AtomicU64::new(0));
        let spare = spare::Spare::new(dir).map_err(|e| SpoolError::io(dir, e))?;
        let mut found = recover::Found::default();
        let mut writers = Vec::new();
        for lane in Lane::ALL {
            let at = Surroundings {
                dir: StateDir::open(dir.join(lane.name()))?.path().to_owned(),
                quarantine: dir.join("quarantine"),
                quarantine_bytes_max: config.quarantine_bytes_max,
                segment_bytes: config.segment_bytes,
                spare: spare.clone(),
                written_bytes: written_bytes.clone(),
            };
            let upto = checkpoint.get(&lane).copied().unwrap_or(0);
            writers.push(recover::open(at, lane, upto, &mut found)?);
        }
        writers.iter_mut().for_each(|writer| writer.recover_stated(&found.stated));
        let Ok(writers) = <[_; Lane::ALL.len()]>::try_from(writers) else { unreachable!("one per lane") };
        let shared = Arc::new(Shared {
            id,
            ids: Ids::new(secret.0),
            config: config.clone(),
            logs: writers.each_ref().map(|writer| writer.log.clone()),
            acknowledged: Notify::new(),
            changed: watch::channel(0).0,
            full: Mutex::default(),
            counters: Counters::default(),
            written_bytes,
        });
        let (commands, queue) = mpsc::channel(QUEUE);
        let committer = Committer {
            shared: shared.clone(),
            config: config.clone(),
            writers,
            files,
            checkpoint,
            context,
            clock,
            ballast: room::Ballast::new(dir),
            spare,
            is_below_floor: false,
            lock,
        };
        committer.start(queue).map_err(|e| SpoolError::io(dir, e))?;
        Ok((Self { commands, shared }, Recovery { state, notes: found.notes }))
    }

    /// The spool's birth id.
    pub fn id(&self) -> EventId {
        self.shared.id
    }

    /// Names under the spool's secret.
    pub fn ids(&self) -> Ids {
        self.shared.ids
    }

    /// What the spool has done.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Whether something new may be taken on. To be asked before an input changes anything: what is handed over as a commit is
    /// written, however long that takes.
    ///
    /// # Errors
    /// [`Full`], and when to come again.
    pub fn admit(&self) -> Result<(), Full> {
        self.shared.full().map_or(Ok(()), Err)
    }

    /// How the spool stands.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.shared)
    }

    /// Hands over a commit, waiting while the committer is behind.
    ///
    /// # Errors
    /// [`SpoolError::Closed`]
    pub async fn commit(&self, commit: Commit) -> Result<(), SpoolError> {
        self.send(Command::Commit(commit)).await
    }

    /// Keeps `state` as of all commits handed over before: notes from before are not given back any more, and
    /// segments that hold them may be freed.
    ///
    /// # Errors
    /// [`SpoolError::Closed`]
    pub async fn checkpoint(&self, state: Box<serde_json::value::RawValue>) -> Result<(), SpoolError> {
        self.send(Command::Checkpoint(state)).await
    }

    /// Commits what was handed over, writes the cursors, and lets go of the spool.
    ///
    /// # Errors
    /// [`SpoolError::Closed`] if it was closed already.
    pub async fn close(&self) -> Result<(), SpoolError> {
        let (done, closed) = oneshot::channel();
        self.send(Command::Close(done)).await?;
        closed.await.map_err(|_| SpoolError::Closed)
    }

    /// The position up to which everything in `lane` is acknowledged; 0 at first.
    pub fn cursor(&self, lane: Lane) -> u64 {
        self.log(lane).cursor.load(Ordering::Acquire)
    }

    /// Reads on from position `from` in `lane`, as far as records may be sent at `now`, about a thousand records at
    /// most. Never fails: what cannot be read back becomes a gap and is skipped. Meant for one reader: a position
    /// other than the last chunk's end costs reading its segment from the start.
    pub async fn read(&self, lane: Lane, from: u64, now: Timestamp) -> Chunk {
        let log = self.log(lane).clone();
        let read = tokio::task::spawn_blocking(move || log.read(from, now)).await;
        let Ok((chunk, damaged)) = read else {
            tracing::error!(lane = lane.name(), "reading panicked");
            return Chunk { next_pos: from, ..Chunk::default() };
        };
        for (first_pos, error) in damaged {
            tracing::error!(lane = lane.name(), segment = first_pos, %error, "damaged");
            self.shared.counters.damaged_segments.fetch_add(1, Ordering::Relaxed);
        }
        if self.log(lane).has_unstated() {
            self.report(Command::Found);
        }
        chunk
    }

    /// [`Spool::read`] for what was committed after the beginning of a backlog, beside whoever reads that: for a second
    /// reader, whose position is his own. He finds no losses; the other one will.
    pub async fn read_live(&self, lane: Lane, from: u64, now: Timestamp) -> Chunk {
        let log = self.log(lane).clone();
        match tokio::task::spawn_blocking(move || log.read_live(from, now)).await {
            Ok(chunk) => chunk,
            Err(_) => {
                tracing::error!(lane = lane.name(), "reading panicked");
                Chunk { next_pos: from, ..Chunk::default() }
            }
        }
    }

    /// The position that the next record in `lane` gets, as far as is durable.
    pub fn end(&self, lane: Lane) -> u64 {
        self.log(lane).durable.load(Ordering::Acquire)
    }

    /// An event is given up because nothing can carry it. A gap says so; until that is durable, so is no cursor beyond
    /// the event. Of each stream, the oldest first.
    pub fn refuse(&self, stream: Stream, seq: u64) {
        let loss = Loss { stream, first_seq: seq, last_seq: seq, reason: GapReason::Refused, exact: true };
        self.log(Lane::of(stream)).lost([loss]);
        self.report(Command::Found);
    }

    /// The platform has everything in `lane` up to position `upto`. Durable within 200 ms or so.
    pub fn acknowledge(&self, lane: Lane, upto: u64) {
        self.log(lane).acknowledge(upto);
        self.shared.acknowledged.notify_one();
    }

    /// Changes whenever something was committed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Records that wait for acknowledgement, in all lanes, notes included.
    pub fn backlog(&self) -> u64 {
        self.shared.backlog()
    }

    fn log(&self, lane: Lane) -> &Arc<Log> {
        &self.shared.logs[lane as usize]
    }

    /// Tells the committer, without waiting for it: it may be waiting for room that only acknowledgements make.
    fn report(&self, finding: Command) {
        // A closed spool has no use for it.
        if let Err(mpsc::error::TrySendError::Full(finding)) = self.commands.try_send(finding) {
            let commands = self.commands.clone();
            tokio::spawn(async move { drop(commands.send(finding).await) });
        }
    }

    async fn send(&self, command: Command) -> Result<(), SpoolError> {
        self.commands.send(command).await.map_err(|_| SpoolError::Closed)
    }
}

impl Shared {
    fn backlog(&self) -> u64 {
        self.logs.iter().map(|log| log.backlog()).sum()
    }

    fn full(&self) -> Option<Full> {
        *self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns producers away, or lets them in again.
    fn refuse(&self, full: Option<Full>) {
        *self.full.lock().unwrap_or_else(PoisonError::into_inner) = full;
    }
}

#[cfg(test)]
mod tests;
