//! A running contract changes: more seats, a cancellation entered late, and one that is withdrawn again.

use seatkeeper::api::Subscription;
use seatkeeper::api::license::{KeyStateName, License};
use seatkeeper::domain::license::jwk::read_jwks;
use seatkeeper::domain::license::key::{Claims, inspect};
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::domain::license::trust::{Trust, read_revocations};
use serde_json::json;

use super::case::{Case, Conditioned, KEYS, PLAN, Shown, find, order};
use super::keys::{Signer, months_ago};

impl Case {
    /// Returns the keys delivered into `innoacd-license` for a term: entry, token and claims.
    async fn keys_of_term(&self, term: u32) -> Vec<(String, String, Claims)> {
        let read = |(entry, token): (String, String)| {
            let (_, claims) = inspect(token.as_bytes()).expect("what is delivered is a key");
            let claims: Claims = serde_json::from_value(claims).expect("its claims are those of a key");
            (entry, token, claims)
        };
        let mut keys: Vec<_> = self.entries("innoacd-license").await.into_iter().map(read).collect();
        keys.retain(|(_, _, claims)| claims.subscription.as_ref().is_some_and(|s| s.term == term));
        keys
    }

    /// Returns the serials in the vendor's list of revoked keys.
    async fn revoked(&self) -> Vec<String> {
        let entries = self.entries("issuer-trust").await;
        let entry = |name: &str| entries.iter().find(|(entry, _)| entry == name).map(|(_, text)| text.as_bytes());
        let keys = read_jwks(entry("jwks.json").expect("the issuer publishes its key")).expect("in a JWK Set").keys;
        let list = entry("revoked.jwt").map(|list| read_revocations(list, &Trust::new(keys)).expect("it is signed"));
        list.into_iter().flat_map(|list| list.serials).collect()
    }
}

/// I5, I6: the whole life of a change of seats and of a cancellation whose letter came in time and was entered late.
#[tokio::test]
async fn i5_i6_more_seats_a_late_entered_cancellation_and_its_withdrawal() {
    let case = Case::new("contract").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let (license, subscription) = (case.license("innoacd"), case.subscription("stadtwerke"));
    // The notice deadline of term 1 has passed, so the contract goes on and both keys are there.
    let seen = license.shows("both keys", |l| l.status.as_ref().is_some_and(|s| s.keys.len() == 2)).await;
    let end_of_term_2 = seen.status.as_ref().and_then(|s| s.expires_at);
    subscription.is("Ready", "Active").await;
    let end_of_term_1 = subscription.get().await.status.and_then(|s| s.term).map(|term| term.ends_at);
    assert!(end_of_term_2 > end_of_term_1, "{end_of_term_2:?} {end_of_term_1:?}");
    let [(_, _, fifty)] = &case.keys_of_term(2).await[..] else { panic!("one key of term 2") };

    // Ten more agents, from five months ago on.
    let more =
        format!("seats: 50, changes: [{{on: \"{}\", seats: 60, receivedOn: \"{}\"}}]", months_ago(5), months_ago(6));
    let sixty_seats = order("stadtwerke", "").replace("seats: 50", &more);
    case.kubectl.apply(&sixty_seats).await;
    license.shows("60 agents", |l| l.seats() == Some("agents 0/60")).await;
    let settled = license
        .shows("one key in force and none refused", |l| {
            let keys = l.status.iter().flat_map(|s| &s.keys);
            let states: Vec<_> = keys.map(|key| key.state).collect();
            states == [KeyStateName::InForce, KeyStateName::Future, KeyStateName::Superseded]
        })
        .await;
    assert!(find(settled.conditions(), "KeyRefused").is_none(), "{:?}", settled.status);
    assert_eq!(settled.status.as_ref().and_then(|s| s.expires_at), end_of_term_2);
    assert_eq!(license.told("SeatsChanged").await, "agents 50 → 60");
    assert_eq!(case.revoked().await, [fifty.jti.as_str()]);
    let [(entry, token, sixty)] = &case.keys_of_term(2).await[..] else { panic!("one key of term 2") };
    assert_eq!(sixty.pools[0].seats, 60);

    // The letter came two months ago, a month before the deadline. It is entered today.
    let cancellation = format!("  cancellation: {{receivedOn: \"{}\", evidence: letter}}", months_ago(2));
    case.kubectl.apply(&format!("{sixty_seats}{cancellation}\n")).await;
    assert!(
        subscription.is("Ready", "Cancelled").await.starts_with("the contract is cancelled and runs to the end of ")
    );
    let told = subscription.shows("its end", |s| s.status.as_ref().is_some_and(|s| s.ends_at == end_of_term_1)).await;
    assert!(told.status.is_some_and(|s| s.keys.iter().all(|key| key.term == 1)), "the key of term 2 is not shown");
    license.shows("the end of term 1", |l| l.status.as_ref().is_some_and(|s| s.expires_at == end_of_term_1)).await;
    license
        .shows("no key of term 2", |l| l.status.as_ref().is_some_and(|s| s.keys.iter().all(|k| k.key != *entry)))
        .await;
    assert!(case.keys_of_term(2).await.is_empty());
    let mut revoked = [fifty.jti.clone(), sixty.jti.clone()];
    revoked.sort();
    assert_eq!(case.revoked().await, revoked);
    let told = subscription.told("KeyRevoked").await;
    assert!(told.contains(": the contract no longer grants it"), "{told}");
    license.becomes(Mode::Full).await;

    // The customer kept a copy of the key.
    case.secret("copies", KEYS, &[("kept.jwt", token)]).await;
    let also =
        r#"[{"op": "add", "path": "/spec/keys/-", "value": {"name": "copies", "secretRef": {"name": "copies"}}}]"#;
    case.kubectl.expect(&["patch", "lic/innoacd", "--type=json", "-p", also]).await;
    license.shows_key("copies", "kept.jwt", "Refused", Some("Revoked")).await;
    assert_eq!(license.is("KeyRefused", "Revoked").await, "copies/kept.jwt: the vendor has revoked it");
    license.told("KeyRefused").await;

    // The customer stays after all.
    case.kubectl.apply(&sixty_seats).await;
    subscription.is("Ready", "Active").await;
    subscription.told("GoesOn").await;
    license.shows("the end of term 2", |l| l.status.as_ref().is_some_and(|s| s.expires_at == end_of_term_2)).await;
    let [(_, _, reissued)] = &case.keys_of_term(2).await[..] else { panic!("one key of term 2") };
    assert!(!revoked.contains(&reissued.jti), "a revoked serial is not used again");
    license.shows_key("copies", "kept.jwt", "Refused", Some("Revoked")).await;
    license.becomes(Mode::Full).await;
}

/// A change of seats raises no alarm: the replaced key is never shown as refused.
#[tokio::test]
async fn i5_a_change_of_seats_is_no_alarm_to_the_customer() {
    let case = Case::new("no-alarm").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let license = case.license("innoacd");
    license.shows("both keys", |l| l.status.as_ref().is_some_and(|s| s.keys.len() == 2)).await;
    let more = format!("seats: 50, changes: [{{on: \"{}\", seats: 60}}]", months_ago(5));
    case.kubectl.apply(&order("stadtwerke", "").replace("seats: 50", &more)).await;
    license.shows("60 agents", |l| l.seats() == Some("agents 0/60")).await;
    license.shows("three keys", |l| l.status.as_ref().is_some_and(|s| s.keys_read == Some(3))).await;
    license.told("SeatsChanged").await;
    let told = license.told_so_far().await;
    assert!(!told.contains(&"KeyRefused".to_owned()), "{told:?}");
}

/// Keys of versions that did not name the zone and the notice deadline stay as they are: what the customer has is neither issued again
/// nor revoked because the operator is upgraded.
#[tokio::test]
async fn i4_keys_without_a_zone_are_neither_issued_again_nor_revoked_and_are_shown_in_utc() {
    let case = Case::new("no-zone").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    let names = ["one", "two", "three"];
    for name in names {
        let to = format!("{{name: {name}, secretName: {name}}}");
        case.kubectl.apply(&order(name, "").replace("{name: innoacd}}", &format!("{to}}}"))).await;
    }
    for name in names {
        let license = case.license(name);
        let both = |l: &License| l.status.as_ref().is_some_and(|s| s.keys.len() == 2);
        let seen = license.shows("both keys, in its zone", both).await.status.expect("it has one");
        assert_eq!(seen.time_zone.as_deref(), Some("Europe/Berlin"));
        let in_berlin = seen.last_day.expect("it ends");
        let as_before = |(entry, token): (String, String)| {
            let (_, claims) = inspect(token.as_bytes()).expect("it is a key");
            let claims: Claims = serde_json::from_value(claims).expect("its claims are those of a key");
            assert!(claims.zone.is_some() && claims.notice_deadline.is_some(), "{claims:?}");
            (entry, Signer::of("vendor").sign(&Claims { zone: None, notice_deadline: None, ..claims }))
        };
        let before: Vec<_> = case.entries(name).await.into_iter().map(as_before).collect();
        let entries: serde_json::Map<_, _> = before.iter().map(|(entry, key)| (entry.clone(), json!(key))).collect();
        let patch = json!({"stringData": entries}).to_string();
        case.kubectl.expect(&["patch", "secret", name, "--type=merge", "-p", &patch]).await;

        let in_utc = |l: &License| l.status.as_ref().is_some_and(|s| s.time_zone.as_deref() == Some("UTC"));
        let seen = license.shows("its days in UTC", in_utc).await;
        assert!(find(seen.conditions(), "Licensed").is_some_and(|c| c.message.contains(" (UTC), then grace ")));
        let status = seen.status.expect("it has one");
        assert_eq!((status.last_day, status.cancel_by), (Some(in_berlin), None));
        // A change of the contract that changes no key.
        let changed = order(name, "  order: {reference: PO-4711}")
            .replace("{name: innoacd}}", &format!("{{name: {name}, secretName: {name}}}}}"));
        case.kubectl.apply(&changed).await;
        let is_seen = |s: &Subscription| {
            s.status.as_ref().is_some_and(|status| status.observed_generation == s.metadata.generation)
        };
        case.subscription(name).shows("the change", is_seen).await;
        assert_eq!(case.entries(name).await, before, "{name}");
    }
    assert!(case.revoked().await.is_empty());
}
