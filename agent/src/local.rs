//! The local HTTP listeners: what devices post to, `/healthz` and `/metrics`; on the agent's socket also what this machine's own tools ask.

mod metrics;
pub mod socket;

use crate::{
    capture::{Admission, Ingest, http},
    clock::Clock,
    health::{Observed, Status},
    plan::Plan,
    spool::Spool,
};
use axum::{
    Json, Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
    serve::Listener,
};
use serde::Serialize;
use std::{fmt::Debug, io, sync::Arc};
use tokio::sync::mpsc;

/// Where tools ask how the spool stands: [`crate::spool::Stats`].
pub const SPOOL: &str = "/v1/spool";
/// Where they ask which of its files to read: [`crate::spool::Live`].
pub const SPOOL_FILES: &str = "/v1/spool/files";

/// Where they ask how the agent is: [`crate::health::Status`].
pub const STATUS: &str = "/v1/status";

/// What everyone on the machine may ask.
pub fn router(
    plan: Arc<Plan>,
    admission: Admission,
    ingest: mpsc::Sender<Ingest>,
    clock: Clock,
    observed: Observed,
) -> Router {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(|| answer(move || observed.status(), page)));
    router.merge(http::router(plan, admission, ingest, clock))
}

/// What is asked through the agent's socket only.
pub fn tools_router(spool: Spool, observed: Observed) -> Router {
    let of_files = spool.clone();
    Router::new()
        .route(STATUS, get(|| answer(move || observed.status(), json)))
        .route(SPOOL, get(|| answer(move || spool.stats(), json)))
        .route(SPOOL_FILES, get(|| answer(move || of_files.live(), json)))
}

/// Serves `listener` until `shutdown` resolves and the requests in hand are answered.
///
/// # Errors
/// What the listener says.
pub async fn run<L: Listener<Addr: Debug>>(
    listener: L,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

/// Files are looked at for it, which may block.
async fn answer<T: Send + 'static>(
    look: impl FnOnce() -> T + Send + 'static,
    show: fn(T) -> Response,
) -> Response {
    match tokio::task::spawn_blocking(look).await {
        Ok(value) => show(value),
        Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn json<T: Serialize>(value: T) -> Response {
    Json(value).into_response()
}

fn page(status: Status) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render(&status)).into_response()
}
