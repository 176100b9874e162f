//! The spool as the agent uses it: all events in one lane, checkpoints as often as the agent's.

use crate::contender::Queue;
use std::{path::Path, time::Duration};
use tokio::{runtime::Runtime, sync::oneshot};
use vitrine_agent::{
    clock::Clock,
    spool::{Commit, Config, Context, Draft, Lane, Recovery, Spool},
};
use vitrine_protocol::{Id, topic::Stream};

const STREAM: Stream = Stream::Kiosk;
/// Between two checkpoints, which let segments be freed and keep starting short.
const CHECKPOINT_EVENTS: usize = 16_384;
/// What a small store's state takes.
const STATE_BYTES: usize = 4096;

/// A spool with one lane in use.
pub(crate) struct Spooled {
    runtime: Runtime,
    spool: Spool,
    since_checkpoint: usize,
}

impl Spooled {
    pub(crate) fn open(dir: &Path, commit_delay: Duration) -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let config = Config { commit_delay, ..Config::new(dir) };
        let (spool, Recovery::<String> { .. }) = Spool::open(&config, context(), Clock::system())?;
        Ok(Self { runtime, spool, since_checkpoint: 0 })
    }

    async fn checkpoint(&mut self, events: usize) -> anyhow::Result<()> {
        self.since_checkpoint += events;
        if self.since_checkpoint >= CHECKPOINT_EVENTS {
            self.since_checkpoint = 0;
            self.spool.checkpoint(serde_json::value::to_raw_value(&"x".repeat(STATE_BYTES))?).await?;
        }
        Ok(())
    }
}

impl Queue for Spooled {
    fn append(&mut self, events: &[Box<str>]) -> anyhow::Result<()> {
        let drafts = events.iter().map(|event| draft(event)).collect();
        self.runtime.handle().clone().block_on(async {
            let (reply, durable) = oneshot::channel();
            self.spool.commit(Commit { context: context(), drafts, reply: Some(reply) }).await?;
            durable.await?;
            self.checkpoint(events.len()).await
        })
    }

    /// Each event is a commit of its own, and the committer gathers them.
    fn append_grouped(&mut self, events: &[Box<str>]) -> anyhow::Result<()> {
        self.runtime.handle().clone().block_on(async {
            for event in events {
                let drafts = vec![draft(event)];
                self.spool.commit(Commit { context: context(), drafts, reply: None }).await?;
                self.checkpoint(1).await?;
            }
            let (reply, durable) = oneshot::channel();
            self.spool.commit(Commit { context: context(), drafts: Vec::new(), reply: Some(reply) }).await?;
            Ok(durable.await?)
        })
    }

    fn drain(&mut self) -> anyhow::Result<(usize, usize)> {
        let lane = Lane::of(STREAM);
        self.runtime.block_on(async {
            let (mut count, mut bytes, mut from) = (0, 0, self.spool.cursor(lane) + 1);
            loop {
                let chunk = self.spool.read(lane, from, Clock::system().now().utc).await;
                if chunk.next_pos == from {
                    return Ok((count, bytes));
                }
                count += chunk.records.len();
                bytes += chunk.records.iter().map(|record| record.json.len()).sum::<usize>();
                from = chunk.next_pos;
                self.spool.acknowledge(lane, from - 1);
            }
        })
    }

    /// A last checkpoint; then the committer writes the cursor, removes segments, and writes sparse ones anew.
    fn settle(&mut self) -> anyhow::Result<()> {
        self.runtime.handle().clone().block_on(self.checkpoint(CHECKPOINT_EVENTS))?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if let Err(error) = self.runtime.block_on(self.spool.close()) {
            eprintln!("closing the spool: {error}");
        }
    }
}

fn context() -> Context {
    Context { plan: Id::new("7").expect("it is a name"), business_date: jiff::civil::date(2026, 3, 4) }
}

fn draft(event: &str) -> Draft {
    Draft::Event { stream: STREAM, hold_until: None, json: event.into() }
}
