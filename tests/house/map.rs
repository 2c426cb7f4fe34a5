//! The map of the tests, `tests/README.md`, leads to every test.

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
