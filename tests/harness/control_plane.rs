//! A real control plane that ends with this process, however that ends. Its programs come from `tests/control-plane`.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::Kubeconfig;

use super::cluster::client_of;
use super::starting::{Programs, SCRIPTS, await_ready, new_state, programs};

const START: Duration = Duration::from_secs(240);
const STOP: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct ControlPlane {
    bin: PathBuf,
    state: PathBuf,
    kubeconfig: PathBuf,
    /// `up.sh`, and the pipe that keeps it running: it ends when the last end of the pipe is closed, so also with this
    /// process.
    up: Option<(Child, ChildStdin)>,
}

impl ControlPlane {
    /// Starts a control plane for the calling test; it ends when dropped. For tests: etcd does not wait for the disk.
    pub fn start() -> Result<Self, String> {
        Self::start_with("off", "off")
    }

    /// Starts a control plane with durable writes, for everything that is measured.
    pub fn start_with_fsync() -> Result<Self, String> {
        Self::start_with("on", "off")
    }

    /// Starts a control plane whose API server is restarted when it is killed.
    pub fn start_with_lasting_api_server(fsync: bool) -> Result<Self, String> {
        Self::start_with(if fsync { "on" } else { "off" }, "on")
    }

    fn start_with(fsync: &str, api_server_lasts: &str) -> Result<Self, String> {
        let bin = programs(Programs::All)?;
        let state = new_state("control-plane")?;
        let log = state.with_extension("up.log");
        let stderr = std::fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let mut up = Command::new(format!("{SCRIPTS}/up.sh"))
            .arg("--until-stdin-closes")
            .args([&bin, &state])
            .env("FSYNC", fsync)
            .env("API_SERVER_LASTS", api_server_lasts)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|e| format!("{SCRIPTS}/up.sh could not be started: {e}"))?;
        let stdin = up.stdin.take().expect("stdin is piped");
        let stdout = up.stdout.take().expect("stdout is piped");
        let cp = Self { bin, kubeconfig: state.join("kubeconfig"), state, up: Some((up, stdin)) };

        await_ready("up.sh", stdout, &log, START)?;
        Ok(cp)
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Returns the path of a program: kubectl, helm, …
    pub fn bin(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Returns the folder with the logs, which is also the place for files of tests.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Returns the process id of etcd, kube-apiserver, kube-controller-manager, kube-scheduler or kwok.
    pub fn pid(&self, name: &str) -> u32 {
        let path = self.state.join("pid").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        text.trim().parse().unwrap_or_else(|e| panic!("{} holds {text:?}: {e}", path.display()))
    }

    /// Writes a kubeconfig with a token of this ServiceAccount that is valid for a day.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> PathBuf {
        let accounts = Api::<ServiceAccount>::namespaced(client_of(&self.kubeconfig).await, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(24 * 3600), ..TokenRequestSpec::default() }),
            ..TokenRequest::default()
        };
        let answer: TokenRequest = accounts
            .create_subresource("token", name, &PostParams::default(), &request)
            .await
            .unwrap_or_else(|e| panic!("a token for ServiceAccount {namespace}/{name}: {e}"));
        let token = answer.status.expect("the API server fills in the token").token;

        let admin = Kubeconfig::read_from(&self.kubeconfig).expect("up.sh wrote this kubeconfig");
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": admin.clusters,
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": "local", "user": name, "namespace": namespace}}],
            "current-context": name,
        });
        let path = self.state.join(format!("kubeconfig-{namespace}-{name}"));
        std::fs::write(&path, config.to_string()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// Kills `up.sh` without letting it clean up.
    pub fn kill(&mut self) {
        if let Some((up, _)) = &mut self.up {
            up.kill().expect("up.sh is our own process");
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let Some((mut up, stdin)) = self.up.take() else { return };
        drop(stdin);
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || tell.send(up.wait()));
        if told.recv_timeout(STOP).is_err() {
            eprintln!("control plane: up.sh did not end within {STOP:?}; see {}", self.state.display());
        } else if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.state);
            let _ = std::fs::remove_file(self.state.with_extension("up.log"));
        }
    }
}
