//! The data directory of `seatkeeper up`: the database, and the credential of the API.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::cli::failure::Failure;
use crate::machine::random_bytes;

/// The database of the API.
const DATABASE: &str = "seatkeeper.redb";

/// The data directory.
pub struct Data {
    pub folder: PathBuf,
}

/// What the API proves its identity with, and the token that a client has to show.
#[derive(Serialize, Deserialize)]
pub struct Credential {
    /// The address that the certificate is for.
    address: IpAddr,
    authority: String,
    certificate: String,
    key: String,
    pub token: String,
}

impl Data {
    /// Opens the folder, and makes it if it does not exist. Only its owner can read it: it holds the credential.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| Failure::new(format!("{}: {e}; name another folder with --data", folder.display())))?;
        let folder = folder.canonicalize().map_err(|e| Failure::new(format!("{}: {e}", folder.display())))?;
        Ok(Data { folder })
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The token alone, for `seatkeeper hold` and curl.
    pub fn token(&self) -> PathBuf {
        self.folder.join("token")
    }

    /// Returns the credential of earlier starts, so that a client that was set up once goes on working; a new one if
    /// there is none or the API has moved to another address. Also writes its token to a separate file.
    pub fn credential(&self, address: IpAddr) -> Result<Credential, Failure> {
        let credential = self.stored_or_new(address)?;
        self.write("token", &credential.token)?;
        Ok(credential)
    }

    fn stored_or_new(&self, address: IpAddr) -> Result<Credential, Failure> {
        let path = self.folder.join("credential.json");
        let stored = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Credential>(&bytes).ok());
        if let Some(credential) = stored.filter(|credential| credential.address == address) {
            return Ok(credential);
        }
        let credential = Credential::new(address)?;
        self.write("credential.json", &serde_json::to_string_pretty(&credential).unwrap_or_default())?;
        Ok(credential)
    }

    /// Writes the kubeconfig for kubectl, and returns its path.
    pub fn write_kubeconfig(&self, credential: &Credential, address: SocketAddr) -> Result<PathBuf, Failure> {
        use base64::prelude::{BASE64_STANDARD, Engine};
        let authority = BASE64_STANDARD.encode(&credential.authority);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "seatkeeper",
                "cluster": {"server": format!("https://{address}"), "certificate-authority-data": authority},
            }],
            "users": [{"name": "seatkeeper", "user": {"token": credential.token}}],
            "contexts": [{"name": "seatkeeper", "context": {"cluster": "seatkeeper", "user": "seatkeeper"}}],
            "current-context": "seatkeeper",
        });
        self.write("kubeconfig", &serde_saphyr::to_string(&config).unwrap_or_default())?;
        Ok(self.kubeconfig())
    }

    /// Writes a file that only its owner can read, as a whole or not at all.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let (path, new) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&new, &path));
        written.map_err(|e| Failure::new(format!("{}: {e}", path.display())))
    }

    /// Where the database is, or will be.
    pub fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    /// Whether the folder has a database already.
    pub fn is_used(&self) -> bool {
        self.database().exists()
    }

    pub fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }
}

impl Credential {
    fn new(address: IpAddr) -> Result<Self, Failure> {
        let failed = |error: rcgen::Error| Failure::new(format!("the certificate could not be made: {error}"));
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "seatkeeper up");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?).map_err(failed)?;

        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "seatkeeper api");
        params.subject_alt_names.push(SanType::IpAddress(address));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &authority).map_err(failed)?;

        let token = random_bytes::<32>()
            .map_err(|e| Failure::new(format!("the system could not provide random bytes: {e}")))?;
        Ok(Credential {
            address,
            authority: authority.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            token: token.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// What the server shows in TLS handshakes.
    pub fn tls(&self) -> Result<Arc<ServerConfig>, Failure> {
        let bad = |error: String| {
            Failure::new(format!("the stored certificate cannot be used: {error}; remove credential.json"))
        };
        let certificate =
            CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        Ok(Arc::new(config.map_err(|e| bad(e.to_string()))?))
    }
}
