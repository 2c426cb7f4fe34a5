//! `/livez`, `/readyz` and, if they have no port of their own, `/metrics`, for anybody who reaches the port.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;

use super::http::reply;
use super::http::serve::{self, Service};
use super::metrics::{Chunks, Shown};
use crate::cluster::health::Health;
use crate::cluster::metrics::Metrics;
use crate::seats::Desk;

/// The most connections at a time. A kubelet and a few scrapers need a handful; one chosen by chance makes room for a
/// newer one (`http/guests.rs`).
const MOST_CONNECTIONS: usize = 512;

/// Serves until the task is dropped. `metrics` is `None` if they are shown elsewhere.
pub async fn serve(listener: TcpListener, health: Arc<Health>, metrics: Option<Arc<Metrics>>, desk: Desk) {
    let state = State { health, metrics: metrics.map(|metrics| Arc::new(Shown::of(metrics))), desk };
    serve::serve(listener, MOST_CONNECTIONS, |_| state.clone()).await;
}

/// What is shown.
#[derive(Clone)]
struct State {
    health: Arc<Health>,
    metrics: Option<Arc<Shown>>,
    desk: Desk,
}

type Shows = Either<Chunks, Full<Bytes>>;

impl Service for State {
    type Body = Shows;

    async fn answer(&self, request: Request<Incoming>) -> Response<Shows> {
        let show = match (request.uri().path(), &self.metrics) {
            ("/livez", _) => |state: &State| live(&state.health).map(Either::Right),
            ("/readyz", _) => |state: &State| said(ready(state)).map(Either::Right),
            ("/metrics", Some(_)) => |state: &State| match &state.metrics {
                Some(metrics) => metrics.answer().map(Either::Left),
                None => not_found(),
            },
            _ => return not_found(),
        };
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return show(self);
        }
        let mut reply = said((StatusCode::METHOD_NOT_ALLOWED, ""));
        reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        reply.map(Either::Right)
    }
}

fn not_found() -> Response<Shows> {
    said((StatusCode::NOT_FOUND, "")).map(Either::Right)
}

fn said((status, text): (StatusCode, &'static str)) -> Response<Full<Bytes>> {
    reply::whole(status, reply::TEXT, text)
}

fn live(health: &Health) -> Response<Full<Bytes>> {
    match health.hanging() {
        None => said((StatusCode::OK, "ok\n")),
        Some(part) => {
            let text = format!("a part of the operator hangs and needs a restart: {part}\n");
            reply::whole(StatusCode::SERVICE_UNAVAILABLE, reply::TEXT, text)
        }
    }
}

fn ready(State { health, desk, .. }: &State) -> (StatusCode, &'static str) {
    if health.awaits_certificate.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the seat server has no certificate yet; see the log\n");
    }
    match (health.synced.load(Ordering::Relaxed), health.leads.load(Ordering::Relaxed)) {
        (true, true) if desk.can_write() => (StatusCode::OK, "ok: leads\n"),
        (true, true) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "leads, but cannot write seats: the SeatLedgers are not written in time; see the log\n",
        ),
        (true, false) => (StatusCode::OK, "ok: stands by\n"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "the caches have not listed every kind yet\n"),
    }
}
