//! The maps lead to what is there: `tests/README.md` to every test, `ARCHITECTURE.md` to files and names that exist.
//! And every file of tests is compiled.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::source::{read, root};
use super::tracked;

#[test]
fn the_map_of_the_tests_has_every_test_and_no_other() {
    let map = read(&root().join("tests/README.md"));
    // Every second part stands between two backquotes.
    let named: Vec<&str> = map.split('`').skip(1).step_by(2).collect();
    let tests: Vec<String> = tracked()
        .into_iter()
        .filter(|path| root().join(path).exists())
        .filter_map(|path| match path.strip_prefix("tests") {
            Ok(path) => Some(path.to_str()?.to_owned()),
            // Those of the other crates are named as they are from here.
            Err(_) => {
                path.to_str().filter(|path| path.starts_with("crates/") && path.contains("/tests/")).map(Into::into)
            }
        })
        .collect();
    let is_test = |path: &str| path.ends_with("_test.rs") || path.ends_with(".rs") && !path.contains('/');
    let missing: Vec<&String> = tests.iter().filter(|path| is_test(path) && !named.contains(&path.as_str())).collect();
    assert!(missing.is_empty(), "add a row to tests/README.md for {missing:?}");
    let path = |name: &&str| (name.ends_with(".rs") || name.ends_with('/')) && !name.contains(['*', '<']);
    let exists = |name: &&str| tests.iter().any(|path| path == name || name.ends_with('/') && path.starts_with(*name));
    let left: Vec<_> =
        named.iter().filter(|name| path(name) && **name != "main.rs").filter(|name| !exists(name)).collect();
    assert!(left.is_empty(), "tests/README.md names what is not in tests: {left:?}");
}

#[test]
fn what_the_architecture_names_exists() {
    let missing = missing_in(&read(&root().join("ARCHITECTURE.md")));
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

#[test]
fn a_planted_wrong_path_or_name_is_found() {
    let right =
        "`seats/{desk,queue}.rs` `api/<kind>.rs` `crates/embedded` `Desk::own` `look` `POST /v1/seats` `make x`";
    assert_eq!(missing_in(right), [] as [&str; 0]);
    // Put together here, because this file is one of the sources.
    let (path, name) = (concat!("no", "where"), concat!("Nobody", "Knows"));
    let wrong = format!("`seats/{{desk,{path}}}.rs` `{path}/<kind>.rs` `{path}/` `Desk::{name}` `{name}` `/v1/{path}`");
    let found = missing_in(&wrong);
    let expected = [
        format!("seats/{path}.rs"),
        format!("{path}/<kind>.rs"),
        format!("{path}/"),
        format!("Desk::{name}"),
        name.to_owned(),
        format!("/v1/{path}"),
    ];
    assert_eq!(found, expected);
}

/// What stands between backquotes in `map`, outside of fenced blocks, and does not exist. A path is that of a file or a
/// folder, or its end; `<…>` in it stands for any name. A name, or a type and its item, occurs in one of the sources. A
/// path of HTTP and what is called `seatkeeper.dev/…` stands there as text. The rest is not checked: commands, values,
/// fields.
fn missing_in(map: &str) -> Vec<String> {
    let files: Vec<String> = tracked()
        .into_iter()
        .filter(|path| root().join(path).exists())
        .filter_map(|path| Some(path.to_str()?.to_owned()))
        .collect();
    let sources: Vec<String> =
        files.iter().filter(|path| path.ends_with(".rs")).map(|path| read(&root().join(path))).collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let words: Vec<HashSet<&str>> = sources.iter().map(|text| text.split(|c| !is_word(c)).collect()).collect();
    let text = map.split("```").step_by(2).collect::<String>();
    let mut missing = Vec::new();
    for span in text.split('`').skip(1).step_by(2) {
        let named = span.split_whitespace().find(|part| part.starts_with('/')).unwrap_or(span);
        if named.starts_with('/') || named.starts_with("seatkeeper.dev/") {
            if !sources.iter().any(|text| text.contains(named)) {
                missing.push(named.to_owned());
            }
        } else if is_path(named) {
            let wrong = |path: &String| !files.iter().any(|file| leads_to(path, file));
            missing.extend(alternatives(named).into_iter().filter(wrong));
        } else if let parts = named.trim_end_matches('!').split("::").collect::<Vec<_>>()
            && parts.iter().all(|part| !part.is_empty() && part.chars().all(is_word))
            && !words.iter().any(|words| parts.iter().all(|part| words.contains(part)))
        {
            missing.push(named.to_owned());
        }
    }
    missing
}

fn is_path(span: &str) -> bool {
    let ends = [".rs", ".md", ".toml", ".yaml", ".json"].iter().any(|end| span.ends_with(end));
    (ends || span.contains('/')) && !span.contains(char::is_whitespace)
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn alternatives(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (names, after))) => names.split(',').map(|name| format!("{before}{name}{after}")).collect(),
        None => vec![path.to_owned()],
    }
}

/// Whether `path` is `file` or one of its folders, or the end of one.
fn leads_to(path: &str, file: &str) -> bool {
    let wanted: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let parts: Vec<&str> = file.split('/').collect();
    let fits = |wanted: &str, part: &str| match wanted
        .split_once('<')
        .and_then(|(a, rest)| Some((a, rest.split_once('>')?.1)))
    {
        Some((before, after)) => {
            part.len() > before.len() + after.len() && part.starts_with(before) && part.ends_with(after)
        }
        None => wanted == part,
    };
    parts.windows(wanted.len()).any(|window| window.iter().zip(&wanted).all(|(part, wanted)| fits(wanted, part)))
}

#[test]
fn every_file_of_tests_is_in_a_module() {
    let left_out: Vec<PathBuf> = tracked()
        .into_iter()
        .filter(|path| path.starts_with("tests") || path.starts_with("crates"))
        .filter(|path| path.to_string_lossy().ends_with("_test.rs") && root().join(path).exists())
        .filter(|path| !is_declared(path))
        .collect();
    assert!(left_out.is_empty(), "these tests are not run, because no `mod` names their file: {left_out:?}");
}

/// Whether `main.rs` or `mod.rs` beside the file declares it as a module.
fn is_declared(path: &Path) -> bool {
    let declaration = format!("mod {};", path.file_stem().unwrap_or_default().to_string_lossy());
    ["main.rs", "mod.rs"].iter().any(|face| {
        let face = root().join(path.with_file_name(face));
        face.exists() && read(&face).lines().any(|line| line.trim() == declaration)
    })
}
