//! Plain English: the turns of phrase that make a reader stop are not written, and what users read names no page of ours.

use std::path::Path;

use super::source::{read, root};
use super::tracked;

/// Beginnings and turns that a native engineer does not write, and what to say instead.
const STUMBLING: [(&str, &str); 8] = [
    ("whoever", "a holder, the caller, the previous owner"),
    ("anew", "again"),
    ("in vain", "say what happens"),
    ("so many may", "the most that may"),
    ("as the how manieth", "their position"),
    ("no more of", "no longer"),
    ("none: there", "`None` if there"),
    ("none: it", "`None` if it"),
];
/// Documents that quote them.
const QUOTES: [&str; 1] = ["tests/house/words.rs"];

#[test]
fn nothing_makes_a_reader_stop() {
    let mut found = Vec::new();
    for path in tracked().into_iter().filter(|path| is_prose(path)) {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for (words, instead) in stumbling(line) {
                found.push(format!("{}:{}: {words:?}, say: {instead}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "plain English, please:\n{}", found.join("\n"));
}

#[test]
fn a_planted_phrase_is_found() {
    let words = |line: &str| stumbling(line).map(|(words, _)| words).collect::<Vec<_>>();
    assert_eq!(words("/// Whoever asks anew gets it."), ["whoever", "anew"]);
    assert_eq!(words("    /// None: there is no other replica."), ["none: there"]);
    assert_eq!(words("a renewal, and a newer one"), [] as [&str; 0]);
}

/// The descriptions of our kinds, as `kubectl explain` shows them, stand alone.
#[test]
fn what_kubectl_explains_names_no_requirement_and_no_file() {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("crds")).expect("crds is there") {
        let path = entry.expect("crds can be read").path();
        for (number, line) in read(&path).lines().enumerate().filter(|(_, line)| names_our_pages(line)) {
            found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
        }
    }
    assert!(found.is_empty(), "say it, do not refer to it:\n{}", found.join("\n"));
    assert!(names_our_pages("ends (M5, M6)") && names_our_pages("see `design.md`") && !names_our_pages("(RFC 7517)"));
}

fn stumbling(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let line = line.to_lowercase();
    let is_word = move |words: &str| {
        line.match_indices(words).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + words.len()..].chars().next();
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
    };
    STUMBLING.into_iter().filter(move |(words, _)| is_word(words))
}

fn is_prose(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let kind = path.extension().is_some_and(|e| ["rs", "md", "yaml", "sh", "toml"].iter().any(|known| e == *known));
    kind && !QUOTES.contains(&name.as_ref()) && !name.ends_with("requirements.md")
}

/// An id of a requirement in brackets, or a page of the project.
fn names_our_pages(line: &str) -> bool {
    let id = line.match_indices('(').any(|(at, _)| {
        let mut letters = line[at + 1..].chars();
        letters.next().is_some_and(|c| c.is_ascii_uppercase()) && letters.next().is_some_and(|c| c.is_ascii_digit())
    });
    id || line.contains(".md")
}
