//! Which tests prove which requirement of `docs/requirements.md`. Print it with
//! `cargo test --test requirements -- --nocapture`.
//!
//! A test names the requirements that it proves: in its own name (`i5_i6_more_seats…`, `k3_i8_to_i10_…`) or in the
//! comment directly above it (`/// I5, I6: …`, `/// T1–T3: …`). Nothing else counts: not the head of the file, not a
//! comment inside the test, and not a test that is ignored.
//!
//! Only a test that runs the operator proves a requirement (`RUNS_THE_OPERATOR`). All other tests prove that something
//! is decided as required, and are printed apart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folders of `tests` whose tests run the operator.
const RUNS_THE_OPERATOR: [&str; 5] = ["e2e", "embedded", "seats", "simulation", "up"];
/// What `Not built yet` says of a requirement that only other tests prove.
const ONLY_DECIDED: &str = "decided, not yet run by the operator";
const NOT_BUILT: &str = "## Not built yet";
/// This file plants tests in texts.
const MYSELF: &str = "requirements.rs";

/// An id such as `I11`, in the order in which people count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(char, u32);

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

/// `docs/requirements.md`, as far as it is about ids.
#[derive(Debug, Default, PartialEq)]
struct Requirements {
    /// The first cells of all rows of tables that are ids.
    rows: BTreeSet<Id>,
    /// What is not built yet, with the words that say what.
    not_built: BTreeMap<Id, String>,
    faults: Vec<String>,
}

/// The tests that name an id, each as `file::function`.
#[derive(Debug, Default, PartialEq)]
struct Proofs {
    by_operator: Vec<String>,
    by_decision: Vec<String>,
}

/// A test function and the ids that it names.
#[derive(Debug, PartialEq)]
struct Test {
    name: String,
    ids: BTreeSet<Id>,
}

#[test]
fn every_requirement_is_proven_by_a_test_or_is_said_not_to_be_built_yet() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/requirements.md")).expect("docs/requirements.md");
    let requirements = read_requirements(&text);
    let proofs = proofs(&root.join("tests"));
    print!("{}", table(&requirements, &proofs));
    assert!(requirements.rows.len() > 50, "only {} rows of docs/requirements.md were read", requirements.rows.len());
    let faults = faults(&requirements, &proofs);
    assert!(faults.is_empty(), "docs/requirements.md and the tests do not fit together:\n{}", faults.join("\n"));
}

/// What does not fit together.
fn faults(requirements: &Requirements, proofs: &BTreeMap<Id, Proofs>) -> Vec<String> {
    let mut faults = requirements.faults.clone();
    for id in &requirements.rows {
        let none = Proofs::default();
        let Proofs { by_operator, by_decision } = proofs.get(id).unwrap_or(&none);
        match (by_operator.first(), requirements.not_built.get(id)) {
            (None, None) => faults
                .push(format!("{id}: no test that runs the operator names it; add one, or a line to `{NOT_BUILT}`")),
            (Some(test), Some(_)) => {
                faults.push(format!("{id}: {test} proves it, so take its line out of `{NOT_BUILT}`"));
            }
            (None, Some(words)) if by_decision.is_empty() == words.contains(ONLY_DECIDED) => {
                let found =
                    if by_decision.is_empty() { "no test names it" } else { "only tests without the operator name it" };
                faults.push(format!("{id}: {found}; its line says `{ONLY_DECIDED}` if such tests do, and only then"));
            }
            _ => {}
        }
    }
    for (id, Proofs { by_operator, by_decision }) in proofs.iter().filter(|(id, _)| !requirements.rows.contains(id)) {
        let tests: Vec<&str> = by_operator.iter().chain(by_decision).map(String::as_str).collect();
        faults
            .push(format!("{id}: no row of docs/requirements.md has this id, and tests name it: {}", tests.join(", ")));
    }
    for id in requirements.not_built.keys().filter(|id| !requirements.rows.contains(id)) {
        faults.push(format!("{id}: no row has this id, and `{NOT_BUILT}` has a line for it"));
    }
    faults
}

/// Each requirement with the tests that prove it.
fn table(requirements: &Requirements, proofs: &BTreeMap<Id, Proofs>) -> String {
    let mut text = String::new();
    for id in &requirements.rows {
        let missing = requirements.not_built.get(id).map(|words| format!("  not built yet: {words}"));
        text += &format!("{id}{}\n", missing.unwrap_or_default());
        let Some(Proofs { by_operator, by_decision }) = proofs.get(id) else { continue };
        by_operator.iter().for_each(|test| text += &format!("    {test}\n"));
        by_decision.iter().for_each(|test| text += &format!("    (without the operator) {test}\n"));
    }
    text
}

fn read_requirements(text: &str) -> Requirements {
    let mut read = Requirements::default();
    let mut in_list = false;
    for line in text.lines() {
        if line.starts_with('#') {
            in_list = line == NOT_BUILT;
        }
        if let Some(cell) = line.strip_prefix('|').and_then(|line| line.split('|').next())
            && let Some(id) = id(cell.trim())
            && !read.rows.insert(id)
        {
            read.faults.push(format!("{id}: two rows have this id"));
        }
        if let Some(item) = line.strip_prefix("- ").filter(|_| in_list) {
            let (name, words) = item.split_once(": ").unwrap_or((item, ""));
            match id(name) {
                Some(id) if !words.trim().is_empty() => {
                    if read.not_built.insert(id, words.trim().to_owned()).is_some() {
                        read.faults.push(format!("{id}: two lines of `{NOT_BUILT}` have this id"));
                    }
                }
                _ => read.faults.push(format!("`{NOT_BUILT}` has a line that is not `- ID: words`: {line}")),
            }
        }
    }
    read
}

/// What the tests below `folder` prove.
fn proofs(folder: &Path) -> BTreeMap<Id, Proofs> {
    let mut proofs: BTreeMap<Id, Proofs> = BTreeMap::new();
    for path in sources(folder) {
        let file = path.strip_prefix(folder).expect("it is below the folder");
        if file == Path::new(MYSELF) {
            continue;
        }
        let runs_operator = RUNS_THE_OPERATOR.iter().any(|folder| file.starts_with(folder));
        let text = std::fs::read_to_string(&path).expect("sources are text");
        for test in tests(&text) {
            for id in test.ids {
                let proven = proofs.entry(id).or_default();
                let list = if runs_operator { &mut proven.by_operator } else { &mut proven.by_decision };
                list.push(format!("{}::{}", file.display(), test.name));
            }
        }
    }
    proofs
}

/// All Rust sources below `folder`, in order of their paths.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("tests can be listed") {
            let path = entry.expect("tests can be listed").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// The tests of a source: functions with an attribute `#[test]` or `#[…::test]`, and without an attribute that leaves them out.
fn tests(source: &str) -> Vec<Test> {
    let mut tests = Vec::new();
    let (mut ids, mut is_test, mut is_ignored) = (BTreeSet::new(), false, false);
    for line in source.lines().map(str::trim) {
        if let Some(attribute) = line.strip_prefix("#[").and_then(|rest| rest.split([']', '(', ' ', '=']).next()) {
            is_test |= attribute.rsplit("::").next() == Some("test");
            is_ignored |= attribute == "ignore";
        } else if line.starts_with("//") && !line.starts_with("//!") {
            ids.extend(ids_in_comment(line));
        } else {
            if let Some(name) = function(line).filter(|_| is_test && !is_ignored) {
                ids.extend(ids_in_name(name));
                tests.push(Test { name: name.to_owned(), ids: std::mem::take(&mut ids) });
            }
            (ids, is_test, is_ignored) = (BTreeSet::new(), false, false);
        }
    }
    tests
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let mut words = line.split_inclusive(' ');
    let begins = |word: &str| ["pub ", "async ", "unsafe ", "const "].contains(&word);
    let keyword = words.find(|word| !begins(word))?;
    let name = words.next().filter(|_| keyword == "fn ")?;
    name.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The ids in a comment, as words of their own; `I5–I10`, `I5-I10` and `I5 to I10` name all from the first to the last.
fn ids_in_comment(line: &str) -> BTreeSet<Id> {
    ids_in(line, |c: char| !c.is_alphanumeric() && c != '_', &["–", "-", " to "])
}

/// The ids in the name of a function, as words of their own; `i5_to_i10` names all from the first to the last.
fn ids_in_name(name: &str) -> BTreeSet<Id> {
    let is_small = name.chars().all(|c| !c.is_uppercase());
    if is_small { ids_in(&name.to_uppercase(), |c| c == '_', &["_TO_"]) } else { BTreeSet::new() }
}

fn ids_in(text: &str, parts: impl Fn(char) -> bool, ranges: &[&str]) -> BTreeSet<Id> {
    let mut ids = BTreeSet::new();
    let mut last: Option<(Id, usize)> = None;
    for word in text.split(parts) {
        let begin = word.as_ptr() as usize - text.as_ptr() as usize;
        let Some(found) = id(word) else { continue };
        let first = last.filter(|(first, end)| first.0 == found.0 && ranges.contains(&&text[*end..begin]));
        let first = first.map_or(found.1, |(first, _)| first.1);
        ids.extend((first.min(found.1)..=found.1).map(|number| Id(found.0, number)));
        last = Some((found, begin + word.len()));
    }
    ids
}

/// A capital letter and a number of one or two digits.
fn id(word: &str) -> Option<Id> {
    let letter = word.chars().next().filter(char::is_ascii_uppercase)?;
    let digits = &word[1..];
    let is_number = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number && !digits.starts_with('0')).map(|number| Id(letter, number))
}

mod the_scanner {
    use super::*;

    fn named(source: &str) -> Vec<(String, String)> {
        let shown = |ids: BTreeSet<Id>| ids.iter().map(Id::to_string).collect::<Vec<_>>().join(" ");
        tests(source).into_iter().map(|test| (test.name, shown(test.ids))).collect()
    }

    fn one(source: &str) -> String {
        match &named(source)[..] {
            [(_, ids)] => ids.clone(),
            other => panic!("not one test: {other:?}"),
        }
    }

    #[test]
    fn reads_ids_in_the_name_and_in_the_comment_directly_above() {
        assert_eq!(one("#[test]\nfn i1_i2_a_person_is_one_seat() {}"), "I1 I2");
        assert_eq!(one("#[tokio::test]\nasync fn ends_with_p7() {}"), "P7");
        assert_eq!(
            one("/// I11: an order. I4: no more.\n/// And (K1).\n#[tokio::test(flavor = \"x\")]\nasync fn a() {}"),
            "I4 I11 K1"
        );
        assert_eq!(one("    #[test]\n    // M3\n    pub async fn b() {"), "M3");
    }

    #[test]
    fn reads_ranges_in_both() {
        assert_eq!(one("#[test]\nfn k3_i8_to_i10_years_pass() {}"), "I8 I9 I10 K3");
        assert_eq!(one("/// T1–T3, M5-M6; S1 to S3, P1, P3.\n#[test]\nfn a() {}"), "M5 M6 P1 P3 S1 S2 S3 T1 T2 T3");
    }

    #[test]
    fn reads_nothing_else() {
        assert_eq!(one("//! I1.\n\n// I2, far away\n\n#[test]\nfn a() { // I3\n assert!(x, \"I4\"); }"), "");
        assert_eq!(
            one("/// RFC 9457, 2026-01-01T00:00:00Z, TI5, I5x, `i5`, U123, B0.\n#[test]\nfn si5_i5x_x_5() {}"),
            ""
        );
        assert_eq!(
            named(concat!(
                "/// I1\nfn i1_no_test() {}\n#[ig",
                "nore = \"slow\"]\n#[test]\nfn i2_late() {}\n#[derive(X)]\nstruct I3;"
            )),
            []
        );
        assert_eq!(named("/// I1\nconst X: u8 = 1;\n#[test]\nfn a() {}"), [("a".to_owned(), String::new())]);
    }

    const TEXT: &str = "| id | requirement |\n|---|---|\n| I1 | A seat. |\n| I2 | Never more (I9). |\n| I3 | Mail. |\n\
        | I4 | Decided. |\n\n## Not built yet\n\n- I3: mail\n- I4: decided, not yet run by the operator\n";

    fn proven(operator: &[Id], decision: &[Id]) -> BTreeMap<Id, Proofs> {
        let mut proofs: BTreeMap<Id, Proofs> = BTreeMap::new();
        operator.iter().for_each(|id| proofs.entry(*id).or_default().by_operator.push("e2e/a.rs::a".into()));
        decision.iter().for_each(|id| proofs.entry(*id).or_default().by_decision.push("b.rs::b".into()));
        proofs
    }

    const BUILT: [Id; 2] = [Id('I', 1), Id('I', 2)];
    const DECIDED: [Id; 2] = [Id('I', 1), Id('I', 4)];

    fn wrong(text: &str, operator: &[Id], decision: &[Id]) -> Vec<String> {
        faults(&read_requirements(text), &proven(operator, decision))
    }

    #[test]
    fn is_content_with_a_register_that_is_right() {
        assert_eq!(read_requirements(TEXT).rows.len(), 4);
        assert_eq!(wrong(TEXT, &BUILT, &DECIDED), [""; 0]);
        let shown = table(&read_requirements(TEXT), &proven(&BUILT, &DECIDED));
        let expected = "I1\n    e2e/a.rs::a\n    (without the operator) b.rs::b\n";
        assert!(shown.starts_with(expected) && shown.contains("I3  not built yet: mail\n"), "{shown}");
    }

    #[test]
    fn finds_each_planted_fault() {
        let says = |found: Vec<String>, what: &str| {
            assert!(matches!(&found[..], [fault] if fault.contains(what)), "{what:?}: {found:?}");
        };
        says(wrong(TEXT, &BUILT[..1], &DECIDED), "I2: no test that runs the operator names it");
        says(wrong(TEXT, &[BUILT[0], BUILT[1], Id('I', 3)], &DECIDED), "I3: e2e/a.rs::a proves it");
        says(
            wrong(TEXT, &[BUILT[0], BUILT[1], Id('L', 1)], &DECIDED),
            "L1: no row of docs/requirements.md has this id",
        );
        says(wrong(TEXT, &BUILT, &[DECIDED[1], Id('L', 2)]), "L2: no row of docs/requirements.md has this id");
        says(wrong(TEXT, &BUILT, &[]), "I4: no test names it");
        says(wrong(TEXT, &BUILT, &[DECIDED[1], Id('I', 3)]), "I3: only tests without the operator name it");
        says(
            wrong(&TEXT.replace("- I3: mail", "- I3"), &[BUILT[0], BUILT[1], Id('I', 3)], &DECIDED),
            "not `- ID: words`",
        );
        says(wrong(&format!("{TEXT}- I3: again\n"), &BUILT, &DECIDED), "two lines");
        says(wrong(&format!("{TEXT}- I8: more\n"), &BUILT, &DECIDED), "I8: no row has this id");
        says(wrong(&TEXT.replace("| I2 |", "| I1 |"), &BUILT[..1], &DECIDED), "I1: two rows have this id");
    }
}
