//! The one thread that writes: gathers commits, makes them durable, answers those who wait, keeps cursors, makes room.

use super::{
    Checkpoint, Commit, Config, Context, Draft, Full, Lane, MAX_RECORD, Shared,
    files::CHECKPOINT_FILE,
    mark::Loss,
    room::{self, Ballast},
    spare::Spare,
    writer::Writer,
};
use crate::{clock::Clock, state::StateDir};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use vitrine_protocol::{
    event::{Body, Event, Gap, GapReason},
    topic::Stream,
};

/// Gathering ends early at so many octets.
const GATHER_BYTES: usize = 256 * 1024;
/// How often moved cursors are written.
const CURSOR_EVERY: Duration = Duration::from_millis(200);
/// How often the room on the disk is looked at.
const ROOM_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before a failed write is tried again: doubled each time, up to the longest.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// What writing a checkpoint costs besides its own length: a page that is filled in part, and one of the directory.
const CHECKPOINT_BYTES: u64 = 8192;
/// A crash may come between two lanes of a group. A shelf's step (slots) is what an empty facing (facts) follows from:
/// the agent makes up for a fact that is missing, but could not take back one that came too early.
const WRITE_ORDER: [Lane; Lane::ALL.len()] = [Lane::Critical, Lane::Slots, Lane::Facts];

/// What the committer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Commit(Commit),
    Checkpoint(Box<serde_json::value::RawValue>),
    /// A reader misses something, or could not read a segment.
    Found,
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) config: Config,
    pub(super) writers: [Writer; Lane::ALL.len()],
    pub(super) files: StateDir,
    pub(super) checkpoint: BTreeMap<Lane, u64>,
    pub(super) context: Context,
    pub(super) clock: Clock,
    pub(super) ballast: Ballast,
    pub(super) spare: Spare,
    /// The disk has less room than others are to have.
    pub(super) is_below_floor: bool,
    /// Held for as long as the spool is in use.
    pub(super) lock: File,
}

/// Commits gathered for one sync.
#[derive(Default)]
struct Group {
    drafts: [Vec<(Context, Draft)>; Lane::ALL.len()],
    bytes: usize,
    events: u64,
    payload_bytes: u64,
    replies: Vec<oneshot::Sender<()>>,
}

impl Committer {
    /// Runs on a thread and a runtime of its own, which whoever opened the spool may survive or not, until the spool is closed
    /// or every handle is gone.
    pub(super) fn start(mut self, mut queue: mpsc::Receiver<Command>) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let run = move || {
            let closed = runtime.block_on(self.run(&mut queue));
            for writer in &mut self.writers {
                let checkpoint = self.checkpoint.get(&writer.log.lane).copied().unwrap_or(0);
                if let Err(error) = writer.finish(checkpoint) {
                    tracing::error!(%error, "closing the spool");
                }
                writer.log.slots().clear();
            }
            self.spare.close();
            let Self { writers, lock, .. } = self;
            drop(writers);
            drop(lock);
            if let Some(closed) = closed {
                // Nobody need wait for it.
                closed.send(()).ok();
            }
        };
        std::thread::Builder::new().name("spool".into()).spawn(run)?;
        Ok(())
    }

    async fn run(&mut self, queue: &mut mpsc::Receiver<Command>) -> Option<oneshot::Sender<()>> {
        let shared = self.shared.clone();
        let mut cursor_due: Option<Instant> = None;
        let mut room_due = Instant::now();
        let mut pending: Option<Command> = None;
        loop {
            let command = match pending.take() {
                Some(command) => Some(command),
                None => tokio::select! {
                    command = queue.recv() => command,
                    () = shared.acknowledged.notified(), if cursor_due.is_none() => {
                        cursor_due = Some(Instant::now() + CURSOR_EVERY);
                        continue;
                    }
                    () = sleep_until(cursor_due.unwrap_or_else(Instant::now)), if cursor_due.is_some() => {
                        cursor_due = None;
                        self.housekeep();
                        continue;
                    }
                    () = sleep_until(room_due) => {
                        room_due = Instant::now() + ROOM_EVERY;
                        self.watch_disk();
                        self.writers.iter_mut().for_each(Writer::swap_dense);
                        continue;
                    }
                },
            };
            match command {
                Some(Command::Commit(commit)) => {
                    let mut group = Group::default();
                    self.add(&mut group, commit);
                    pending = self.gather(&mut group, queue).await;
                    self.write(group).await;
                    cursor_due.get_or_insert_with(|| Instant::now() + CURSOR_EVERY);
                }
                Some(Command::Checkpoint(state)) => self.write_checkpoint(&state),
                Some(Command::Found) => self.state_losses().await,
                Some(Command::Close(done)) => {
                    // The cursor has not passed what a reader has found and no gap states.
                    self.state_losses().await;
                    return Some(done);
                }
                None => return None,
            }
        }
    }

    /// Adds the commits that come in while the first one waits. Another command ends it and is given back.
    async fn gather(&mut self, group: &mut Group, queue: &mut mpsc::Receiver<Command>) -> Option<Command> {
        let deadline = Instant::now() + self.config.commit_delay;
        while group.bytes < GATHER_BYTES {
            // A timer takes a millisecond at least, which is long where nothing is to be waited for.
            let next = match queue.try_recv() {
                Ok(command) => Some(command),
                Err(_) if self.config.commit_delay.is_zero() => break,
                Err(_) => match timeout_at(deadline, queue.recv()).await {
                    Ok(command) => command,
                    Err(_) => break,
                },
            };
            match next {
                Some(Command::Commit(commit)) => self.add(group, commit),
                other => return other,
            }
        }
        None
    }

    fn add(&mut self, group: &mut Group, commit: Commit) {
        self.context = commit.context;
        for draft in commit.drafts {
            let (lane, bytes) = match &draft {
                Draft::Event { stream, json, .. } => (Lane::of(*stream), json.len()),
                Draft::Note { lane, bytes } => (*lane, bytes.len()),
            };
            if bytes > MAX_RECORD {
                tracing::error!(
                    bytes,
                    "a record is larger than {MAX_RECORD} octets and is dropped: this is a bug"
                );
                self.shared.counters.lost_events.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            group.bytes += bytes;
            if let Draft::Event { json, .. } = &draft {
                group.events += 1;
                group.payload_bytes += json.len() as u64;
            }
            group.drafts[lane as usize].push((commit.context, draft));
        }
        group.replies.extend(commit.reply);
    }

    /// Writes a group, and does not give up: what was taken on is in the agent's state already.
    async fn write(&mut self, mut group: Group) {
        for lane in WRITE_ORDER {
            let drafts = std::mem::take(&mut group.drafts[lane as usize]);
            if !drafts.is_empty() {
                self.append(lane, &drafts).await;
            }
        }
        let counters = &self.shared.counters;
        counters.events.fetch_add(group.events, Ordering::Relaxed);
        counters.payload_bytes.fetch_add(group.payload_bytes, Ordering::Relaxed);
        counters.commits.fetch_add(1, Ordering::Relaxed);
        counters.backlog_max.fetch_max(self.shared.backlog(), Ordering::Relaxed);
        for reply in group.replies {
            // Who does not wait any more will ask again.
            reply.send(()).ok();
        }
        self.shared.changed.send_modify(|changes| *changes += 1);
        self.keep_bounds();
    }

    async fn append(&mut self, lane: Lane, drafts: &[(Context, Draft)]) {
        self.make_way(lane);
        let mut pause = RETRY_AFTER;
        loop {
            let now = self.clock.now().utc;
            let Err(error) = self.writers[lane as usize].append(drafts, now) else { break };
            self.housekeep();
            if room::is_disk_full(&error) && self.make_room(GapReason::DiskFull) {
                tracing::warn!(%error, "the disk is full; something had to go");
                continue;
            }
            tracing::error!(%error, "the spool cannot be written; trying again in {} s", pause.as_secs());
            self.shared.refuse(Some(Full { lane: None, retry_after: pause }));
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_AFTER_MAX);
        }
        self.shared.refuse(None);
    }

    fn housekeep(&mut self) {
        for writer in &mut self.writers {
            let checkpoint = self.checkpoint.get(&writer.log.lane).copied().unwrap_or(0);
            if let Err(error) = writer.housekeep(checkpoint) {
                tracing::error!(%error, "the spool's cursor cannot be written, or drained segments not be removed");
            }
        }
        self.keep_bounds();
    }

    fn write_checkpoint(&mut self, state: &serde_json::value::RawValue) {
        let lanes: BTreeMap<_, _> = self.writers.iter().map(|w| (w.log.lane, w.next().pos - 1)).collect();
        let checkpoint = Checkpoint { lanes: lanes.clone(), state };
        match self.files.write(CHECKPOINT_FILE, &checkpoint) {
            Ok(()) => {
                let written = CHECKPOINT_BYTES + state.get().len() as u64;
                self.shared.written_bytes.fetch_add(written, Ordering::Relaxed);
                self.checkpoint = lanes;
            }
            Err(error) => tracing::error!(%error, "the checkpoint cannot be written"),
        }
    }

    /// Appends a gap for each range that a reader misses, once.
    async fn state_losses(&mut self) {
        for lane in Lane::ALL {
            if !self.writers[lane as usize].log.has_unstated() {
                continue;
            }
            let (count, losses) = self.writers[lane as usize].losses();
            let gaps = self.gaps(&losses);
            if !gaps.is_empty() {
                self.append(Lane::Critical, &gaps).await;
            }
            if let Err(error) = self.writers[lane as usize].stated(count, &losses) {
                // The newest segment of the critical lane says it as well.
                tracing::error!(%error, "that a gap was stated cannot be written");
            }
        }
        self.shared.changed.send_modify(|changes| *changes += 1);
    }

    fn gaps(&self, losses: &[Loss]) -> Vec<(Context, Draft)> {
        let now = self.clock.now();
        let gap = |&loss: &Loss| {
            let Loss { stream, first_seq, last_seq, reason, exact } = loss;
            tracing::error!(%stream, first_seq, last_seq, exact, ?reason, "events are lost");
            self.shared.counters.lost_events.fetch_add(loss.events(), Ordering::Relaxed);
            let id = self.shared.ids.derive(&[b"gap", &[stream.code()], &last_seq.to_be_bytes()]);
            let body = Body::Gap(Gap { stream, first_seq, last_seq, reason, exact });
            let json = serde_json::to_string(&Event { id, time: now.utc, clock: now.source, body }).ok()?;
            Some((self.context, Draft::Event { stream: Stream::Gaps, hold_until: None, json: json.into() }))
        };
        losses.iter().filter_map(gap).collect()
    }
}
