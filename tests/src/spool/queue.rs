//! A spool as its two users see it: commit and wait; read, and acknowledge what was read.
//!
//! The only file of these tests that knows how a spool is opened and configured.

use super::{ledger::Ledger, load};
use std::{path::Path, thread, time::Duration};
use tokio::{sync::oneshot, time::sleep};
use vitrine_agent::{
    clock::Clock,
    spool::{Bound, Chunk, Commit, Config, Draft, Lane, Recovery, Spool, SpoolError, WhenFull},
};
use vitrine_protocol::time::Timestamp;

/// How long to look for gaps that are still being appended: rounds without any news, and the pause between them.
const QUIET_ROUNDS: u32 = 3;
const QUIET_PAUSE: Duration = Duration::from_millis(20);

/// How often a spool that seems to be another process's is tried.
const LOCK_ATTEMPTS: u32 = 50;

/// What a test decides on.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Segments are closed at so many octets of blocks: small ones meet their ends often.
    pub segment_bytes: u64,
    /// A lane may have so many octets on disk.
    pub lane_bytes_max: u64,
    /// What a lane does then.
    pub when_full: WhenFull,
    /// How long commits are gathered.
    pub commit_delay_ms: u64,
}

impl Settings {
    /// Room for everything that a test writes.
    pub const ROOMY: Self = Self {
        segment_bytes: 256 * 1024,
        lane_bytes_max: 1 << 40,
        when_full: WhenFull::EvictOldest,
        commit_delay_ms: 2,
    };
    /// So little room that the oldest segments have to go all the time.
    pub const TIGHT: Self = Self { segment_bytes: 32 * 1024, lane_bytes_max: 384 * 1024, ..Self::ROOMY };

    fn config(self, dir: &Path) -> Config {
        let mut config = Config::new(dir);
        for lane in Lane::ALL {
            *config.bound_mut(lane) = Bound { bytes_max: self.lane_bytes_max, when_full: self.when_full };
        }
        config.segment_bytes = self.segment_bytes;
        config.commit_delay = Duration::from_millis(self.commit_delay_ms);
        // How full the disk is, is the test's business.
        config.free_space_floor_bytes = 0;
        config
    }
}

/// An open spool, and how far it has been read.
#[derive(Debug)]
pub struct Queue {
    /// What was found when it was opened.
    pub recovery: Recovery<u64>,
    spool: Spool,
    /// By lane: the next position to read.
    next_pos: [u64; Lane::ALL.len()],
}

impl Queue {
    /// Opens the spool in `dir`, or creates it. Reading starts after what was acknowledged.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn open(dir: &Path, settings: Settings) -> Result<Self, SpoolError> {
        let config = settings.config(dir);
        let open = || Spool::open(&config, load::context(), Clock::system());
        let mut opened = open();
        // A process that another test is just starting has all files of this one open until it comes to run its program.
        for _ in 0..LOCK_ATTEMPTS {
            if !matches!(opened, Err(SpoolError::Locked(_))) {
                break;
            }
            thread::sleep(QUIET_PAUSE);
            opened = open();
        }
        let (spool, recovery) = opened?;
        let mut next_pos = [1; Lane::ALL.len()];
        for lane in Lane::ALL {
            next_pos[lane as usize] = spool.cursor(lane) + 1;
        }
        Ok(Self { recovery, spool, next_pos })
    }

    /// A handle for committing while the queue is read.
    pub fn spool(&self) -> Spool {
        self.spool.clone()
    }

    /// Reads on in a lane. Nothing that these tests append is held back.
    pub async fn read(&mut self, lane: Lane) -> Chunk {
        let next_pos = &mut self.next_pos[lane as usize];
        let chunk = self.spool.read(lane, *next_pos, Timestamp::from_ms(i64::MAX / 2)).await;
        *next_pos = chunk.next_pos;
        chunk
    }

    /// Acknowledges what was read of a lane; returns up to where that is.
    pub fn acknowledge(&self, lane: Lane) -> u64 {
        let upto = self.next_pos[lane as usize] - 1;
        self.spool.acknowledge(lane, upto);
        upto
    }

    /// Reads every lane to its end, with the gaps that are found on the way.
    ///
    /// # Errors
    /// As [`Ledger::received`].
    pub async fn read_to_end(&mut self, ledger: &mut Ledger) -> Result<(), String> {
        let mut quiet = 0;
        while quiet < QUIET_ROUNDS {
            quiet += 1;
            for lane in Lane::ALL {
                loop {
                    let before = self.next_pos[lane as usize];
                    let chunk = self.read(lane).await;
                    chunk.records.iter().try_for_each(|record| ledger.received(record))?;
                    if chunk.next_pos == before && !chunk.is_obstructed {
                        break;
                    }
                    quiet = 0;
                    if chunk.is_obstructed {
                        sleep(QUIET_PAUSE).await;
                    }
                }
            }
            commit(&self.spool, Vec::new()).await.map_err(|e| e.to_string())?;
            sleep(QUIET_PAUSE).await;
        }
        Ok(())
    }

    /// Acknowledges everything that was read, so that it can be freed.
    ///
    /// # Errors
    /// [`SpoolError::Closed`]
    pub async fn free(&self) -> Result<(), SpoolError> {
        checkpoint(&self.spool, 0).await?;
        for lane in Lane::ALL {
            self.acknowledge(lane);
        }
        Ok(())
    }

    /// Closes the spool.
    ///
    /// # Errors
    /// [`SpoolError::Closed`]
    pub async fn close(self) -> Result<(), SpoolError> {
        self.spool.close().await
    }
}

/// Commits drafts and waits until they are durable.
///
/// # Errors
/// [`SpoolError::Closed`]
pub async fn commit(spool: &Spool, drafts: Vec<Draft>) -> Result<(), SpoolError> {
    let (reply, durable) = oneshot::channel();
    spool.commit(Commit { context: load::context(), drafts, reply: Some(reply) }).await?;
    durable.await.map_err(|_| SpoolError::Closed)
}

/// Keeps `state`, and lets go of the notes so far.
///
/// # Errors
/// [`SpoolError::Closed`]
pub async fn checkpoint(spool: &Spool, state: u64) -> Result<(), SpoolError> {
    spool.checkpoint(serde_json::value::to_raw_value(&state).unwrap()).await
}
