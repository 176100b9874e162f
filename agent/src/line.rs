//! The line: one task that owns the heart, and hands what it says to the spool.
//!
//! It decides nothing. It drives the heart with observations and time, makes its events and notes one commit, and keeps what they need over a restart: notes with their events in the spool, a checkpoint of all notes now
//! and then, and the running window's counts in a state file.

use crate::{
    capture::{Heard, Ingest},
    clock::{Clock, Now},
    heart::{Heart, TICK_MS},
    pipeline::{self, Counters, Note},
    plan::Plan,
    privacy::{Kept, Release, WindowNote},
    spool::{self, Commit, Context, Draft, Recovery, Spool, SpoolError},
    state::{StateDir, StateError},
};
use serde::{Deserialize, Serialize};
use std::{
    path::Path,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};

/// How often changed counts of the running window are written; in real time, as it is about wear and loss.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// A checkpoint is written after so many drafts, or after this long if there were any.
const CHECKPOINT_DRAFTS: u64 = 16_384;
const CHECKPOINT_EVERY: Duration = Duration::from_secs(600);
/// Frames taken from the radio channel at once.
const RADIO_BATCH: usize = 256;
const TALLIES: &str = "tallies";

/// Why the line could not be set up, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The spool could not be opened, or is closed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The system gave no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(#[from] getrandom::Error),
}

/// The line, ready to run.
pub struct Line {
    plan: Arc<Plan>,
    heart: Heart,
    spool: Spool,
    state: StateDir,
    clock: Clock,
    counters: LineCounters,
    kept_at: Instant,
    checkpointed_at: Instant,
    drafts_since: u64,
}

/// The pipeline's counters, readable while the line runs.
pub type LineCounters = Arc<Mutex<Counters>>;

/// Everything that is remembered as notes, at one point.
#[derive(Serialize, Deserialize)]
struct Memory {
    pipeline: pipeline::State,
}

/// A note of either state machine.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Remembered {
    Pipeline(Note),
    Window(WindowNote),
}

impl Line {
    /// Opens what is kept in `state_dir` and in the spool, and takes up where the agent stopped. Sightings come at most
    /// `late_ms` after they were heard.
    ///
    /// # Errors
    /// [`LineError`]
    pub fn open(
        plan: Arc<Plan>,
        state_dir: &Path,
        spool: &spool::Config,
        clock: Clock,
        late_ms: u64,
    ) -> Result<Self, LineError> {
        // Asked for once, so that a later draw cannot fail.
        getrandom::fill(&mut [0; 16])?;
        let random = || {
            let mut bits = [0; 16];
            getrandom::fill(&mut bits).expect("the system gave random numbers before");
            bits
        };
        let now = clock.now();
        let state = StateDir::open(state_dir.join("state"))?;
        let context = context(&plan, now);
        let (spool, recovery) = Spool::open(spool, context, clock.clone())?;
        let heart = Heart::new(plan.clone(), spool.ids(), Box::new(random), now);
        let mut heart = heart.with_late_sightings(late_ms);
        match state.read::<Kept>(TALLIES) {
            Ok(kept) => kept.into_iter().for_each(|kept| heart.restore_window(kept)),
            Err(e @ StateError::Corrupt { .. }) => tracing::error!("{e}; the running window is counted anew"),
            Err(e) => return Err(e.into()),
        }
        restore(recovery, &mut heart);
        heart.resume(now);
        Ok(Self {
            plan,
            heart,
            spool,
            state,
            clock,
            counters: LineCounters::default(),
            kept_at: Instant::now(),
            checkpointed_at: Instant::now(),
            drafts_since: 0,
        })
    }

    /// The spool that the line writes to.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The pipeline's counters.
    pub fn counters(&self) -> &LineCounters {
        &self.counters
    }

    /// Runs until `stop` resolves and what is in the channels by then is taken, or both channels are closed; then ends
    /// visits, sessions and the window, and makes everything durable. The spool stays open for whoever reads it.
    ///
    /// # Errors
    /// [`LineError`] if the spool or the state directory fail.
    pub async fn run(
        mut self,
        mut radio: mpsc::Receiver<Heard>,
        mut ingest: mpsc::Receiver<Ingest>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), LineError> {
        let mut stop = pin!(stop);
        let mut stopping = false;
        let (mut radio_open, mut ingest_open) = (true, true);
        let mut heard = Vec::with_capacity(RADIO_BATCH);
        self.flush(None).await?;
        while radio_open || ingest_open {
            tokio::select! {
                count = radio.recv_many(&mut heard, RADIO_BATCH), if radio_open => {
                    radio_open = count > 0;
                    heard.drain(..).for_each(|heard| self.heart.handle_heard(&heard));
                }
                request = ingest.recv(), if ingest_open => match request {
                    Some(Ingest { at, inputs, reply }) => {
                        self.heart.handle_inputs(inputs, at);
                        self.flush(Some(reply)).await?;
                    }
                    None => ingest_open = false,
                },
                () = &mut stop, if !stopping => {
                    stopping = true;
                    radio.close();
                    ingest.close();
                }
                () = sleep(self.clock.nap(TICK_MS)) => {}
            }
            let now = self.clock.now();
            self.heart.handle_timeout(now);
            self.flush(None).await?;
            self.publish_counters();
            self.keep_up().await?;
        }
        self.close(self.clock.now()).await
    }

    async fn close(&mut self, now: Now) -> Result<(), LineError> {
        self.heart.close(now);
        self.flush(None).await?;
        self.publish_counters();
        self.checkpoint().await
    }

    /// Hands what may leave, and what has to be remembered, to the spool.
    async fn flush(&mut self, reply: Option<oneshot::Sender<()>>) -> Result<(), LineError> {
        let mut drafts = Vec::new();
        while let Some(release) = self.heart.poll_release() {
            drafts.extend(draft(release));
        }
        if drafts.is_empty() && reply.is_none() {
            return Ok(());
        }
        self.drafts_since += drafts.len() as u64;
        let context = context(&self.plan, self.clock.now());
        Ok(self.spool.commit(Commit { context, drafts, reply }).await?)
    }

    async fn keep_up(&mut self) -> Result<(), LineError> {
        if self.kept_at.elapsed() >= KEEP_EVERY {
            self.kept_at = Instant::now();
            self.keep().await?;
        }
        let overdue = self.drafts_since > 0 && self.checkpointed_at.elapsed() >= CHECKPOINT_EVERY;
        if self.drafts_since >= CHECKPOINT_DRAFTS || overdue {
            self.checkpoint().await?;
        }
        Ok(())
    }

    /// Writes the running window's counts, if they changed; `false` if they cannot be written. Only when all that was
    /// handed over is durable, so that a window is not forgotten before its release is safe.
    async fn keep(&mut self) -> Result<bool, LineError> {
        let Some(kept) = self.heart.kept_window() else { return Ok(true) };
        let (reply, durable) = oneshot::channel();
        let context = context(&self.plan, self.clock.now());
        self.spool.commit(Commit { context, drafts: Vec::new(), reply: Some(reply) }).await?;
        durable.await.map_err(|_| SpoolError::Closed)?;
        let state = self.state.clone();
        let written = tokio::task::spawn_blocking(move || state.write(TALLIES, &kept)).await;
        if let Ok(Ok(())) = written {
            return Ok(true);
        }
        tracing::error!(?written, "the running window's counts cannot be kept");
        self.heart.window_not_kept();
        Ok(false)
    }

    /// Makes all notes so far superfluous. One of them may say that the window is released, which its kept counts must
    /// agree with first.
    async fn checkpoint(&mut self) -> Result<(), LineError> {
        if !self.keep().await? {
            return Ok(());
        }
        (self.checkpointed_at, self.drafts_since) = (Instant::now(), 0);
        match serde_json::value::to_raw_value(&Memory { pipeline: self.heart.state() }) {
            Ok(memory) => Ok(self.spool.checkpoint(memory).await?),
            Err(error) => {
                tracing::error!(%error, "the checkpoint cannot be made");
                Ok(())
            }
        }
    }

    fn publish_counters(&self) {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = self.heart.counters();
    }
}

fn restore(recovery: Recovery<Memory>, heart: &mut Heart) {
    if let Some(memory) = recovery.state {
        heart.restore(memory.pipeline);
    }
    for note in recovery.notes {
        match serde_json::from_slice(&note) {
            Ok(Remembered::Pipeline(note)) => heart.restore_note(note),
            Ok(Remembered::Window(note)) => heart.restore_window_note(note),
            Err(error) => tracing::error!(%error, "a note cannot be read and is left out"),
        }
    }
}

fn draft(release: Release) -> Option<Draft> {
    let (json, kind) = match &release {
        Release::Event { event, .. } => (serde_json::to_string(event), "event"),
        Release::Note(note) => (serde_json::to_string(note), "note"),
        Release::Window(note) => (serde_json::to_string(note), "note"),
    };
    let json =
        json.map_err(|error| tracing::error!(%error, kind, "cannot be serialised: this is a bug")).ok()?;
    Some(match release {
        Release::Event { event, hold_until } => {
            Draft::Event { stream: event.body.stream()?, hold_until, json: json.into() }
        }
        Release::Note(note) => Draft::Note { lane: note.lane(), bytes: json.into_bytes().into() },
        Release::Window(note) => Draft::Note { lane: note.lane(), bytes: json.into_bytes().into() },
    })
}

fn context(plan: &Plan, now: Now) -> Context {
    Context { plan: plan.version, business_date: plan.business_date(now.utc) }
}
