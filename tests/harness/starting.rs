//! What it takes to start any cluster: its programs, a state folder, and waiting until it is ready.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

pub const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/control-plane");
/// The longest that a first build may take, on a slow machine and with another build to wait for.
const BUILD: Duration = Duration::from_secs(3600);

/// The programs that `build.sh` provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Programs {
    All,
    /// kubectl and helm.
    Clients,
}

/// Returns the folder with the programs. The first time it builds them, which takes minutes and shows its progress.
pub fn programs(which: Programs) -> Result<PathBuf, String> {
    static BUILT: Mutex<Vec<(Programs, Result<PathBuf, String>)>> = Mutex::new(Vec::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, folder)) = built.iter().find(|(programs, _)| *programs == which) {
        return folder.clone();
    }
    let folder = build(which);
    built.push((which, folder.clone()));
    folder
}

fn build(which: Programs) -> Result<PathBuf, String> {
    let mut script = Command::new(format!("{SCRIPTS}/build.sh"));
    if which == Programs::Clients {
        script.arg("clients");
    }
    let mut script = script
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
}

/// Makes a state folder named after this process. Deletes those of processes that are gone, so that only the logs of
/// the last run stay.
pub fn new_state(kind: &str) -> Result<PathBuf, String> {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in std::fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(&format!("{kind}-")).and_then(|rest| rest.split(['-', '.']).next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path()).or_else(|_| std::fs::remove_file(entry.path()));
        }
    }
    let state = all.join(format!("{kind}-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed) + 1));
    // An earlier process with the same number may have left one.
    let _ = std::fs::remove_dir_all(&state);
    std::fs::create_dir_all(&state).map_err(|e| format!("{}: {e}", state.display()))?;
    Ok(state)
}

/// Waits until a program prints `ready:` on its standard output, which is then read to its end.
pub fn await_ready(name: &str, stdout: impl Read + Send + 'static, log: &Path, within: Duration) -> Result<(), String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // Read on after it is ready; otherwise the program would write into a closed pipe.
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    let mut said = Vec::new();
    loop {
        match told.recv_timeout(within) {
            Ok(line) if line.starts_with("ready:") => return Ok(()),
            Ok(line) => said.push(line),
            Err(_) => break,
        }
    }
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(60)..].join("\n");
    Err(format!("{name} did not get ready (it printed {said:?}); its last lines:\n{last}"))
}
