//! Seatkeeper as it is installed: the chart by helm, and the real binary with the rights of the chart's ServiceAccount.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::control_plane::ControlPlane;
use crate::eventually::eventually;
use crate::helm::Helm;
use crate::keys::Signer;

pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/seatkeeper");
/// The namespace and the name of the release, and so of the ServiceAccount.
pub const SEATKEEPER: &str = "seatkeeper";
/// The product whose trust the shared installation pins, to `Signer::of("pinned")`.
pub const PINNED_PRODUCT: &str = "pinned";

/// Ends the operator when the pipe on its standard input closes: with the process that holds the other end, whatever ends
/// that one.
const UNTIL_STDIN_CLOSES: &str = r#"
exec 3<&0
setpriv --pdeathsig KILL "$@" 3<&- < /dev/null & operator=$!
{ cat <&3 > /dev/null; kill -KILL "$operator"; } > /dev/null 2>&1 &
wait "$operator"
"#;

pub struct Installation {
    pub kubeconfig: PathBuf,
    /// Where the operator serves health and metrics.
    pub address: SocketAddr,
    _operator: Operator,
}

impl Installation {
    /// The one that all tests of this binary share, on the control plane that they share.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Installation> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::on(ControlPlane::shared(), CHART)).await
    }

    /// Installs a chart on a control plane, and runs the operator there.
    pub async fn on(cp: &ControlPlane, chart: impl AsRef<Path>) -> Self {
        let values = cp.state().join("seatkeeper-values.json");
        let jwks: serde_json::Value = serde_json::from_str(&Signer::of("pinned").jwks()).expect("a JWK Set is JSON");
        let trust = serde_json::json!({"trust": {PINNED_PRODUCT: {"jwks": jwks}}});
        std::fs::write(&values, trust.to_string()).expect("the state folder is ours");
        let values = values.to_str().expect("paths of test files are UTF-8");
        Helm::new(cp, SEATKEEPER).install(SEATKEEPER, chart, &["--create-namespace", "--values", values]).await;
        let kubeconfig = cp.service_account_kubeconfig(SEATKEEPER, SEATKEEPER).await;
        let (operator, address) = Operator::start(&kubeconfig, &cp.state().join("log/operator.log")).await;
        Self { kubeconfig, address, _operator: operator }
    }
}

/// The running binary.
struct Operator {
    shell: Child,
    stdin: Option<ChildStdin>,
}

impl Operator {
    /// Starts it and waits until it leads.
    async fn start(kubeconfig: &Path, log: &Path) -> (Self, SocketAddr) {
        for _ in 0..5 {
            // Somebody else may take the port before the operator does: then another one.
            let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("there are free ports");
            let mut operator = Self::spawn(kubeconfig, log, port);
            let leads =
                eventually(Duration::from_secs(60), "the operator leads", async || match operator.shell.try_wait() {
                    Ok(None) => match get(port, "/readyz") {
                        Ok(said) if said.contains("ok: leads") => Ok(true),
                        said => Err(format!("{said:?}; its log is {}", log.display())),
                    },
                    _ => Ok(false),
                })
                .await;
            if leads {
                return (operator, port);
            }
        }
        panic!("the operator does not stay up:\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }

    fn spawn(kubeconfig: &Path, log: &Path, listen: SocketAddr) -> Self {
        let log = std::fs::File::create(log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        let mut shell = Command::new("sh")
            .args(["-c", UNTIL_STDIN_CLOSES, "sh", env!("CARGO_BIN_EXE_seatkeeper")])
            .args(["operator", "--namespace", SEATKEEPER, "--listen", &listen.to_string()])
            .env("KUBECONFIG", kubeconfig)
            .env("RUST_LOG", "info,kube=warn,seatkeeper=debug")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("there is a shell");
        let stdin = shell.stdin.take();
        Self { shell, stdin }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.shell.wait();
    }
}

/// The answer to an HTTP request, head and all.
fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
