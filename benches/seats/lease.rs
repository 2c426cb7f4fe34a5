//! L: one Lease object for each seat, created and deleted on the same API server.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::load::{Heard, Line, Talk};
use super::seats::NAMESPACE;
use crate::harness::http;

/// The API server, and a ServiceAccount's token.
pub struct Leases {
    pub address: SocketAddr,
    /// The API server's certificate authority, as PEM.
    pub authority: Vec<u8>,
    pub token: String,
}

impl Leases {
    pub async fn cycles(&self, connections: usize) -> Vec<Line> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(&self.authority).expect("a certificate");
        roots.add(authority).expect("the API server's authority");
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::IpAddress(self.address.ip().into());
        let headers: Arc<str> = format!("Authorization: Bearer {}\r\n", self.token).into();
        let mut lines = Vec::new();
        for n in 0..connections {
            let tls = connector.connect(name.clone(), http::connect(self.address).await).await;
            let talk = Cycle { headers: headers.clone(), n, held: false };
            lines.push(Line { stream: Box::new(tls.expect("TLS")), talk: Box::new(talk) });
        }
        lines
    }
}

struct Cycle {
    headers: Arc<str>,
    n: usize,
    held: bool,
}

impl Talk for Cycle {
    fn ask(&mut self, out: &mut Vec<u8>) {
        let (n, all) = (self.n, format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"));
        if self.held {
            return http::request(out, format_args!("DELETE {all}/seat-{n}"), &self.headers, "");
        }
        let metadata = format!(r#""metadata":{{"name":"seat-{n}"}}"#);
        let spec = format!(r#""spec":{{"holderIdentity":"agent-{n:05}","leaseDurationSeconds":60}}"#);
        let body = format!(r#"{{"apiVersion":"coordination.k8s.io/v1","kind":"Lease",{metadata},{spec}}}"#);
        http::request(out, format_args!("POST {all}"), &self.headers, &body);
    }

    fn hear(&mut self, input: &[u8]) -> Result<Option<Heard>, String> {
        let Some(answer) = http::answer(input)? else { return Ok(None) };
        let (held, refused) = (self.held, answer.status == 429);
        match answer.status {
            429 => {}
            200 if held => self.held = false,
            201 if !held => self.held = true,
            status => return Err(format!("{status}: {}", String::from_utf8_lossy(answer.body))),
        }
        let done = u64::from(held && !refused);
        Ok(Some(Heard { bytes: answer.bytes, done, timed: !held && !refused, refused }))
    }

    fn may_end(&self) -> bool {
        !self.held
    }
}
