//! Whoever hears advertisements: built from the configuration, and run together.

use crate::{
    capture::{
        replay::Replay,
        source::{AdvertSource, Listener, SourceError, Stop, stopped},
    },
    clock::Clock,
    config::{Backend, Radio},
};
use std::sync::Arc;
use tokio::{sync::oneshot, task::JoinSet};

/// The sources of `radios`: all adapters of one backend are one source.
pub(super) fn of(radios: Vec<Radio>) -> Vec<Box<dyn AdvertSource>> {
    let mut sources = Vec::<Box<dyn AdvertSource>>::new();
    for Radio { backend, receiver } in radios {
        if let Backend::Replay { file, speed } = backend {
            sources.push(Box::new(Replay { path: file, receiver: Some(receiver), speed }));
        }
    }
    sources
}

/// Runs `sources` until `stop`. The first that comes to its end by itself is told to `failed`, and the others go on:
/// ending them is the supervisor's.
pub(super) async fn run(
    sources: Vec<Box<dyn AdvertSource>>,
    listener: Arc<dyn Listener>,
    clock: Clock,
    stop: Stop,
    failed: oneshot::Sender<SourceError>,
) {
    let mut running = JoinSet::new();
    for source in sources {
        running.spawn(source.run(listener.clone(), clock.clone(), stop.clone()));
    }
    let mut failed = Some(failed);
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "a source is at its end");
                // It may have gone down already.
                failed.take().map(|failed| failed.send(error));
            }
            // Dropped, it says that there is a bug.
            Err(_) => drop(failed.take()),
        }
    }
    stopped(stop).await;
}
