//! Certificates of a private authority, and Secrets with them as a kubelet mounts them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// The contents of a Secret of type `kubernetes.io/tls`.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
    pub authority: String,
}

impl Authority {
    /// Creates an authority with a unique name, so that a certificate of another authority has an unknown issuer, not a
    /// forged one.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::new(Vec::new()).expect("no names are no wrong names");
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("there is randomness");
        Authority(CertifiedIssuer::self_signed(params, key).expect("it can sign itself"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for a name and for this machine.
    pub fn issues(&self, name: &str) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name of a server");
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let key = KeyPair::generate().expect("there is randomness");
        let certificate = params.signed_by(&key, &self.0).expect("it can sign").pem();
        Pair { certificate, key: key.serialize_pem(), authority: self.pem() }
    }

    /// Connects to a port of this machine, trusting only this authority.
    pub async fn connects(&self, port: u16) -> std::io::Result<TlsStream<TcpStream>> {
        connects_trusting(&self.pem(), port).await
    }
}

/// Connects to a port of this machine, trusting only the authority with this certificate.
pub async fn connects_trusting(pem: &str, port: u16) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")).expect("it is a certificate");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

impl Pair {
    pub fn is_shown_by(&self, stream: &TlsStream<TcpStream>) -> bool {
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let own = CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate");
        shown == Some(&own)
    }
}

/// A mounted Secret: links into a folder that is swapped as a whole when the Secret changes.
pub struct Mount {
    pub folder: PathBuf,
    changes: u32,
}

impl Mount {
    pub fn new(folder: &Path, pair: &Pair) -> Self {
        fs::create_dir_all(folder).expect("the state folder is ours");
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(Path::new("..data").join(name), folder.join(name)).expect("the folder is new");
        }
        let mut mount = Mount { folder: folder.to_owned(), changes: 0 };
        mount.changes_to(pair);
        mount
    }

    pub fn changes_to(&mut self, pair: &Pair) {
        self.changes += 1;
        let (next, link) = (format!("..{}", self.changes), self.folder.join("..data_tmp"));
        let written = fs::create_dir(self.folder.join(&next)).and_then(|()| {
            for (name, text) in [("tls.crt", &pair.certificate), ("tls.key", &pair.key), ("ca.crt", &pair.authority)] {
                fs::write(self.folder.join(&next).join(name), text)?;
            }
            symlink(&next, &link)?;
            fs::rename(&link, self.folder.join("..data"))
        });
        written.expect("the folder is ours");
    }

    pub fn path(&self) -> &str {
        self.folder.to_str().expect("paths of test files are UTF-8")
    }
}
