//! A folder that another process uses, that cannot be written to, or whose disk is full.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, PostParams};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{DATABASE, Desk, child, durable, open};

/// The variable that is set for a process that fills its disk: the folder.
const FILL: &str = "EMBEDDED_STORAGE_FILL";
/// The variable that is set for a process that only opens a folder.
const OPEN: &str = "EMBEDDED_STORAGE_OPEN";

/// Returns a command that runs one test of this binary again, behind a shell command that sets limits.
fn again(limits: &str, test: &str, variable: &str, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    let run = format!("{limits} exec \"$0\" --exact disk_test::{test} --nocapture");
    command.args(["-c", &run]).arg(std::env::current_exe().unwrap()).env(variable, folder);
    command
}

#[test]
fn a_folder_in_use_is_refused_to_another_process() {
    if let Ok(folder) = std::env::var(OPEN) {
        return println!("\n{}", durable(Path::new(&folder)).map(drop).unwrap_err());
    }
    let desk = Desk::new("in-use");
    let storage = durable(&desk.0).unwrap();
    let ask = || {
        let test = "a_folder_in_use_is_refused_to_another_process";
        let output = again("", test, OPEN, &desk.0).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let refused = ask();
    let says = format!("{} is in use by another process: end that process, or name another folder", desk.0.display());
    assert!(refused.contains(&says), "{refused}");
    drop(storage);
    // A process that another test is starting may hold the file a moment longer.
    while ask().contains("in use") {}
}

#[test]
fn a_folder_that_cannot_be_written_to_is_refused() {
    if let Ok(folder) = std::env::var(OPEN) {
        return println!("\n{}", durable(Path::new(&folder)).map(drop).unwrap_err());
    }
    let desk = Desk::new("read-only");
    let permissions = |mode| std::fs::set_permissions(&desk.0, std::fs::Permissions::from_mode(mode)).unwrap();
    permissions(0o500);
    // Root may write anywhere, unless it is deprived of that right.
    let limits = "[ \"$(id -u)\" != 0 ] || set -- setpriv --bounding-set=-dac_override,-dac_read_search;";
    let test = "a_folder_that_cannot_be_written_to_is_refused";
    let mut command = Command::new("sh");
    let run = format!("{limits} exec \"$@\" \"$0\" --exact disk_test::{test} --nocapture");
    let output = command.args(["-c", &run]).arg(std::env::current_exe().unwrap()).env(OPEN, &desk.0).output().unwrap();
    permissions(0o700);
    let refused = String::from_utf8(output.stdout).unwrap();
    let says = format!("{}: Permission denied", desk.0.display());
    assert!(refused.contains(&says), "{refused}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!desk.0.join(DATABASE).exists());
}

/// A limit on the length of files simulates the full disk: both make the write itself fail.
#[test]
fn on_a_full_disk_writes_are_refused_reads_go_on_and_nothing_acknowledged_is_lost() {
    if let Ok(folder) = std::env::var(FILL) {
        return fill(Path::new(&folder));
    }
    let desk = Desk::new("full");
    drop(durable(&desk.0).unwrap());
    let length = std::fs::metadata(desk.0.join(DATABASE)).unwrap().len();
    // The unit is a kilobyte (dash) or half of one (POSIX); both leave room for some objects. The signal would end the
    // process, so it is ignored.
    let limits = format!("trap '' XFSZ; ulimit -S -f {};", length / 512 + 2_000);
    let test = "on_a_full_disk_writes_are_refused_reads_go_on_and_nothing_acknowledged_is_lost";
    let mut child = again(&limits, test, FILL, &desk.0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut next = |start: &str| lines.find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}"));

    let refused = next("refused ");
    assert!(refused.starts_with("refused 500 ") && refused.contains(DATABASE), "{refused}");
    assert!(refused.contains("File too large"), "{refused}");
    let acknowledged: usize = next("acknowledged ")["acknowledged ".len()..].parse().unwrap();
    assert!(acknowledged > 10, "{acknowledged}");
    assert_eq!(next("read "), format!("read {acknowledged}"));
    // Once there is room again, writes go on in the same process.
    let freed = Command::new("prlimit").args(["--pid", &child.id().to_string(), "--fsize=unlimited:"]).status();
    assert!(freed.unwrap().success());
    child.stdin.take().unwrap().write_all(b"there is room\n").unwrap();
    assert_eq!(next("after "), "after created");
    child.kill().unwrap();
    child.wait().unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(async {
        let api = open(&desk.0).unwrap();
        Api::<ConfigMap>::default_namespaced(api.client()).list(&ListParams::default()).await.unwrap().items
    });
    assert_eq!(found.len(), acknowledged + 1);
    assert!(found.iter().all(|object| !child::state(object).ends_with("torn")));
}

fn fill(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let api = open(folder).unwrap();
        let objects: Api<ConfigMap> = Api::default_namespaced(api.client());
        let create = async |number: usize| {
            let parts = ["a", "b", "c"].map(|part| part.repeat(10_000));
            objects.create(&PostParams::default(), &child::object(&format!("object-{number}"), parts).0).await
        };
        let mut acknowledged = 0;
        let refused = loop {
            match create(acknowledged).await {
                Ok(_) => acknowledged += 1,
                Err(kube::Error::Api(status)) => break status,
                Err(error) => panic!("{error}"),
            }
        };
        child::say(&format!("\nrefused {} {}", refused.code, refused.message));
        child::say(&format!("acknowledged {acknowledged}"));
        child::say(&format!("read {}", objects.list(&ListParams::default()).await.unwrap().items.len()));
        std::io::stdin().read_line(&mut String::new()).unwrap();
        let after = create(acknowledged).await.map_or_else(|error| error.to_string(), |_| "created".to_owned());
        child::say(&format!("after {after}"));
        std::future::pending::<()>().await;
    });
}
