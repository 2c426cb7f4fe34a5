//! A person at a terminal, who types what README, docs and examples say.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The blocks marked `sh`, in their order.
pub fn commands(document: &str) -> Vec<String> {
    let path = Path::new(ROOT).join(document);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let blocks: Vec<String> =
        text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next().map(Into::into)).collect();
    assert!(!blocks.is_empty(), "{document} has no block of commands");
    blocks
}

/// A person at a terminal: a folder of their own, our programs in PATH, and a cluster.
pub struct Person {
    pub folder: PathBuf,
    path: String,
    kubeconfig: PathBuf,
}

impl Person {
    pub fn new(name: &str, programs: &Path, kubeconfig: &Path) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("documents-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder of the test's own");
        for shared in ["examples", "charts"] {
            let _ = std::os::unix::fs::symlink(Path::new(ROOT).join(shared), folder.join(shared));
        }
        let seatkeeper = Path::new(env!("CARGO_BIN_EXE_seatkeeper")).parent().expect("a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{path}", seatkeeper.display(), programs.display());
        Person { folder, path, kubeconfig: kubeconfig.to_owned() }
    }

    /// Types a block of commands, which have to do their work and end.
    pub fn types(&self, document: &str, block: &str) {
        let output = self.shell("timeout", &["300", "bash", "-euo", "pipefail", "-c", block]).output().expect("bash");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{document}:\n{block}\nsaid:\n{said}");
    }

    /// Whether a command does its work; where it fails nothing is said.
    pub fn tries(&self, command: &str) -> bool {
        let output = self.shell("timeout", &["60", "bash", "-euo", "pipefail", "-c", command]).output().expect("bash");
        output.status.success()
    }

    /// Types a command that goes on until the program is dropped.
    pub fn starts(&self, command: &str) -> Running {
        // Told to end when this process does, whatever ends it.
        let arguments = ["--pdeathsig", "KILL", "bash", "-euo", "pipefail", "-c", &format!("exec {command}")];
        Running(self.shell("setpriv", &arguments).stdout(Stdio::null()).spawn().expect("setpriv"))
    }

    fn shell(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.folder)
            .stdin(Stdio::null());
        command
    }
}

/// A program that a person has started.
pub struct Running(Child);

impl Drop for Running {
    /// Ctrl-C.
    fn drop(&mut self) {
        let sent = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        if sent.is_ok_and(|sent| sent.success()) {
            let _ = self.0.wait();
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
