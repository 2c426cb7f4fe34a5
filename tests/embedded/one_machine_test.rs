//! The commands in README and in the guide to one machine, typed as they are written.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::eventually::eventually;
use crate::harness::person::{Person, commands};
use crate::harness::starting::{Programs, programs};

const SOON: Duration = Duration::from_secs(60);

/// Starts `seatkeeper up`, and waits until kubectl shows a License in force, as a reader of the first screen does.
async fn up(person: &Person, command: &str, data: &str) -> Running {
    let running = person.starts(command);
    let kubectl = format!("kubectl --kubeconfig {data}/kubeconfig -n innoacd get licenses.seatkeeper.dev innoacd");
    let kubectl = format!("{kubectl} -o jsonpath='{{.status.mode}}' | grep -qx Full");
    eventually(SOON, &format!("a licence in force, after {command}"), async || {
        let done = person.tries(&kubectl);
        done.then_some(()).ok_or("not yet".to_owned())
    })
    .await;
    running
}

/// I11: the README's first command runs the lead case, its second passes every test, and all between them works.
#[tokio::test]
async fn readme_and_the_guide_to_one_machine_work_as_written() {
    let clients = programs(Programs::Clients).expect("kubectl");
    let person = Person::new("one-machine", &clients, Path::new(".seatkeeper/kubeconfig"));
    let readme = commands("README.md");
    let [first, kubectl, test] = &readme[..] else { panic!("{readme:#?}") };
    let first = first.trim().strip_prefix("cargo run --release -- ").expect("the first command runs the main job");
    assert_eq!(test.trim(), "make test", "the second passes every test");
    {
        let _running = up(&person, &format!("seatkeeper {first}"), ".seatkeeper").await;
        person.types("README.md", kubectl);
    }
    std::fs::remove_dir_all(person.folder.join(".seatkeeper")).expect("the state is in the documented folder");

    let guide = commands("docs/one-machine.md");
    let [plain, kubectl, fast] = &guide[..] else { panic!("{guide:#?}") };
    {
        let _running = up(&person, plain.trim(), ".seatkeeper").await;
        person.types("docs/one-machine.md", kubectl);
    }
    let _running = up(&person, fast.trim(), "try").await;
}

impl Person {
    /// Whether a command succeeds; a failure is not reported.
    pub fn tries(&self, command: &str) -> bool {
        let output = self.shell("timeout", &["60", "bash", "-euo", "pipefail", "-c", command]).output().expect("bash");
        output.status.success()
    }

    /// Types a command that runs until the returned program is dropped.
    pub fn starts(&self, command: &str) -> Running {
        // The kernel kills it when this process ends, however that ends.
        let arguments = ["--pdeathsig", "KILL", "bash", "-euo", "pipefail", "-c", &format!("exec {command}")];
        Running(self.shell("setpriv", &arguments).stdout(Stdio::null()).spawn().expect("setpriv"))
    }
}

/// A program that a person has started.
pub struct Running(Child);

impl Drop for Running {
    /// Ends it with Ctrl-C.
    fn drop(&mut self) {
        let sent = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        if sent.is_ok_and(|sent| sent.success()) {
            let _ = self.0.wait();
        }
    }
}
