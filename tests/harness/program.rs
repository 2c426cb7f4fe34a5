//! Running a real program with a deadline.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a program printed, and whether it succeeded.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub ok: bool,
}

/// A program as one person uses it, with their own kubeconfig and home folder.
#[derive(Clone, Debug)]
pub struct Program {
    command: std::path::PathBuf,
    environment: Vec<(String, std::ffi::OsString)>,
    deadline: Duration,
}

impl Program {
    pub fn new(command: &Path, kubeconfig: &Path, home: &Path, deadline: Duration) -> Self {
        let mut environment = vec![("KUBECONFIG".into(), kubeconfig.into()), ("HOME".into(), home.into())];
        for (name, folder) in [
            ("KUBECACHEDIR", "kubectl-cache"),
            ("HELM_CACHE_HOME", "helm/cache"),
            ("HELM_CONFIG_HOME", "helm/config"),
            ("HELM_DATA_HOME", "helm/data"),
        ] {
            environment.push((name.into(), home.join(folder).into()));
        }
        Self { command: command.into(), environment, deadline }
    }

    /// Runs it; panics when it does not end in time, which kills it.
    pub async fn run(&self, args: &[&str], input: &str) -> Output {
        let said = || format!("`{} {}`", self.command.display(), args.join(" "));
        let mut child = Command::new(&self.command)
            .args(args)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|e| panic!("{} could not be started: {e}", said()));
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let write = async move {
            // A program may end without reading its input; that is not a failure.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        let both = async { tokio::join!(write, child.wait_with_output()).1 };
        let output = match tokio::time::timeout(self.deadline, both).await {
            Ok(ended) => ended.unwrap_or_else(|e| panic!("{} could not be waited for: {e}", said())),
            Err(_) => panic!("{} did not end within {:?}", said(), self.deadline),
        };
        Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            ok: output.status.success(),
        }
    }

    /// Runs it and returns what it printed; panics with its error when it fails.
    pub async fn expect(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input).await;
        let name = self.command.file_name().unwrap_or_default().to_string_lossy();
        assert!(output.ok, "`{name} {}` failed:\n{}{}", args.join(" "), output.stderr, output.stdout);
        output.stdout
    }
}
