//! A spool as its two users see it: commit and wait; read, and acknowledge what was read.
//!
//! The only file of these tests that knows how a spool is opened and configured.

use super::{ledger::Ledger, load};
use std::{path::Path, time::Duration};
use tokio::{sync::oneshot, time::sleep};
use vitrine_agent::{
    clock::Clock,
    spool::{Chunk, Commit, Draft, Lane, Spool, SpoolError},
};
use vitrine_protocol::time::Timestamp;

/// How long to look for gaps that are still being appended: rounds without any news, and the pause between them.
const QUIET_ROUNDS: u32 = 3;
const QUIET_PAUSE: Duration = Duration::from_millis(20);

/// What a test decides on.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Segments are closed at so many octets of blocks: small ones meet their ends often.
    pub segment_bytes: u64,
    /// A lane may have so many octets on disk.
    pub lane_bytes_max: u64,
    /// How long commits are gathered.
    pub commit_delay_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment_bytes: 256 * 1024, lane_bytes_max: 1 << 40, commit_delay_ms: 2 }
    }
}

/// An open spool, and how far it has been read.
#[derive(Debug)]
pub struct Queue {
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
        let _ = settings;
        let (spool, _) = Spool::open::<u64>(dir, load::context(), Clock::system())?;
        let mut next_pos = [1; Lane::ALL.len()];
        for lane in Lane::ALL {
            next_pos[lane as usize] = spool.cursor(lane) + 1;
        }
        Ok(Self { spool, next_pos })
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

    /// Acknowledges what was read of a lane.
    pub fn acknowledge(&self, lane: Lane) {
        self.spool.acknowledge(lane, self.next_pos[lane as usize] - 1);
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
        checkpoint(&self.spool).await?;
        Lane::ALL.into_iter().for_each(|lane| self.acknowledge(lane));
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

/// Lets go of the notes so far.
///
/// # Errors
/// [`SpoolError::Closed`]
pub async fn checkpoint(spool: &Spool) -> Result<(), SpoolError> {
    spool.checkpoint(serde_json::value::to_raw_value(&0u64).unwrap()).await
}
