//! Shelves, kiosks and counters over HTTP: `POST /v1/shelf/readings`, `/v1/kiosk/interactions`, `/v1/counters`.
//!
//! A body is a JSON array. It is taken as a whole or not at all: 202 when every event that it completes is durable,
//! 400 with the place of the first problem, 503 with `Retry-After` when the agent is behind. To send the same inputs again is
//! harmless. Errors are `application/problem+json` (RFC 9457). Of a kiosk's interaction only known fields are
//! read: free text and tokens are dropped here.
//!
//! Left out so far: authentication (the listener is on loopback only) and rate limits.

mod parse;
pub mod radio;
#[cfg(feature = "schema")]
pub mod schema;

use super::{Admission, Ingest, Input};
use crate::{clock::Clock, plan::Plan};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// The largest body, in octets.
pub const BODY_LIMIT: usize = 64 * 1024;
/// How long a producer waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where shelves post their readings.
pub const READINGS: &str = "/v1/shelf/readings";
/// Where kiosks post what was done at them.
pub const INTERACTIONS: &str = "/v1/kiosk/interactions";
/// Where counters post their counts.
pub const COUNTERS: &str = "/v1/counters";

/// What the handlers need.
#[derive(Clone)]
struct Api {
    plan: Arc<Plan>,
    admission: Admission,
    ingest: mpsc::Sender<Ingest>,
    clock: Clock,
}

/// What was wrong with a request, as RFC 9457 has it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Problem {
    /// The HTTP status.
    status: u16,
    /// Its name.
    title: &'static str,
    /// What is wrong, and what to do.
    detail: String,
    /// JSON pointer (RFC 6901) to the place in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// The routes. Inputs that `admission` lets in go to `ingest` and are dated by `clock`.
pub fn router(plan: Arc<Plan>, admission: Admission, ingest: mpsc::Sender<Ingest>, clock: Clock) -> Router {
    Router::new()
        .route(READINGS, post(|api, body| take(api, body, parse::shelf_readings)))
        .route(INTERACTIONS, post(|api, body| take(api, body, parse::kiosk_interactions)))
        .route(COUNTERS, post(|api, body| take(api, body, parse::counts)))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(Api { plan, admission, ingest, clock })
}

async fn take(
    State(api): State<Api>,
    body: Result<Bytes, BytesRejection>,
    parse: fn(&Plan, &[u8]) -> Result<Vec<Input>, Problem>,
) -> Result<StatusCode, Problem> {
    let body = body.map_err(|rejection| Problem::of_body(&rejection, BODY_LIMIT))?;
    let inputs = parse(&api.plan, &body)?;
    (api.admission)().map_err(Problem::busy)?;
    let (reply, durable) = oneshot::channel();
    let ingest = Ingest { at: api.clock.now(), inputs, reply };
    api.ingest.try_send(ingest).map_err(|_| Problem::busy(RETRY_AFTER))?;
    match timeout(ANSWER_WITHIN, durable).await {
        Ok(Ok(())) => Ok(StatusCode::ACCEPTED),
        Ok(Err(_)) | Err(_) => Err(Problem::busy(RETRY_AFTER)),
    }
}

impl Problem {
    fn new(status: u16, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), pointer: None, retry_after: None }
    }

    fn bad(pointer: String, detail: impl Into<String>) -> Self {
        Self { pointer: Some(pointer), ..Self::new(400, "Bad Request", detail) }
    }

    fn busy(retry_after: Duration) -> Self {
        let retry_after_s = retry_after.as_secs().max(1);
        let detail =
            format!("the agent cannot store more right now: send the same again after {retry_after_s} s");
        Self { retry_after: Some(retry_after), ..Self::new(503, "Service Unavailable", detail) }
    }

    fn of_body(rejection: &BytesRejection, limit: usize) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("a body has at most {limit} octets: send fewer items at once");
            return Self::new(413, "Content Too Large", detail);
        }
        Self::new(400, "Bad Request", "the body could not be read")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(retry_after) = self.retry_after {
            let retry_after_s = HeaderValue::from(retry_after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, retry_after_s);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn while_there_is_no_room_nothing_is_taken_on_and_the_producer_hears_when_to_come_again() {
        let plan = crate::plan::parse("version = 1\nplan = '7'\ntime_zone = 'UTC'\n").map(Arc::new).unwrap();
        let (ingest, mut taken) = mpsc::channel(1);
        let admission: Admission = Arc::new(|| Err(Duration::from_secs(5)));
        let api = Api { plan, admission, ingest, clock: Clock::system() };
        let problem =
            take(State(api), Ok(Bytes::from_static(b"[]")), |_, _| Ok(Vec::new())).await.unwrap_err();
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert!(taken.try_recv().is_err());
    }
}
