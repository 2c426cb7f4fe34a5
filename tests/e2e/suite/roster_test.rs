//! Rosters: who is a member, from which instant, and of which License, and how faults are reported (T1–T9).

use std::time::Duration;

use super::hands::clock_with_hands;
use chrono::NaiveDate;
use kube::api::{Api, ListParams};
use seatkeeper::api::Roster;
use seatkeeper::api::roster::MemberCounts;
use seatkeeper::domain::license::key::Claims;
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::machine::{machine_time, monotonic};
use serde_json::{Value, json};

use super::case::{Case, KEYS, condition_of, is_true};
use super::faults_ground::{Ground, SOON, at, condition};
use super::faults_operators::InProcess;
use super::keys::{Signer, claims};
use crate::harness::eventually::eventually;

fn today() -> NaiveDate {
    machine_time().date_naive()
}

fn roster(name: &str, license: Value, members: Value) -> String {
    json!({
        "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "Roster", "metadata": {"name": name},
        "spec": {"licenseRef": license, "members": members},
    })
    .to_string()
}

fn member(user: &str, mode: &str, since: &str) -> Value {
    json!({"user": user, "loginMode": mode, "entryDate": since})
}

/// Returns a key of the vendor with these pools.
fn key(customer: &str, days: i64, pools: Value) -> String {
    let pools = serde_json::from_value(pools).expect("pools as keys have them");
    Signer::of("vendor").sign(&Claims { pools, ..claims("teamplaner", customer, days) })
}

fn per_employee(seats: u32) -> Value {
    json!([{"name": "employees", "model": "PerEmployee", "countBy": "Start", "seats": seats}])
}

fn per_user(active: u32, passive: u32) -> Value {
    json!([
        {"name": "active", "model": "PerUser", "countBy": "Start", "seats": active, "loginMode": "Active"},
        {"name": "passive", "model": "PerUser", "countBy": "Start", "seats": passive, "loginMode": "Passive", "overflowsTo": "active"},
    ])
}

/// Makes a License `teamplaner` with these pools.
async fn licensed(name: &str, pools: Value) -> Case {
    let case = Case::new(name).await;
    case.trust().await;
    case.secret("keys", KEYS, &[("key", &key(&case.namespace, 365, pools))]).await;
    case.apply_license("teamplaner", "teamplaner", &["keys"]).await.becomes(Mode::Full).await;
    case
}

fn counts(of: &Roster) -> Option<MemberCounts> {
    of.status.as_ref()?.members
}

/// T1, T3, K1: the columns show how many members there are, and `kubectl explain` describes every field.
#[tokio::test]
async fn t1_t3_kubectl_shows_who_is_a_member_and_explains_every_field() {
    let case = licensed("people", per_employee(50)).await;
    let day = |days: i64| (today() + chrono::Duration::days(days)).to_string();
    let mut members = vec![
        member("a.schmidt", "Active", "2019-04-01"),
        member("c.vogel", "None", "2023-09-01"),
        member("d.neu", "Active", &day(3)),
        // Left and came back.
        json!({"user": "e.wieder", "loginMode": "Active", "entryDate": "2019-04-01", "exitDate": "2020-01-01"}),
        member("e.wieder", "Passive", "2024-04-01"),
    ];
    members.push(json!({"user": "b.meier", "loginMode": "Passive", "entryDate": "2021-01-01", "exitDate": day(-3), "team": "south"}));
    case.kubectl.apply(&roster("staff", json!({"name": "teamplaner"}), json!(members))).await;
    let said = case.roster("staff").is("Ready", "Counted").await;
    assert_eq!(
        said,
        format!("1 active and 1 passive members, and 1 who need no licence; changes next on {} (UTC)", day(3))
    );
    let seen = case.roster("staff").get().await;
    assert_eq!(counts(&seen), Some(MemberCounts { current: 3, active: 1, passive: 1, none: 1 }));
    assert!(!is_true(&seen.status.expect("it has one").conditions, "DuplicateMember"), "coming back is not an overlap");

    for name in ["rosters.seatkeeper.dev", "lroster"] {
        let printed = case.kubectl.expect(&["get", name]).await;
        let mut lines = printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let columns = ["NAME", "LICENSE", "ACTIVE", "PASSIVE", "NONE", "NEXT", "CHANGE", "READY", "AGE"];
        assert_eq!(lines.next().expect("a header")[..], columns, "{printed}");
        assert_eq!(lines.next().expect("a row")[..7], ["staff", "teamplaner", "1", "1", "1", &day(3), "True"]);
    }
    assert!(case.kubectl.expect(&["get", "licensing"]).await.contains("roster.seatkeeper.dev/staff"));
    let field = ["get", "lroster", "--field-selector", "spec.licenseRef.name=teamplaner", "-o", "name"];
    assert_eq!(case.kubectl.expect(&field).await, "roster.seatkeeper.dev/staff\n");
    for (field, words) in [
        ("roster.spec.members", "Every member, with one entry for each period"),
        ("roster.spec.members.exitDate", "The first day on which the user is no longer a member"),
        ("roster.spec.members.loginMode", "Active changes data, Passive only reads, None needs no"),
    ] {
        eventually(Duration::from_secs(20), "kubectl knows the kind", async || {
            let printed = case.kubectl.run(&["explain", field]).await;
            let words = printed.stdout.contains(words);
            words.then_some(()).ok_or(format!("{field}: {}{}", printed.stdout, printed.stderr))
        })
        .await;
    }
}

/// T1: a member is gone at the first instant of the exit date in the Roster's time zone, without anybody acting, and
/// the License says from that instant on that its seats are enough.
#[tokio::test]
async fn t1_t5_membership_ends_at_the_instant_of_the_local_day() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("local-day").await;
    let (clock, hands) = clock_with_hands(at("2031-06-30T12:00:00Z"));
    let operator = InProcess::start(&ground.operator, clock).await;
    let case =
        Case { namespace: vendor.namespace.clone(), kubectl: vendor.kubectl.clone(), client: ground.admin.clone() };
    case.trust().await;
    case.secret("keys", KEYS, &[("key", &key(&case.namespace, 9999, per_employee(1)))]).await;
    let license = case.apply_license("teamplaner", "teamplaner", &["keys"]).await;
    let people = json!([
        {"user": "a", "loginMode": "Active", "entryDate": "2019-04-01", "exitDate": "2031-07-01"},
        {"user": "b", "loginMode": "Passive", "entryDate": "2020-04-01"},
        {"user": "c", "loginMode": "Active", "entryDate": "2031-07-02"},
    ]);
    let text = roster("staff", json!({"name": "teamplaner"}), people);
    case.kubectl.apply(&text.replace(r#""spec":{"#, r#""spec":{"timeZone":"Europe/Berlin","#)).await;
    let leaves = at("2031-06-30T22:00:00Z");
    case.roster("staff")
        .shows("two members until the local day ends", |seen| {
            let next = seen.status.as_ref().and_then(|status| status.next_change);
            counts(seen) == Some(MemberCounts { current: 2, active: 1, passive: 1, none: 0 })
                && next == Some(leaves.into())
        })
        .await;
    let said = license.is("RosterExceedsSeats", "MoreMembersThanSeats").await;
    assert!(said.starts_with("pool employees: 2 members, 1 seats; "), "{said}");
    assert_eq!(license.told("RosterExceedsSeats").await, said);

    hands.set(leaves - chrono::Duration::seconds(1));
    // Another object, which the operator looks at after the clock was set.
    case.kubectl.apply(&roster("other", json!({"name": "nobody"}), json!([]))).await;
    case.roster("other").is("Reconciling", "LicenseMissing").await;
    assert_eq!(counts(&case.roster("staff").get().await).expect("counted").current, 2, "one second before");
    hands.set(leaves);
    let after = case
        .roster("staff")
        .shows("one member from the local day on", |seen| {
            counts(seen) == Some(MemberCounts { current: 1, active: 0, passive: 1, none: 0 })
        })
        .await;
    let next = after.status.and_then(|status| status.next_change);
    assert_eq!(next, Some(at("2031-07-01T22:00:00Z").into()));
    license.is_not("RosterExceedsSeats", "Fits").await;
    let seen = license.get().await;
    let (_, _, since) = condition(&seen.status.expect("it has one").conditions, "RosterExceedsSeats");
    assert_eq!(since, Some(leaves.into()));

    hands.set(at("2031-07-01T22:00:00Z"));
    license.is("RosterExceedsSeats", "MoreMembersThanSeats").await;
    operator.stop().await;
}

/// T5, T6, T7: a License compares its current members with the seats of each model; Licenses of other models have no
/// condition about Rosters.
#[tokio::test]
async fn t5_t6_t7_a_license_says_when_it_has_more_members_than_seats() {
    let case = licensed("exceeds", per_user(2, 1)).await;
    let license = case.license("teamplaner");
    license.is_not("RosterExceedsSeats", "RosterMissing").await;
    let users = |active: u32, passive: u32| {
        let of = |mode: &'static str, n: u32| (0..n).map(move |i| member(&format!("{mode}-{i}"), mode, "2024-01-01"));
        Value::Array(of("Active", active).chain(of("Passive", passive)).chain(of("None", 9)).collect())
    };
    let name = json!({"name": "teamplaner"});
    // One active seat is spare, so a second passive user may use it.
    case.kubectl.apply(&roster("staff", name.clone(), users(1, 2))).await;
    license.is_not("RosterExceedsSeats", "Fits").await;
    case.kubectl.apply(&roster("staff", name.clone(), users(2, 2))).await;
    let said = license.is("RosterExceedsSeats", "MoreMembersThanSeats").await;
    assert!(said.starts_with("pool passive: 2 members, 1 seats; "), "{said}");
    case.kubectl.apply(&roster("staff", name.clone(), users(3, 0))).await;
    license
        .shows("active users too many", |seen| {
            condition_of(seen, "RosterExceedsSeats").message.starts_with("pool active: 3 members, 2 seats; ")
        })
        .await;
    case.secret("keys", KEYS, &[("key", &key(&case.namespace, 366, per_user(3, 0)))]).await;
    license.is_not("RosterExceedsSeats", "Fits").await;
    assert!(is_true(&license.get().await.status.expect("it has one").conditions, "Ready"));
    case.kubectl.expect(&["delete", "lroster/staff"]).await;
    license.is_not("RosterExceedsSeats", "RosterMissing").await;

    let plain = Signer::of("vendor").sign(&claims("innoacd", &format!("{}-plain", case.namespace), 365));
    case.secret("plain", KEYS, &[("key", &plain)]).await;
    let plain = case.apply_license("innoacd", "innoacd", &["plain"]).await.becomes(Mode::Full).await;
    let conditions = &plain.status.expect("it has one").conditions;
    assert!(!conditions.iter().any(|condition| condition.type_ == "RosterExceedsSeats"), "{conditions:?}");
}

/// T1: a user on two Rosters is one member and is named on both, until one Roster is deleted.
#[tokio::test]
async fn t1_a_user_on_two_rosters_is_named_on_both_and_counts_once() {
    let case = licensed("twice", per_employee(1)).await;
    let name = || json!({"name": "teamplaner"});
    case.kubectl.apply(&roster("north", name(), json!([member("a.schmidt", "Passive", "2019-04-01")]))).await;
    case.roster("north").lacks("DuplicateMember").await;
    case.kubectl.apply(&roster("south", name(), json!([member("a.schmidt", "Active", "2024-04-01")]))).await;
    for roster in ["north", "south"] {
        let said = case.roster(roster).is("DuplicateMember", "EntriesOverlap").await;
        let both = format!("a.schmidt in {0}/north and {0}/south", case.namespace);
        assert!(said.ends_with(&both), "{said}");
        assert_eq!(case.roster(roster).told("DuplicateMember").await, said);
        case.roster(roster).is("Ready", "Counted").await;
    }
    case.license("teamplaner").is_not("RosterExceedsSeats", "Fits").await;
    case.kubectl.expect(&["delete", "lroster/south"]).await;
    case.roster("north").lacks("DuplicateMember").await;
    // A user who is twice on one Roster is named too; a Roster of another License does not count.
    let twice = json!([member("b.meier", "Active", "2019-04-01"), member("b.meier", "None", "2020-04-01")]);
    case.kubectl.apply(&roster("south", json!({"name": "another"}), twice)).await;
    let said = case.roster("south").is("DuplicateMember", "EntriesOverlap").await;
    assert!(said.ends_with(&format!("b.meier in {}/south", case.namespace)), "{said}");
    let south = case.roster("south").get().await;
    assert_eq!(counts(&south), Some(MemberCounts { current: 1, active: 1, passive: 0, none: 0 }));
    case.roster("north").lacks("DuplicateMember").await;
}

/// T1: how a keyboard writes `ü` makes no second member, in one Roster and in two.
#[tokio::test]
async fn t1_names_are_compared_as_people_see_them() {
    let case = licensed("spellings", per_employee(1)).await;
    let name = || json!({"name": "teamplaner"});
    let both =
        json!([member("j.m\u{fc}ller", "Passive", "2019-04-01"), member("j.mu\u{308}ller", "Active", "2019-04-01")]);
    case.kubectl.apply(&roster("north", name(), both)).await;
    let said = case.roster("north").is("DuplicateMember", "EntriesOverlap").await;
    assert!(said.ends_with(&format!(": j.m\u{fc}ller in {}/north", case.namespace)), "{said}");
    let north = case.roster("north").get().await;
    assert_eq!(counts(&north), Some(MemberCounts { current: 1, active: 1, passive: 0, none: 0 }));
    case.license("teamplaner").is_not("RosterExceedsSeats", "Fits").await;
    case.kubectl.apply(&roster("south", name(), json!([member("\u{ff4a}.m\u{fc}ller", "Active", "2019-04-01")]))).await;
    let said = case.roster("south").is("DuplicateMember", "EntriesOverlap").await;
    assert!(said.ends_with(&format!(": j.m\u{fc}ller in {0}/north and {0}/south", case.namespace)), "{said}");
    // A name that grows beyond what a request may have.
    let long = json!([member(&"\u{9dc}".repeat(43), "Active", "2019-04-01"), member("anna", "Active", "2019-04-01")]);
    case.kubectl.apply(&roster("south", name(), long)).await;
    let said = case.roster("south").is("PartRefused", "NameTooLong").await;
    assert!(said.starts_with("spec.members[0].user: the name has 258 bytes"), "{said}");
    case.roster("south").shows("one member", |seen| counts(seen).is_some_and(|counts| counts.current == 1)).await;
}

/// T1: two users whose names differ only in case stay two, and the Rosters that name them say so; so do names with
/// characters that nobody sees.
#[tokio::test]
async fn t1_names_that_are_easily_taken_for_others_count_and_are_told() {
    let case = licensed("doubtful", per_employee(3)).await;
    let name = || json!({"name": "teamplaner"});
    let doubtful = |seen: &Roster| is_true(&seen.status.clone().unwrap_or_default().conditions, "DoubtfulNames");
    case.kubectl.apply(&roster("north", name(), json!([member("a.schmidt", "Active", "2019-04-01")]))).await;
    case.roster("north").is("Ready", "Counted").await;
    assert!(!doubtful(&case.roster("north").get().await));
    let others =
        json!([member("A.Schmidt", "Active", "2019-04-01"), member("b.meier\u{200b}", "Active", "2019-04-01")]);
    case.kubectl.apply(&roster("south", name(), others)).await;
    for roster in ["north", "south"] {
        let said = case.roster(roster).is("DoubtfulNames", "NamesDifferInCase").await;
        let two = format!("A.Schmidt and a.schmidt in {0}/north and {0}/south", case.namespace);
        assert!(said.contains(&two), "{said}");
        assert_eq!(said.ends_with("may not be seen: b.meier\\u{200b}"), roster == "south", "{said}");
        assert_eq!(case.roster(roster).told("DoubtfulNames").await, said);
        case.roster(roster).is("Ready", "Counted").await;
        case.roster(roster).lacks("DuplicateMember").await;
    }
    case.license("teamplaner").is_not("RosterExceedsSeats", "Fits").await;
    case.kubectl.apply(&roster("south", name(), json!([member("b.meier\u{200b}", "Active", "2019-04-01")]))).await;
    case.roster("south").is("DoubtfulNames", "UnusualCharacters").await;
    case.roster("north").shows("no doubt is left", |seen| !doubtful(seen)).await;
}

/// T1: a Roster at its bound fits into what an API server stores, where each name is written twice.
#[tokio::test]
async fn t1_a_roster_of_2000_members_with_the_longest_names_and_teams_is_accepted() {
    let case = licensed("bound", per_employee(2000)).await;
    for (user, team) in [(243, "t".repeat(63)), (253, "t".repeat(44)), (149, "\u{1f3a7}".repeat(63))] {
        let members = (0..2000).map(|n| {
            json!({
                "user": format!("{n:u<user$}"), "loginMode": "Passive", "team": team,
                "entryDate": "2019-04-01", "exitDate": "2098-06-30",
            })
        });
        let text = roster("staff", json!({"name": "teamplaner"}), members.collect());
        case.kubectl.apply_with(&["--server-side"], &text).await;
        let all = MemberCounts { current: 2000, active: 0, passive: 2000, none: 0 };
        case.roster("staff").shows("all of them", |seen| counts(seen) == Some(all)).await;
        case.kubectl.expect(&["delete", "lroster/staff"]).await;
    }
    for (user, team) in [(244, 63), (253, 45)] {
        let long = json!([{"user": "u".repeat(user), "loginMode": "None", "entryDate": "2019-04-01", "team": "t".repeat(team)}]);
        let said = case.kubectl.refused(&roster("long", json!({"name": "teamplaner"}), long)).await;
        assert!(said.contains("spec.members[0]") && said.contains("must be at most 550"), "{said}");
    }
}

/// Members of a Roster in another namespace count only if the License allows it, and as soon as it does.
#[tokio::test]
async fn t1_a_roster_in_another_namespace_counts_only_where_the_license_admits_it() {
    let home = licensed("home", per_employee(1)).await;
    let away = Case::new("away").await;
    let license = home.license("teamplaner");
    let name = json!({"name": "teamplaner", "namespace": home.namespace});
    let two = json!([member("a", "Active", "2019-04-01"), member("b", "Active", "2019-04-01")]);
    away.kubectl.apply(&roster("staff", name, two)).await;
    let staff = away.roster("staff");
    let said = staff.is("Reconciling", "NotAccepted").await;
    assert!(said.starts_with("spec.licenseRef: ") && said.contains("spec.allowedNamespaces must say"), "{said}");
    assert_eq!(staff.is_not("Ready", "NotAccepted").await, said);
    assert_eq!(staff.told("NotAccepted").await, said);
    license.is_not("RosterExceedsSeats", "RosterMissing").await;

    let allow = async |allowed: Value| {
        let patch = json!({"spec": {"allowedNamespaces": allowed}}).to_string();
        home.kubectl.expect(&["patch", "lic/teamplaner", "--type=merge", "-p", &patch]).await;
    };
    let organisation = format!("organisation={}", home.namespace);
    let selector = json!({"matchExpressions": [{"key": "organisation", "operator": "In", "values": [home.namespace]}]});
    allow(json!({"from": "Selector", "selector": selector})).await;
    staff.is_not("Ready", "NotAccepted").await;
    away.kubectl.expect(&["label", "namespace", &away.namespace, &organisation]).await;
    staff.is("Ready", "Counted").await;
    license.is("RosterExceedsSeats", "MoreMembersThanSeats").await;
    away.kubectl.expect(&["label", "namespace", &away.namespace, "organisation-"]).await;
    staff.is_not("Ready", "NotAccepted").await;
    license.is_not("RosterExceedsSeats", "RosterMissing").await;
    allow(json!({"from": "All", "selector": null})).await;
    staff.is("Ready", "Counted").await;
    license.is("RosterExceedsSeats", "MoreMembersThanSeats").await;
    // The one member in the License's own namespace makes it three.
    home.kubectl
        .apply(&roster(
            "more",
            json!({"name": "teamplaner"}),
            json!([member("c", "None", "2019-04-01"), member("d", "Passive", "2019-04-01")]),
        ))
        .await;
    let three = "pool employees: 3 members, 2 of them in other namespaces, 1 seats; ";
    license.shows("who they are", |seen| condition_of(seen, "RosterExceedsSeats").message.starts_with(three)).await;
    home.kubectl.expect(&["delete", "lic/teamplaner"]).await;
    let said = staff.is("Reconciling", "LicenseMissing").await;
    let waits = format!("spec.licenseRef: License {}/teamplaner does not exist; this waits for it", home.namespace);
    assert!(said.starts_with(&waits), "{said}");
    assert_eq!(staff.told("LicenseMissing").await, waits);
}

/// The attack: a guest whose namespace the License admits writes a Roster of guesses. Its status and its Events must not say
/// who is on the Rosters of the owner and of other guests, how they spell the names, or what their Rosters are called.
#[tokio::test]
async fn a_guest_learns_nothing_of_the_people_on_the_rosters_of_others() {
    let home = licensed("guessed", per_employee(1)).await;
    let (guest, third) = (Case::new("guesses").await, Case::new("third").await);
    let admit_all = json!({"spec": {"allowedNamespaces": {"from": "All"}}}).to_string();
    home.kubectl.expect(&["patch", "lic/teamplaner", "--type=merge", "-p", &admit_all]).await;
    let name = json!({"name": "teamplaner", "namespace": home.namespace});
    let people = |users: &[&str]| users.iter().map(|user| member(user, "Active", "2019-04-01")).collect::<Value>();
    let staff = roster("staff", json!({"name": "teamplaner"}), people(&["b.kern", "Anna.Mueller"]));
    home.kubectl.apply(&staff).await;
    third.kubectl.apply(&roster("secret-project", name.clone(), people(&["whistle.blower"]))).await;
    third.roster("secret-project").is("Ready", "Counted").await;
    let guesses = people(&["b.kern", "whistle.blower", "anna.mueller"]);
    guest.kubectl.apply(&roster("probe", name.clone(), guesses)).await;
    home.license("teamplaner")
        .shows("the members, and how many of them are in other namespaces", |seen| {
            let said = &condition_of(seen, "RosterExceedsSeats").message;
            said.starts_with("pool employees: 4 members, 2 of them in other namespaces, 1 seats; ")
        })
        .await;
    // What the guest's own Rosters have in common is told, and nothing else.
    guest.kubectl.apply(&roster("second", name, people(&["b.kern", "B.Kern"]))).await;
    for roster in ["probe", "second"] {
        let both = format!("in {0}/probe and {0}/second", guest.namespace);
        let said = guest.roster(roster).is("DuplicateMember", "EntriesOverlap").await;
        assert!(said.ends_with(&format!("before None: b.kern {both}")), "{said}");
        assert_eq!(guest.roster(roster).told("DuplicateMember").await, said);
        let said = guest.roster(roster).is("DoubtfulNames", "NamesDifferInCase").await;
        assert!(said.ends_with(&format!("different users: B.Kern and b.kern {both}")), "{said}");
        assert_eq!(guest.roster(roster).told("DoubtfulNames").await, said);
    }
    let told = guest.kubectl.expect(&["get", "events", "-o", "yaml"]).await;
    for secret in [third.namespace.as_str(), "secret-project", "Anna.Mueller", "/staff"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    home.roster("staff").lacks("DuplicateMember").await;
    third.roster("secret-project").lacks("DuplicateMember").await;
}

/// T1: the API server refuses what it can judge, with the field and what to write; the operator judges the time zone.
#[tokio::test]
async fn t1_a_roster_that_makes_no_sense_is_refused_with_what_to_write() {
    let case = Case::new("bad-rosters").await;
    let date = "must be a civil date YYYY-MM-DD from 1970-01-01 to 2099-12-31";
    let exit = "exitDate is the first day on which the user is no longer a member: write a day after entryDate, or leave it out";
    let right =
        json!({"user": "a", "loginMode": "Active", "entryDate": "2019-04-01", "exitDate": "2026-06-30", "team": "x"});
    for (field, wrong, at, message) in [
        ("entryDate", json!("0000-01-01"), "spec.members[0].entryDate", date),
        ("exitDate", json!("0000-12-31"), "spec.members[0].exitDate", date),
        ("entryDate", json!("2100-01-01"), "spec.members[0].entryDate", date),
        ("entryDate", json!("2026-02-30"), "spec.members[0].entryDate", "must be of type date"),
        ("entryDate", json!(null), "spec.members[0].entryDate", "Required value"),
        ("exitDate", json!("2019-04-01"), "spec.members[0].exitDate", exit),
        ("exitDate", json!("2018-04-01"), "spec.members[0].exitDate", exit),
        ("user", json!(""), "spec.members[0].user", "at least 1 chars long"),
        ("user", json!(" a"), "spec.members[0].user", "without white space at its ends"),
        ("user", json!("a\n"), "spec.members[0].user", "without control characters"),
        ("user", json!("a\u{7}b"), "spec.members[0].user", "without control characters"),
        ("user", json!("x".repeat(254)), "spec.members[0].user", "253"),
        ("user", json!("ü".repeat(127)), "spec.members[0].user", "must be a user's name of at most 253 bytes"),
        ("loginMode", json!("active"), "spec.members[0].loginMode", r#"supported values: "Active", "Passive", "None""#),
        ("team", json!(""), "spec.members[0].team", "at least 1 chars long"),
    ] {
        let mut member = right.clone();
        member[field] = wrong.clone();
        let said = case.kubectl.refused(&roster("bad", json!({"name": "x"}), json!([member]))).await;
        assert!(said.contains(at) && said.contains(message), "{field}: {wrong}: {said}");
    }
    let twice = json!([member("a", "Active", "2019-04-01"), member("a", "None", "2019-04-01")]);
    let said = case.kubectl.refused(&roster("bad", json!({"name": "x"}), twice)).await;
    assert!(said.contains("spec.members[1]: Duplicate value"), "{said}");
    let many: Vec<Value> = (0..2001).map(|n| member(&n.to_string(), "None", "2019-04-01")).collect();
    let said = case.kubectl.refused(&roster("bad", json!({"name": "x"}), json!(many))).await;
    assert!(said.contains("spec.members: Too many: 2001: must have at most 2000 items"), "{said}");
    let said = case.kubectl.refused(&roster("bad", json!({}), json!([]))).await;
    assert!(said.contains("spec.licenseRef.name: Required value"), "{said}");

    let zone = roster("zone", json!({"name": "x"}), json!([right]))
        .replace(r#""spec":{"#, r#""spec":{"timeZone":"Europe/Bielefeld","#);
    case.kubectl.apply(&zone).await;
    let said = case.roster("zone").is("Stalled", "UnknownTimeZone").await;
    let expected = r#"spec.timeZone: "Europe/Bielefeld" is not a time zone; write an IANA name such as Europe/Berlin, or leave it out for UTC"#;
    assert_eq!(said, expected);
    assert_eq!(case.roster("zone").told("UnknownTimeZone").await, expected);
    case.kubectl.apply(&zone.replace("Bielefeld", "Berlin")).await;
    case.roster("zone").is("Reconciling", "LicenseMissing").await;
}

/// T1: 50,000 people in 25 objects, and then one of them leaves.
#[tokio::test]
async fn t1_fifty_thousand_people_in_25_rosters_are_ready_in_reasonable_time() {
    let case = licensed("thousands", per_employee(50_000)).await;
    let people = |n: usize, mode: &str| {
        let member = |i: usize| {
            let user = format!("employee.number.{}@company.example", n * 2000 + i);
            json!({"user": user, "loginMode": mode, "entryDate": "2019-04-01", "team": format!("team-{n}")})
        };
        Value::Array((0..2000).map(member).collect())
    };
    let name = json!({"name": "teamplaner"});
    let api: Api<Roster> = Api::namespaced(case.client.clone(), &case.namespace);
    let began = monotonic();
    for n in 0..25 {
        let roster = roster(&format!("part-{n}"), name.clone(), people(n, "Active"));
        api.create(&Default::default(), &serde_json::from_str(&roster).expect("a Roster"))
            .await
            .expect("it is in order");
    }
    let created = monotonic() - began;
    let within = Duration::from_secs(120);
    eventually(within, "25 Rosters are Ready", async || {
        let rosters = api.list(&ListParams::default()).await.map_err(|e| e.to_string())?.items;
        let ready = rosters.iter().filter(|roster| {
            let status = roster.status.as_ref();
            status.is_some_and(|status| is_true(&status.conditions, "Ready"))
                && counts(roster).is_some_and(|counts| counts.active == 2000)
        });
        let ready = ready.count();
        (ready == 25).then_some(()).ok_or(format!("{ready} of {}", rosters.len()))
    })
    .await;
    let all = monotonic() - began;
    case.license("teamplaner").is_not("RosterExceedsSeats", "Fits").await;
    // Adds one member more than there are seats, who then no longer needs one.
    let began = monotonic();
    case.kubectl.apply(&roster("late", name.clone(), json!([member("late", "Active", "2024-04-01")]))).await;
    let said = case.license("teamplaner").is("RosterExceedsSeats", "MoreMembersThanSeats").await;
    assert!(said.starts_with("pool employees: 50001 members, 50000 seats; "), "{said}");
    case.kubectl.apply(&roster("late", name, json!([member("late", "None", "2024-04-01")]))).await;
    case.license("teamplaner").is_not("RosterExceedsSeats", "Fits").await;
    let changed = monotonic() - began;
    eprintln!("50,000 people: created in {created:?}, all Ready after {all:?}; two changes shown in {changed:?}");
    assert!(changed < SOON, "{changed:?}");
}
