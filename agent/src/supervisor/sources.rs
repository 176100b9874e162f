//! Whoever hears advertisements: built from the configuration, run together, and what happens to them told.

use crate::{
    capture::{
        ble::{self, Bluez, mgmt::Mgmt},
        source::{AdvertSource, Listener, Notice, SourceError, Stop, stopped},
    },
    clock::{Clock, Now},
    config::{Backend, Radio},
};
use std::sync::Arc;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use vitrine_protocol::event::RadioState;

/// The sources of `radios`: all adapters of BlueZ's are one source, each of the kernel's is its own.
pub(super) fn of(radios: Vec<Radio>) -> Vec<Box<dyn AdvertSource>> {
    let (mut bluez, mut sources) = (Vec::new(), Vec::<Box<dyn AdvertSource>>::new());
    for Radio { adapter: name, receiver, backend } in radios {
        match backend {
            Backend::Bluez => bluez.push(ble::Adapter { name, receiver }),
            // The configuration has seen to its name.
            Backend::Mgmt => sources.extend(Mgmt::new(&name, receiver).map(|mgmt| Box::new(mgmt) as _)),
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

/// Tells the log what happens to sources, one line each.
pub(super) async fn tell(mut notices: mpsc::Receiver<(Notice, Now)>) {
    while let Some((notice, _)) = notices.recv().await {
        match notice {
            Notice::Radio { receiver, state: RadioState::Scanning } => {
                tracing::info!(%receiver, "the radio hears");
            }
            Notice::Radio { receiver, state } => {
                let state = match state {
                    RadioState::Off => "switched off",
                    RadioState::Absent => "not there",
                    _ => "failing",
                };
                tracing::warn!(%receiver, state, "the radio does not hear");
            }
            Notice::Recovered { receiver, cause } => {
                tracing::info!(%receiver, cause, "the radio has recovered");
            }
            Notice::Duplicates { receiver, filtered: true } => tracing::warn!(
                %receiver,
                "the kernel filters repeated advertisements: beacons whose content does not change are hardly heard. Start \
                 bluetoothd with --experimental (`systemctl edit bluetooth`; deploy/bluetooth has the lines); the backend mgmt needs Linux 5.10"
            ),
            Notice::Duplicates { receiver, filtered: false } => {
                tracing::info!(%receiver, "repeated advertisements come through");
            }
            Notice::Silent { kind, device, .. } => tracing::warn!(?kind, %device, "it is silent"),
            Notice::Back { kind, device } => tracing::info!(?kind, %device, "it is heard again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capture::Radio as Channel, capture::desk::Desk, plan};
    use futures_util::future::BoxFuture;
    use tokio::sync::watch;

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
        let desk = Desk::new(plan, Channel::channel(1).0, mpsc::channel(1).0);
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
    fn all_adapters_of_bluez_are_one_source() {
        let radio = |adapter: &str, backend| Radio {
            adapter: adapter.to_owned(),
            receiver: "door".parse().unwrap(),
            backend,
        };
        assert_eq!(of(Vec::new()).len(), 0);
        for (backend, sources) in [(Backend::Bluez, 1), (Backend::Mgmt, 2)] {
            assert_eq!(of(vec![radio("hci0", backend), radio("hci1", backend)]).len(), sources);
        }
    }
}
