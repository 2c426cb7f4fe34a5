//! Requests to the embedded API itself, past the operator's client and past all faults.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use seatkeeper_embedded::Embedded;
use serde_json::Value;

/// One request, split into its parts.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub async fn of(request: Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
        Call {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers,
            body,
        }
    }

    pub fn request(&self) -> Request<Body> {
        let uri = match self.query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, self.query),
        };
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.parse().expect("it was a URI before");
        *request.headers_mut() = self.headers.clone();
        request
    }

    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    pub fn is_watch(&self) -> bool {
        self.query.split('&').any(|part| matches!(part, "watch=true" | "watch=1"))
    }

    /// Whether it lists everything in the cluster, which only the caches ask for.
    pub fn is_list(&self) -> bool {
        self.method == Method::GET && !self.is_watch() && !self.path.contains("/namespaces/")
    }

    pub fn is_lease(&self) -> bool {
        self.path.contains("/leases")
    }

    pub fn is_event(&self) -> bool {
        self.path.contains("/events")
    }

    /// Returns the plural of the kind, as in the path.
    pub fn kind(&self) -> String {
        let mut parts = self.path.split('/').skip_while(|part| *part != "namespaces").skip(2);
        parts.next().or(self.path.rsplit('/').next()).unwrap_or_default().to_owned()
    }

    /// Returns what a list and its watches have in common: path and selector.
    pub fn cache(&self) -> String {
        let selector = self.query.split('&').find(|part| part.starts_with("fieldSelector=")).unwrap_or_default();
        format!("{}?{selector}", self.path)
    }
}

/// Sends a request of the simulator itself, and returns the status and the body.
pub async fn ask(api: &Embedded, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
    let mut headers = http::HeaderMap::new();
    let content = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content));
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let call = Call { method, path: path.to_owned(), query: query.to_owned(), headers, body };
    let response = api.answer(call.request()).await;
    let code = response.status().as_u16();
    let body = response.into_body().collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
    (code, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Sends a request that must succeed, and returns the body.
pub async fn must(api: &Embedded, method: Method, path: &str, body: Option<&Value>) -> Value {
    let (code, answer) = ask(api, method.clone(), path, body).await;
    assert!((200..300).contains(&code), "{method} {path}: {code} {answer} for {body:?}");
    answer
}

/// Returns the path of an object of our kinds.
pub fn ours(namespace: &str, plural: &str, name: &str) -> String {
    format!("/apis/seatkeeper.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}")
}

pub fn secret(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{name}")
}

/// Returns the path of an object without its last part.
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}
