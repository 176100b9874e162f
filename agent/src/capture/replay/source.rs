//! A recording as a source: played at its own pace, or faster, as if its receivers were radios of this machine.
//!
//! What is played is heard now: the times of day in the file only say how far apart two advertisements are. A recording
//! can wait, so it does: it drops nothing where the listener has no room.

use super::{Recorded, Recording, ReplayError};
use crate::{
    capture::source::{AdvertSource, Advertisement, Listener, SourceError, Stop, stopped},
    clock::Clock,
};
use futures_util::future::BoxFuture;
use std::{path::PathBuf, sync::Arc, thread, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use vitrine_protocol::Id;

/// Advertisements that are read ahead.
const AHEAD: usize = 256;
/// So many bad lines or records are logged; the rest are only counted.
const TOLD: u64 = 5;
/// Longest pause between two advertisements, in the recording's time: a clock that was set is no pause.
const PAUSE_MAX_MS: u64 = 24 * 3600 * 1000;

/// Plays a recording once.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The recording.
    pub path: PathBuf,
    /// Who heard, where the file doesn't say it.
    pub receiver: Option<Id>,
    /// Times its own pace.
    pub speed: f64,
}

impl AdvertSource for Replay {
    fn run(
        self: Box<Self>,
        listener: Arc<dyn Listener>,
        clock: Clock,
        stop: Stop,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            tokio::select! {
                played = play(*self, listener, clock) => played,
                () = stopped(stop) => Ok(()),
            }
        })
    }
}

async fn play(replay: Replay, listener: Arc<dyn Listener>, clock: Clock) -> Result<(), SourceError> {
    let Replay { path, receiver, speed } = replay;
    let mut read = read_ahead(path.clone(), receiver);
    let started = Instant::now();
    let (mut played, mut bad, mut last_ms, mut first_bad) = (0u64, 0u64, 0, None);
    let mut due_s = 0.0;
    while let Some(recorded) = read.recv().await {
        let recorded = match recorded {
            Ok(recorded) => recorded,
            Err(error @ ReplayError::Io { .. }) => return Err(failed(&error)),
            Err(error) => {
                bad += 1;
                if bad <= TOLD {
                    tracing::warn!(%error, "passed over");
                }
                first_bad.get_or_insert(error);
                continue;
            }
        };
        let pause_ms = (recorded.at.mono_ms - last_ms).min(PAUSE_MAX_MS);
        last_ms = recorded.at.mono_ms;
        due_s += pause_ms as f64 / 1000.0 / speed;
        if let Some(due) = Duration::try_from_secs_f64(due_s).ok().and_then(|s| started.checked_add(s)) {
            sleep_until(due).await;
        }
        listener.room().await;
        let Recorded { receiver, address, rssi_dbm, .. } = recorded;
        let content = recorded.content();
        listener.hear(&Advertisement { at: clock.now(), receiver, address, rssi_dbm, content });
        played += 1;
    }
    match first_bad {
        Some(error) if played == 0 => return Err(failed(&error)),
        _ => tracing::info!(path = %path.display(), played, bad, "the recording is at its end"),
    }
    Ok(())
}

/// Reads on a thread of its own, as a disk may be slow; it ends when nobody takes what it reads.
fn read_ahead(path: PathBuf, receiver: Option<Id>) -> mpsc::Receiver<Result<Recorded, ReplayError>> {
    let (sender, read) = mpsc::channel(AHEAD);
    thread::spawn(move || match Recording::open(&path, receiver) {
        Ok(recording) => {
            for recorded in recording {
                if sender.blocking_send(recorded).is_err() {
                    return;
                }
            }
        }
        // Nobody is there to be told, or is told.
        Err(error) => drop(sender.blocking_send(Err(error))),
    });
    read
}

fn failed(error: &ReplayError) -> SourceError {
    SourceError { name: "replay", why: format!("{error}: name a recording that `vitrine replay` reads") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        capture::{Radio, desk::Desk},
        plan,
    };
    use std::{fmt::Write, fs};
    use tokio::sync::watch;

    const PLAN: &str =
        "version = 1\nplan = '1'\n[[beacons]]\nid = 'a'\ncarrier = 'cart'\naddress = 'c0ffee000001'\n";

    async fn replay(text: &str) -> (Result<(), SourceError>, usize) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("recording");
        fs::write(&path, text).unwrap();
        let (radio, mut heard) = Radio::channel(1);
        let plan = Arc::new(plan::parse(PLAN).unwrap());
        let desk = Arc::new(Desk::new(plan, radio.clone(), Arc::default(), mpsc::channel(1).0));
        let (_stop, stopping) = watch::channel(false);
        let source = Box::new(Replay { path, receiver: None, speed: 1e9 });
        let played = tokio::spawn(source.run(desk, Clock::system(), stopping));
        drop(radio);
        let mut count = 0;
        while heard.recv().await.is_some() {
            count += 1;
        }
        (played.await.unwrap(), count)
    }

    #[tokio::test]
    async fn waits_for_room_instead_of_dropping() {
        let mut text = "no json\n".to_owned();
        for second in 0..500 {
            writeln!(text, r#"{{"time":{second},"receiver":"a","address":"c0ffee000001","rssi_dbm":-60}}"#)
                .unwrap();
        }
        let (played, heard) = replay(&text).await;
        assert!(played.is_ok());
        assert_eq!(heard, 500);
    }

    #[tokio::test]
    async fn a_file_with_nothing_to_hear_is_told() {
        let error = replay("no json\n").await.0.unwrap_err().to_string();
        assert!(error.contains("recording:1: expected ident"), "{error}");
        assert!(replay("").await.0.is_ok());
    }
}
