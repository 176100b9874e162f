//! The local HTTP listener: what devices post to, and `/healthz`.

use crate::{
    capture::{Admission, Ingest, http},
    clock::Clock,
    plan::Plan,
};
use axum::{Router, routing::get};
use std::{io, sync::Arc};
use tokio::{net::TcpListener, sync::mpsc};

/// Serves `listener` until `shutdown` resolves and the requests in hand are answered.
///
/// # Errors
/// What the listener says.
pub async fn run(
    listener: TcpListener,
    plan: Arc<Plan>,
    admission: Admission,
    ingest: mpsc::Sender<Ingest>,
    clock: Clock,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new().route("/healthz", get(|| async { "ok\n" }));
    let router = router.merge(http::router(plan, admission, ingest, clock));
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}
