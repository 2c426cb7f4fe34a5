//! The syntax of names, labels and keys (`k8s.io/apimachinery/pkg/util/validation`).

use regex::Regex;
use std::sync::OnceLock;

use crate::schema::{FieldError, Reason};

const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const CONFIG_KEY: &str = "[-._a-zA-Z0-9]+";

fn matches(pattern: &'static str, text: &str) -> bool {
    static PATTERNS: OnceLock<Vec<(&'static str, Regex)>> = OnceLock::new();
    let all = [SUBDOMAIN, LABEL, QUALIFIED, LABEL_VALUE, CONFIG_KEY];
    let read = || all.into_iter().filter_map(|p| Some((p, Regex::new(&format!("^({p})$")).ok()?))).collect();
    PATTERNS.get_or_init(read).iter().any(|(known, regex)| *known == pattern && regex.is_match(text))
}

fn pattern_fault(what: &str, examples: &[&str], pattern: &str) -> String {
    let examples = match examples {
        [one] => format!("(e.g. '{one}', "),
        several => {
            let all: Vec<String> = several.iter().map(|example| format!("'{example}'")).collect();
            format!("(e.g. {}, ", all.join(",  or "))
        }
    };
    format!("{what} {examples}regex used for validation is '{pattern}')")
}

/// Returns why `text` is not a DNS-1123 subdomain.
pub fn subdomain_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > 253 {
        faults.push("must be no more than 253 characters".to_owned());
    }
    if !matches(SUBDOMAIN, text) {
        let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        faults.push(pattern_fault(what, &["example.com"], SUBDOMAIN));
    }
    faults
}

/// Returns why `text` is not a DNS-1123 label.
pub fn label_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > 63 {
        faults.push("must be no more than 63 characters".to_owned());
    }
    if !matches(LABEL, text) && matches(SUBDOMAIN, text) {
        faults.push("must not contain dots".to_owned());
    } else if !matches(LABEL, text) {
        let what = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
        faults.push(pattern_fault(what, &["my-name", "123-abc"], LABEL));
    }
    faults
}

/// Returns why `key` cannot be the key of a label or an annotation.
pub fn qualified_faults(key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let examples = ["MyName", "my.name", "123-abc"];
    let name = match key.split('/').collect::<Vec<_>>().as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(subdomain_faults(prefix).into_iter().map(|fault| format!("prefix part {fault}")));
            }
            *name
        }
        _ => {
            let what = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
            let with_prefix = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            faults.push(pattern_fault(what, &examples, QUALIFIED) + with_prefix);
            return faults;
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        faults.push("name part must be no more than 63 bytes".to_owned());
    }
    if !matches(QUALIFIED, name) {
        let what = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        faults.push(pattern_fault(what, &examples, QUALIFIED));
    }
    faults
}

/// Returns the first thing that is wrong with the key of a label.
pub fn label_key_fault(key: &str) -> Option<String> {
    qualified_faults(key).into_iter().next()
}

/// Returns what is wrong with the value of a label.
pub fn label_value_fault(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    (!matches(LABEL_VALUE, value)).then(|| {
        let what = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        pattern_fault(what, &["MyValue", "my_value", "12345"], LABEL_VALUE)
    })
}

/// Returns why `name`, in the field `field`, is not a qualified name.
pub fn qualified_name_faults(field: &str, name: &str) -> Vec<FieldError> {
    qualified_faults(name).into_iter().map(|why| invalid(field, name, why)).collect()
}

/// Returns what is wrong with the name of an entry of a Secret or ConfigMap.
pub fn entry_name_faults(key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if key.len() > 253 {
        faults.push("must be no more than 253 characters".to_owned());
    }
    if !matches(CONFIG_KEY, key) {
        let what = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        faults.push(pattern_fault(what, &["key.name", "KEY_NAME", "key-name"], CONFIG_KEY));
    }
    match key {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        key if key.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}

/// Returns the error for an invalid `value` of `field`.
pub fn invalid(field: impl Into<String>, value: &str, why: impl std::fmt::Display) -> FieldError {
    FieldError::new(field, Reason::Invalid, format!("Invalid value: {value:?}: {why}"))
}
