//! Carries what happens to sources to the log, to whoever shows how the agent is, and to the line.

use crate::{
    capture::{Ingest, Input, source::Notice},
    clock::Now,
    health::Health,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

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
        Notice::Radio { receiver, state } => tracing::info!(%receiver, ?state, "a radio's state"),
        Notice::Recovered { receiver, cause } => tracing::info!(%receiver, cause, "a radio hears again"),
        Notice::Duplicates { receiver, filtered: false } => {
            tracing::info!(%receiver, "static advertisements come through each time");
        }
        Notice::Duplicates { receiver, filtered: true } => tracing::warn!(
            %receiver,
            "static advertisements are filtered out: a beacon that stands still is hardly heard; start bluetoothd with \
             `--experimental` (deploy/bluetooth has the systemd drop-in), or set backend = \"mgmt\" for this radio"
        ),
        Notice::Silent { kind, device, since } => {
            tracing::warn!(?kind, %device, %since, "not heard for longer than it should");
        }
        Notice::Back { kind, device } => tracing::info!(?kind, %device, "heard again"),
    }
}
