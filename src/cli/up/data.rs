//! The data directory of `seatkeeper up`: the database, and the credentials of the API and of the seat server.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use zeroize::Zeroizing;

use crate::cli::failure::Failure;
use crate::cli::{files, private};
use crate::machine::random_bytes;

/// The database of the API.
const DATABASE: &str = "seatkeeper.redb";
/// The credential, as JSON.
const CREDENTIAL: &str = "credential.json";
/// The token for seats.
const TOKEN: &str = "token";
/// Where the calendar of `--speed` stands.
pub const CALENDAR: &str = "calendar";
const KUBECONFIG: &str = "kubeconfig";
/// Every file that holds a secret, or would show one if somebody else had written it.
const FILES: [&str; 7] =
    [DATABASE, CREDENTIAL, TOKEN, KUBECONFIG, CALENDAR, "seatkeeper.acknowledged", "seatkeeper.lock"];

/// The data directory.
pub struct Data {
    pub folder: PathBuf,
}

/// What the API proves its identity with, and the tokens that clients have to show.
#[derive(Serialize, Deserialize)]
pub struct Credential {
    /// The address that the certificate is for.
    address: IpAddr,
    authority: String,
    certificate: String,
    key: Zeroizing<String>,
    /// For the API, which tells everything. It is sent over TLS only, to the server with the certificate.
    pub token: String,
    /// For seats, and good for nothing else: it is sent in clear, to any process that has the port.
    #[serde(default)]
    pub seats_token: String,
}

impl Data {
    /// Opens the folder, and makes it if it does not exist. Fails if others can write to it or to a file of ours in it,
    /// because it holds the credential and the signing keys.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let folder = private::folder(folder)
            .map_err(|failure| Failure { message: format!("--data {}", failure.message), ..failure })?;
        let data = Data { folder };
        FILES.iter().try_for_each(|name| private::check(&data.folder.join(name)))?;
        Ok(data)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join(KUBECONFIG)
    }

    /// The token for seats, for `seatkeeper hold` and curl.
    pub fn token(&self) -> PathBuf {
        self.folder.join(TOKEN)
    }

    /// Returns the credential of earlier starts, so that a client that was set up once goes on working; a new one if
    /// there is none or the API has moved to another address. Also writes the token for seats to a separate file.
    pub fn credential(&self, address: IpAddr) -> Result<Credential, Failure> {
        let credential = self.stored_or_new(address)?;
        self.write(TOKEN, &credential.seats_token)?;
        Ok(credential)
    }

    fn stored_or_new(&self, address: IpAddr) -> Result<Credential, Failure> {
        // The message does not repeat the content.
        let damaged = |error: serde_json::Error| {
            Failure::new(format!(
                "{}: was changed or cut short (line {}): restore it from a backup, or remove it to have a new one made; then \
                 clients need the new kubeconfig and token",
                self.folder.join(CREDENTIAL).display(),
                error.line()
            ))
        };
        let stored = self.read(CREDENTIAL)?.map(|text| serde_json::from_str::<Credential>(&text)).transpose();
        let stored = stored.map_err(damaged)?;
        let credential = match stored.filter(|credential| credential.address == address) {
            Some(credential) if !credential.seats_token.is_empty() => return Ok(credential),
            // Earlier versions sent the token of the API to the seat server, in clear: it may be known.
            Some(credential) => Credential { token: new_token()?, seats_token: new_token()?, ..credential },
            None => Credential::new(address)?,
        };
        let text = Zeroizing::new(serde_json::to_string_pretty(&credential).unwrap_or_default());
        self.write(CREDENTIAL, &text)?;
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
        self.write(KUBECONFIG, &serde_saphyr::to_string(&config).unwrap_or_default())?;
        Ok(self.kubeconfig())
    }

    /// Writes a file that only its owner can read, as a whole or not at all.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let draft = self.folder.join(format!("{name}.new"));
        files::replace_by(&draft, &self.folder.join(name), text, 0o600)
    }

    /// Where the database is, or will be.
    pub fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    /// Whether the folder has a database already.
    pub fn is_used(&self) -> bool {
        self.database().exists()
    }

    /// The text of a file; `None` if there is none.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        private::read(&self.folder.join(name))
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

        Ok(Credential {
            address,
            authority: authority.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem().into(),
            token: new_token()?,
            seats_token: new_token()?,
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

fn new_token() -> Result<String, Failure> {
    let token =
        random_bytes::<32>().map_err(|e| Failure::new(format!("the system could not provide random bytes: {e}")))?;
    Ok(token.iter().map(|byte| format!("{byte:02x}")).collect())
}
