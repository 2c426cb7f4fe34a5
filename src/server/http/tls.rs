//! TLS of the seat server: the certificate that it shows, how it recognises another replica, and how renewed files are
//! picked up.

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt, FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prometheus_client::metrics::gauge::Gauge;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

use super::connector::connector;
use crate::machine::jittered;

/// How often the files are checked. A kubelet brings a renewed Secret within a minute or two.
const LOOK: Duration = Duration::from_secs(10);
/// A Secret holds at most 1 MiB, so no file of a Secret is longer.
const LONGEST_FILE: u64 = 1024 * 1024;
/// The one protocol over TLS; a client that offers only others is refused in the handshake.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Asks another replica over TLS.
pub type Peers = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// What the files are turned into.
#[derive(Clone)]
pub struct Tls {
    pub server: Arc<ServerConfig>,
    pub peers: Peers,
}

/// A folder mounted from a Secret of type `kubernetes.io/tls`: `tls.crt`, `tls.key` and perhaps `ca.crt`.
pub struct Folder {
    path: PathBuf,
    name: ServerName<'static>,
    used: Files,
    now: watch::Sender<Tls>,
    /// Why the files in the folder are not the ones in use.
    trouble: Option<String>,
    refused: Gauge,
}

/// The contents of the files.
#[derive(PartialEq, Eq)]
pub struct Files {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
    pub authority: Option<Vec<u8>>,
}

impl Folder {
    /// Reads the folder. Another replica is trusted if its certificate is for `name` and from an authority in `ca.crt`;
    /// if there is no such file, from one that the system trusts. `refused` is 1 while renewed files cannot be used. An
    /// error names the file and says what is wrong with it.
    pub async fn open(path: &Path, name: &str, refused: Gauge) -> Result<Self, String> {
        let name =
            ServerName::try_from(name.to_owned()).map_err(|e| format!("{name:?} is not the name of a server: {e}"))?;
        let used = Files::read(path).await?;
        let now = watch::Sender::new(used.tls(path, &name)?);
        Ok(Folder { path: path.to_owned(), name, used, now, trouble: None, refused })
    }

    /// What is in use now, and every change from then on.
    pub fn subscribe(&self) -> watch::Receiver<Tls> {
        self.now.subscribe()
    }

    /// Picks up renewed files. Files that cannot be used change nothing but the log and the metric. Never returns.
    pub async fn take_up_renewed(mut self) {
        loop {
            tokio::time::sleep(jittered(LOOK)).await;
            let trouble = self.look().await.err();
            self.refused.set(i64::from(trouble.is_some()));
            // Logged once, not at every look.
            if let Some(why) = trouble.as_ref().filter(|_| trouble != self.trouble) {
                tracing::warn!(%why, "the seat server's new certificate cannot be used: it keeps using the previous one");
            }
            self.trouble = trouble;
        }
    }

    async fn look(&mut self) -> Result<(), String> {
        let files = Files::read(&self.path).await?;
        if files != self.used {
            self.now.send_replace(files.tls(&self.path, &self.name)?);
            self.used = files;
            tracing::info!("the seat server uses a renewed certificate");
        }
        Ok(())
    }
}

impl Files {
    /// Reads the files. If the Secret is renewed meanwhile, the certificate of one pair may come with the key of the
    /// other: they do not fit, and the next look finds the right ones.
    async fn read(folder: &Path) -> Result<Self, String> {
        let folder = folder.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let there = |name: &str| read(&folder.join(name))?.ok_or_else(|| missing(&folder.join(name)));
            let (certificate, key) = (there("tls.crt")?, there("tls.key")?);
            // Issuers that are known everywhere leave the file empty.
            let authority = read(&folder.join("ca.crt"))?.filter(|pem| !pem.trim_ascii().is_empty());
            Ok(Files { certificate, key, authority })
        });
        read.await.unwrap_or_else(|e| Err(e.to_string()))
    }

    /// What the files are for, if they fit. An error says which of `folder` is wrong and why.
    pub fn tls(&self, folder: &Path, name: &ServerName<'static>) -> Result<Tls, String> {
        let chain = certificates(&self.certificate, &folder.join("tls.crt"))?;
        let own = chain.first().map(ParsedCertificate::try_from);
        if let Some(Err(why)) = own.map(|own| own.and_then(|own| verify_server_name(&own, name))) {
            let (path, name) = (folder.join("tls.crt"), name.to_str());
            return Err(format!("{} is not for {name}, the name that other replicas expect: {why}", path.display()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key =
            key.map_err(|e| format!("{}: {e}; it has to be a private key in PEM", folder.join("tls.key").display()))?;
        let server = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        let mut server = server.map_err(|e| format!("tls.crt and tls.key of {}: {e}", folder.display()))?;
        server.alpn_protocols = vec![HTTP_1_1.to_vec()];

        let client = match &self.authority {
            Some(authority) => {
                let path = folder.join("ca.crt");
                let mut roots = RootCertStore::empty();
                for certificate in certificates(authority, &path)? {
                    roots.add(certificate).map_err(|e| format!("{}: {e}", path.display()))?;
                }
                ClientConfig::builder().with_root_certificates(roots)
            }
            None => ClientConfig::builder().with_native_roots().map_err(|e| {
                format!(
                    "{} has no ca.crt to verify other replicas with, and the system has no certificates: {e}",
                    folder.display()
                )
            })?,
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(client.with_no_client_auth())
            .https_only()
            // Replicas are reached by their addresses, and all have the certificate of the Service: one serves all, and
            // none has to name the address of a Pod.
            .with_server_name_resolver(FixedServerNameResolver::new(name.clone()))
            .enable_http1()
            .wrap_connector(connector());
        Ok(Tls { server: Arc::new(server), peers: Client::builder(TokioExecutor::new()).build(connector) })
    }
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("{}: {why}; it has to be certificates in PEM", path.display());
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| wrong(e.to_string()))?;
    if all.is_empty() { Err(wrong("has no certificate in it".to_owned())) } else { Ok(all) }
}

/// Reads a file; `None` if it does not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() as u64 > LONGEST_FILE => {
            Err(format!("{} has more than {LONGEST_FILE} bytes", path.display()))
        }
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn missing(path: &Path) -> String {
    format!("there is no {}; a Secret of type kubernetes.io/tls has it", path.display())
}
