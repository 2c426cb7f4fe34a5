//! HTTP to one seat server.

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::token::Token;
use super::trouble::{Refused, Trouble};

const CONNECT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept: shorter than servers, and whatever is between them and us, keep one.
const IDLE: Duration = Duration::from_secs(30);
/// The longest answer that is read. That of a seat server is shorter.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How much of an unreadable answer is shown, in characters.
const SHOWN: usize = 200;

/// HTTP connections to one seat server. Clones share them.
#[derive(Clone)]
pub struct Connection {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    token: Token,
}

impl Connection {
    pub fn new(url: &str, token: Token, authority: Option<&Path>) -> Result<Self, Trouble> {
        let url = url.trim_end_matches('/');
        let wrong = || Trouble::Setup(format!("{url:?} is not the address of a server; write http://HOST:PORT"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() || uri.query().is_some() {
            return Err(wrong());
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        // The certificates of the system are read only if they are needed.
        let tls = match uri.scheme_str() {
            Some("https") => tls(authority)?,
            _ => config()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
        };
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector.wrap_connector(tcp));
        Ok(Connection { client, url: url.to_owned(), token })
    }

    /// Sends one request. Returns the body if it succeeds, else the problem.
    pub async fn ask(&self, method: &Method, path: &str, body: &[u8], within: Duration) -> Result<Bytes, Trouble> {
        let no_answer = |why: String| Trouble::NoAnswer { url: self.url.clone(), why };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.read().await?));
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::from(Bytes::copy_from_slice(body)))
            .map_err(|e| Trouble::Setup(format!("the request cannot be sent: {e}")))?;
        let answering = async {
            let answer = self.client.request(request).await.map_err(|e| no_answer(innermost(&e)))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await;
            let body = body.map_err(|e| no_answer(format!("the answer broke off: {e}")))?;
            Ok((head, body.to_bytes()))
        };
        let answered = tokio::time::timeout(within, answering).await;
        let (head, body) = answered.unwrap_or_else(|_| Err(no_answer(format!("not within {within:.1?}"))))?;
        if head.status.is_success() {
            return Ok(body);
        }
        let after = head.headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        Err(Trouble::Refused(refused(head.status, after, &body)))
    }

    /// Reads the body of an answer. Fails if it is not that of a seat server.
    pub fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, Trouble> {
        serde_json::from_slice(answer).map_err(|e| Trouble::Nonsense { url: self.url.clone(), why: e.to_string() })
    }
}

/// The problem in an answer or, if something other than a seat server answered, what it said.
fn refused(status: StatusCode, after: Option<u64>, body: &[u8]) -> Refused {
    let mut refused = serde_json::from_slice(body).unwrap_or_else(|_| {
        let text: String = String::from_utf8_lossy(body).chars().take(SHOWN).collect();
        let detail = match text.trim() {
            "" => format!("status {status} without an explanation"),
            text => format!("status {status}: {text}"),
        };
        let reason = status.canonical_reason().unwrap_or("Refused").replace(' ', "");
        Refused { status: status.as_u16(), reason, detail, retry_after: None, place: None }
    });
    refused.retry_after = refused.retry_after.or(after);
    refused
}

fn config() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Trouble> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(|e| Trouble::Setup(format!("TLS cannot be used: {e}")))
}

fn tls(authority: Option<&Path>) -> Result<ClientConfig, Trouble> {
    let Some(path) = authority else {
        let config = config()?.with_native_roots();
        let config = config.map_err(|e| {
            Trouble::Setup(format!(
                "the system has no certificates to trust: {e}; name a file with those of the server's authority"
            ))
        })?;
        return Ok(config.with_no_client_auth());
    };
    let wrong = |why: String| Trouble::Setup(format!("{}: {why}; name a PEM file of certificates", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))? {
        let added = certificate.map_err(|e| wrong(e.to_string())).map(|certificate| roots.add(certificate))?;
        added.map_err(|e| wrong(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("has no certificate in it".to_owned()));
    }
    Ok(config()?.with_root_certificates(roots).with_no_client_auth())
}

/// The last of the reasons: `Connection refused`, and not `client error (Connect)`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
