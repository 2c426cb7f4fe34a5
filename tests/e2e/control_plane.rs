//! A real control plane that ends with this process, whatever ends it. `tests/control-plane` has the programs.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/control-plane");
/// Which requests the API server records, where nothing is measured.
const AUDIT_POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/audit-policy.yaml");
/// The first build, on a slow machine, with another build to wait for.
const BUILD: Duration = Duration::from_secs(3600);
const START: Duration = Duration::from_secs(240);
const STOP: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct ControlPlane {
    bin: PathBuf,
    state: PathBuf,
    kubeconfig: PathBuf,
    /// `up.sh`, and the pipe that keeps it: it ends when the last end of this pipe is closed, so with this process too.
    up: Option<(Child, ChildStdin)>,
}

impl ControlPlane {
    /// One for the test that asks; it ends when it is dropped. etcd does not wait for the disk, and requests for Secrets
    /// are recorded: for tests.
    pub fn start() -> Result<Self, String> {
        Self::start_with(&[("FSYNC", "off"), ("AUDIT_POLICY", AUDIT_POLICY)])
    }

    /// The same with durable writes: for everything that is measured.
    pub fn start_with_fsync() -> Result<Self, String> {
        Self::start_with(&[("FSYNC", "on")])
    }

    /// The one that all tests of this binary share. Statics are never dropped: this one ends with the process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        match SHARED.get_or_init(Self::start) {
            Ok(cp) => cp,
            Err(why) => panic!("there is no control plane to test on: {why}"),
        }
    }

    fn start_with(environment: &[(&str, &str)]) -> Result<Self, String> {
        let bin = build()?;
        let state = new_state()?;
        let log = state.with_extension("up.log");
        let stderr = std::fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let mut up = Command::new(format!("{SCRIPTS}/up.sh"))
            .arg("--until-stdin-closes")
            .args([&bin, &state])
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|e| format!("{SCRIPTS}/up.sh could not be started: {e}"))?;
        let stdin = up.stdin.take().expect("stdin is piped");
        let stdout = up.stdout.take().expect("stdout is piped");
        let cp = Self { bin, kubeconfig: state.join("kubeconfig"), state, up: Some((up, stdin)) };

        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = tell.send(line);
        });
        let said = told.recv_timeout(START).unwrap_or_else(|_| format!("nothing within {START:?}"));
        if said.starts_with("ready:") {
            return Ok(cp);
        }
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(60)..].join("\n");
        Err(format!("up.sh did not get ready (it said {said:?}); its last lines:\n{last}"))
    }

    /// A client of the administrator. One per test: a client belongs to the runtime that made it.
    pub async fn admin(&self) -> kube::Client {
        self.client_of(&self.kubeconfig).await
    }

    pub async fn client_of(&self, kubeconfig: &Path) -> kube::Client {
        // A second test finds it installed, which is what it wants.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let read = Kubeconfig::read_from(kubeconfig).unwrap_or_else(|e| panic!("{}: {e}", kubeconfig.display()));
        let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .unwrap_or_else(|e| panic!("{}: {e}", kubeconfig.display()));
        kube::Client::try_from(config).unwrap_or_else(|e| panic!("{}: {e}", kubeconfig.display()))
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The path of kubectl, helm, …
    pub fn bin(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The folder with the logs; a place for files of tests, too.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The process of etcd, kube-apiserver, kube-controller-manager, kube-scheduler or kwok.
    pub fn pid(&self, name: &str) -> u32 {
        let path = self.state.join("pid").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        text.trim().parse().unwrap_or_else(|e| panic!("{} holds {text:?}: {e}", path.display()))
    }

    /// A new namespace; its name starts with the one given.
    pub async fn namespace(&self, name: &str) -> String {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{name}-{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let made = Api::all(self.admin().await)
            .create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() })
            .await;
        made.unwrap_or_else(|e| panic!("namespace {name}: {e}"));
        name
    }

    /// Writes a kubeconfig with a token of this ServiceAccount, good for a day.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> PathBuf {
        let accounts = Api::<ServiceAccount>::namespaced(self.admin().await, namespace);
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

    /// Kills `up.sh` without letting it clear up.
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

/// The folder with the programs; the first time they are built, which takes minutes and shows its progress.
fn build() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let mut script = Command::new(format!("{SCRIPTS}/build.sh"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{SCRIPTS}/build.sh could not be started: {e}"))?;
        let mut stdout = script.stdout.take().expect("stdout is piped");
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut folder = String::new();
            let _ = stdout.read_to_string(&mut folder);
            let _ = tell.send((folder, script.wait()));
        });
        match told.recv_timeout(BUILD) {
            Ok((folder, Ok(status))) if status.success() => Ok(PathBuf::from(folder.trim())),
            Ok((_, status)) => Err(format!("tests/control-plane/build.sh failed, see above ({status:?})")),
            Err(_) => Err(format!("tests/control-plane/build.sh did not end within {BUILD:?}")),
        }
    };
    BUILT.get_or_init(build).clone()
}

/// A state folder named after this process; those of processes that are gone are cleared away, so that the logs of the
/// last run stay and no more.
fn new_state() -> Result<PathBuf, String> {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in std::fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("control-plane-").and_then(|rest| rest.split(['-', '.']).next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path()).or_else(|_| std::fs::remove_file(entry.path()));
        }
    }
    let state = all.join(format!("control-plane-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed) + 1));
    // A process of the same number may have left one.
    let _ = std::fs::remove_dir_all(&state);
    std::fs::create_dir_all(&state).map_err(|e| format!("{}: {e}", state.display()))?;
    Ok(state)
}
