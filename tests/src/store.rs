//! A spool in a temporary directory, filled by hand.
//!
//! Its committer runs in a runtime of its own, in real time: a test may stop its own clock (tokio's paused time),
//! which stands still while the disk is waited for.

use std::{
    io::{Write, stderr},
    process,
    sync::{
        LazyLock,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::spawn_blocking,
};
use vitrine_agent::{
    clock::Clock,
    spool::{Commit, Config, Context, Draft, Recovery, Spool},
};
use vitrine_protocol::{Id, time::Timestamp, topic::Stream};

static STORAGE: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap());

/// How long a store may live: longer than any test takes, and than any takes that was asked to take long.
const LIFE_MAX: Duration = Duration::from_secs(120);
const LONG_LIFE_MAX: Duration = Duration::from_secs(3600);

/// A new spool; dropped, it is closed and removed.
pub struct Store {
    /// The spool.
    pub spool: Spool,
    _watchdog: Watchdog,
    _dir: TempDir,
}

impl Store {
    /// Opens it, with nothing in it.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let _entered = STORAGE.enter();
        let opened = Spool::open(&Config::new(dir.path()), context(), Clock::system());
        let (spool, Recovery::<()> { .. }) = opened.unwrap();
        Self { spool, _watchdog: Watchdog::start(), _dir: dir }
    }

    /// Opens it with `drafts` in it.
    pub async fn with(drafts: impl IntoIterator<Item = Draft>) -> Self {
        let store = Self::empty();
        append(&store.spool, drafts).await;
        store
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let (spool, (done, closed)) = (self.spool.clone(), channel());
        STORAGE.spawn(async move { done.send(spool.close().await) });
        // The directory goes either way.
        closed.recv_timeout(Duration::from_secs(10)).ok();
    }
}

/// Appends `drafts` in one commit. Returns when they are durable.
pub async fn append(spool: &Spool, drafts: impl IntoIterator<Item = Draft>) {
    let (reply, durable) = oneshot::channel();
    let drafts = drafts.into_iter().collect();
    spool.commit(Commit { context: context(), drafts, reply: Some(reply) }).await.unwrap();
    // Paused time stands still for as long as a blocking task runs.
    spawn_blocking(|| durable.blocking_recv()).await.unwrap().unwrap();
}

/// An event that may be sent at once.
pub fn event(stream: Stream, json: impl Into<Box<str>>) -> Draft {
    Draft::Event { stream, hold_until: None, json: json.into() }
}

/// An event that is held back.
pub fn held(stream: Stream, until: Timestamp, json: impl Into<Box<str>>) -> Draft {
    Draft::Event { stream, hold_until: Some(until), json: json.into() }
}

/// The first `count` events of a stream.
pub fn numbered(stream: Stream, count: usize) -> impl Iterator<Item = Draft> {
    (1..=count).map(move |n| event(stream, format!(r#"{{"n":{n}}}"#)))
}

/// The plan that all events rest on.
pub fn plan() -> Id {
    Id::new("7").unwrap()
}

fn context() -> Context {
    Context { plan: plan(), business_date: "2026-03-04".parse().unwrap() }
}

/// Ends the process when it is not dropped in time: a test whose clock stands still cannot time itself out.
struct Watchdog {
    _dropped: Sender<()>,
}

impl Watchdog {
    fn start() -> Self {
        let (sender, dropped) = channel::<()>();
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let is_long = std::env::var_os("VITRINE_TEST_LONG").is_some();
        let life_max = if is_long { LONG_LIFE_MAX } else { LIFE_MAX };
        thread::spawn(move || {
            if dropped.recv_timeout(life_max) == Err(RecvTimeoutError::Timeout) {
                // What is printed would be kept until the test ends.
                writeln!(stderr(), "{test} has hung for {} s", life_max.as_secs()).ok();
                process::abort();
            }
        });
        Self { _dropped: sender }
    }
}
