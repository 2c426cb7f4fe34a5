//! No file needs, directly or through others of its folder, a file that needs it. A reader of one of them would have to
//! read all. Faces (`mod.rs`, `lib.rs`) are left out: they name everything below them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::source::{Source, files_below, paths, read, root};

/// Circles that stay, because what the files describe is recursive: a list holds what may hold lists. Each is the sorted
/// list of its files.
const RECURSIONS: [&[&str]; 3] = [
    &["crates/embedded/src/fields/strategic.rs", "crates/embedded/src/fields/strategic_list.rs"],
    &[
        "crates/embedded/src/schema/checks.rs",
        "crates/embedded/src/schema/format.rs",
        "crates/embedded/src/schema/node.rs",
    ],
    &[
        "crates/embedded/src/schema/bounds.rs",
        "crates/embedded/src/schema/combined.rs",
        "crates/embedded/src/schema/structure.rs",
    ],
];
/// Circles from before this test. Each is to be untangled; none is added.
const STILL_TIED: &[&[&str]] = &[];

#[test]
fn no_circle_among_the_files_of_a_crate_but_for_true_recursions() {
    let known: BTreeSet<Vec<String>> = RECURSIONS
        .iter()
        .chain(STILL_TIED)
        .map(|files| files.iter().map(|file| (*file).to_owned()).collect())
        .collect();
    let found: BTreeSet<Vec<String>> = ["src", "crates/embedded/src", "crates/client/src", "crates/image/src"]
        .iter()
        .flat_map(|crate_| circles(&sources(crate_), crate_))
        .collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "these files need each other; take out what both need: {new:#?}");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "no circle any more; take it out of this list: {gone:#?}");
}

#[test]
fn a_planted_circle_is_found_through_others_and_over_faces_none() {
    let plant = |files: &[(&str, &str)]| {
        let sources: Vec<_> =
            files.iter().map(|(path, text)| Source { path: (*path).into(), text: (*text).to_owned() }).collect();
        circles(&sources, "src")
    };
    let tied = [
        ("src/a/mod.rs", "mod b; mod c; mod d; use b::X;"),
        ("src/a/b.rs", "use super::c::Y;"),
        ("src/a/c.rs", "fn f() { crate::a::d::g() }"),
        ("src/a/d.rs", "use super::{b::X, e};"),
        ("src/a/e.rs", "use std::fmt;"),
    ];
    assert_eq!(plant(&tied), [["src/a/b.rs", "src/a/c.rs", "src/a/d.rs"].map(String::from).to_vec()]);
    assert_eq!(plant(&tied[..3]), [] as [Vec<String>; 0]);
}

fn sources(of: &str) -> Vec<Source> {
    let relative = |path: PathBuf| path.strip_prefix(root()).expect("it is below the root").to_owned();
    let found = files_below(&root().join(of)).into_iter().map(relative);
    found.map(|path| Source { text: read(&root().join(&path)), path }).collect()
}

/// The sets of files that need each other, each sorted. `crate_` is the folder that `crate::` means.
fn circles(sources: &[Source], crate_: &str) -> Vec<Vec<String>> {
    let is_face = |path: &Path| path.file_name().is_some_and(|name| name == "mod.rs" || name == "lib.rs");
    let files: BTreeMap<String, &Source> = sources
        .iter()
        .filter(|source| !is_face(&source.path))
        .map(|source| (module(&source.path, crate_), source))
        .collect();
    let needs: BTreeMap<&str, BTreeSet<&str>> = files
        .iter()
        .map(|(name, source)| {
            let in_crate = Source { path: below_src(&source.path, crate_), text: source.text.clone() };
            let used = paths(&in_crate).into_iter().filter_map(|used| file_of(&used.what, &files));
            (name.as_str(), used.filter(|used| used != name).collect())
        })
        .collect();
    let mut found = BTreeSet::new();
    for name in needs.keys() {
        let circle: BTreeSet<&str> =
            reached(name, &needs).into_iter().filter(|other| reached(other, &needs).contains(name)).collect();
        if !circle.is_empty() {
            let mut circle: Vec<String> = circle.iter().map(|m| files[*m].path.display().to_string()).collect();
            circle.sort();
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

/// All that `from` needs, through others too.
fn reached<'m>(from: &str, needs: &BTreeMap<&'m str, BTreeSet<&'m str>>) -> BTreeSet<&'m str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = needs[from].iter().copied().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(&needs[next]);
        }
    }
    found
}

/// `paths` takes a path of the form `src/…`, from which it knows the module.
fn below_src(path: &Path, crate_: &str) -> PathBuf {
    Path::new("src").join(path.strip_prefix(crate_).unwrap_or(path))
}

fn module(path: &Path, crate_: &str) -> String {
    let parts: Vec<_> = path
        .strip_prefix(crate_)
        .unwrap_or(path)
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    parts.join("::")
}

/// The file that holds what a path of this crate names: the longest one that fits.
fn file_of<'f>(path: &str, files: &'f BTreeMap<String, &Source>) -> Option<&'f str> {
    let mut rest = path.strip_prefix("crate::")?;
    loop {
        if let Some((name, _)) = files.get_key_value(rest) {
            return Some(name);
        }
        rest = rest.rsplit_once("::")?.0;
    }
}
