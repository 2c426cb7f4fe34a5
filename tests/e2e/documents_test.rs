//! What README, docs and examples tell people to type works as it stands there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::control_plane::ControlPlane;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// `make dev` may build first.
const START: Duration = Duration::from_secs(600);

/// The blocks marked `sh`, in their order.
fn commands(document: &str) -> Vec<String> {
    let path = Path::new(ROOT).join(document);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let blocks: Vec<String> =
        text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next().map(Into::into)).collect();
    assert!(!blocks.is_empty(), "{document} has no block of commands");
    blocks
}

/// A person at a terminal: a folder of their own, our programs in PATH, and a cluster.
struct Person {
    folder: PathBuf,
    path: String,
    kubeconfig: PathBuf,
}

impl Person {
    fn new(name: &str, programs: &Path, kubeconfig: &Path) -> Self {
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

    fn types(&self, document: &str, block: &str) {
        let output = Command::new("timeout")
            .args(["300", "bash", "-euo", "pipefail", "-c", block])
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .output()
            .expect("bash");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{document}:\n{block}\nsaid:\n{said}");
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// `make dev`, ended with the test.
struct Dev(Child);

impl Dev {
    /// Returns it with the KUBECONFIG and the folder of programs that it prints.
    fn start(state: &Path) -> (Self, PathBuf, PathBuf) {
        let mut make = Command::new("make")
            .args(["--silent", "dev"])
            .current_dir(ROOT)
            .env("SEATKEEPER_DEV", state)
            .env("SEATKEEPER", env!("CARGO_BIN_EXE_seatkeeper"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("make");
        let lines = BufReader::new(make.stdout.take().expect("stdout is piped")).lines();
        let dev = Dev(make);
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut said = String::new();
            // Read to the end, or make would write into a closed pipe.
            for line in lines.map_while(Result::ok) {
                said.push_str(&line);
                said.push('\n');
                if line.contains("Ctrl-C ends it all") {
                    let _ = tell.send(std::mem::take(&mut said));
                }
            }
            let _ = tell.send(said);
        });
        let said = told.recv_timeout(START).expect("make dev starts in time");
        let printed = |what: &str| {
            let line = said.lines().find_map(|line| line.trim().strip_prefix(what));
            PathBuf::from(line.unwrap_or_else(|| panic!("make dev does not print {what:?}; it said:\n{said}")))
        };
        let programs = printed("export PATH=");
        let programs = programs.display().to_string().trim_end_matches(":$PATH").to_owned();
        (dev, printed("export KUBECONFIG="), programs.into())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // The whole family: make, its shell, and what that started end in their own order.
        let children = Command::new("pkill").args(["-INT", "-P", &self.0.id().to_string()]).status();
        if children.is_ok() {
            let _ = self.0.wait();
        }
    }
}

/// K1, I11: the README's first command runs the lead case, and everything the README and the guide then tell works on it.
#[test]
fn the_readme_and_the_guide_to_licences_work_as_written() {
    let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("documents-{}-dev", std::process::id()));
    let readme = commands("README.md");
    assert_eq!(readme.first().map(|block| block.trim()), Some("make dev"), "the first command runs the main job");
    assert_eq!(readme.last().map(|block| block.trim()), Some("make test"), "the second passes every test");
    {
        let (_dev, kubeconfig, programs) = Dev::start(&state);
        let person = Person::new("guide", &programs, &kubeconfig);
        for block in readme.iter().filter(|block| !block.trim().starts_with("make")) {
            person.types("README.md", block);
        }
        for document in ["docs/licences.md", "docs/command-line.md"] {
            for block in commands(document) {
                person.types(document, &block);
            }
        }
    }
    let _ = std::fs::remove_dir_all(state);
}

/// K1: installing, pinning trust, upgrading and uninstalling as written; then the example's own README.
#[test]
fn the_guide_to_installation_works_as_written() {
    let plane = ControlPlane::start().expect("a control plane");
    let person = Person::new("installation", &plane.bin(""), plane.kubeconfig());
    // What the vendor sends.
    person.types("the vendor", "seatkeeper keygen --out . && cp jwks.json vendor.json");
    let key = std::fs::read(person.folder.join("signing-key.pem")).expect("a signing key");
    let key = seatkeeper::domain::license::jwk::read_signing_key(&key).expect("a signing key");
    let list =
        seatkeeper::domain::license::trust::Revocations { version: 1, iat: 1, serials: ["lost".to_owned()].into() };
    let list = seatkeeper::domain::license::trust::sign_revocations(&list, &key);
    std::fs::write(person.folder.join("revoked.jwt"), list).expect("revoked.jwt");
    for block in commands("docs/installation.md") {
        person.types("docs/installation.md", &block);
    }
}
