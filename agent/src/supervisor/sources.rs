//! Whoever hears advertisements: built from the configuration, and run together.

use crate::{
    capture::{
        ble::{self, Bluez, mgmt::Mgmt},
        replay::Replay,
        source::{AdvertSource, Listener, SourceError, Stop, stopped},
    },
    clock::Clock,
    config::{Backend, Radio},
};
use std::sync::Arc;
use tokio::{sync::oneshot, task::JoinSet};

/// The sources of `radios`: all adapters of BlueZ's are one source, every other radio is its own.
pub(crate) fn of(radios: Vec<Radio>) -> Vec<Box<dyn AdvertSource>> {
    let (mut sources, mut bluez) = (Vec::<Box<dyn AdvertSource>>::new(), Vec::new());
    for Radio { backend, receiver } in radios {
        match backend {
            Backend::Bluez { adapter: name } => bluez.push(ble::Adapter { name, receiver }),
            // The configuration has seen to its name.
            Backend::Mgmt { adapter } => {
                sources.extend(Mgmt::new(&adapter, receiver).map(|mgmt| Box::new(mgmt) as _));
            }
            Backend::Replay { file, speed } => {
                sources.push(Box::new(Replay { path: file, receiver: Some(receiver), speed }));
            }
        }
    }
    if !bluez.is_empty() {
        sources.push(Box::new(Bluez::new(bluez, ble::Limits::default())));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capture::Radio as Channel, capture::desk::Desk, plan};
    use futures_util::future::BoxFuture;
    use tokio::sync::{mpsc, watch};

    /// Ends at once with an error, or when it is told to.
    struct Fake {
        fails: bool,
    }

    impl AdvertSource for Fake {
        fn run(
            self: Box<Self>,
            _: Arc<dyn Listener>,
            _: Clock,
            stop: Stop,
        ) -> BoxFuture<'static, Result<(), SourceError>> {
            Box::pin(async move {
                if self.fails {
                    return Err(SourceError { name: "fake", why: "it is at its end".to_owned() });
                }
                stopped(stop).await;
                Ok(())
            })
        }
    }

    #[tokio::test]
    async fn one_that_ends_is_reported_and_the_others_go_on() {
        let plan = Arc::new(plan::parse("version = 1\nplan = '1'\n").unwrap());
        let desk = Desk::new(plan, Channel::channel(1).0, Arc::default(), mpsc::channel(1).0);
        let (stop, stopping) = watch::channel(false);
        let (fail, failed) = oneshot::channel();
        let sources = [true, false].map(|fails| Box::new(Fake { fails }) as Box<dyn AdvertSource>);
        let running = tokio::spawn(run(sources.into(), Arc::new(desk), Clock::system(), stopping, fail));
        assert_eq!(failed.await.unwrap().to_string(), "fake: it is at its end");
        assert!(!running.is_finished());
        stop.send_replace(true);
        running.await.unwrap();
    }

    #[test]
    fn all_adapters_of_a_backend_are_one_source() {
        let radio = |adapter: &str| Radio {
            backend: Backend::Bluez { adapter: adapter.to_owned() },
            receiver: "door".parse().unwrap(),
        };
        assert_eq!(of(Vec::new()).len(), 0);
        assert_eq!(of(vec![radio("hci0"), radio("hci1")]).len(), 1);
        let backend = Backend::Replay { file: "day.jsonl".into(), speed: 1.0 };
        let replay = Radio { receiver: "door".parse().unwrap(), backend };
        assert_eq!(of(vec![radio("hci0"), replay.clone(), replay]).len(), 3);
    }
}
