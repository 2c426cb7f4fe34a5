//! What a person at the command line sees (K1).

use std::time::Duration;

use seatkeeper::api::crds;
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::domain::zone::Zone;

use super::case::{Case, KEYS, PLAN, order};
use super::keys::{Signer, claims};
use crate::harness::eventually::eventually;

const EXAMPLES: &str = include_str!("api-by-example.yaml");

/// Returns the documents of the examples, moved into the test's namespace and without their status.
fn examples(namespace: &str) -> Vec<serde_json::Value> {
    let mut documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(EXAMPLES).expect("the examples are YAML");
    for document in &mut documents {
        document["metadata"]["namespace"] = namespace.into();
        document.as_object_mut().expect("an object").remove("status");
    }
    documents
}

/// K1, P2: every object of the examples is accepted and stored as it is written, by client-side and
/// by server-side apply.
#[tokio::test]
async fn k1_every_example_is_accepted_and_stored_unchanged() {
    for server_side in [false, true] {
        let case = Case::new("examples").await;
        let documents = examples(&case.namespace);
        assert_eq!(documents.len(), 10);
        for written in &documents {
            let side = format!("--server-side={server_side}");
            case.kubectl.apply_with(&["--validate=strict", &side], &written.to_string()).await;
            let (kind, name) = (written["kind"].as_str(), written["metadata"]["name"].as_str());
            let named = format!("{}.seatkeeper.dev/{}", kind.unwrap_or_default(), name.unwrap_or_default());
            let stored = case.kubectl.expect(&["get", &named, "-o", "json"]).await;
            let stored: serde_json::Value = serde_json::from_str(&stored).expect("kubectl prints JSON");
            let mut spec = stored["spec"].clone();
            without_defaults(&mut spec, &written["spec"]);
            assert_eq!(spec, written["spec"], "{named}");
        }
    }
}

/// K1: what kubectl prints of several objects is a List. kubectl looks for its kind in OpenAPI v2 before it applies one.
#[tokio::test]
async fn k1_a_list_that_kubectl_printed_is_applied_again() {
    let case = Case::new("list").await;
    for name in ["first", "second"] {
        case.kubectl.apply(&PLAN.replace("name: innoacd}", &format!("name: {name}}}"))).await;
    }
    let printed = case.kubectl.expect(&["get", "plans", "-o", "yaml"]).await;
    assert!(printed.contains("kind: List"), "{printed}");
    let applied = case.kubectl.apply_with(&["--validate=strict"], &printed).await;
    for name in ["first", "second"] {
        assert!(applied.contains(&format!("plan.seatkeeper.dev/{name}")), "{applied}");
    }
    let wrong = printed.replace("  spec:\n", "  spec:\n    seats: 3\n");
    let refused = case.kubectl.refused(&wrong).await;
    assert!(refused.contains("unknown field \"seats\""), "{refused}");
}

/// Removes the static defaults that the API server adds; they do not change what was written.
fn without_defaults(stored: &mut serde_json::Value, written: &serde_json::Value) {
    use serde_json::Value::{Array, Object};
    match (stored, written) {
        (Object(stored), Object(written)) => {
            stored.retain(|field, value| {
                written.contains_key(field)
                    || !["Automatic", "Any", "Term", "Same"].contains(&value.as_str().unwrap_or_default())
            });
            for (field, value) in stored {
                without_defaults(value, written.get(field).unwrap_or(&serde_json::Value::Null));
            }
        }
        (Array(stored), Array(written)) => stored.iter_mut().zip(written).for_each(|(s, w)| without_defaults(s, w)),
        _ => {}
    }
}

/// Parts that a later version will act on are stored, and the Plan lists them.
#[tokio::test]
async fn k1_a_plan_says_which_of_its_parts_are_not_acted_on() {
    let case = Case::new("parts").await;
    for document in examples(&case.namespace).iter().filter(|document| document["kind"] == "Plan") {
        case.kubectl.apply(&document.to_string()).await;
    }
    for (plan, parts) in [
        ("teamplaner-per-user", "spec.price, spec.license.pools[].noneMembers"),
        ("smath-perpetual", "spec.price, spec.releases, spec.upgrades"),
        ("cloud-apps", "spec.price, spec.terms.billingPeriod"),
        ("scalgo-live", "spec.price, spec.meters, spec.license.onePerOrganisation"),
    ] {
        let message = case.plan(plan).is_not("FullyActedOn", "PartsNotActedOn").await;
        assert_eq!(message, format!("stored and shown, but not acted on by this version: {parts}"), "{plan}");
        case.plan(plan).is("Ready", "Valid").await;
    }
    case.kubectl.apply(&PLAN.replace("name: innoacd}", "name: simple}")).await;
    case.plan("simple").is("FullyActedOn", "EveryPart").await;
}

/// Returns the columns of each line of a table.
fn table(printed: &str) -> Vec<Vec<&str>> {
    let cells = |line| str::split(line, "  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    printed.lines().map(cells).collect()
}

/// K1: the columns answer the first question, for every spelling of the kinds.
#[tokio::test]
async fn k1_kubectl_get_answers_the_first_question() {
    let case = Case::new("columns").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let license = case.license("innoacd").becomes(Mode::Full).await;
    let status = license.status.expect("it has a mode");
    let last_day = status.last_day.expect("it ends").0.to_string();
    assert_eq!(status.time_zone.as_deref(), Some("Europe/Berlin"));
    let next = status.next_transition.expect("its grace or its end");
    let berlin = Zone::named("Europe/Berlin").expect("a zone");
    assert_eq!(next.day.map(|day| day.0), Some(next.at.0.with_timezone(&berlin).date_naive()));
    let subscription = case.subscription("stadtwerke");
    subscription.is("Ready", "Active").await;
    let contract = subscription.get().await.status.expect("it is ready");
    let term = contract.term.expect("it has a term").last_day.expect("it has a last day").0.to_string();
    // The notice deadline of this term is over.
    assert_eq!(contract.cancel_by, None);

    for name in ["licenses.seatkeeper.dev", "license", "lic"] {
        let printed = case.kubectl.expect(&["get", name]).await;
        let [header, row] = &table(&printed)[..] else { panic!("{printed}") };
        assert_eq!(header[..], ["NAME", "PRODUCT", "LICENSED", "MODE", "SEATS", "LAST DAY", "AGE"], "{printed}");
        assert_eq!(row[..6], ["innoacd", "innoacd", "True", "Full", "agents 0/50", &last_day], "{printed}");
    }
    let printed = case.kubectl.expect(&["get", "lic", "-o", "wide"]).await;
    for word in [
        "CANCEL BY",
        "GRACE TO",
        "EXPIRES",
        "ORGANISATION",
        "PLAN",
        "STATUS",
        "Stadtwerke Musterstadt",
        "agents 50 for ",
    ] {
        assert!(printed.contains(word), "{word}: {printed}");
    }
    for name in ["subscriptions.seatkeeper.dev", "lsub"] {
        let printed = case.kubectl.expect(&["get", name]).await;
        let [header, row] = &table(&printed)[..] else { panic!("{printed}") };
        let columns = ["NAME", "ORGANISATION", "STATE", "TERM", "LAST DAY", "CANCEL BY", "READY", "AGE"];
        assert_eq!(header[..], columns, "{printed}");
        let expected = ["stadtwerke", "Stadtwerke Musterstadt", "Active", "1", &term, "True"];
        assert_eq!(row[..6], expected, "{printed}");
    }
    for name in ["plans.seatkeeper.dev", "lplan"] {
        let printed = case.kubectl.expect(&["get", name]).await;
        let [header, row] = &table(&printed)[..] else { panic!("{printed}") };
        assert_eq!(header[..], ["NAME", "PRODUCT", "TITLE", "LIFETIME", "READY", "AGE"], "{printed}");
        assert_eq!(row[..5], ["innoacd", "innoacd", "innoACD", "Term", "True"], "{printed}");
    }
    let printed = case.kubectl.expect(&["get", "licensing"]).await;
    for object in
        ["license.seatkeeper.dev/innoacd", "plan.seatkeeper.dev/innoacd", "subscription.seatkeeper.dev/stadtwerke"]
    {
        assert!(printed.contains(object), "{printed}");
    }
    let full = case.kubectl.expect(&["get", "lic", "--field-selector", "status.mode=Full", "-o", "name"]).await;
    assert_eq!(full, "license.seatkeeper.dev/innoacd\n");
    let demo = case.kubectl.expect(&["get", "lic", "--field-selector", "status.mode=Demo", "-o", "name"]).await;
    assert_eq!(demo, "");
    let described = case.kubectl.expect(&["describe", "lic/innoacd"]).await;
    assert!(described.contains("Activated"), "{described}");
    let described = case.kubectl.expect(&["describe", "lsub/stadtwerke"]).await;
    assert!(described.contains("KeyIssued"), "{described}");
}

/// K1: `kubectl explain` describes every kind.
#[tokio::test]
async fn k1_kubectl_explains_every_kind() {
    let case = Case::new("explain").await;
    for (field, words) in [
        ("licenses.seatkeeper.dev.spec.keys", "A Secret of type seatkeeper.dev/license. Every entry is a key"),
        ("licenses.seatkeeper.dev", "Points at licence keys and shows what they grant now"),
        ("subscriptions.seatkeeper.dev.spec.startsOn", "The first day of the first term, in timeZone"),
        ("plans.seatkeeper.dev.spec.terms.notice", "How long before the end of a term a cancellation must be"),
    ] {
        eventually(Duration::from_secs(20), "kubectl knows the kinds", async || {
            let printed = case.kubectl.run(&["explain", field]).await;
            printed.stdout.contains(words).then_some(()).ok_or(format!("{field}: {}{}", printed.stdout, printed.stderr))
        })
        .await;
    }
    let kinds = ["api-resources", "--api-group=seatkeeper.dev", "--namespaced=true", "--no-headers", "-o", "name"];
    let kinds = case.kubectl.expect(&kinds).await;
    assert_eq!(kinds.lines().collect::<Vec<_>>(), crds::all().iter().map(crds::name).collect::<Vec<_>>());
}

/// kstatus: an object that the operator has not looked at yet says so, and later says which generation it has looked
/// at.
#[tokio::test]
async fn k1_tools_that_wait_for_kstatus_see_when_an_object_was_looked_at() {
    let case = Case::new("kstatus").await;
    case.trust().await;
    for document in examples(&case.namespace) {
        let create = ["create", "--dry-run=server", "-o", "jsonpath={.status.observedGeneration}", "-f", "-"];
        assert_eq!(
            case.kubectl.expect_with(&create, &document.to_string()).await,
            "-1",
            "{}",
            document["metadata"]["name"]
        );
    }
    let key = Signer::of("vendor").sign(&claims("innoacd", &case.namespace, 365));
    case.secret("keys", KEYS, &[("key", &key)]).await;
    let license = case.apply_license("acd", "innoacd", &["keys"]).await;
    let seen = license.becomes(Mode::Full).await;
    let status = seen.status.expect("it has a mode");
    assert_eq!((seen.metadata.generation, status.observed_generation), (Some(1), Some(1)));
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(1)));
    let types: Vec<_> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert!(types.contains(&"Ready") && !types.contains(&"Reconciling") && !types.contains(&"Stalled"), "{types:?}");
}
