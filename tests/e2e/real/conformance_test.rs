//! The embedded API answers like the real one, call by call: the scripts of `conformance/` run on both, and every
//! difference is a defect of the embedded one.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::OnceLock;

use tokio::sync::OnceCell;

use super::conformance_script::Script;
use super::conformance_server::{Exchange, Server};
use crate::harness::cluster::started;
use crate::harness::control_plane::ControlPlane;
use crate::harness::embedded_api::EmbeddedApi;
use crate::rights;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/real/conformance");
/// The folder with the answers of both, one file for each script, such as `target/tmp/conformance/real/create.txt`.
const ANSWERS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/conformance");

/// Returns a control plane with our kinds, on which no operator writes.
async fn real() -> &'static ControlPlane {
    static REAL: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    static PREPARED: OnceCell<()> = OnceCell::const_new();
    let real = started(REAL.get_or_init(ControlPlane::start));
    PREPARED.get_or_init(|| rights::crds(real)).await;
    real
}

fn embedded() -> &'static EmbeddedApi {
    static EMBEDDED: OnceLock<Result<EmbeddedApi, String>> = OnceLock::new();
    started(EMBEDDED.get_or_init(EmbeddedApi::start))
}

/// Runs a script on both, step by step, and compares the answers.
async fn alike(name: &str) {
    let text = std::fs::read_to_string(format!("{SCRIPTS}/{name}.http")).unwrap_or_else(|e| panic!("{name}: {e}"));
    let script = Script::read(&text);
    let namespace = format!("conformance-{name}");
    let servers = [Server::of(real().await.kubeconfig()).await, Server::of(embedded().kubeconfig()).await];
    let mut real = servers[0].begin(&script, &namespace).await;
    let mut embedded = servers[1].begin(&script, &namespace).await;
    let mut answers: [Vec<Exchange>; 2] = Default::default();
    for step in &script.steps {
        let mut both = tokio::join!(real.take(step), embedded.take(step));
        if both.0.answer != both.1.answer && step.is_watch() {
            both = tokio::join!(real.take_again(step), embedded.take_again(step));
        }
        answers[0].push(both.0);
        answers[1].push(both.1);
    }
    let [real, embedded] = &answers;
    write("real", name, real);
    write("embedded", name, embedded);
    let mut differences = String::new();
    let mut count = 0;
    for (real, embedded) in real.iter().zip(embedded).filter(|(real, embedded)| real.answer != embedded.answer) {
        count += 1;
        let difference = difference(&real.answer, &embedded.answer);
        let _ = writeln!(differences, "### {}\n{}\n{difference}", real.title, real.request.trim_end());
    }
    assert!(count == 0, "{name}: {count} of {} answers differ (- real, + embedded):\n{differences}", real.len());
}

fn write(of: &str, name: &str, exchanges: &[Exchange]) {
    let folder = Path::new(ANSWERS).join(of);
    let text = exchanges.iter().map(|e| format!("### {}\n{}\n\n{}\n", e.title, e.request.trim_end(), e.answer));
    std::fs::create_dir_all(&folder).expect("the folder is ours");
    std::fs::write(folder.join(format!("{name}.txt")), text.collect::<String>()).expect("the folder is ours");
}

/// Returns the lines that differ, with those around them.
fn difference(real: &str, embedded: &str) -> String {
    let (a, b): (Vec<_>, Vec<_>) = (real.lines().collect(), embedded.lines().collect());
    // common[i][j] is the number of lines that `a` from i on and `b` from j on have in common, in order.
    let mut common = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || i < a.len() && common[i + 1][j] >= common[i][j + 1] {
            lines.push(('-', a[i]));
            i += 1;
        } else {
            lines.push(('+', b[j]));
            j += 1;
        }
    }
    let near = |at: usize| lines[at.saturating_sub(2)..lines.len().min(at + 3)].iter().any(|(sign, _)| *sign != ' ');
    let shown = lines.iter().enumerate().filter(|(at, _)| near(*at));
    shown.map(|(_, (sign, line))| format!("  {sign} {line}\n")).collect()
}

macro_rules! scripts {
    ($($name:ident),*) => {
        $(#[tokio::test]
        async fn $name() {
            alike(stringify!($name)).await;
        })*

        #[test]
        fn every_script_is_carried_out() {
            let names = std::fs::read_dir(SCRIPTS).expect("there are scripts").map(|entry| entry.expect("a file").path());
            let scripts = names.filter(|path| path.extension().is_some_and(|e| e == "http"));
            let scripts: BTreeSet<_> = scripts.map(|path| path.file_stem().expect("a name").to_owned()).collect();
            assert_eq!(scripts, [$(stringify!($name).into()),*].into());
        }
    };
}

scripts!(apply, core, create, delete, discovery, events, list, namespaces, patch, schema, tables, update, watch);

#[test]
fn a_difference_shows_the_lines_around_it() {
    let (real, embedded) = ("1\n2\n3\nfour\n5\n6\n7\n", "1\n2\n3\n4\n5\n6\n7\n");
    assert_eq!(difference(real, embedded), "    2\n    3\n  - four\n  + 4\n    5\n    6\n");
}
