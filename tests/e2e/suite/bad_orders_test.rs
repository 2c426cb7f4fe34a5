//! Orders and Plans that cannot be acted on: each says what is needed, in the place where its author looks.

use seatkeeper::domain::license::mode::Mode;
use serde_json::json;

use super::case::{Case, ISSUER, PLAN, order};
use super::keys::Signer;

/// P1: the API server refuses what it can judge before it is stored, and says what to write instead.
#[tokio::test]
async fn p1_a_plan_that_makes_no_sense_is_refused_with_what_to_write() {
    let case = Case::new("bad-plans").await;
    let period = "a period needs at least one positive part of days, weeks, months, years, for example {months: 3}";
    for (right, wrong, message) in [
        (
            "    lifetime: Term",
            "    lifetime: Term\n    issueBefore: {months: 4}",
            "license.issueBefore must not be longer than terms.notice",
        ),
        ("interval: {months: 12}", "interval: {}", period),
        ("interval: {months: 12}", "interval: {months: 0, days: 0}", period),
        ("notice: {months: 3}", "notice: {days: 0}", period),
        ("interval: {months: 12}", "interval: {months: -1}", "should be greater than or equal to 0"),
        ("interval: {months: 12}", "interval: {months: 1201}", "should be less than or equal to 1200"),
        ("interval: {months: 12}", "interval: {years: 4000000000}", "should be less than or equal to 100"),
        (", notice: {months: 3}", "", "terms.notice: Required value"),
        (
            "terms: {interval: {months: 12}, notice: {months: 3}}",
            "tags: [x]",
            "a licence with lifetime Term needs terms",
        ),
        ("graceDays: 14", "graceDays: -1", "should be greater than or equal to 0"),
        ("product: innoacd", "product: Inno ACD", "spec.product"),
        ("graceDays: 14", "onDemo: EndAfterMinutes", "onDemo: EndAfterMinutes needs onDemoMinutes"),
        ("model: Concurrent", "model: PerUser", "a pool of model PerUser needs loginMode Active or Passive"),
    ] {
        assert!(PLAN.contains(right), "{right}");
        let said = case.kubectl.refused(&PLAN.replace(right, wrong)).await;
        assert!(said.contains(message), "{wrong}: {said}");
    }
    case.kubectl.apply(PLAN).await;
}

/// I11: the same for an order.
#[tokio::test]
async fn i11_an_order_that_makes_no_sense_is_refused_with_what_to_write() {
    let case = Case::new("bad-orders").await;
    let right = order("stadtwerke", "");
    let start = right.lines().find(|line| line.contains("startsOn")).expect("it has a start").trim();
    let date = "must be a civil date YYYY-MM-DD from 1970-01-01 to 2099-12-31";
    for (right_part, wrong, message) in [
        (start, r#"startsOn: "0000-01-01""#, date),
        (start, r#"startsOn: "2100-01-01""#, date),
        (start, r#"startsOn: "2026-02-30""#, "startsOn"),
        (start, r#"startsOn: "1.1.2026""#, "startsOn"),
        ("seats: 50", "seats: -1", "should be greater than or equal to 0"),
        (
            "seats: 50",
            "seats: 50, changes: [{seats: 60}]",
            "on is missing: write the first day with this number of seats",
        ),
        ("plans: [{name: innoacd,", "plans: [{name: innoacd}, {name: innoacd,", "Duplicate value"),
        ("timeZone: Europe/Berlin", "timezone: Europe/Berlin", r#"unknown field "spec.timezone""#),
    ] {
        assert!(right.contains(right_part), "{right_part}");
        let said = case.kubectl.refused(&right.replace(right_part, wrong)).await;
        assert!(said.contains(message), "{wrong}: {said}");
    }
}

/// The conditions of a running contract cannot change; the message says what to do instead.
#[tokio::test]
async fn p1_the_conditions_of_a_contract_cannot_change_under_it() {
    let case = Case::new("immutable").await;
    case.kubectl.apply(PLAN).await;
    for (right, other, message) in [
        (
            "product: innoacd",
            "product: other",
            "product cannot be changed, because contracts rely on it: create a new Plan",
        ),
        ("months: 3}", "months: 4}", "terms cannot be changed, because contracts rely on them: create a new Plan"),
        ("graceDays: 14", "graceDays: 7", "graceDays and demoSeats cannot be changed, because contracts rely on them"),
        ("demoSeats: 2", "demoSeats: 3", "graceDays and demoSeats cannot be changed, because contracts rely on them"),
        ("model: Concurrent", "model: Named", "a pool's name, model and countBy cannot be changed"),
        ("name: agents", "name: people", "no pool can be removed, because contracts rely on them: create a new Plan"),
    ] {
        let said = case.kubectl.refused(&PLAN.replace(right, other)).await;
        assert!(said.contains(message), "{other}: {said}");
    }
    case.kubectl.apply(&PLAN.replace("title: innoACD", "title: innoACD, yearly")).await;

    let right = order("stadtwerke", "");
    case.kubectl.apply(&right).await;
    let start = right.lines().find(|line| line.contains("startsOn")).expect("it has a start").trim();
    for (right_part, other, message) in [
        (
            start,
            r#"startsOn: "2026-02-01""#,
            "startsOn of an existing contract cannot be changed: create a new Subscription",
        ),
        ("Europe/Berlin", "UTC", "timeZone of an existing contract cannot be changed: create a new Subscription"),
        (
            "  timeZone: Europe/Berlin\n",
            "",
            "timeZone of an existing contract cannot be changed: create a new Subscription",
        ),
        (
            "[{name: innoacd,",
            "[{name: other,",
            "the Plans of an existing contract cannot be changed: create a new Subscription",
        ),
    ] {
        let said = case.kubectl.refused(&right.replace(right_part, other)).await;
        assert!(said.contains(message), "{other}: {said}");
    }
}

/// I11: an order may name more users than fit into a key that a License reads. Its key used to be issued again and again,
/// and the License refused it.
#[tokio::test]
async fn i11_an_order_of_more_users_than_fit_into_a_key_says_so_and_takes_no_key_away() {
    let case = Case::new("many-users").await;
    case.signing_key().await;
    case.kubectl.apply(&PLAN.replace("model: Concurrent", "model: Named")).await;
    let order_of = |users: usize| {
        let users: Vec<String> = (0..users).map(|n| format!("{n:0>60}@example.com")).collect();
        order("stadtwerke", "").replace("seats: 50}", &format!("seats: 50, users: [{}]}}", users.join(", ")))
    };
    case.kubectl.apply(&order_of(600)).await;
    case.license("innoacd").becomes(Mode::Full).await;
    let keys = case.entries("innoacd-license").await;

    case.kubectl.apply(&order_of(900)).await;
    let said = case.subscription("stadtwerke").is_not("Issued", "KeyTooLong").await;
    assert!(
        said.contains("spec.plans: a key of Plan innoacd would be ") && said.contains("name fewer users"),
        "{said}"
    );
    assert_eq!(case.entries("innoacd-license").await, keys);
    case.license("innoacd").becomes(Mode::Full).await;
}

/// P7 and others: a fault that only the operator can find stalls the Subscription, with an Event, and nothing is
/// issued.
#[tokio::test]
async fn p7_an_order_that_no_retry_can_fix_is_stalled_and_says_why() {
    let case = Case::new("stalled").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    let monthly = PLAN.replace("name: innoacd}", "name: monthly}").replace("months: 3}", "months: 1}");
    case.kubectl.apply(&monthly).await;
    let for_firms = PLAN
        .replace("name: innoacd}", "name: firms}")
        .replace("    lifetime", "    eligibility: LegalEntities\n    lifetime");
    case.kubectl.apply(&for_firms).await;
    for (name, right, wrong, reason, message) in [
        (
            "terms",
            "plans: [",
            "plans: [{name: monthly}, ",
            "UnequalTerms",
            "Plans monthly and innoacd differ in notice; all Plans of one Subscription need equal terms, so order them in separate Subscriptions",
        ),
        (
            "zone",
            "Europe/Berlin",
            "Europe/Bielefeld",
            "UnknownTimeZone",
            "\"Europe/Bielefeld\" is not a time zone; write an IANA name such as Europe/Berlin, or leave it out for UTC",
        ),
        ("pool", "name: agents", "name: people", "UnknownPool", "Plan innoacd has no such pool; it has agents"),
        (
            "seats",
            "seats: 50",
            "seats: 501",
            "TooManySeats",
            "501 seats are ordered; Plan innoacd allows at most 500 in this pool",
        ),
        (
            "firm",
            "{name: innoacd,",
            "{name: firms,",
            "NotEligible",
            "Plan firms is for legal entities only: customer.legalForm must be LegalEntity",
        ),
    ] {
        case.kubectl.apply(&order(name, "").replace(right, wrong)).await;
        let subscription = case.subscription(name);
        let said = subscription.is("Stalled", reason).await;
        assert!(said.contains(message), "{said}");
        assert_eq!(subscription.is_not("Ready", reason).await, said);
        assert_eq!(subscription.told(reason).await, said);
    }
    let nothing =
        case.kubectl.expect(&["get", "lic,secrets", "--field-selector", "metadata.name!=issuer", "-o", "name"]).await;
    assert_eq!(nothing, "", "a stalled order issues nothing");
}

/// I6: a cancellation without the letter that the Plan asks for changes nothing and says so.
#[tokio::test]
async fn i6_a_cancellation_without_evidence_does_not_count_where_the_plan_wants_it_written() {
    let case = Case::new("evidence").await;
    case.signing_key().await;
    case.kubectl.apply(&PLAN.replace("notice: {months: 3}", "notice: {months: 3}, noticeForm: Written")).await;
    case.kubectl.apply(&order("stadtwerke", "  cancellation: {receivedOn: \"2026-01-02\"}")).await;
    let subscription = case.subscription("stadtwerke");
    let said = subscription.is("PartRefused", "EvidenceMissing").await;
    assert!(said.contains("write in evidence where the letter is"), "{said}");
    assert_eq!(subscription.told("EvidenceMissing").await, said);
    subscription.is("Ready", "Active").await;
    case.license("innoacd").becomes(Mode::Full).await;
}

/// What is missing may still come: the order waits, says for what, and then continues by itself.
#[tokio::test]
async fn i11_an_order_waits_for_its_plan_and_its_signing_key_and_goes_on_when_they_come() {
    let case = Case::new("waits").await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let subscription = case.subscription("stadtwerke");
    let plan = format!("Plan {}/innoacd does not exist; this waits for it", case.namespace);
    for said in [
        subscription.is_not("Ready", "PlanMissing").await,
        subscription.is("Reconciling", "PlanMissing").await,
        subscription.told("PlanMissing").await,
    ] {
        assert!(said.contains(&plan), "{said}");
    }

    case.kubectl.apply(PLAN).await;
    let issuer = format!("Secret {}/issuer of type {ISSUER} does not exist; this waits for it", case.namespace);
    let said = subscription.is("Reconciling", "SecretMissing").await;
    assert!(said.contains("spec.issuer") && said.contains(&issuer), "{said}");
    assert!(subscription.told("SecretMissing").await.contains(&issuer));

    // The Secret has one fault after another, and its contents are never repeated.
    for (type_, entries, reason, message) in [
        (
            "Opaque",
            ("hunter2", "hunter2"),
            "SecretTypeMismatch",
            "is not of type seatkeeper.dev/issuer and was not read",
        ),
        (
            ISSUER,
            ("hunter2", "hunter2"),
            "SigningKeyMissing",
            "has no entry signing-key.pem; `seatkeeper keygen` makes one",
        ),
        (
            ISSUER,
            ("signing-key.pem", "hunter2"),
            "SigningKeyInvalid",
            "is not an Ed25519 private key as PKCS #8 in PEM",
        ),
    ] {
        case.kubectl.run(&["delete", "secret", "issuer"]).await;
        case.secret("issuer", type_, &[entries]).await;
        // Secrets of this type are not watched: a change of the order has it looked at again at once.
        let note = json!({"spec": {"order": {"reference": reason}}}).to_string();
        case.kubectl.expect(&["patch", "lsub/stadtwerke", "--type=merge", "-p", &note]).await;
        let said = subscription.is_not("Issued", reason).await;
        assert!(said.contains(message), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        subscription.told(reason).await;
    }
    case.kubectl.expect(&["delete", "secret", "issuer"]).await;
    case.secret("issuer", ISSUER, &[("signing-key.pem", &Signer::of("vendor").pem)]).await;
    subscription.is("Ready", "Active").await;
    case.license("innoacd").becomes(Mode::Full).await;
}
