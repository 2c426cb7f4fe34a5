//! A licence for two agents, served by `seatkeeper up`, and the callers who want its seats.

use chrono::Days;
use kube::config::{KubeConfigOptions, Kubeconfig};
use seatkeeper::machine::{machine_time, monotonic};
use serde_json::{Value, json};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::http::{Answer, send, send_part};
use super::openapi::conforms;
use super::running::{Desk, LONGEST, Up};

/// The TTL of seats here; the shortest that is allowed.
pub const TTL: Duration = Duration::from_secs(5);
/// The License, as NAMESPACE/NAME.
pub const LICENSE: &str = "centre/innoacd";
const SEATS: &str = "/v1/seats";

pub struct Ground {
    pub desk: Desk,
    /// Runs until the test ends.
    up: Up,
    /// The address of the seat server.
    pub address: String,
    pub token: String,
}

impl Ground {
    pub fn take() -> Self {
        Self::with_ttl(TTL)
    }

    pub fn with_ttl(ttl: Duration) -> Self {
        let desk = Desk::new();
        let (up, address) = serve(&desk, ttl);
        let token = std::fs::read_to_string(desk.data("token")).expect("the token has a file of its own");
        let mut ground = Ground { desk, up, address, token };
        ground.desk.write("contract.yaml", contract());
        ground.up.until(&["License centre/innoacd  Activated"]);
        until("the seats are served", || ground.list().status == 200);
        ground
    }

    /// Returns a caller with the token, for use on another thread.
    pub fn caller(&self) -> Caller {
        Caller { address: self.address.clone(), token: self.token.clone() }
    }

    /// Kills it with SIGKILL, and starts it again with this TTL.
    pub fn is_killed_and_starts_with_ttl(&mut self, ttl: Duration) {
        self.up.end_at_once();
        (self.up, self.address) = serve(&self.desk, ttl);
        until("the seats are served again", || self.list().status == 200);
    }

    pub fn ask(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.caller().ask(method, path, body)
    }

    /// Asks for a seat; the fields of `more` are added to the request.
    pub fn asks(&self, user: &str, more: Value) -> Answer {
        self.caller().asks(user, more)
    }

    /// Gets a seat, and returns its id.
    pub fn seat(&self, user: &str) -> String {
        let answer = self.asks(user, json!({}));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["seats"][0]["id"].as_str().expect("a seat has an id").to_owned()
    }

    pub fn list(&self) -> Answer {
        self.ask("GET", "/v1/seats?namespace=centre&license=innoacd", "")
    }

    /// Returns the users who hold a seat.
    pub fn holders(&self) -> Vec<String> {
        let list = self.list().json();
        let holders = list["holders"].as_array().expect("a list");
        holders.iter().map(|holder| holder["user"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Returns the `https://…` address of the Kubernetes API, which is not a seat server but has TLS.
    pub fn api(&self) -> &str {
        let line = self.up.said.iter().find(|line| line.contains("  API ")).expect("the first screen says it");
        line.split_whitespace().last().expect("an address")
    }

    /// The most resident memory that the process has had, in MiB.
    pub fn most_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.up.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    }

    /// Returns the number of the operator's writes to the Kubernetes API so far.
    pub fn writes(&self) -> u64 {
        self.metric("seatkeeper_api_writes_total")
    }

    /// Returns the number of waiters in the queue.
    pub fn queued(&self) -> u64 {
        self.metric("seatkeeper_seats_queued")
    }

    /// Returns everything that the ledger says.
    pub fn ledger(&self) -> String {
        self.read("/apis/seatkeeper.dev/v1alpha1/seatledgers")
    }

    /// Changes how the License has its holders shown.
    pub fn show_holders(&self, how: &str) {
        let body = json!({"spec": {"holders": how}}).to_string();
        let request = http::Request::patch("/apis/seatkeeper.dev/v1alpha1/namespaces/centre/licenses/innoacd")
            .header("content-type", "application/merge-patch+json")
            .body(body.into_bytes());
        self.send(request.expect("a request"));
        until("the seat server shows it", || self.list().json()["shown"] == how);
    }

    /// Returns all Events.
    pub fn events(&self) -> String {
        self.read("/api/v1/events")
    }

    fn read(&self, path: &str) -> String {
        self.send(http::Request::get(path).body(Vec::new()).expect("a request"))
    }

    fn send(&self, request: http::Request<Vec<u8>>) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let text = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(self.desk.data("kubeconfig")).expect("a kubeconfig");
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
            let client = kube::Client::try_from(config.expect("a kubeconfig")).expect("a client");
            client.request_text(request).await
        });
        text.expect("an answer")
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.read("/metrics");
        let count = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        count.unwrap_or_else(|| panic!("{name} is not counted"))
    }

    /// Returns `seatkeeper hold` on this licence, with a command that the shell runs.
    pub fn hold(&self, arguments: &str, command: &str) -> Command {
        let mut hold = self.seatkeeper_hold();
        hold.arg(format!("--token-file={}", self.desk.data("token").display()))
            .args(["--license", LICENSE])
            .args(arguments.split_whitespace())
            .args(["--", "sh", "-c", command]);
        hold
    }

    /// Returns `seatkeeper hold` that knows only the server. A process that ignores Ctrl-C from its start, as
    /// everything that a script runs in the background does, keeps ignoring it. So the signals are reset to what they
    /// are in a terminal, however this test was started.
    pub fn seatkeeper_hold(&self) -> Command {
        let mut hold = Command::new("env");
        hold.args(["--default-signal=INT,HUP", env!("CARGO_BIN_EXE_seatkeeper"), "hold"])
            .env("SEATKEEPER_SERVER", format!("http://{}", self.address))
            .env_remove("SEATKEEPER_TOKEN_FILE")
            .current_dir(&self.desk.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        hold
    }
}

#[derive(Clone)]
pub struct Caller {
    address: String,
    token: String,
}

impl Caller {
    pub fn ask(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Answer {
        let token = format!("Authorization: Bearer {}", self.token);
        let answer = send(&self.address, method, path, &[token], body.as_ref());
        conforms(method, path, &answer);
        answer
    }

    /// Sends a request whose body never ends.
    pub fn asks_without_end(&self, method: &str, path: &str) -> Answer {
        let token = format!("Authorization: Bearer {}", self.token);
        let answer = send_part(&self.address, method, path, &[token], b"{\"license\":", 1_000);
        conforms(method, path, &answer);
        answer
    }

    /// Asks for a seat; the fields of `more` are added to the request.
    pub fn asks(&self, user: &str, more: Value) -> Answer {
        self.ask("POST", SEATS, request(user, more).to_string())
    }
}

/// Starts `seatkeeper up`, and returns it with the address of its seat server.
fn serve(desk: &Desk, ttl: Duration) -> (Up, String) {
    let mut up = desk.up(&format!("--seat-ttl {}", ttl.as_secs()));
    let line = up.until(&["  seats "]);
    let address = line.trim().trim_start_matches("seats").trim().trim_start_matches("http://");
    let address = address.trim_end_matches(SEATS).to_owned();
    (up, address)
}

/// Returns the JSON of a client's request, with the fields of `more`.
pub fn request(user: &str, more: Value) -> Value {
    let mut request =
        json!({"license": {"namespace": "centre", "name": "innoacd"}, "user": user, "session": format!("of-{user}")});
    let fields = request.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    request
}

/// A process that runs until it is dropped or waited for.
pub struct Running(Option<Child>);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Running(Some(command.spawn().expect("the program was built with this test")))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it runs")
    }

    pub fn signal(&mut self, signal: &str) {
        let id = self.child().id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().expect("kill").success());
    }

    pub fn has_ended(&mut self) -> bool {
        self.child().try_wait().expect("it is ours").is_some()
    }

    /// Waits for its end, and returns status, standard output and standard error.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        until("it ends", || self.has_ended());
        said(self.0.take().expect("it ran").wait_with_output().expect("it can be read"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns status, standard output and standard error.
pub fn said(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Waits until `so` is true, and returns how long that took.
pub fn until(what: &str, mut so: impl FnMut() -> bool) -> Duration {
    let began = monotonic();
    while !so() {
        assert!(monotonic() - began < LONGEST, "not within {LONGEST:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    monotonic() - began
}

/// Returns a Plan, and a Subscription that is in force today.
fn contract() -> String {
    let today = machine_time().date_naive();
    let (began, before) = (today - Days::new(10), today - Days::new(20));
    format!(
        r#"apiVersion: v1
kind: Namespace
metadata: {{name: centre}}
---
apiVersion: seatkeeper.dev/v1alpha1
kind: Plan
metadata: {{name: innoacd, namespace: centre}}
spec:
  title: innoACD
  product: innoacd
  terms: {{interval: {{months: 12}}, notice: {{months: 3}}}}
  license:
    pools: [{{name: agents, model: Concurrent}}]
---
apiVersion: seatkeeper.dev/v1alpha1
kind: Subscription
metadata: {{name: stadtwerke, namespace: centre}}
spec:
  order: {{reference: PO-1, receivedOn: "{before}", approvedOn: "{before}"}}
  customer: {{organisation: Stadtwerke Musterstadt}}
  startsOn: "{began}"
  plans: [{{name: innoacd, pools: [{{name: agents, seats: 2}}]}}]
  issuer: {{secretRef: {{name: issuer}}}}
  deliverTo: {{license: {{name: innoacd}}}}
"#
    )
}
