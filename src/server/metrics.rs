//! The metrics, as Prometheus reads them.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::http::reply;
use crate::cluster::metrics::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The answer to `GET /metrics`.
pub fn shown(metrics: &Metrics) -> Response<Full<Bytes>> {
    reply::whole(StatusCode::OK, OPEN_METRICS, metrics.render())
}
