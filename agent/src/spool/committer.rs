//! The one thread that writes: gathers commits, makes them durable, answers those who wait, keeps cursors.

use super::{
    Checkpoint, Commit, Context, Draft, Lane, Loss, MAX_RECORD, Shared, files::CHECKPOINT_FILE,
    writer::Writer,
};
use crate::{clock::Clock, state::StateDir};
use std::{
    collections::BTreeMap,
    fs::File,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use vitrine_protocol::{
    event::{Body, Event, Gap, GapReason},
    topic::Stream,
};

/// How long commits are gathered before they are synced.
const GATHER_FOR: Duration = Duration::from_millis(20);
/// Gathering ends early at so many octets.
const GATHER_BYTES: usize = 256 * 1024;
/// How often moved cursors are written.
const CURSOR_EVERY: Duration = Duration::from_millis(200);
/// How long to wait before a failed write is tried again: doubled each time, up to the longest.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// A crash may come between two lanes of a group. A shelf's step (slots) is what an empty facing (facts) follows from:
/// the agent makes up for a fact that is missing, but could not take back one that came too early.
const WRITE_ORDER: [Lane; Lane::ALL.len()] = [Lane::Critical, Lane::Slots, Lane::Facts];

/// What the committer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Commit(Commit),
    Checkpoint(Box<serde_json::value::RawValue>),
    /// A reader could not read a segment.
    Damaged {
        lane: Lane,
        first_pos: u64,
    },
    /// A reader misses events.
    Lost(Vec<Loss>),
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) writers: [Writer; Lane::ALL.len()],
    pub(super) files: StateDir,
    pub(super) checkpoint: BTreeMap<Lane, u64>,
    pub(super) context: Context,
    pub(super) clock: Clock,
    /// Held for as long as the spool is in use.
    pub(super) lock: File,
}

/// Commits gathered for one sync.
#[derive(Default)]
struct Group {
    drafts: [Vec<(Context, Draft)>; Lane::ALL.len()],
    bytes: usize,
    events: u64,
    replies: Vec<oneshot::Sender<()>>,
}

impl Committer {
    /// Runs on a thread of its own until the spool is closed or every handle is gone.
    pub(super) fn start(mut self, mut queue: mpsc::Receiver<Command>) {
        let runtime = Handle::current();
        let run = move || {
            let closed = runtime.block_on(self.run(&mut queue));
            for writer in &mut self.writers {
                let checkpoint = self.checkpoint.get(&writer.log.lane).copied().unwrap_or(0);
                if let Err(error) = writer.finish(checkpoint) {
                    tracing::error!(%error, "closing the spool");
                }
                writer.log.slots().clear();
            }
            let Self { writers, lock, .. } = self;
            drop(writers);
            drop(lock);
            if let Some(closed) = closed {
                // Nobody need wait for it.
                closed.send(()).ok();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("spool".into()).spawn(run) {
            tracing::error!(%error, "the spool's thread cannot be started");
        }
    }

    async fn run(&mut self, queue: &mut mpsc::Receiver<Command>) -> Option<oneshot::Sender<()>> {
        let shared = self.shared.clone();
        let mut reported = BTreeMap::new();
        let mut cursor_due: Option<Instant> = None;
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
                Some(Command::Damaged { lane, first_pos }) => {
                    shared.counters.damaged_segments.fetch_add(1, Ordering::Relaxed);
                    if let Err(error) = self.writers[lane as usize].abandon(first_pos) {
                        tracing::error!(%error, "a damaged segment cannot be replaced");
                    }
                    shared.changed.send_modify(|changes| *changes += 1);
                }
                Some(Command::Lost(losses)) => {
                    let new: Vec<_> =
                        losses.into_iter().filter_map(|loss| unreported(&mut reported, loss)).collect();
                    let mut group = Group::default();
                    self.add(&mut group, self.gaps(&new));
                    self.write(group).await;
                }
                Some(Command::Close(done)) => return Some(done),
                None => return None,
            }
        }
    }

    /// Adds the commits that come in while the first one waits. Another command ends it and is given back.
    async fn gather(&mut self, group: &mut Group, queue: &mut mpsc::Receiver<Command>) -> Option<Command> {
        let deadline = Instant::now() + GATHER_FOR;
        while group.bytes < GATHER_BYTES {
            match timeout_at(deadline, queue.recv()).await {
                Ok(Some(Command::Commit(commit))) => self.add(group, commit),
                Ok(other) => return other,
                Err(_) => break,
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
                self.shared.counters.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            group.bytes += bytes;
            group.events += u64::from(matches!(draft, Draft::Event { .. }));
            group.drafts[lane as usize].push((commit.context, draft));
        }
        group.replies.extend(commit.reply);
    }

    /// Writes a group, and does not give up: what was taken on is in the agent's state already.
    async fn write(&mut self, mut group: Group) {
        for lane in WRITE_ORDER {
            let drafts = std::mem::take(&mut group.drafts[lane as usize]);
            if drafts.is_empty() {
                continue;
            }
            let mut pause = RETRY_AFTER;
            while let Err(error) = self.writers[lane as usize].append(&drafts) {
                tracing::error!(%error, "the spool cannot be written; trying again in {} s", pause.as_secs());
                self.housekeep();
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_AFTER_MAX);
            }
        }
        let counters = &self.shared.counters;
        counters.events.fetch_add(group.events, Ordering::Relaxed);
        counters.commits.fetch_add(1, Ordering::Relaxed);
        counters.backlog_max.fetch_max(self.shared.backlog(), Ordering::Relaxed);
        for reply in group.replies {
            // Who does not wait any more will ask again.
            reply.send(()).ok();
        }
        self.shared.changed.send_modify(|changes| *changes += 1);
    }

    fn housekeep(&mut self) {
        for writer in &mut self.writers {
            let checkpoint = self.checkpoint.get(&writer.log.lane).copied().unwrap_or(0);
            if let Err(error) = writer.housekeep(checkpoint) {
                tracing::error!(%error, "the spool's cursor cannot be written, or drained segments not be removed");
            }
        }
    }

    fn write_checkpoint(&mut self, state: &serde_json::value::RawValue) {
        let lanes: BTreeMap<_, _> = self.writers.iter().map(|w| (w.log.lane, w.next_pos() - 1)).collect();
        let checkpoint = Checkpoint { lanes: lanes.clone(), state };
        match self.files.write(CHECKPOINT_FILE, &checkpoint) {
            Ok(()) => self.checkpoint = lanes,
            Err(error) => tracing::error!(%error, "the checkpoint cannot be written"),
        }
    }

    fn gaps(&self, losses: &[Loss]) -> Commit {
        let now = self.clock.now();
        let drafts = losses.iter().filter_map(|&Loss { stream, first_seq, last_seq, exact }| {
            tracing::error!(%stream, first_seq, last_seq, exact, "events are lost");
            self.shared.counters.lost.fetch_add(last_seq + 1 - first_seq, Ordering::Relaxed);
            let id = self.shared.ids.derive(&[b"gap", &[stream.code()], &last_seq.to_be_bytes()]);
            let body = Body::Gap(Gap { stream, first_seq, last_seq, reason: GapReason::Corrupt, exact });
            let json = serde_json::to_string(&Event { id, time: now.utc, clock: now.source, body }).ok()?;
            Some(Draft::Event { stream: Stream::Gaps, hold_until: None, json: json.into() })
        });
        Commit { context: self.context, drafts: drafts.collect(), reply: None }
    }
}

/// The part of a loss that lies above what was reported of its stream, which a reader that starts again sees again.
fn unreported(reported: &mut BTreeMap<Stream, u64>, loss: Loss) -> Option<Loss> {
    let highest = reported.entry(loss.stream).or_default();
    let first_seq = loss.first_seq.max(*highest + 1);
    *highest = loss.last_seq.max(*highest);
    (first_seq <= loss.last_seq).then_some(Loss { first_seq, ..loss })
}
