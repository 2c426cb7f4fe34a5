//! `/livez`, `/readyz` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;

use crate::cluster::health::Health;
use crate::cluster::metrics::Metrics;

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
