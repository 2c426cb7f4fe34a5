//! A proxy between an operator and the API server: it counts, records, delays, refuses and breaks off requests, and can
//! disappear.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use kube::Client;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::faults_ground::Ground;
use crate::harness::cluster::config_of;

/// A plain HTTP server on loopback in front of the API server, to which it forwards with the operator's own token.
pub struct Proxy {
    shared: Arc<Shared>,
    upstream: kube::Config,
    address: SocketAddr,
    /// Dropping the runtime ends every connection.
    runtime: Option<Runtime>,
    kubeconfig: PathBuf,
}

struct Shared {
    state: Mutex<Inner>,
    sprung: watch::Sender<Option<When>>,
    lists_held: watch::Sender<bool>,
}

#[derive(Default)]
struct Inner {
    /// Every request: method, path, and `watch` if it is a watch.
    seen: Vec<String>,
    trap: Option<Trap>,
    /// Writes to a path with this ending are refused.
    refused: Option<&'static str>,
    secrets: Vec<Exchange>,
}

/// A request for Secrets and its answer; for a watch, the answer so far.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: String,
    pub uri: String,
    pub request: Bytes,
    pub status: u16,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Exchange {
    pub fn answer(&self) -> String {
        String::from_utf8_lossy(&self.answer.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// The write in one namespace at which the operator is interrupted.
struct Trap {
    namespace: String,
    writes_left: usize,
    when: When,
}

/// What happens to the trapped write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The API server receives neither the write nor any later request.
    Before,
    /// The write succeeds, but the operator gets no answer to it or to any later request.
    After,
    /// The write succeeds, but the operator is answered with a timeout; everything else passes.
    Unanswered,
}

impl Proxy {
    pub async fn start(ground: &Ground) -> Self {
        let upstream = config_of(&ground.operator).await;
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let kubeconfig = ground.cluster.state().join(format!("kubeconfig-proxy-{}", address.port()));
        let text = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{address}")}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
            "users": [{"name": "nobody", "user": {}}],
            "current-context": "proxy",
        });
        std::fs::write(&kubeconfig, text.to_string()).expect("the state folder is ours");
        let shared =
            Shared { state: Mutex::default(), sprung: watch::Sender::new(None), lists_held: watch::Sender::new(false) };
        let mut proxy = Proxy { shared: Arc::new(shared), upstream, address, runtime: None, kubeconfig };
        proxy.come_back();
        proxy
    }

    pub fn kubeconfig(&self) -> &PathBuf {
        &self.kubeconfig
    }

    /// Stops answering, and breaks off every connection.
    pub fn go_away(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub fn come_back(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let (shared, upstream, address) = (self.shared.clone(), self.upstream.clone(), self.address);
        runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.expect("the port is still ours");
            let client = Client::try_from(upstream).expect("the harness wrote its kubeconfig");
            let routes = axum::Router::new().fallback(forward).with_state((shared, client));
            axum::serve(listener, routes).await
        });
        self.runtime = Some(runtime);
    }

    /// Returns every request so far, such as `POST /api/v1/namespaces/…`.
    pub fn requests(&self) -> Vec<String> {
        self.shared.lock().seen.clone()
    }

    /// Returns the writes so far, except those of the leader's Lease.
    pub fn writes(&self) -> Vec<String> {
        self.requests().into_iter().filter(|request| is_write(request)).collect()
    }

    /// Returns the writes so far in one namespace.
    pub fn writes_in(&self, namespace: &str) -> Vec<String> {
        self.writes().into_iter().filter(|request| request.contains(&of_namespace(namespace))).collect()
    }

    /// Returns every request for Secrets so far, with its answer.
    pub fn secrets(&self) -> Vec<Exchange> {
        self.shared.lock().secrets.clone()
    }

    /// From now on, refuses writes to a path with this ending; with `None`, refuses none.
    pub fn refuse(&self, ending: Option<&'static str>) {
        self.shared.lock().refused = ending;
    }

    /// Sets a trap for the `nth` write in `namespace` from now on, counted from 1.
    pub fn set_trap(&self, namespace: &str, nth: usize, when: When) {
        self.shared.sprung.send_replace(None);
        self.shared.lock().trap = Some(Trap { namespace: namespace.to_owned(), writes_left: nth, when });
    }

    /// Waits until the trapped write has come.
    pub async fn sprung(&self) {
        let _ = self.shared.sprung.subscribe().wait_for(Option::is_some).await;
    }

    /// Removes the trap unless a write is in it. Returns whether a write is in it, so that the trap has sprung.
    pub async fn take_away_unless_sprung(&self) -> bool {
        let is_caught = {
            let mut state = self.shared.lock();
            let is_caught = state.trap.as_ref().is_some_and(|trap| trap.writes_left == 0);
            if !is_caught {
                state.trap = None;
            }
            is_caught
        };
        if is_caught {
            self.sprung().await;
        }
        is_caught
    }

    /// Lets everything pass again after the trap has sprung.
    pub fn clear_trap(&self) {
        self.shared.lock().trap = None;
        self.shared.sprung.send_replace(None);
    }

    /// While `held` is true, lists are not answered.
    pub fn hold_lists(&self, held: bool) {
        self.shared.lists_held.send_replace(held);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.go_away();
    }
}

fn of_namespace(namespace: &str) -> String {
    format!("/namespaces/{namespace}/")
}

fn is_write(request: &str) -> bool {
    !request.starts_with("GET ") && !request.contains("/leases")
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a request. Returns the trap's action if the trap springs at it.
    fn see(&self, request: &str) -> Option<When> {
        let mut state = self.lock();
        state.seen.push(request.to_owned());
        let trap = state.trap.as_mut()?;
        if !is_write(request) || !request.contains(&of_namespace(&trap.namespace)) {
            return None;
        }
        trap.writes_left = trap.writes_left.checked_sub(1)?;
        (trap.writes_left == 0).then_some(trap.when)
    }
}

async fn forward(State((shared, client)): State<(Arc<Shared>, Client)>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let is_watch = query.contains("watch=");
    let named = format!("{} {}{}", parts.method, parts.uri.path(), if is_watch { " watch" } else { "" });
    if matches!(*shared.sprung.borrow(), Some(When::Before | When::After)) {
        return pending().await;
    }
    let trapped = shared.see(&named);
    if trapped == Some(When::Before) {
        shared.sprung.send_replace(trapped);
        return pending().await;
    }
    if query.contains("limit=") && !is_watch {
        let _ = shared.lists_held.subscribe().wait_for(|held| !held).await;
    }
    if is_write(&named) && shared.lock().refused.is_some_and(|ending| named.ends_with(ending)) {
        return refusal();
    }
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    parts.headers.remove(HOST);
    let (method, uri) = (parts.method.to_string(), parts.uri.to_string());
    let answer = client.send(http::Request::from_parts(parts, kube::client::Body::from(bytes.clone()))).await;
    if trapped.is_some() {
        shared.sprung.send_replace(trapped);
    }
    match trapped {
        Some(When::After) => return pending().await,
        Some(When::Unanswered) => return StatusCode::GATEWAY_TIMEOUT.into_response(),
        _ => {}
    }
    match answer {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            parts.headers.remove(TRANSFER_ENCODING);
            if !uri.contains("/secrets") {
                return Response::from_parts(parts, Body::new(body));
            }
            let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
            let exchange =
                Exchange { method, uri, request: bytes, status: parts.status.as_u16(), answer: answer.clone() };
            shared.lock().secrets.push(exchange);
            let recorded = body.map_frame(move |frame| {
                let data = frame.data_ref().map_or(&[][..], |data| data);
                answer.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(data);
                frame
            });
            Response::from_parts(parts, Body::new(recorded))
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// Returns a refusal as an admission policy answers it.
fn refusal() -> Response {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "nobody writes this", "reason": "Invalid", "code": 422,
    });
    (StatusCode::UNPROCESSABLE_ENTITY, [(CONTENT_TYPE, "application/json")], status.to_string()).into_response()
}
