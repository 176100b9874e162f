//! Carries what happens to sources to the log, to whoever shows how the agent is, and to the line.

use crate::{
    capture::{Ingest, Input, source::Notice},
    clock::Now,
    health::Health,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use vitrine_protocol::event::RadioState;

/// Notices that wait for the line. A radio changes its state some times a minute at most.
pub(super) const QUEUE: usize = 256;

/// Until all senders are gone.
pub(super) async fn carry(
    mut notices: mpsc::Receiver<(Notice, Now)>,
    health: Arc<Health>,
    ingest: mpsc::Sender<Ingest>,
) {
    while let Some((notice, at)) = notices.recv().await {
        log(&notice);
        health.notice(&notice, at);
        // Nobody waits for it to be durable.
        let reply = oneshot::channel().0;
        if ingest.send(Ingest { at, inputs: vec![Input::Notice(notice)], reply }).await.is_err() {
            return;
        }
    }
}

fn log(notice: &Notice) {
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
        Notice::Recovered { receiver, cause } => tracing::info!(%receiver, cause, "the radio has recovered"),
        Notice::Duplicates { receiver, filtered: false } => {
            tracing::info!(%receiver, "repeated advertisements come through");
        }
        Notice::Duplicates { receiver, filtered: true } => tracing::warn!(
            %receiver,
            "repeated advertisements are filtered out: beacons whose content does not change are hardly heard. Start bluetoothd \
             with --experimental (deploy/bluetooth has the systemd drop-in), or set backend = \"mgmt\" for this radio"
        ),
        Notice::Silent { kind, device, since } => {
            tracing::warn!(?kind, %device, %since, "not heard for longer than it should");
        }
        Notice::Back { kind, device } => tracing::info!(?kind, %device, "heard again"),
    }
}
