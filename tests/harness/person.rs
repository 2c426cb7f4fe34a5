//! A person at a terminal, who types the commands in README, docs and examples.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Returns the blocks marked `sh`, in their order.
pub fn commands(document: &str) -> Vec<String> {
    let path = Path::new(ROOT).join(document);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let blocks: Vec<String> =
        text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next().map(Into::into)).collect();
    assert!(!blocks.is_empty(), "{document} has no block of commands");
    blocks
}

/// A person at a terminal, with their own folder, our programs in PATH, and a cluster.
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

    /// Types a block of commands, which must succeed and end.
    pub fn types(&self, document: &str, block: &str) {
        let output = self.shell("timeout", &["300", "bash", "-euo", "pipefail", "-c", block]).output().expect("bash");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{document}:\n{block}\nsaid:\n{said}");
    }

    /// Returns a program as this person runs it.
    pub fn shell(&self, program: &str, arguments: &[&str]) -> Command {
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

impl Drop for Person {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
