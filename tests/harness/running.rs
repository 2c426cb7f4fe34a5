//! A folder of YAML, and the real binary that runs on it.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use seatkeeper::machine::monotonic;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// The longest that anything takes here, even on a busy machine.
pub const LONGEST: Duration = Duration::from_secs(60);

/// The folder of one test, deleted when the test has passed. It contains `yaml`, which is applied, and `data`.
pub struct Desk(pub PathBuf);

impl Desk {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("up-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(folder.join("yaml")).unwrap();
        Desk(folder)
    }

    /// Makes a folder with the example in it.
    pub fn with_example() -> Self {
        let desk = Desk::new();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/innoacd");
        for entry in std::fs::read_dir(example).unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), desk.0.join("yaml").join(entry.file_name())).unwrap();
        }
        desk
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.0.join("yaml").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub fn data(&self, name: &str) -> PathBuf {
        self.0.join("data").join(name)
    }

    pub fn command(&self, more: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatkeeper"));
        command.args(["up", "yaml", "--data", "data"]).args(more.split_whitespace()).current_dir(&self.0);
        command
    }

    /// Runs `seatkeeper up` on any free port.
    pub fn up(&self, more: &str) -> Up {
        Up::start(self.command("--listen 127.0.0.1:0 --seats-listen 127.0.0.1:0").args(more.split_whitespace()))
    }

    /// Checks that `seatkeeper up` ends by itself with this status, and prints this on standard error.
    pub fn refused(&self, more: &str, status: i32, says: &[&str]) {
        let output = self.command(more).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        for part in says {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }

    /// Returns a client that, like kubectl, trusts only the kubeconfig.
    pub async fn client(&self) -> Client {
        // The binary does the same for itself.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(self.data("kubeconfig")).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// The running binary. It is killed when the test ends.
pub struct Up {
    child: Child,
    lines: Receiver<String>,
    /// The lines that it has printed so far.
    pub said: Vec<String>,
}

impl Up {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Up { child, lines, said: Vec::new() }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads until a line contains all these parts, and returns that line.
    pub fn until(&mut self, parts: &[&str]) -> String {
        let began = monotonic();
        loop {
            // Lines that keep coming do not make it wait longer.
            let line = match self.lines.recv_timeout(LONGEST.saturating_sub(monotonic() - began)) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => panic!("no line with {parts:?} in\n{}", self.said.join("\n")),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended: {}{}", self.said.join("\n"), self.errors()),
            };
            self.said.push(line.clone());
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }

    /// Reads until all of these lines have been printed, in any order.
    pub fn until_all(&mut self, lines: &[&[&str]]) {
        let from = self.said.len();
        let has =
            |said: &[String], parts: &[&str]| said.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        while let Some(missing) = lines.iter().find(|parts| !has(&self.said[from..], parts)) {
            self.until(missing);
        }
    }

    /// Returns how many lines so far contain `part`.
    pub fn count(&self, part: &str) -> usize {
        self.said.iter().filter(|line| line.contains(part)).count()
    }

    /// Returns the `https://…` address of the API, after the first screen.
    pub fn address(&mut self) -> String {
        self.until(&["  API "]).split_whitespace().last().unwrap().to_owned()
    }

    fn errors(&mut self) -> String {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }

    /// Lets it stand still for this time, as on a machine that sleeps.
    pub fn pause(&self, time: Duration) {
        self.signal("-STOP");
        std::thread::sleep(time);
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Sends Ctrl-C. The binary must end cleanly, with nothing on standard error. Returns all lines that it printed.
    pub fn interrupt(mut self) -> Vec<String> {
        self.signal("-INT");
        self.until(&["ended; run the same command to continue"]);
        let (status, errors) = (self.wait(), self.errors());
        assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
        std::mem::take(&mut self.said)
    }

    /// Sends Ctrl-C, and returns what it has printed on standard error.
    #[allow(dead_code, reason = "not every binary that includes this asks")]
    pub fn errors_after_the_end(mut self) -> String {
        self.signal("-INT");
        self.wait();
        self.errors()
    }

    pub fn kill(mut self) {
        self.end_at_once();
    }

    /// Ends it with SIGKILL.
    pub fn end_at_once(&mut self) {
        self.child.kill().unwrap();
        self.wait();
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
