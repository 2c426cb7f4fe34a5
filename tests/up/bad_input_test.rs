//! Files that cannot be applied: each is named once, with file, line and field, and the others are still applied.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::running::Desk;

const GOOD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\ndata: {a: b}\n";

/// Returns a Plan in `default`; `terms` is a line of its spec.
fn plan(terms: &str) -> String {
    format!(
        "apiVersion: seatkeeper.dev/v1alpha1
kind: Plan
metadata: {{name: plan}}
spec:
  title: Plan
  product: plan
  {terms}
  license:
    pools: [{{name: agents, model: Concurrent}}]
"
    )
}

/// It printed an answer of the API in the form of Rust each second, and made signing keys for contracts that it then refused.
#[test]
fn a_folder_without_its_namespace_is_told_once_what_to_add_and_makes_no_signing_key() {
    let desk = Desk::with_example();
    let namespace = std::fs::read_to_string(desk.0.join("yaml/00-namespace.yaml")).unwrap();
    std::fs::remove_file(desk.0.join("yaml/00-namespace.yaml")).unwrap();
    let mut up = desk.up("");
    let missing = "namespaces \"innoacd\" not found; add a file with `{apiVersion: v1, kind: Namespace, metadata: {name: innoacd}}`";
    up.until(&["! yaml/messe.yaml:", missing]);
    // Some more looks at the folder.
    std::thread::sleep(std::time::Duration::from_secs(4));
    desk.write("zz-good.yaml", GOOD);
    up.until(&["applied ConfigMap default/good"]);
    let all = up.said.join("\n");
    assert!(up.said.iter().all(|line| line.matches("! ").count() <= 1 && !line.contains("Status {")), "{all}");
    let told = up.said.iter().filter(|line| line.contains("(Subscription stadtwerke)")).count();
    assert_eq!((told, up.count("made a signing key"), up.count("Secret innoacd/issuer")), (1, 0, 0), "{all}");
    desk.write("00-namespace.yaml", namespace);
    up.until(&["made a signing key: Secret innoacd/issuer was missing"]);
    up.until(&["License innoacd/innoacd  Activated"]);
    up.interrupt();
    desk.refused(
        "--new-signing-key innoacd/isuer",
        2,
        &["--new-signing-key innoacd/isuer: no Subscription in yaml names this"],
    );
}

#[test]
fn each_bad_file_is_named_once_with_line_and_field_and_the_others_go_on() {
    let desk = Desk::new();
    // A CEL rule of the CRD refuses terms for a perpetual licence.
    let perpetual = plan("terms: {interval: {months: 12}, notice: {months: 3}}")
        .replace("name: plan}", "name: rule}")
        .replace("    pools", "    lifetime: Perpetual\n    pools");
    desk.write("broken.yaml", "kind: ConfigMap\nmetadata: {name: [\n")
        .write("kind.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n")
        .write("text.yaml", "just text\n")
        .write("nameless.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n")
        .write("binary.yaml", [0xff, 0xfe, 0x00, 0xd8])
        .write("type.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData:\n  a: 1\n")
        .write("schema.yaml", plan("terms: {interval: {months: twelve}, notice: {months: 3}}"))
        .write("rule.yaml", perpetual)
        .write("large.yaml", format!("# {}\n", "x".repeat(1 << 20)))
        .write("zz-good.yaml", GOOD);
    std::fs::create_dir(desk.0.join("yaml/folder.yaml")).unwrap();
    symlink("nowhere", desk.0.join("yaml/dangling.yaml")).unwrap();
    let pipe = Command::new("mkfifo").arg(desk.0.join("yaml/pipe.yaml")).status();
    assert!(pipe.unwrap().success());
    let mut up = desk.up("");
    let told: [&[&str]; 11] = [
        &["! yaml/broken.yaml:", "is not YAML"],
        &["! yaml/kind.yaml:2:", "there is no kind \"Deployment\" of \"apps/v1\" here"],
        &["! yaml/text.yaml:1:", "is not an object with apiVersion and kind"],
        &["! yaml/nameless.yaml:3:", "metadata.name: is missing"],
        &["! yaml/binary.yaml", "is not text in UTF-8"],
        &["! yaml/type.yaml:5:", "stringData.a"],
        &["! yaml/schema.yaml:7:", "spec.terms.interval.months"],
        &["! yaml/rule.yaml:", "spec", "a Perpetual licence takes no terms"],
        &["! yaml/large.yaml", "is larger than 1048576 bytes"],
        &["! yaml/dangling.yaml", "cannot be read"],
        &["applied ConfigMap default/good"],
    ];
    up.until_all(&told);
    // Some looks later, no fault has been reported again.
    for round in 0..3 {
        desk.write("zz-good.yaml", GOOD.replace("a: b", &format!("a: round{round}")));
        up.until(&["applied ConfigMap default/good"]);
    }
    let said = up.interrupt();
    for parts in &told[..10] {
        let lines: Vec<_> = said.iter().filter(|line| parts.iter().all(|part| line.contains(part))).collect();
        assert_eq!(lines.len(), 1, "{parts:?}: {said:#?}");
    }
}

/// The last file won, and nobody was told that the first did not count.
#[test]
fn of_an_object_in_two_files_the_first_counts_and_both_are_named() {
    let desk = Desk::new();
    let of = |value: &str| GOOD.replace("a: b", &format!("a: {value}"));
    desk.write("a.yaml", of("first")).write("b.yaml", format!("---\n{}", of("second")));
    let twin = GOOD.replace("good", "twin");
    desk.write("c.yaml", format!("{twin}---\n{}", twin.replace("a: b", "a: c"))).write("d.yaml", &twin);
    let mut up = desk.up("");
    let told = [
        "! yaml/b.yaml:2: document 1 (ConfigMap good): is also in yaml/a.yaml, line 1, which counts: remove one of them",
        "! yaml/c.yaml:6: document 2 (ConfigMap twin): is also in yaml/c.yaml, line 1, which counts: remove one of them",
    ];
    up.until_all(&[&[told[0]], &[told[1]], &["applied ConfigMap default/good"], &["applied ConfigMap default/twin"]]);
    // A change of the one that does not count changes nothing, and is told again.
    desk.write("b.yaml", of("third"));
    up.until(&["! yaml/b.yaml:1: document 1 (ConfigMap good): is also in yaml/a.yaml"]);
    assert_eq!(up.count("applied ConfigMap default/good"), 1, "{:#?}", up.said);
    // Once the first file is gone, the other counts, although it has not changed.
    std::fs::remove_file(desk.0.join("yaml/a.yaml")).unwrap();
    up.until(&["applied ConfigMap default/good"]);
    desk.write("a.yaml", of("fourth"));
    up.until_all(&[&["applied ConfigMap default/good"], &["! yaml/b.yaml:1:", "is also in yaml/a.yaml"]]);
    let said = up.interrupt();
    for line in told {
        assert_eq!(said.iter().filter(|said| said.contains(line)).count(), 1, "{said:#?}");
    }
    assert!(!said.iter().any(|line| line.contains("no longer in any file")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("d.yaml")), "one that says the same is no mistake: {said:#?}");
}

#[test]
fn what_was_fixed_elsewhere_is_applied_without_touching_the_file() {
    let desk = Desk::new();
    desk.write("a.yaml", GOOD.replace("name: good", "name: good, namespace: later"));
    let mut up = desk.up("");
    up.until(&["! yaml/a.yaml:1: document 1 (ConfigMap good)", "namespaces \"later\" not found"]);
    desk.write("b.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: later}\n");
    up.until_all(&[&["applied Namespace later"], &["applied ConfigMap later/good"]]);
    assert_eq!(up.count("not found"), 1, "{:#?}", up.said);
    up.interrupt();
}

#[test]
fn a_field_that_never_changes_is_named() {
    let desk = Desk::new();
    let secret = |value: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\nimmutable: true\nstringData:\n  a: {value}\n")
    };
    desk.write("a.yaml", secret("one"));
    let mut up = desk.up("");
    up.until(&["applied Secret default/x"]);
    desk.write("a.yaml", secret("two"));
    let line = up.until(&["! yaml/a.yaml:", "document 1 (Secret x)", "immutable"]);
    assert!(line.contains("data"), "{line}");
    desk.write("a.yaml", secret("one"));
    up.until(&["one object matches its file already"]);
    up.interrupt();
}

#[test]
fn links_that_lead_back_and_more_files_than_are_read_do_no_harm() {
    let desk = Desk::new();
    desk.write("deep/good.yaml", GOOD);
    symlink("..", desk.0.join("yaml/deep/back")).unwrap();
    symlink(".", desk.0.join("yaml/self")).unwrap();
    let mut up = desk.up("");
    up.until(&["applied ConfigMap default/good"]);
    for number in 0..1_050 {
        desk.write(&format!("many/{number:04}.yaml"), "");
    }
    up.until(&["! yaml: has more than 1000 files; the others are not applied"]);
    desk.write("deep/good.yaml", GOOD.replace("a: b", "a: c"));
    up.until(&["applied ConfigMap default/good"]);
    let said = up.interrupt();
    assert_eq!(said.iter().filter(|line| line.contains("applied ConfigMap")).count(), 2, "{said:#?}");
    assert_eq!(said.iter().filter(|line| line.contains("more than 1000")).count(), 1, "{said:#?}");
}

#[test]
fn a_folder_that_goes_away_and_comes_back_has_lost_nothing() {
    let desk = Desk::new();
    desk.write("a.yaml", GOOD);
    let mut up = desk.up("");
    up.until(&["applied ConfigMap default/good"]);
    std::fs::rename(desk.0.join("yaml"), desk.0.join("away")).unwrap();
    up.until(&["! yaml: No such file or directory"]);
    std::fs::rename(desk.0.join("away"), desk.0.join("yaml")).unwrap();
    desk.write("a.yaml", GOOD.replace("a: b", "a: c"));
    up.until(&["applied ConfigMap default/good"]);
    let said = up.interrupt().join("\n");
    assert!(!said.contains("is no longer in any file"), "{said}");
}
