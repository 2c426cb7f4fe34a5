//! Each line of `docs/threat-model.md` is covered by a test that exists.

use super::source::{read, root};

/// What an adversary cannot do, with the file and the function of each test that tries.
type Line<'t> = (&'t str, Vec<(&'t str, &'t str)>);

/// The rows of all tables whose head is `cannot`.
fn threats(text: &str) -> Vec<Line<'_>> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        match (line.starts_with('|'), &cells[..]) {
            (true, ["cannot", "test"]) => inside = true,
            (true, [what, tests]) if inside && !what.starts_with("---") => {
                let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
                assert!(named.len().is_multiple_of(2), "{what}: name file and function of each test");
                found.push((*what, named.chunks_exact(2).map(|names| (names[0], names[1])).collect()));
            }
            (true, _) => {}
            (false, _) => inside = false,
        }
    }
    found
}

/// What is wrong with the lines.
fn faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (what, tests) in threats(text) {
        if tests.is_empty() {
            faults.push(format!("{what}: no test"));
        }
        for (file, function) in tests {
            let source = std::fs::read_to_string(root().join(file)).unwrap_or_default();
            let has = source.lines().collect::<Vec<_>>().windows(2).any(|lines| {
                let is_test = lines[0].trim().starts_with("#[test]") || lines[0].trim().starts_with("#[tokio::test");
                is_test && lines[1].contains(&format!("fn {function}("))
            });
            if !has {
                faults.push(format!("{what}: no test {function} in {file}"));
            }
        }
    }
    faults
}

#[test]
fn every_line_of_the_threat_model_has_a_test() {
    let text = read(&root().join("docs/threat-model.md"));
    assert!(threats(&text).len() > 30, "the tables were not read as they are meant");
    let faults = faults(&text);
    assert!(faults.is_empty(), "docs/threat-model.md:\n{}", faults.join("\n"));
}

#[test]
fn a_line_without_a_test_or_with_one_that_is_gone_is_found() {
    let gone = concat!("nobody_", "wrote_this");
    let text = format!(
        "| cannot | test |\n|---|---|\n| fly | |\n| swim | `tests/cli.rs` `{gone}` |\n| run | `tests/house/threats.rs` \
         `every_line_of_the_threat_model_has_a_test` |\n\n| may | test |\n|---|---|\n| walk | |\n"
    );
    assert_eq!(faults(&text), ["fly: no test".to_owned(), format!("swim: no test {gone} in tests/cli.rs")]);
}
