//! The commands in README, docs and examples work as they are written.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use seatkeeper::machine::monotonic;

use crate::harness::control_plane::ControlPlane;
use crate::harness::person::{Person, ROOT, commands};

/// `make dev` may build first.
const START: Duration = Duration::from_secs(600);
/// How long it may take to end.
const END: Duration = Duration::from_secs(60);

/// `make dev`, which ends with the test.
struct Dev(Child);

impl Dev {
    /// Starts `make dev`, and returns it with the KUBECONFIG and the folder of programs that it prints.
    fn start(state: &Path) -> (Self, PathBuf, PathBuf) {
        // A shell cannot catch what was ignored when it began, as it is under nohup and in the background of a script.
        let mut make = Command::new("env")
            .args(["--default-signal=INT", "make", "--silent", "dev"])
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
            // Read to the end; otherwise make would write into a closed pipe.
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
        // Interrupt make's children, so that make, its shell and what that started end in order.
        let make = self.0.id().to_string();
        let _ = Command::new("pkill").args(["-INT", "-P", &make]).status();
        let began = monotonic();
        while matches!(self.0.try_wait(), Ok(None)) {
            if monotonic() - began > END {
                let _ = Command::new("pkill").args(["-KILL", "-P", &make]).status();
                let _ = self.0.kill();
                let _ = self.0.wait();
                eprintln!("make dev did not end within {END:?} and was killed");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// K1, I11: `make dev` runs the lead case on a real control plane, and the guides' commands work on it.
#[test]
fn the_guide_to_licences_works_as_written_on_make_dev() {
    let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("documents-{}-dev", std::process::id()));
    {
        let (_dev, kubeconfig, programs) = Dev::start(&state);
        let person = Person::new("guide", &programs, &kubeconfig);
        for document in ["docs/licences.md", "docs/rosters.md", "docs/command-line.md"] {
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
    // The files that the vendor sends.
    person.types("the vendor", "seatkeeper keygen --out . && cp jwks.json vendor.json");
    let key = std::fs::read(person.folder.join("signing-key.pem")).expect("a signing key");
    let key = seatkeeper::domain::license::jwk::read_signing_key(&key).expect("a signing key");
    let list = seatkeeper::domain::license::trust::Revocations {
        version: 1,
        iat: 1,
        exp: None,
        serials: ["lost".to_owned()].into(),
    };
    let list = seatkeeper::domain::license::trust::sign_revocations(&list, &key);
    std::fs::write(person.folder.join("revoked.jwt"), list).expect("revoked.jwt");
    for block in commands("docs/installation.md") {
        person.types("docs/installation.md", &block);
    }
}
