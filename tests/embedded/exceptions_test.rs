//! Every end-to-end test also runs on the embedded API, with these exceptions.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use proc_macro2::{TokenStream, TokenTree};

/// Files of `tests/e2e` whose subject does not exist in the embedded API.
const ONLY_REAL: [(&str, &str); 8] = [
    ("chart_test", "the chart: RBAC, admission policies and Deployments, of which the embedded API has none"),
    ("conformance_test", "compares the embedded API with the real one, so it needs both"),
    ("control_plane_test", "the programs of the real control plane, its ServiceAccounts, Deployments and nodes"),
    (
        "safety_test",
        "replicas and an API server that are killed, and a Lease between them: the embedded API has one process",
    ),
    (
        "seats_test",
        "ServiceAccount tokens and RBAC, which the embedded API does not have: tests/seats is the same on one machine",
    ),
    ("outage_test", "seats of ServiceAccounts, and an API server that goes away without the operator"),
    ("seats_tls_test", "replicas that pass requests on, and ServiceAccount tokens"),
    ("documents_test", "`make dev` and installing the chart, as README and guides describe it"),
];

#[test]
fn every_end_to_end_test_but_these_runs_here_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let mut left_out: BTreeSet<_> = ONLY_REAL.iter().map(|(file, _)| (*file).to_owned()).collect();
    let mut expected = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).expect("the suite is there") {
        let path = entry.expect("the suite can be read").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|e| e == "rs") && !left_out.remove(&name) {
            let text = std::fs::read_to_string(&path).expect("sources are text");
            expected.extend(tests(&text).into_iter().map(|test| format!("{name}::{test}")));
        }
    }
    assert!(left_out.is_empty(), "these files no longer exist: {left_out:?}");
    let me = std::env::current_exe().expect("a running program has a path");
    let listed = Command::new(me).args(["--list", "--format=terse"]).output().expect("the test can list itself");
    let listed = String::from_utf8(listed.stdout).expect("names are text");
    let listed: BTreeSet<_> = listed.lines().filter_map(|line| line.strip_suffix(": test")).map(Into::into).collect();
    assert!(expected.len() > 30, "the suite could not be read correctly: {expected:?}");
    let missing: Vec<_> = expected.difference(&listed).collect();
    assert!(missing.is_empty(), "these run only on the real control plane: {missing:#?}");
}

/// Returns the names of the functions of a source file that are marked as tests.
fn tests(source: &str) -> Vec<String> {
    let tokens: Vec<_> = source.parse::<TokenStream>().expect("the suite is Rust").into_iter().collect();
    let mut names = Vec::new();
    let mut is_test = false;
    for pair in tokens.windows(2) {
        match pair {
            [TokenTree::Punct(punct), TokenTree::Group(attribute)] if punct.as_char() == '#' => {
                is_test |= attribute.stream().to_string().replace(' ', "").split("::").last() == Some("test");
            }
            [TokenTree::Ident(keyword), TokenTree::Ident(name)] if keyword == "fn" => {
                names.extend(std::mem::take(&mut is_test).then(|| name.to_string()));
            }
            _ => {}
        }
    }
    names
}

#[test]
fn a_test_is_known_by_its_mark() {
    let source =
        "#[test] fn a() {} #[tokio::test]\n/// Words.\nasync fn b() { fn inner() {} } fn c() {} #[derive(X)] struct S;";
    assert_eq!(tests(source), ["a", "b"]);
}
