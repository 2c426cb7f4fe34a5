//! The page of conditions and reasons lists every one, in the words of the code, and the columns show no other.

use std::collections::BTreeSet;
use std::path::Path;

use seatkeeper::api::conditions::ConditionType;
use seatkeeper::domain::event::Happening;
use seatkeeper::domain::reason::Reason;

const PAGE: &str = "docs/conditions.md";

/// What the page has between its two headings and below them, as written from the code.
fn tables() -> String {
    let mut text = String::from("## Conditions\n\n| condition | `True` means |\n|---|---|\n");
    for type_ in ConditionType::ALL {
        text.push_str(&format!("| `{}` | {} |\n", type_.as_str(), type_.meaning()));
    }
    text.push_str("\n## Reasons\n\n| reason | what it means, and what to do |\n|---|---|\n");
    for reason in Reason::ALL {
        text.push_str(&format!("| `{}` | {} |\n", reason.as_str(), reason.meaning()));
    }
    text.push_str("\n## Events\n\n| reason | what has happened |\n|---|---|\n");
    for happening in Happening::ALL {
        text.push_str(&format!("| `{}` | {} |\n", happening.as_str(), happening.meaning()));
    }
    text
}

#[test]
fn the_page_of_conditions_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = tables();
    let written = page.find("## Conditions").map_or("", |at| &page[at..]);
    assert!(
        written == expected,
        "{PAGE} differs from src/api/conditions.rs, src/domain/reason.rs or src/domain/event.rs; its tables are:\n\n{expected}"
    );
}

#[test]
fn a_reason_is_listed_once_and_says_something() {
    let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert!(reason.meaning().ends_with('.') && reason.meaning().len() > 10, "{reason}: {}", reason.meaning());
    }
}

/// A column that names a condition which nothing sets would stay empty for ever.
#[test]
fn every_column_shows_a_condition_that_there_is() {
    let known: BTreeSet<&str> = ConditionType::ALL.iter().map(|type_| type_.as_str()).collect();
    let mut seen = 0;
    for crd in seatkeeper::api::crds::all() {
        let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().cloned().unwrap_or_default();
        for path in columns.iter().filter_map(|column| column["jsonPath"].as_str()) {
            let Some((_, rest)) = path.split_once("@.type=='") else { continue };
            let type_ = rest.split('\'').next().unwrap_or_default();
            assert!(known.contains(type_), "{path}: no condition of this type is set");
            seen += 1;
        }
    }
    assert!(seen >= 4, "only {seen} columns show a condition");
}
