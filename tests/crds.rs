//! The CustomResourceDefinitions: every kind has one that matches its type, and says who writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use seatkeeper::api::crds;
use serde_json::{Value, json};

/// Returns the files of a folder by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("a folder can be read").path();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text)
    };
    entries.map(read).collect()
}

#[test]
fn the_crds_and_their_copies_in_the_chart_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crds-{}", std::process::id()));
    let (out, chart) = (fresh.join("out"), fresh.join("chart"));
    let done = Command::new(env!("CARGO_BIN_EXE_seatkeeper"))
        .args(["crds", "--out"])
        .arg(&out)
        .arg("--chart")
        .arg(&chart)
        .output()
        .expect("the binary runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for (kept, generated) in [("crds", &out), ("charts/seatkeeper/templates/crds", &chart)] {
        let (kept_files, generated) = (files(&root.join(kept)), files(generated));
        assert_eq!(generated.len(), crds::all().len(), "one file for each kind");
        let differ: Vec<_> = generated
            .keys()
            .chain(kept_files.keys())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|f| generated.get(*f) != kept_files.get(*f))
            .collect();
        assert!(
            differ.is_empty(),
            "{kept} does not match src/api: {differ:?}; run `make crds` and commit what it writes"
        );
    }
    std::fs::remove_dir_all(&fresh).expect("the folder is ours");
}

#[test]
fn every_kind_of_the_api_has_a_crd() {
    let sources = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api"));
    let of_kind = |line: &str| Some(line.trim().strip_prefix("kind = \"")?.strip_suffix("\",")?.to_owned());
    let in_sources: BTreeSet<String> = sources.values().flat_map(|text| text.lines().filter_map(of_kind)).collect();
    assert!(in_sources.contains("License"), "the sources were not read as they are meant: {in_sources:?}");
    let kinds: Vec<_> = crds::all().iter().map(|crd| crd["spec"]["names"]["kind"].clone()).collect();
    assert_eq!(kinds, in_sources.into_iter().collect::<Vec<_>>(), "`all` in src/api/crds.rs names each kind, by name");
}

/// Tests of the chart derive from this sentence who may write a kind.
#[test]
fn every_kind_says_who_writes_it() {
    for crd in crds::all() {
        let text = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"];
        let writers = ["Written by the customer.", "Written by the vendor.", "Written only by the operator,"];
        let said = writers.iter().filter(|writer| text.as_str().is_some_and(|text| text.contains(*writer)));
        assert_eq!(said.count(), 1, "{} says once who writes it: {text}", crds::name(&crd));
    }
}

/// What a contract waits for was in the conditions alone.
#[test]
fn kubectl_get_shows_what_is_next_for_a_contract_and_a_licence() {
    for (kind, condition) in [("licenses.seatkeeper.dev", "Licensed"), ("subscriptions.seatkeeper.dev", "Ready")] {
        let crd = crds::all().into_iter().find(|crd| crds::name(crd) == kind).expect("it is there");
        let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().cloned().unwrap_or_default();
        let status = columns.iter().find(|column| column["name"] == "Status").unwrap_or_else(|| panic!("{kind}"));
        let message = format!(".status.conditions[?(@.type=='{condition}')].message");
        assert_eq!(status["jsonPath"], message, "{kind}");
    }
}

/// `kubectl explain` showed nothing but the type of most fields.
#[test]
fn every_field_has_a_description() {
    let mut without = Vec::new();
    for crd in crds::all() {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        walk(schema, crds::name(&crd).to_string(), &mut without);
    }
    assert!(without.is_empty(), "these fields have no doc comment in src/api:\n{}", without.join("\n"));
    let mut planted = Vec::new();
    let schema = json!({"properties": {"a": {"description": "x", "items": {"properties": {"b": {}}}}}});
    walk(&schema, "Planted".to_owned(), &mut planted);
    assert_eq!(planted, ["Planted.a[].b"]);
}

/// Collects the fields of a schema, at any depth, that have no description.
fn walk(schema: &Value, path: String, without: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if field["description"].as_str().is_none_or(str::is_empty) {
            without.push(path.clone());
        }
        walk(field, path, without);
    }
    for (part, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[part].is_object() {
            walk(&schema[part], format!("{path}{mark}"), without);
        }
    }
}
