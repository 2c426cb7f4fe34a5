//! From which namespaces a License may be used. Other namespaces use a License through `allowedNamespaces`, never
//! through a copy (docs/design/domain.md, Which keys count).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::ResourceExt;
use std::collections::BTreeMap;

use super::License;
use super::license::AllowedFrom;

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Whether `license` may be used from `namespace`, which has these `labels` (`None` if the namespace is not known). The
/// License's own namespace is always admitted. A selector that cannot be read admits no namespace.
pub fn admits(license: &License, namespace: &str, labels: Option<&Labels>) -> bool {
    if license.namespace().as_deref() == Some(namespace) {
        return true;
    }
    let Some(allowed) = &license.spec.allowed_namespaces else { return false };
    match allowed.from {
        AllowedFrom::Same => false,
        AllowedFrom::All => true,
        AllowedFrom::Selector => {
            allowed.selector.as_ref().zip(labels).is_some_and(|(selector, labels)| selects(selector, labels))
        }
    }
}

/// Behaves like `LabelSelectorAsSelector` of Kubernetes' `meta/v1`: every requirement must hold, and an empty selector
/// selects everything.
fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let mut equal = selector.match_labels.iter().flatten();
    equal.all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().flatten().all(|expression| holds(expression, labels))
}

fn holds(expression: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&expression.key);
    let values = expression.values.as_deref().unwrap_or_default();
    match (expression.operator.as_str(), values) {
        ("In", [_, ..]) => value.is_some_and(|value| values.contains(value)),
        ("NotIn", [_, ..]) => value.is_none_or(|value| !values.contains(value)),
        ("Exists", []) => value.is_some(),
        ("DoesNotExist", []) => value.is_none(),
        // Kubernetes rejects such an expression as an error, for example In without values.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::{Selector, SelectorExt};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn license(allowed: Value) -> License {
        let license = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License",
            "metadata": {"name": "smath", "namespace": "home"}, "spec": {"product": "smath", "allowedNamespaces": allowed},
        });
        serde_json::from_value(license).unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn same_is_the_default_and_the_own_namespace_always_may() {
        for allowed in [Value::Null, json!({}), json!({"from": "Same"})] {
            assert!(admits(&license(allowed.clone()), "home", None));
            assert!(!admits(&license(allowed), "other", Some(&labels(&[]))));
        }
        let all = license(json!({"from": "All"}));
        assert!(admits(&all, "home", None) && admits(&all, "other", None));
        let none = json!({"from": "Selector", "selector": {"matchLabels": {"a": "1"}}});
        assert!(admits(&license(none), "home", Some(&labels(&[]))));
    }

    #[test]
    fn a_selector_means_what_it_means_in_kubernetes() {
        let there = labels(&[("organisation", "stadtwerke"), ("stage", "test")]);
        for (selector, admitted) in [
            (json!({}), true),
            (json!({"matchLabels": {"organisation": "stadtwerke"}}), true),
            (json!({"matchLabels": {"organisation": "stadtwerke", "stage": "production"}}), false),
            (json!({"matchLabels": {"organisation": ""}}), false),
            (json!({"matchExpressions": [{"key": "stage", "operator": "In", "values": ["test", "dev"]}]}), true),
            (json!({"matchExpressions": [{"key": "stage", "operator": "NotIn", "values": ["test"]}]}), false),
            (json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["x"]}]}), true),
            (json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["x"]}]}), false),
            (json!({"matchExpressions": [{"key": "stage", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "stage", "operator": "DoesNotExist"}]}), false),
            (json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}), true),
            (
                json!({"matchLabels": {"stage": "test"}, "matchExpressions": [{"key": "team", "operator": "Exists"}]}),
                false,
            ),
            // A selector that Kubernetes refuses admits no namespace, even if a lenient reading would admit all of
            // them.
            (json!({"matchExpressions": [{"key": "stage", "operator": "In"}]}), false),
            (json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": []}]}), false),
            (json!({"matchExpressions": [{"key": "stage", "operator": "Exists", "values": ["test"]}]}), false),
            (json!({"matchExpressions": [{"key": "stage", "operator": "exists"}]}), false),
        ] {
            let license = license(json!({"from": "Selector", "selector": selector}));
            assert_eq!(admits(&license, "other", Some(&there)), admitted, "{selector}");
            assert!(!admits(&license, "unknown", None), "{selector}: a namespace nobody knows");
        }
        assert!(!admits(&license(json!({"from": "Selector"})), "other", Some(&there)), "no selector selects nothing");
    }

    fn word() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
    }

    fn expression() -> impl Strategy<Value = LabelSelectorRequirement> {
        let of_values = (prop::sample::select(vec!["In", "NotIn"]), prop::collection::vec(word(), 1..3));
        let of_key = prop::sample::select(vec!["Exists", "DoesNotExist"]).prop_map(|operator| (operator, Vec::new()));
        (word(), prop_oneof![of_values, of_key]).prop_map(|(key, (operator, values))| LabelSelectorRequirement {
            key,
            operator: operator.to_owned(),
            values: (!values.is_empty()).then_some(values),
        })
    }

    proptest! {
        /// Valid selectors select the same labels as `kube`'s own implementation.
        #[test]
        fn another_reading_of_the_same_selector_agrees(
            equal in prop::collection::btree_map(word(), word(), 0..3),
            expressions in prop::collection::vec(expression(), 0..4),
            there in prop::collection::btree_map(word(), word(), 0..4),
        ) {
            let selector = LabelSelector { match_labels: Some(equal), match_expressions: Some(expressions) };
            let other: Selector = selector.clone().try_into().unwrap();
            prop_assert_eq!(selects(&selector, &there), other.matches(&there));
        }
    }
}
