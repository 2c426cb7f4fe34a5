//! Seatkeeper as it is installed: the real binary, with the rights that an installation gives it.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::keys::Signer;
use crate::harness::eventually::eventually;
use crate::harness::tied::Tied;
use crate::{Cluster, rights};

/// The namespace and the name of the release, and therefore of the ServiceAccount.
pub const SEATKEEPER: &str = "seatkeeper";
/// The product for which the shared installation pins trust, to `Signer::of("pinned")`.
pub const PINNED_PRODUCT: &str = "pinned";

pub struct Installation {
    pub kubeconfig: PathBuf,
    /// The address at which the operator serves health and metrics.
    pub address: SocketAddr,
    _operator: Operator,
}

impl Installation {
    /// Returns the installation that all tests of this binary share, on the cluster that they share. Licenses may say
    /// whom they trust, so that each test has a vendor of its own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Installation> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                let cluster = Cluster::shared();
                let kubeconfig = rights::installed(cluster).await;
                Self::run_with(cluster, kubeconfig, &["--trust-from-licenses", "allow"]).await
            })
            .await
    }

    /// Runs the operator with these rights.
    pub async fn run(cluster: &Cluster, kubeconfig: PathBuf) -> Self {
        Self::run_with(cluster, kubeconfig, &[]).await
    }

    /// Runs the operator with these rights and more arguments.
    pub async fn run_with(cluster: &Cluster, kubeconfig: PathBuf, more: &[&str]) -> Self {
        let log = cluster.state().join("log/operator.log");
        let (operator, address) = Operator::start(&kubeconfig, &log, more).await;
        Self { kubeconfig, address, _operator: operator }
    }
}

/// Writes the values of an installation that pins trust, and returns the path of the file.
pub fn values(cluster: &Cluster) -> String {
    let file = cluster.state().join("seatkeeper-values.json");
    let jwks: serde_json::Value = serde_json::from_str(&Signer::of("pinned").jwks()).expect("a JWK Set is JSON");
    let trust = serde_json::json!({"trust": {"fromLicenses": "Allow", PINNED_PRODUCT: {"jwks": jwks}}});
    std::fs::write(&file, trust.to_string()).expect("the state folder is ours");
    file.to_str().expect("paths of test files are UTF-8").to_owned()
}

/// The running binary.
struct Operator(Tied);

impl Operator {
    /// Starts it and waits until it leads.
    async fn start(kubeconfig: &Path, log: &Path, more: &[&str]) -> (Self, SocketAddr) {
        for _ in 0..5 {
            // Another process may take the port before the operator does; then it tries another port.
            let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("there are free ports");
            let mut operator = Self::spawn(kubeconfig, log, port, more);
            let leads =
                eventually(Duration::from_secs(60), "the operator leads", async || match operator.0.has_ended() {
                    false => match get(port, "/readyz") {
                        Ok(said) if said.contains("ok: leads") => Ok(true),
                        said => Err(format!("{said:?}; its log is {}", log.display())),
                    },
                    true => Ok(false),
                })
                .await;
            if leads {
                return (operator, port);
            }
        }
        panic!("the operator does not stay up:\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }

    fn spawn(kubeconfig: &Path, log: &Path, listen: SocketAddr, more: &[&str]) -> Self {
        let log = std::fs::File::create(log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        let listen = listen.to_string();
        let arguments = ["operator", "--namespace", SEATKEEPER, "--listen", &listen, "--seats-listen", "127.0.0.1:0"];
        let arguments = [&arguments, more].concat();
        let environment: [(&str, &OsStr); 2] =
            [("KUBECONFIG", kubeconfig.as_os_str()), ("RUST_LOG", OsStr::new("info,kube=warn,seatkeeper=debug"))];
        Self(Tied::seatkeeper(&arguments, &environment, log).0)
    }
}

/// Returns the whole answer to an HTTP request, head included.
fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
