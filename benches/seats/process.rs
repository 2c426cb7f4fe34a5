//! Processes that end with this one, and the resources that a process has used.

use seatkeeper::machine::monotonic;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The longest that a process may take to end by itself.
const ENDING: Duration = Duration::from_secs(10);
/// Linux shows times to programs in hundredths of a second, whatever its own tick is.
const TICKS_A_SECOND: f64 = 100.0;

/// A server that this benchmark started. The kernel kills it when the thread that started it is gone; the terminal's
/// Ctrl-C does not reach it.
pub struct Server {
    process: Child,
    /// The signal that asks it to end.
    signal: &'static str,
}

impl Server {
    /// Starts a server, as the user `as_user` if one is given and this is root.
    pub fn start(program: &Path, arguments: &[&str], as_user: Option<&str>, signal: &'static str, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        let mut command = as_another(as_user);
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log).process_group(0);
        let process = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        Server { process, signal }
    }

    /// Starts a server with further variables in its environment, each `NAME=VALUE`.
    pub fn with_environment(program: &Path, arguments: &[&str], environment: &[&str], log: &Path) -> Self {
        let all = [environment, &[program.to_str().expect("UTF-8")], arguments].concat();
        Self::start(Path::new("env"), &all, None, "TERM", log)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }
}

/// Returns a `setpriv` command that runs as `user` if one is named.
pub fn as_another(user: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
    }
    command
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").args([&format!("-{}", self.signal), &self.pid().to_string()]).status();
        let end = monotonic() + ENDING;
        while !self.has_ended() {
            if monotonic() > end {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn read(pid: u32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

/// Returns the fields of `/proc/PID/stat` after the process's name, which may contain any character.
fn stat(pid: u32) -> Vec<f64> {
    let text = read(pid, "stat");
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect()
}

/// Returns a process and those that it started: PostgreSQL has one for each connection.
fn family(pid: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children = all.filter(|other| stat(*other).get(1).is_some_and(|parent| *parent == f64::from(pid)));
    std::iter::once(pid).chain(children).collect()
}

/// Returns the seconds of CPU that a process and its living children have used.
pub fn cpu_seconds(pid: u32) -> f64 {
    // There may be very many children, each of which uses less than a tick.
    let children = family(pid).into_iter().skip(1);
    cpu_seconds_alone(pid) + children.map(|child| nanoseconds(child) / 1e9).sum::<f64>()
}

/// Returns the seconds of CPU that a process alone has used.
pub fn cpu_seconds_alone(pid: u32) -> f64 {
    stat(pid).get(11..13).map_or(0.0, |times| times.iter().sum::<f64>()) / TICKS_A_SECOND
}

/// Returns the CPU time that a process with one thread has used, in nanoseconds.
fn nanoseconds(pid: u32) -> f64 {
    read(pid, "schedstat").split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0.0)
}

/// Returns the bytes that a process and its children have caused to be written to disk.
pub fn written_bytes(pid: u32) -> f64 {
    let of = |pid| {
        let text = read(pid, "io");
        let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        line.and_then(|number| number.parse().ok()).unwrap_or(0.0)
    };
    family(pid).into_iter().map(of).sum()
}

/// Returns the resident memory of a process in MiB.
pub fn resident_mib(pid: u32) -> f64 {
    let text = read(pid, "status");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
}

/// Returns the arguments with which a process was started.
pub fn arguments(pid: u32) -> Vec<String> {
    read(pid, "cmdline").split('\0').map(str::to_owned).collect()
}
