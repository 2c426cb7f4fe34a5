//! `/livez`, `/readyz` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

use super::metrics::Metrics;
use crate::cluster::clock::monotonic;

/// A runtime that did not turn for this long hangs, and only a restart helps.
const HANGS: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_secs(5);

/// What the operator knows of itself.
#[derive(Default)]
pub struct Health {
    /// Every cache has listed once: what is shown is founded on what is there.
    pub synced: AtomicBool,
    pub leads: AtomicBool,
    /// Milliseconds of monotonic time at the last sign of life.
    beat: AtomicU64,
}

impl Health {
    /// A sign of life every few seconds. Never returns.
    pub async fn beat(&self) {
        loop {
            self.beat.store(u64::try_from(monotonic().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            tokio::time::sleep(BEAT).await;
        }
    }

    fn alive(&self) -> bool {
        monotonic().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed))) < HANGS
    }
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, health: Arc<Health>, metrics: Arc<Metrics>) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(show_metrics))
        .with_state((health, metrics));
    axum::serve(listener, routes).await
}

type Shared = State<(Arc<Health>, Arc<Metrics>)>;

async fn live(State((health, _)): Shared) -> (StatusCode, &'static str) {
    match health.alive() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the operator hangs\n"),
    }
}

async fn ready(State((health, _)): Shared) -> (StatusCode, &'static str) {
    match (health.synced.load(Ordering::Relaxed), health.leads.load(Ordering::Relaxed)) {
        (true, true) => (StatusCode::OK, "ok: leads\n"),
        (true, false) => (StatusCode::OK, "ok: stands by\n"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "the caches have not listed every kind yet\n"),
    }
}

async fn show_metrics(State((_, metrics)): Shared) -> Response {
    let text = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    (text, metrics.render()).into_response()
}
