//! The commands that need no cluster, driven as users drive them: the real binary, files, standard output, exit status.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use seatkeeper::domain::license::jwk::signing_key_pem;
use seatkeeper::domain::license::token::sign;
use seatkeeper::domain::license::trust::{Revocations, sign_revocations};

/// The folder of one test, deleted when the test has passed.
struct Desk(PathBuf);

struct Answer {
    status: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Desk(folder)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.0.join(name), text).unwrap();
        self
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn run(&self, command: &str) -> Answer {
        self.run_with(&command.split(' ').collect::<Vec<_>>())
    }

    fn run_with(&self, arguments: &[&str]) -> Answer {
        let output =
            Command::new(env!("CARGO_BIN_EXE_seatkeeper")).args(arguments).current_dir(&self.0).output().unwrap();
        Answer {
            status: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A folder with keys/signing-key.pem, keys/jwks.json and contract.yaml.
    fn with_contract(contract: &str) -> Self {
        let desk = Desk::new();
        desk.run("keygen --out keys").expect(0);
        desk.write("contract.yaml", contract);
        desk
    }

    fn timeline(&self) -> Value {
        serde_json::from_str(&self.run("timeline -f contract.yaml -o json").expect(0).out).unwrap()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

impl Answer {
    fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{}{}", self.out, self.err);
        self
    }

    /// Checks that the command failed with this status, and printed this on standard error and nothing on standard
    /// output.
    fn expect_refusal(self, status: i32, says: &[&str]) {
        let answer = self.expect(status);
        assert_eq!(answer.out, "");
        for part in says {
            assert!(answer.err.contains(part), "{part:?} is not in: {}", answer.err);
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }
}

const PLAN: &str = r#"apiVersion: seatkeeper.dev/v1alpha1
kind: Plan
metadata: {name: innoacd, namespace: vendor}
spec:
  title: innoACD
  product: innoacd
  terms: {interval: {months: 12}, notice: {months: 3}}
  license:
    graceDays: 14
    demoSeats: 2
    features: [acd]
    pools: [{name: agents, model: Concurrent}]
"#;

/// Returns a Plan and a Subscription; `spec` holds further lines of the Subscription's spec.
fn contract(starts_on: &str, spec: &str) -> String {
    format!("{PLAN}---\n{}", subscription("stadtwerke", starts_on, spec))
}

fn subscription(name: &str, starts_on: &str, spec: &str) -> String {
    format!(
        r#"apiVersion: seatkeeper.dev/v1alpha1
kind: Subscription
metadata: {{name: {name}, namespace: vendor}}
spec:
  customer: {{organisation: Stadtwerke}}
  startsOn: "{starts_on}"
  plans: [{{name: innoacd, pools: [{{name: agents, seats: 50}}]}}]
{spec}"#
    )
}

/// Returns `at`, event and term of every event.
fn events(timeline: &Value) -> Vec<(String, String, u64)> {
    let event = |e: &Value| {
        (e["at"].as_str().unwrap().to_owned(), e["event"].as_str().unwrap().to_owned(), e["term"].as_u64().unwrap())
    };
    timeline.as_array().unwrap().iter().map(event).collect()
}

fn at<'t>(timeline: &'t Value, event: &str) -> Vec<&'t str> {
    let of_kind = timeline.as_array().unwrap().iter().filter(|e| e["event"] == event);
    of_kind.map(|e| e["at"].as_str().unwrap()).collect()
}

const BERLIN: &str = "  timeZone: Europe/Berlin\n";

// timeline

#[test]
fn the_timeline_of_the_lead_case_has_every_event_at_its_instant_with_the_local_offset_i5_i6() {
    let timeline = Desk::with_contract(&contract("2026-01-01", BERLIN)).timeline();
    let expected = [
        ("2026-01-01T00:00:00+01:00", "KeyIssued", 1),
        ("2026-01-01T00:00:00+01:00", "TermStarts", 1),
        ("2026-10-01T00:00:00+02:00", "NoticeDeadline", 1),
        ("2026-10-01T00:00:00+02:00", "KeyIssued", 2),
        ("2027-01-01T00:00:00+01:00", "TermStarts", 2),
        ("2027-10-01T00:00:00+02:00", "NoticeDeadline", 2),
        ("2027-10-01T00:00:00+02:00", "KeyIssued", 3),
        ("2028-01-01T00:00:00+01:00", "TermStarts", 3),
        ("2028-10-01T00:00:00+02:00", "NoticeDeadline", 3),
    ];
    assert_eq!(events(&timeline), expected.map(|(at, event, term)| (at.to_owned(), event.to_owned(), term)));
    assert_eq!(
        timeline[3],
        json!({"at": "2026-10-01T00:00:00+02:00", "event": "KeyIssued", "term": 2,
               "validFrom": "2027-01-01T00:00:00+01:00", "expiresAt": "2028-01-01T00:00:00+01:00"})
    );
    assert_eq!(timeline[1], json!({"at": "2026-01-01T00:00:00+01:00", "event": "TermStarts", "term": 1}));
}

#[test]
fn a_cancellation_counts_for_the_term_whose_notice_day_it_precedes_and_grace_and_demo_follow_i8_i9() {
    let cancelled = |received: &str| {
        let spec = format!("{BERLIN}  cancellation: {{receivedOn: \"{received}\"}}\n");
        Desk::with_contract(&contract("2026-01-01", &spec)).timeline()
    };
    let in_time = cancelled("2026-09-30");
    let last = [
        ("2027-01-01T00:00:00+01:00", "Ends", 1),
        ("2027-01-01T00:00:00+01:00", "GraceStarts", 1),
        ("2027-01-15T00:00:00+01:00", "DemoStarts", 1),
    ];
    assert_eq!(events(&in_time)[3..], last.map(|(at, event, term)| (at.to_owned(), event.to_owned(), term)));
    assert_eq!(at(&in_time, "KeyIssued").len(), 1);
    let too_late = cancelled("2026-10-01");
    assert_eq!(at(&too_late, "Ends"), ["2028-01-01T00:00:00+01:00"]);
    assert_eq!(at(&too_late, "KeyIssued").len(), 2);
    // A date far ahead of any clock counts too: a timeline does not depend on the present.
    assert_eq!(at(&cancelled("2027-09-30"), "Ends"), ["2028-01-01T00:00:00+01:00"]);
}

#[test]
fn days_begin_at_the_first_instant_that_exists() {
    let cases = [
        // A midnight that does not exist, one that comes twice, and a day that does not exist.
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T01:00:00-02:00"),
        ("2017-11-05", "America/Havana", "2017-11-05T00:00:00-04:00"),
        ("2011-12-30", "Pacific/Apia", "2011-12-31T00:00:00+14:00"),
        ("2026-01-01", "UTC", "2026-01-01T00:00:00+00:00"),
        // RFC 3339 cannot write this zone's offset of those years, -00:44:30.
        ("1971-01-01", "Africa/Monrovia", "1971-01-01T00:44:30+00:00"),
    ];
    for (day, zone, expected) in cases {
        let timeline = Desk::with_contract(&contract(day, &format!("  timeZone: {zone}\n"))).timeline();
        assert_eq!(at(&timeline, "TermStarts")[0], expected, "{day} in {zone}");
    }
    let no_zone = Desk::with_contract(&contract("2026-01-01", "")).timeline();
    assert_eq!(at(&no_zone, "TermStarts")[0], "2026-01-01T00:00:00+00:00");
}

#[test]
fn terms_from_the_end_of_a_month_find_their_day_again() {
    let monthly = contract("2026-01-31", "").replace("months: 12", "months: 1").replace("months: 3", "days: 14");
    let starts = ["2026-01-31T00:00:00+00:00", "2026-02-28T00:00:00+00:00", "2026-03-31T00:00:00+00:00"];
    assert_eq!(at(&Desk::with_contract(&monthly).timeline(), "TermStarts"), starts);
}

#[test]
fn a_contract_of_fixed_length_ends_by_itself_its_last_term_cut_short() {
    let fixed = contract("2026-01-01", "").replace("notice: {months: 3}", "notice: {months: 3}, length: {months: 18}");
    let timeline = Desk::with_contract(&fixed).timeline();
    assert_eq!(at(&timeline, "Ends"), ["2027-07-01T00:00:00+00:00"]);
    assert_eq!(at(&timeline, "NoticeDeadline"), ["2026-10-01T00:00:00+00:00"]);
    assert_eq!(at(&timeline, "TermStarts").len(), 2);
}

#[test]
fn without_grace_demo_starts_at_the_end() {
    let spec = "  cancellation: {receivedOn: \"2026-01-02\"}\n";
    let timeline = Desk::with_contract(&contract("2026-01-01", spec).replace("    graceDays: 14\n", "")).timeline();
    assert_eq!(at(&timeline, "GraceStarts"), [""; 0]);
    assert_eq!(at(&timeline, "DemoStarts"), at(&timeline, "Ends"));
}

#[test]
fn if_the_notice_is_longer_than_the_interval_the_first_keys_come_together() {
    let monthly = contract("2026-01-01", "").replace("months: 12", "months: 1");
    let desk = Desk::with_contract(&monthly);
    let timeline = desk.run("timeline -f contract.yaml --terms 5 -o json").expect(0).json();
    let start = "2026-01-01T00:00:00+00:00";
    assert_eq!(at(&timeline, "KeyIssued"), [start, start, start, start, "2026-02-01T00:00:00+00:00"]);
}

#[test]
fn a_perpetual_contract_has_one_key_without_an_end() {
    let perpetual = contract("2026-01-01", "")
        .replace("  terms: {interval: {months: 12}, notice: {months: 3}}\n", "")
        .replace("    graceDays: 14\n", "    lifetime: Perpetual\n");
    let desk = Desk::with_contract(&perpetual);
    let timeline = desk.timeline();
    assert_eq!(timeline[0]["validFrom"], "2026-01-01T00:00:00+00:00");
    assert_eq!((&timeline[0]["event"], timeline[0].get("expiresAt")), (&json!("KeyIssued"), None));
    assert_eq!(at(&timeline, "KeyIssued").len(), 1);
    desk.run("issue -f contract.yaml --signing-key keys/signing-key.pem --out key.jwt").expect(0);
    let verified = desk.run("verify --trust keys/jwks.json -o json --at 2999-01-01T00:00:00Z key.jwt").expect(0).json();
    assert_eq!(verified["claims"].get("exp"), None);
    desk.run("issue -f contract.yaml --signing-key keys/signing-key.pem --term 2 --out key.jwt")
        .expect_refusal(1, &["a perpetual licence has only term 1"]);
}

#[test]
fn the_table_shows_local_times_and_weekdays() {
    let spec = format!("{BERLIN}  cancellation: {{receivedOn: \"2026-09-30\"}}\n");
    let desk = Desk::with_contract(&contract("2026-01-01", &spec));
    let table = desk.run("timeline -f contract.yaml").expect(0).out;
    for row in [
        "2026-10-01 00:00  Thursday  NoticeDeadline  1     the last day to cancel for the end of this term was 2026-09-30",
        "2027-01-15 00:00  Friday    DemoStarts      1     only the demo seats are left: 2",
    ] {
        assert!(table.contains(row), "{table}");
    }
}

#[test]
fn an_order_that_waits_for_approval_is_shown_as_if_approved_and_says_so_i11() {
    let manual = contract("2026-01-01", "").replace("  product:", "  orders: {approval: Manual}\n  product:");
    let desk = Desk::with_contract(&manual);
    let answer = desk.run("timeline -f contract.yaml -o json").expect(0);
    assert!(answer.err.contains("waits for approval (order.approvedOn)"), "{}", answer.err);
    assert_eq!(at(&answer.json(), "KeyIssued").len(), 3);
    desk.run("issue -f contract.yaml --signing-key keys/signing-key.pem --out key.jwt")
        .expect_refusal(1, &["spec.order.approvedOn: the order is not approved"]);
    assert!(!desk.0.join("key.jwt").exists());
}

#[test]
fn an_unquoted_on_and_its_yaml_1_1_meaning_are_the_same() {
    for on in ["on", "\"on\"", "true", "\"true\""] {
        let changes = format!("seats: 50, changes: [{{{on}: \"2020-06-01\", seats: 60}}]");
        let desk = Desk::with_contract(&contract("2020-01-01", "").replace("seats: 50", &changes));
        let answer =
            desk.run("issue -f contract.yaml --signing-key keys/signing-key.pem --term 2 --out key.jwt").expect(0);
        assert_eq!(answer.err, "", "{on}");
        let claims = &desk.run("verify --trust keys/jwks.json -o json key.jwt").json()["claims"];
        assert_eq!(claims["pools"][0]["seats"], 60, "{on}");
    }
}

// issue

/// Returns a contract whose first term runs whenever this test does.
fn long_contract(spec: &str) -> String {
    contract("2020-01-01", spec).replace("interval: {months: 12}", "interval: {years: 100}")
}

#[test]
fn the_key_of_the_running_term_is_in_force_and_says_what_was_ordered_i4() {
    let desk = Desk::with_contract(&contract("2020-01-01", BERLIN));
    let said = desk.run("issue -f contract.yaml --signing-key keys/signing-key.pem --out key.jwt").expect(0);
    assert!(
        said.out.starts_with("key.jwt: key ") && said.out.contains("for Stadtwerke, Plan innoacd, term "),
        "{}",
        said.out
    );
    let verified = desk.run("verify --trust keys/jwks.json --product innoacd -o json key.jwt").expect(0).json();
    assert_eq!((&verified["state"], &verified["reason"]), (&json!("InForce"), &Value::Null));
    let claims = &verified["claims"];
    assert_eq!(claims["pools"], json!([{"name": "agents", "model": "Concurrent", "countBy": "User", "seats": 50}]));
    assert_eq!(claims["sub"], "Stadtwerke");
    assert_eq!(claims["iss"], "vendor");
    assert_eq!(claims["grant"], "vendor/vendor/stadtwerke/2020-01-01/innoacd");
    assert_eq!(claims["features"], json!(["acd"]));
    assert_eq!(claims["demo_seats"], 2);
    assert_eq!(claims["grace_until"].as_i64().unwrap() - claims["exp"].as_i64().unwrap(), 14 * 86_400);
}

#[test]
fn the_same_key_is_never_issued_under_two_serials() {
    let desk = Desk::with_contract(&contract("2020-01-01", BERLIN));
    let serial = |term: u32| {
        let command = format!("issue -f contract.yaml --signing-key keys/signing-key.pem --term {term} --out");
        desk.run(&format!("{command} {term}.jwt")).expect(0);
        let verify = format!("verify --trust keys/jwks.json -o json {term}.jwt");
        let claims = desk.run(&verify).json()["claims"].clone();
        (claims["jti"].as_str().unwrap().to_owned(), claims["subscription"]["term"].as_u64().unwrap())
    };
    assert_eq!(serial(3), serial(3));
    assert_ne!(serial(3).0, serial(4).0);
    assert_eq!(serial(40).1, 40);
}

#[test]
fn before_the_start_it_is_the_key_of_the_first_term() {
    let desk = Desk::with_contract(&contract("2090-01-01", ""));
    desk.run("issue -f contract.yaml --signing-key keys/signing-key.pem --out key.jwt").expect(0);
    let verified = desk.run("verify --trust keys/jwks.json -o json key.jwt").expect(1).json();
    assert_eq!((&verified["state"], &verified["claims"]["subscription"]["term"]), (&json!("Future"), &json!(1)));
}

#[test]
fn no_key_is_issued_beyond_the_end_of_the_contract() {
    let desk = Desk::with_contract(&contract("2020-01-01", "  cancellation: {receivedOn: \"2020-09-30\"}\n"));
    let issue = "issue -f contract.yaml --signing-key keys/signing-key.pem --out key.jwt";
    desk.run(&format!("{issue} --term 2"))
        .expect_refusal(1, &["the contract ends with term 1, with 2020-12-31: there is no term 2"]);
    desk.run(issue).expect_refusal(1, &["the contract ended with 2020-12-31; name a term to get its key again"]);
    desk.run(&format!("{issue} --term 1")).expect(0);
    assert_eq!(desk.run("verify --trust keys/jwks.json -o json key.jwt").expect(1).json()["state"], "Expired");
    desk.run(&format!("{issue} --term 0")).expect(2);
    desk.write("contract.yaml", contract("2020-01-01", ""));
    desk.run(&format!("{issue} --term 4000000000"))
        .expect_refusal(1, &["term 4000000000 is beyond the end of the calendar"]);
}

#[test]
fn if_seats_change_within_a_term_the_key_in_force_is_issued_and_the_next_change_is_reported() {
    let changes = r#"seats: 50, changes: [{"on": "2021-01-01", seats: 60}, {"on": "2095-01-01", seats: 70}]"#;
    let desk = Desk::with_contract(&long_contract("").replace("seats: 50", changes));
    let said = desk.run("issue -f contract.yaml --signing-key keys/signing-key.pem --out key.jwt").expect(0);
    assert!(said.err.contains("the seats change on 2095-01-01: agents 70"), "{}", said.err);
    let claims = desk.run("verify --trust keys/jwks.json -o json key.jwt").expect(0).json()["claims"].clone();
    assert_eq!(claims["pools"][0]["seats"], 60);
    assert_eq!(claims["nbf"], 1_609_459_200);
}

#[test]
fn if_there_are_several_plans_one_must_be_named() {
    let second = PLAN.replace("name: innoacd", "name: other").replace("product: innoacd", "product: other");
    let both =
        contract("2020-01-01", "").replace("plans: [", "plans: [{name: other, pools: [{name: agents, seats: 7}]}, ");
    let desk = Desk::with_contract(&format!("{second}---\n{both}"));
    let issue = "issue -f contract.yaml --signing-key keys/signing-key.pem --out key.jwt";
    desk.run(issue).expect_refusal(2, &["has the Plans other, innoacd: name one with --plan"]);
    desk.run(&format!("{issue} --plan none")).expect_refusal(2, &["other, innoacd, and no none"]);
    desk.run(&format!("{issue} --plan other")).expect(0);
    let claims = desk.run("verify --trust keys/jwks.json -o json key.jwt").expect(0).json()["claims"].clone();
    assert_eq!((&claims["aud"], &claims["pools"][0]["seats"]), (&json!("other"), &json!(7)));
}

#[test]
fn the_issuer_can_be_named() {
    let desk = Desk::with_contract(&contract("2020-01-01", ""));
    desk.run("issue -f contract.yaml --signing-key keys/signing-key.pem --issuer root --out key.jwt").expect(0);
    let claims = desk.run("verify --trust keys/jwks.json -o json key.jwt").expect(0).json()["claims"].clone();
    assert_eq!(
        (&claims["iss"], &claims["grant"]),
        (&json!("root"), &json!("root/vendor/stadtwerke/2020-01-01/innoacd"))
    );
}

/// It used to be issued, and every License refused it.
#[test]
fn an_order_of_more_users_than_a_key_can_name_is_refused() {
    let users = |n: usize| (0..n).map(|n| format!("{n:0>60}@example.com")).collect::<Vec<_>>().join(", ");
    let order = |n: usize| {
        let plan_and_order = contract("2020-01-01", "").replace("model: Concurrent", "model: Named");
        plan_and_order.replace("seats: 50", &format!("seats: 50, users: [{}]", users(n)))
    };
    let desk = Desk::with_contract(&order(600));
    let issue = "issue -f contract.yaml --signing-key keys/signing-key.pem --out key.jwt";
    desk.run(issue).expect(0);
    desk.run("verify --trust keys/jwks.json key.jwt").expect(0);
    desk.write("contract.yaml", order(700)).run(&issue.replace("key.jwt", "long.jwt")).expect_refusal(
        1,
        &["spec.plans: a key of Plan innoacd would be ", "a License reads at most 65536: name fewer users"],
    );
    assert!(!desk.0.join("long.jwt").exists());
}

/// The signing key was replaced by a licence key, and every key of the vendor's customers would have had to be issued again.
#[test]
fn a_file_that_holds_something_else_is_not_overwritten() {
    let desk = Desk::with_contract(&long_contract(""));
    let signing_key = desk.read("keys/signing-key.pem");
    desk.write("rsa.pem", "-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n");
    desk.write("notes", "the order of Stadtwerke\n");
    std::os::unix::fs::symlink("keys/signing-key.pem", desk.0.join("link.jwt")).unwrap();
    let issue = |out: &str| desk.run(&format!("issue -f contract.yaml --signing-key keys/signing-key.pem --out {out}"));
    for (out, says) in [
        ("keys/signing-key.pem", "keys/signing-key.pem: holds a private key and is not overwritten: name another file"),
        ("rsa.pem", "rsa.pem: holds a private key and is not overwritten"),
        ("link.jwt", "link.jwt: holds a private key and is not overwritten"),
        (
            "notes",
            "notes: exists already, holds something else and is not overwritten: name another file with --out, or",
        ),
        ("keys/jwks.json", "keys/jwks.json: exists already, holds something else"),
        ("keys", "keys: is not a file that can be replaced"),
    ] {
        issue(out).expect_refusal(1, &[says]);
    }
    assert_eq!(
        (desk.read("keys/signing-key.pem"), desk.read("notes")),
        (signing_key, "the order of Stadtwerke\n".into())
    );
    issue("key.jwt").expect(0);
    let key = desk.read("key.jwt");
    // The same key again, which was signed a moment later, and a key of another term or signer.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    issue("key.jwt").expect(0);
    let again = desk.read("key.jwt");
    issue("key.jwt --term 2").expect_refusal(1, &["key.jwt: exists already, holds something else"]);
    desk.run("keygen --out other").expect(0);
    desk.run("issue -f contract.yaml --signing-key other/signing-key.pem --out key.jwt")
        .expect_refusal(1, &["key.jwt: exists already, holds something else"]);
    assert_eq!(desk.read("key.jwt"), again);
    assert_ne!(key, again, "it was signed again");
    desk.write("empty.jwt", "");
    issue("empty.jwt").expect(0);
}

#[test]
fn a_wrong_signing_key_is_refused_without_being_repeated() {
    let desk = Desk::with_contract(&contract("2020-01-01", ""));
    let issue = "issue -f contract.yaml --signing-key wrong.pem --out key.jwt";
    desk.run(issue).expect_refusal(2, &["wrong.pem: cannot be read"]);
    desk.write("wrong.pem", "-----BEGIN PRIVATE KEY-----\nTOPSECRET\n-----END PRIVATE KEY-----\n");
    let answer = desk.run(issue).expect(2);
    assert!(
        answer.err.contains("wrong.pem: is not an Ed25519 private key") && !answer.err.contains("TOPSECRET"),
        "{}",
        answer.err
    );
    assert!(!desk.0.join("key.jwt").exists());
}

// keygen

#[test]
fn a_signing_key_is_private_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    desk.run("keygen --out a/b").expect(0);
    let mode = std::fs::metadata(desk.0.join("a/b/signing-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = (desk.read("a/b/signing-key.pem"), desk.read("a/b/jwks.json"));
    assert!(before.0.starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS #8");
    assert!(!before.1.contains("\"d\""));
    desk.run("keygen --out a/b").expect_refusal(1, &["signing-key.pem: exists already and is not overwritten"]);
    std::fs::remove_file(desk.0.join("a/b/signing-key.pem")).unwrap();
    desk.run("keygen --out a/b").expect_refusal(1, &["jwks.json: exists already"]);
    assert!(!desk.0.join("a/b/signing-key.pem").exists());
    desk.run("keygen --out c").expect(0);
    assert_ne!(desk.read("c/signing-key.pem"), before.0);
}

/// Each was seen to be written through, or to be readable, before.
#[test]
fn a_key_is_written_for_its_owner_alone_and_through_no_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let desk = Desk::with_contract(&contract("2026-01-01", ""));
    desk.write("precious", "precious");
    // The draft's name is known to a user who sees the process start.
    let issue = "ln -s precious .key.jwt.$$; umask 0; exec \"$0\" issue -f contract.yaml --term 1 \
                 --signing-key keys/signing-key.pem --out key.jwt";
    let shell = |script: &str| {
        let binary = env!("CARGO_BIN_EXE_seatkeeper");
        let output = Command::new("sh").args(["-c", script, binary]).current_dir(&desk.0).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let mode = |name: &str| std::fs::symlink_metadata(desk.0.join(name)).unwrap().permissions().mode() & 0o777;
    shell(issue);
    assert_eq!(desk.read("precious"), "precious");
    assert!(!desk.0.join("key.jwt").is_symlink());
    assert_eq!(mode("key.jwt"), 0o600);
    shell("umask 0; exec \"$0\" keygen --out more/keys");
    assert_eq!(
        [mode("more/keys"), mode("more/keys/signing-key.pem"), mode("more/keys/jwks.json")],
        [0o700, 0o600, 0o644]
    );
    std::fs::create_dir(desk.0.join("third")).unwrap();
    symlink("../nowhere", desk.0.join("third/signing-key.pem")).unwrap();
    desk.run("keygen --out third").expect_refusal(1, &["third/signing-key.pem: exists already"]);
    assert!(!desk.0.join("nowhere").exists());
}

#[test]
fn a_signing_key_that_others_can_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::with_contract(&contract("2026-01-01", ""));
    let issue = "issue -f contract.yaml --term 1 --signing-key keys/signing-key.pem --out key.jwt";
    assert_eq!(desk.run(issue).expect(0).err, "");
    let pem = desk.0.join("keys/signing-key.pem");
    std::fs::set_permissions(&pem, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(
        desk.run(issue).expect(0).err,
        "seatkeeper: keys/signing-key.pem: other users of this machine have access to it (mode 0640): run `chmod go-rwx \
         keys/signing-key.pem`\n"
    );
}

// verify and inspect

const NBF: i64 = 1_767_225_600; // 2026-01-01
const EXP: i64 = 1_798_761_600; // 2027-01-01

fn claims() -> Value {
    json!({"iss": "vendor", "jti": "s1", "sub": "A", "aud": "innoacd", "iat": NBF, "nbf": NBF, "exp": EXP,
           "grace_until": EXP + 14 * 86_400, "pools": [{"name": "agents", "model": "Concurrent", "countBy": "User", "seats": 5}]})
}

/// Returns a folder with a signing key's jwks.json and a key.jwt signed by it, and the text that the signature covers.
fn signed(claims: &Value) -> (Desk, String) {
    let desk = Desk::new();
    desk.run("keygen --out keys").expect(0);
    let key = seatkeeper::domain::license::jwk::read_signing_key(desk.read("keys/signing-key.pem").as_bytes()).unwrap();
    let text = sign("license+jwt", claims, &key);
    desk.write("key.jwt", &text);
    (desk, text)
}

const IN_2026: &str = "--at 2026-06-01T00:00:00Z";

fn verify(desk: &Desk, more: &str) -> (i32, Value) {
    let answer = desk.run(&format!("verify --trust keys/jwks.json {more} -o json key.jwt"));
    (answer.status, answer.json())
}

#[test]
fn a_key_is_in_force_from_its_first_second_to_the_one_before_its_end() {
    let (desk, _) = signed(&claims());
    let cases = [
        ("2025-12-31T23:59:59Z", 1, "Future"),
        ("2026-01-01T00:00:00Z", 0, "InForce"),
        ("2026-01-01T01:00:00+01:00", 0, "InForce"),
        ("2026-12-31T23:59:59Z", 0, "InForce"),
        ("2027-01-01T00:00:00Z", 1, "Expired"),
    ];
    for (at, status, state) in cases {
        let (exit, answer) = verify(&desk, &format!("--at {at}"));
        assert_eq!((exit, &answer["state"], &answer["reason"]), (status, &json!(state), &Value::Null), "{at}");
        assert_eq!(answer["claims"]["jti"], "s1", "{at}");
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    let (_, expired) = verify(&desk, "--at 2027-01-02T00:00:00Z");
    assert!(expired["message"].as_str().unwrap().contains("its grace runs to the end of 2027-01-14"), "{expired}");
}

#[test]
fn every_bad_key_is_refused_with_its_reason_and_claims_only_where_the_signature_held() {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    let (desk, good) = signed(&claims());
    let (other, other_pem) = signing_key_pem(&[9; 32]).unwrap();
    assert!(other_pem.contains("PRIVATE"));
    let parts: Vec<&str> = good.split('.').collect();
    let header = |header: Value| format!("{}.{}.{}", BASE64.encode(header.to_string()), parts[1], parts[2]);
    let kid = serde_json::from_slice::<Value>(&BASE64.decode(parts[0]).unwrap()).unwrap()["kid"].clone();
    let mut tampered = claims();
    tampered["pools"][0]["seats"] = json!(5000);
    let cases = [
        (String::new(), "Malformed", "it is empty"),
        ("\n \n".into(), "Malformed", "it is empty"),
        (good[..good.len() / 2].into(), "Malformed", "is it complete?"),
        (good[..good.len() - 4].into(), "BadSignature", "cut short"),
        ("x".repeat(3_000_000), "Malformed", "larger than 65536 bytes"),
        (header(json!({"alg": "none", "typ": "license+jwt"})), "Malformed", "must say alg EdDSA"),
        (header(json!({"alg": "HS256", "typ": "license+jwt", "kid": kid})), "Malformed", "must say alg EdDSA"),
        (header(json!({"alg": "EdDSA", "typ": "JWT", "kid": kid})), "Malformed", "must say typ license+jwt"),
        (header(json!({"alg": "EdDSA", "typ": "license+jwt", "kid": kid, "crit": ["b64"]})), "Malformed", "crit"),
        (
            sign("license+jwt", &claims(), &other),
            "UnknownKey",
            "no key that is trusted here has signed it: this cluster's trust lacks the vendor's key, or",
        ),
        (
            header(json!({"alg": "EdDSA", "typ": "license+jwt"})),
            "UnknownKey",
            "no key that is trusted here has signed it: this cluster's trust lacks the vendor's key, or",
        ),
        (
            format!("{}.{}.{}", parts[0], BASE64.encode(tampered.to_string()), parts[2]),
            "BadSignature",
            "does not match",
        ),
        ("hello".into(), "Malformed", "three parts"),
    ];
    for (text, reason, says) in cases {
        desk.write("key.jwt", &text);
        let (exit, answer) = verify(&desk, IN_2026);
        assert_eq!((exit, &answer["state"], &answer["reason"]), (1, &json!("Refused"), &json!(reason)), "{says}");
        assert_eq!(answer["claims"], Value::Null, "{says}");
        assert!(answer["message"].as_str().unwrap().contains(says), "{answer}");
    }
}

#[test]
fn a_key_with_absurd_claims_is_malformed_though_its_signature_holds() {
    let with = |change: fn(&mut Value)| {
        let mut claims = claims();
        change(&mut claims);
        claims
    };
    let cases = [
        with(|c| c["exp"] = json!(NBF)),
        with(|c| c["grace_until"] = json!(EXP - 1)),
        with(|c| c["nbf"] = json!(-1)),
        with(|c| c["exp"] = json!(i64::MAX)),
        with(|c| c["jti"] = json!("")),
        with(|c| c["pools"][0]["seats"] = json!(4_000_000_000_u32)),
        with(|c| c["pools"] = json!([c["pools"][0], c["pools"][0]])),
        with(|c| c["aud"] = json!(["innoacd", "other"])),
        json!([]),
    ];
    for claims in cases {
        let (desk, _) = signed(&claims);
        let (exit, answer) = verify(&desk, IN_2026);
        assert_eq!((exit, &answer["reason"], &answer["claims"]), (1, &json!("Malformed"), &Value::Null), "{claims}");
    }
}

#[test]
fn a_key_for_another_product_is_refused_and_shown() {
    let (desk, _) = signed(&claims());
    let (exit, answer) = verify(&desk, &format!("--product innoacd {IN_2026}"));
    assert_eq!((exit, &answer["state"]), (0, &json!("InForce")));
    let (exit, answer) = verify(&desk, &format!("--product other {IN_2026}"));
    assert_eq!((exit, &answer["reason"], &answer["claims"]["aud"]), (1, &json!("WrongProduct"), &json!("innoacd")));
    assert_eq!(answer["message"], "it is for product innoacd, not other");
}

#[test]
fn a_revoked_key_is_refused_and_a_bad_list_is_wrong_use() {
    let (desk, key_text) = signed(&claims());
    let key = seatkeeper::domain::license::jwk::read_signing_key(desk.read("keys/signing-key.pem").as_bytes()).unwrap();
    let list = |serial: &str| Revocations { version: 1, iat: NBF, exp: None, serials: [serial.to_owned()].into() };
    desk.write("revoked.jwt", sign_revocations(&list("s1"), &key));
    let (exit, answer) = verify(&desk, &format!("--revoked revoked.jwt {IN_2026}"));
    assert_eq!((exit, &answer["reason"], &answer["claims"]["jti"]), (1, &json!("Revoked"), &json!("s1")));
    desk.write("revoked.jwt", sign_revocations(&list("another"), &key));
    assert_eq!(verify(&desk, &format!("--revoked revoked.jwt {IN_2026}")).0, 0);
    let (stranger, _) = signing_key_pem(&[9; 32]).unwrap();
    for bad in [sign_revocations(&list("s1"), &stranger), String::new(), "x".into(), key_text] {
        desk.write("revoked.jwt", bad);
        desk.run("verify --trust keys/jwks.json --revoked revoked.jwt key.jwt")
            .expect_refusal(2, &["revoked.jwt: is not a revoked.jwt from a trusted signer"]);
    }
    desk.run("verify --trust keys/jwks.json --revoked none.jwt key.jwt")
        .expect_refusal(2, &["none.jwt: cannot be read"]);
}

#[test]
fn one_unusable_entry_of_a_trust_file_spoils_no_other_and_is_named() {
    let (desk, _) = signed(&claims());
    let key = seatkeeper::domain::license::jwk::read_signing_key(desk.read("keys/signing-key.pem").as_bytes()).unwrap();
    let good = serde_json::from_str::<Value>(&desk.read("keys/jwks.json")).unwrap()["keys"][0].clone();
    let other = |name: &str, value: Value| {
        let mut jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        jwk[name] = value;
        jwk
    };
    for (bad, says) in [
        (
            other("x", json!("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")),
            "key 0 has no `x` that is an Ed25519 public key",
        ),
        (other("x", Value::Null), "key 0 has no `x`"),
        (json!("hunter2"), "key 0 is not a JSON object"),
        (other("d", json!("hunter2")), "key 0 is a private key"),
        (json!({"kty": "RSA", "n": "AA", "e": "AQAB", "p": "hunter2"}), "key 0 is a private key"),
        (json!({"kty": "oct", "k": "hunter2"}), "key 0 is a private key"),
    ] {
        desk.write("jwks.json", json!({"keys": [bad, good]}).to_string());
        let answer = desk.run(&format!("verify --trust jwks.json {IN_2026} key.jwt")).expect(0);
        assert!(answer.err.contains("jwks.json: ") && answer.err.contains(says), "{bad}: {}", answer.err);
        assert!(answer.err.contains("; the other keys count") && !answer.err.contains("hunter2"), "{}", answer.err);
    }
    let for_another_purpose = json!({"keys": [{"kty": "RSA", "n": "AA", "e": "AQAB"}, good]});
    desk.write("jwks.json", for_another_purpose.to_string());
    assert_eq!(desk.run(&format!("verify --trust jwks.json {IN_2026} key.jwt")).expect(0).err, "");

    let list = json!({"version": 1, "iat": NBF, "serials": [7, "s1", null]});
    desk.write("revoked.jwt", sign("revocations+jwt", &list, &key));
    let answer = desk.run(&format!("verify --trust keys/jwks.json --revoked revoked.jwt {IN_2026} key.jwt")).expect(1);
    assert!(answer.out.contains("Refused (Revoked)"), "{}", answer.out);
    assert!(answer.err.contains("revoked.jwt: serials 0, 2 are not texts; the others count"), "{}", answer.err);
}

/// What editors, shells and mail programs make of a text.
fn as_people_send(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    let utf_16 = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let crlf = text.replace('\n', "\r\n");
    let quoted: String = text.lines().map(|line| format!("> > {line}\n")).collect();
    let wrapped = |at: usize| BASE64_STANDARD.encode(text).as_bytes().chunks(at).collect::<Vec<_>>().join(&b'\n');
    vec![
        ("a byte order mark", format!("\u{feff}{text}").into()),
        ("CRLF", crlf.clone().into()),
        ("trailing blanks", format!("\n{}  \t \r\n\r\n", text.trim()).into()),
        ("UTF-16 of PowerShell", utf_16(&format!("\u{feff}{crlf}"), u16::to_le_bytes)),
        ("UTF-16, the other way round", utf_16(&format!("\u{feff}{text}"), u16::to_be_bytes)),
        ("UTF-16 without a mark", utf_16(text, u16::to_le_bytes)),
        ("a quotation", quoted.into()),
        ("base64, once too often", BASE64_STANDARD.encode(text).into()),
        ("base64, wrapped", wrapped(76)),
    ]
}

fn wrapped(text: &str, at: usize, by: &str) -> String {
    let lines: Vec<&str> = text.as_bytes().chunks(at).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join(by)
}

#[test]
fn a_licence_key_and_a_list_are_read_as_people_send_them() {
    let (desk, text) = signed(&claims());
    let mut sent = as_people_send(&text);
    for at in [64, 76] {
        sent.push(("wrapped", wrapped(&text, at, "\n").into()));
        sent.push(("wrapped and CRLF", (wrapped(&text, at, "\r\n") + "\r\n").into()));
        sent.push((
            "quoted",
            format!("On Monday Jo wrote:\n> {}\n> \n> Regards\n", wrapped(&text, at, " \n> ")).into(),
        ));
        let letter = format!("Hello,\n\nyour key is:\n\n{}\nRegards\n--\nJo, Vendor Ltd.\n", wrapped(&text, at, "\n"));
        sent.push(("with text around", letter.into()));
    }
    sent.push(("with a name", format!("key: \"{text}\"\n").into()));
    sent.push(("twice", format!("{text}\n\n{text}\n").into()));
    for (how, bytes) in sent {
        desk.write("key.jwt", &bytes);
        let (exit, answer) = verify(&desk, IN_2026);
        assert_eq!((exit, &answer["state"]), (0, &json!("InForce")), "{how}: {answer}");
        desk.run("inspect key.jwt").expect(0);
    }
    let mut other = claims();
    other["jti"] = json!("s2");
    let key = seatkeeper::domain::license::jwk::read_signing_key(desk.read("keys/signing-key.pem").as_bytes()).unwrap();
    desk.write("key.jwt", format!("{text}\n{}\n", sign("license+jwt", &other, &key)));
    assert!(verify(&desk, IN_2026).1["message"].as_str().unwrap().contains("it holds several signed tokens"));
    for (wrong, says) in [
        (desk.read("keys/signing-key.pem"), "it holds PEM"),
        ("<!DOCTYPE html><html>".to_owned(), "it is a web page"),
        (desk.read("keys/jwks.json"), "it begins as JSON does"),
    ] {
        desk.write("key.jwt", wrong);
        assert!(verify(&desk, IN_2026).1["message"].as_str().unwrap().contains(says), "{says}");
    }
    desk.write("key.jwt", &text);
    let list = Revocations { version: 1, iat: NBF, exp: None, serials: ["s1".to_owned()].into() };
    for (how, bytes) in as_people_send(&sign_revocations(&list, &key)) {
        desk.write("revoked.jwt", bytes);
        assert_eq!(verify(&desk, &format!("--revoked revoked.jwt {IN_2026}")).1["reason"], "Revoked", "{how}");
    }
}

#[test]
fn a_key_set_is_read_as_people_send_it() {
    let (desk, _) = signed(&claims());
    let set = desk.read("keys/jwks.json");
    let flat: String = set.split_whitespace().collect();
    let mut sent: Vec<_> = [&set, &flat].into_iter().flat_map(|set| as_people_send(set)).collect();
    for at in [64, 76] {
        sent.push(("wrapped", wrapped(&flat, at, "\n").into()));
        sent.push(("quoted", format!("Jo wrote:\n> {}\n> Regards\n", wrapped(&flat, at, "\n> ")).into()));
    }
    sent.push(("with text around", format!("Our public keys are:\n\n{set}\n\nRegards, Jo\n").into()));
    for (how, bytes) in sent {
        desk.write("keys/jwks.json", &bytes);
        assert_eq!(verify(&desk, IN_2026).0, 0, "{how}");
    }
    for (wrong, says) in [
        (format!("[{flat}]"), "is not a JWK Set"),
        (format!("{flat}{flat}"), "is not a JWK Set"),
        (desk.read("keys/signing-key.pem"), "it holds PEM, such as a signing key"),
        (desk.read("keys/signing-key.pem") + &set, "it holds PEM, such as a signing key"),
        ("<html><body>Sign in</body></html>".to_owned(), "it is a web page: download the file itself"),
        (desk.read("key.jwt"), "it begins as a signed token does"),
        (String::new(), "it is empty"),
    ] {
        desk.write("keys/jwks.json", wrong);
        let refused = desk.run(&format!("verify --trust keys/jwks.json {IN_2026} key.jwt"));
        refused.expect_refusal(2, &["keys/jwks.json: is not a JWK Set", says]);
    }
}

#[test]
fn a_signing_key_is_read_as_people_send_it() {
    let desk = Desk::with_contract(&contract("2026-01-01", ""));
    let pem = desk.read("keys/signing-key.pem");
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let mut sent = as_people_send(&pem);
    sent.push(("a public key and text before it", format!("friendlyName: seats\n{public}\n{pem}").into()));
    sent.push(("text after it", format!("{pem}\nKeep it secret!\n{public}").into()));
    sent.push(("twice", format!("{pem}{pem}").into()));
    sent.push(("indented", pem.lines().map(|line| format!("    {line}\n")).collect::<String>().into()));
    sent.push(("quoted twice", pem.replace('\n', "\\n").into()));
    sent.push(("on one line", pem.replace('\n', " ").into()));
    for (how, bytes) in sent {
        desk.write("signing-key.pem", &bytes);
        let answer = desk.run("issue -f contract.yaml --signing-key signing-key.pem --term 1 --out key.jwt");
        assert_eq!(answer.status, 0, "{how}: {}", answer.err);
        desk.run("verify --trust keys/jwks.json --at 2026-06-01T00:00:00Z key.jwt").expect(0);
    }
}

#[test]
fn yaml_is_read_as_people_send_it() {
    let text = contract("2026-01-01", "");
    let desk = Desk::with_contract(&text);
    let expected = desk.timeline();
    for (how, bytes) in as_people_send(&text).into_iter().filter(|(how, _)| !how.starts_with("base64")) {
        desk.write("contract.yaml", bytes);
        let answer = desk.run("timeline -f contract.yaml -o json");
        assert_eq!(answer.status, 0, "{how}: {}", answer.err);
        assert_eq!(answer.json(), expected, "{how}");
    }
    for (wrong, says) in [
        (desk.read("keys/signing-key.pem").into_bytes(), "it holds PEM"),
        (b"\xff\xff\xff".to_vec(), "is not text in UTF-8 or UTF-16: save it as UTF-8"),
        (text.replace("  title", "\u{a0}\u{a0}title").into_bytes(), "contract.yaml:5: holds a no-break space (U+00A0)"),
        (text.replace("  title", "\ttitle").into_bytes(), "contract.yaml:5: begins with a tab"),
    ] {
        desk.write("contract.yaml", wrong);
        desk.run("timeline -f contract.yaml").expect_refusal(1, &["contract.yaml", says]);
    }
}

#[test]
fn wrong_use_of_verify_differs_from_a_bad_key() {
    let (desk, _) = signed(&claims());
    desk.write("bad.json", "{").write("empty.json", "{\"keys\": []}").write("huge.json", "x".repeat(2_000_000));
    let cases: [(&str, &[&str]); 7] = [
        ("verify --trust none.json key.jwt", &["none.json: cannot be read"]),
        ("verify --trust bad.json key.jwt", &["bad.json: is not a JWK Set"]),
        ("verify --trust empty.json key.jwt", &["empty.json: has no Ed25519 key"]),
        ("verify --trust huge.json key.jwt", &["huge.json: is larger than"]),
        ("verify --trust keys/jwks.json none.jwt", &["none.jwt: cannot be read"]),
        ("verify --trust keys/jwks.json --at yesterday key.jwt", &["--at", "RFC 3339"]),
        ("verify key.jwt", &["--trust"]),
    ];
    for (command, says) in cases {
        desk.run(command).expect_refusal(2, says);
    }
}

#[test]
fn people_read_the_verdict_first() {
    let (desk, _) = signed(&claims());
    let answer = desk.run(&format!("verify --trust keys/jwks.json {IN_2026} key.jwt")).expect(0);
    assert!(
        answer.out.starts_with("InForce: the key is genuine and in force to the end of 2026-12-31 (UTC)\n"),
        "{}",
        answer.out
    );
    assert!(answer.out.contains("agents 5"), "{}", answer.out);
    let answer = desk.run(&format!("verify --trust keys/jwks.json --product p {IN_2026} key.jwt")).expect(1);
    assert!(answer.out.starts_with("Refused (WrongProduct): it is for product innoacd, not p\n"), "{}", answer.out);
}

#[test]
fn inspect_shows_what_a_key_says_unverified_and_safe_for_a_terminal() {
    let mut claims = claims();
    claims["sub"] = json!("A\u{1b}[31m\u{9b}2J");
    let (desk, text) = signed(&claims);
    // Also with a signature that cannot be valid.
    desk.write("key.jwt", format!("{}AAAA", &text[..text.len() - 4]));
    let shown = desk.run("inspect key.jwt").expect(0).out;
    assert!(shown.starts_with("NOT VERIFIED"), "{shown}");
    for part in
        ["\"alg\": \"EdDSA\"", "\"jti\": \"s1\"", "exp              ends                2027-01-01T00:00:00+00:00"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    for bad in ["", "a.b", "a.b.c"] {
        desk.write("key.jwt", bad);
        desk.run("inspect key.jwt").expect_refusal(1, &["key.jwt: this is not a licence key"]);
    }
    desk.run("inspect none.jwt").expect_refusal(2, &["none.jwt: cannot be read"]);
}

/// What turns text around, or is not seen, is spelt out, and no name makes a line of its own.
#[test]
fn what_a_reader_would_not_see_is_spelt_out_in_every_output() {
    let mut claims = claims();
    claims["sub"] = json!("Stadt\u{202e}werke\u{200b}\nSerial        forged");
    claims["aud"] = json!("p\u{2066}\nq");
    claims["colour"] = json!("\u{e0041}\u{9b}");
    let (desk, _) = signed(&claims);
    let unseen = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{200b}\u{2066}\u{e0041}".contains(c);
    let inspected = desk.run("inspect key.jwt").expect(0).out;
    assert!(!inspected.contains(unseen) && inspected.contains(r"Stadt\u202ewerke\u200b\nSerial"), "{inspected:?}");
    let verify = format!("verify --trust keys/jwks.json {IN_2026} key.jwt");
    let shown = desk.run(&verify).expect(0).out;
    assert!(
        !shown.contains(unseen) && shown.contains(r"Organisation  Stadt\u{202e}werke\u{200b}\nSerial"),
        "{shown:?}"
    );
    assert_eq!(shown.lines().filter(|line| line.starts_with("Serial")).count(), 1, "{shown}");
    let refused = desk.run(&format!("verify --trust keys/jwks.json --product x {IN_2026} key.jwt")).expect(1).out;
    assert!(refused.starts_with("Refused (WrongProduct): it is for product p\\u{2066}\\nq, not x\n"), "{refused:?}");
    // For programs it stays the same text.
    let answer = desk.run(&format!("{verify} -o json")).expect(0);
    assert!(!answer.out.contains(unseen), "{:?}", answer.out);
    for claim in ["sub", "aud", "colour"] {
        assert_eq!(answer.json()["claims"][claim], claims[claim]);
    }
    desk.write("\u{202e}.jwt", "");
    let said = desk.run("inspect \u{202e}.jwt").expect(1).err;
    assert!(said.contains(r"\u{202e}.jwt: this is not a licence key") && !said.contains(unseen), "{said:?}");
}

// Refusals of bad contracts

#[test]
fn every_fault_of_a_contract_is_reported_with_file_line_document_and_field() {
    let good = || contract("2026-01-01", BERLIN);
    let change = |from: &str, to: &str| {
        let changed = good().replace(from, to);
        assert_ne!(changed, good(), "{from}");
        changed
    };
    let subscription = "contract.yaml:16: document 2 (Subscription stadtwerke), ";
    let cases: [(String, &[&str]); 26] = [
        (
            change("\"2026-01-01\"", "\"0000-01-01\""),
            &[
                "contract.yaml:19: document 2 (Subscription stadtwerke), spec.startsOn: ",
                "from 1970-01-01 to 2099-12-31",
            ],
        ),
        (
            change("\"2026-01-01\"", "\"2026-02-30\""),
            &["contract.yaml:19:", "spec.startsOn: \"2026-02-30\" must be a civil date"],
        ),
        (change("\"2026-01-01\"", "\"+262142-12-31\""), &["spec.startsOn: "]),
        (
            change("Europe/Berlin", "Europe/Bern"),
            &["contract.yaml:21:", "spec.timeZone: \"Europe/Bern\" is not a time zone; write an IANA name"],
        ),
        (
            change("months: 12", "months: 0"),
            &[
                "contract.yaml:7: document 1 (Plan innoacd), spec.terms.interval: a period needs at least one positive part",
            ],
        ),
        (change("{months: 12}", "{}"), &["spec.terms.interval: a period needs at least one positive part"]),
        (change("months: 12", "months: -1"), &["spec.terms.interval.months: -1 must be at least 0"]),
        (change("months: 12", "years: 4000000000"), &["spec.terms.interval.years: 4000000000 must be at most 100"]),
        (
            change("interval: {months: 12}, notice: {months: 3}", "interval: {days: 1}, notice: {years: 100}"),
            &[
                "contract.yaml:7:",
                "spec.terms.notice: a notice of 100 years is more than 120 times the interval of 1 day",
            ],
        ),
        (change(", notice: {months: 3}", ""), &["spec.terms.notice: is missing"]),
        (
            change("    graceDays: 14", "    issueBefore: {months: 4}\n    graceDays: 14"),
            &["contract.yaml:9:", "spec.license.issueBefore: 4 months is longer than the notice of 3 months"],
        ),
        (
            change("  terms: {interval: {months: 12}, notice: {months: 3}}\n", ""),
            &["spec.terms: a licence with lifetime Term needs terms"],
        ),
        (change("startsOn", "startOn"), &["spec.startOn: is not a known field", "spec.startsOn: is missing"]),
        (
            change("graceDays", "gracedays"),
            &["document 1 (Plan innoacd), spec.license.gracedays: is not a known field; known fields are demoSeats, "],
        ),
        (
            change("model: Concurrent", "model: Floating"),
            &["contract.yaml:12:", "\"Floating\" must be one of Concurrent, Fixed"],
        ),
        (
            change("model: Concurrent", "model: PerUser"),
            &["contract.yaml:12:", "spec.license.pools[agents].loginMode: a pool of model PerUser needs loginMode"],
        ),
        (
            change("[{name: innoacd, pools", "[{name: inoacd, pools"),
            &[
                "contract.yaml:20:",
                "spec.plans[0].name: the file has no Plan inoacd in namespace vendor; Plans in it: vendor/innoacd",
            ],
        ),
        (
            change("metadata: {name: innoacd, namespace: vendor}", "metadata: {name: innoacd, namespace: other}"),
            &["no Plan innoacd in namespace vendor; Plans in it: other/innoacd"],
        ),
        (
            change("{name: agents, seats: 50}", "{name: agent, seats: 50}"),
            &["spec.plans[0].pools[agent]: Plan innoacd has no such pool; it has agents"],
        ),
        (
            change("seats: 50", "seats: fifty"),
            &["contract.yaml:20:", "spec.plans[0].pools[0].seats: must be a whole number"],
        ),
        (
            change("kind: Subscription", "kind: Subscripton"),
            &["has no Subscription (seatkeeper.dev/v1alpha1); it has Plan innoacd, Subscripton stadtwerke"],
        ),
        (change("metadata: {name: stadtwerke, namespace: vendor}", "metadata: {}"), &["metadata.name: is missing"]),
        (
            change("organisation: Stadtwerke", "organisation: on"),
            &["spec.customer.organisation: must be text; put quotes around it, just as it stands"],
        ),
        (format!("{PLAN}---\n{}", good()), &["spec.plans[0].name: Plan innoacd is defined twice, on lines 1 and 14"]),
        (change("startsOn:", "startsOn: ["), &["contract.yaml:2", "is not YAML"]),
        (String::new(), &["contract.yaml: has no Subscription", "it has no document"]),
    ];
    assert!(good().lines().nth(13).is_some_and(|line| line.starts_with("apiVersion")), "{subscription}");
    let desk = Desk::new();
    desk.run("keygen --out keys").expect(0);
    for (text, says) in cases {
        desk.write("contract.yaml", text);
        desk.run("timeline -f contract.yaml").expect_refusal(1, says);
        desk.run("issue -f contract.yaml --signing-key keys/signing-key.pem --out key.jwt").expect_refusal(1, says);
    }
    desk.write("contract.yaml", good());
    desk.run("timeline -f contract.yaml").expect(0);
}

#[test]
fn plans_with_unequal_terms_are_refused_with_what_differs_p7() {
    let both = contract("2020-01-01", "").replace("plans: [", "plans: [{name: other}, ");
    for (from, to, part) in [
        ("months: 12", "months: 6", "interval"),
        ("months: 3", "days: 90", "notice"),
        ("notice: {months: 3}", "notice: {months: 3}, length: {years: 3}", "length"),
        ("notice: {months: 3}", "notice: {months: 3}, noticeForm: Written", "noticeForm"),
        ("notice: {months: 3}", "notice: {months: 3}, billingPeriod: {months: 1}", "billingPeriod"),
    ] {
        let other = PLAN.replace("name: innoacd", "name: other").replace(from, to);
        let desk = Desk::with_contract(&format!("{other}---\n{both}"));
        let says = format!("spec.plans: Plans other and innoacd differ in {part}");
        desk.run("timeline -f contract.yaml").expect_refusal(1, &[&says]);
    }
    let same = PLAN.replace("name: innoacd", "name: other").replace("months: 12", "years: 1");
    Desk::with_contract(&format!("{same}---\n{both}")).timeline();
}

#[test]
fn other_objects_in_the_file_are_skipped_with_a_note_and_lists_are_unpacked() {
    let roster = "apiVersion: seatkeeper.dev/v1alpha1\nkind: Roster\nmetadata: {name: staff}\nspec: {}\n";
    let desk = Desk::with_contract(&format!(
        "kind: Namespace\napiVersion: v1\nmetadata: {{name: vendor}}\n---\n{roster}---\n- 1\n---\n{}",
        contract("2026-01-01", "")
    ));
    let answer = desk.run("timeline -f contract.yaml -o json").expect(0);
    assert_eq!(at(&answer.json(), "KeyIssued").len(), 3);
    for note in [
        "document 1 (Namespace vendor): skipped",
        "document 2 (Roster staff): skipped",
        "document 3 (no kind): skipped",
    ] {
        assert!(answer.err.contains(note), "{note}: {}", answer.err);
    }
    let indent = |text: &str| text.lines().map(|line| format!("  {line}\n")).collect::<String>();
    let item = |text: &str| indent(text).replacen("  ", "- ", 1);
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}{}",
        item(PLAN),
        item(&subscription("stadtwerke", "2026-01-01", ""))
    );
    assert_eq!(at(&Desk::with_contract(&list).timeline(), "KeyIssued").len(), 3);
}

#[test]
fn if_there_are_several_subscriptions_one_is_named_and_a_malformed_one_does_not_stop_the_others() {
    let second = subscription("second", "2027-01-01", "").replace("customer", "custmer");
    let desk = Desk::with_contract(&format!("{}---\n{second}", contract("2026-01-01", "")));
    desk.run("timeline -f contract.yaml")
        .expect_refusal(2, &["2 Subscriptions, stadtwerke, second: name one with --subscription"]);
    desk.run("timeline -f contract.yaml --subscription third")
        .expect_refusal(2, &["has no Subscription third; it has stadtwerke, second"]);
    desk.run("timeline -f contract.yaml --subscription second")
        .expect_refusal(1, &["spec.custmer: is not a known field"]);
    desk.run("timeline -f contract.yaml --subscription stadtwerke").expect(0);
}

#[test]
fn files_that_are_no_contract_at_all_are_refused() {
    let desk = Desk::new();
    desk.write("huge.yaml", "#".repeat(2_000_000)).write("binary.yaml", [0xff, 0xfe, 0x00]);
    desk.write(
        "bomb.yaml",
        format!(
            "a: &a [x, x, x, x, x, x, x, x, x]\n{}",
            (1..30)
                .map(|n| format!(
                    "b{n}: &b{n} [{}]\n",
                    vec![if n == 1 { "*a".into() } else { format!("*b{}", n - 1) }; 9].join(", ")
                ))
                .collect::<String>()
        ),
    );
    desk.run("timeline -f huge.yaml").expect_refusal(2, &["huge.yaml: is larger than 1048576 bytes"]);
    desk.run("timeline -f none.yaml").expect_refusal(2, &["none.yaml: cannot be read"]);
    desk.run("timeline -f .").expect_refusal(2, &["cannot be read"]);
    desk.run("timeline -f binary.yaml").expect_refusal(1, &["binary.yaml: is not text in UTF-8"]);
    desk.run("timeline -f bomb.yaml").expect_refusal(1, &["bomb.yaml:"]);
    desk.write("contract.yaml", contract("2026-01-01", ""));
    for terms in ["0", "10001", "x"] {
        desk.run(&format!("timeline -f contract.yaml --terms {terms}")).expect_refusal(2, &["--terms"]);
    }
}

#[test]
fn what_cannot_be_followed_is_reported_and_the_rest_is_carried_out() {
    let changes = r#"seats: 50, changes: [{"on": "2026-06-01", seats: 40, receivedOn: "2026-01-01"}]"#;
    let spec = "  cancellation: {receivedOn: \"2026-03-01\"}\n";
    let text = contract("2026-01-01", spec)
        .replace("seats: 50", changes)
        .replace("notice: {months: 3}", "notice: {months: 3}, noticeForm: Written");
    let answer = Desk::with_contract(&text).run("timeline -f contract.yaml -o json").expect(0);
    for says in [
        "spec.cancellation.evidence: the Plan accepts only written cancellations",
        "spec.plans[0].pools[agents].changes[2026-06-01]: fewer seats than 50 are possible only from the start of a term; the next term starts on 2027-01-01",
    ] {
        assert!(answer.err.contains(says), "{}", answer.err);
    }
    assert_eq!(at(&answer.json(), "Ends"), [""; 0]);
}

#[test]
fn more_users_than_the_plan_allows_are_refused_also_when_they_are_ordered_later_p6() {
    let text = |seats: &str| {
        contract("2026-01-01", "")
            .replace("seats: 50", seats)
            .replace("    graceDays: 14", "    maxUsers: 60\n    graceDays: 14")
    };
    Desk::with_contract(&text("seats: 61"))
        .run("timeline -f contract.yaml")
        .expect_refusal(1, &["61 users are ordered; Plan innoacd allows at most 60"]);
    let later = r#"seats: 50, changes: [{"on": "2026-06-01", seats: 61}]"#;
    let answer = Desk::with_contract(&text(later)).run("timeline -f contract.yaml").expect(0);
    assert!(
        answer.err.contains(
            "changes[2026-06-01].seats: 61 users are ordered from 2026-06-01; Plan innoacd allows at most 60"
        ),
        "{}",
        answer.err
    );
    let in_bounds = r#"seats: 50, changes: [{"on": "2026-06-01", seats: 60}]"#;
    assert_eq!(Desk::with_contract(&text(in_bounds)).run("timeline -f contract.yaml").expect(0).err, "");
}

/// A change that is refused makes no room for another, and one that is accepted does.
#[test]
fn the_most_users_of_a_plan_hold_over_all_its_pools_on_every_day_p6() {
    let text = |of_a: &str, of_b: &str| {
        let order = format!(
            "{{name: a, seats: 50, changes: [{{\"on\": {of_a}}}]}}, {{name: b, seats: 50, changes: [{{\"on\": {of_b}}}]}}"
        );
        let pools = "[{name: a, model: Concurrent}, {name: b, model: Concurrent}]";
        contract("2026-01-01", "")
            .replace("[{name: agents, model: Concurrent}]", pools)
            .replace("{name: agents, seats: 50}", &order)
            .replace("    graceDays: 14", "    maxUsers: 100\n    graceDays: 14")
    };
    let seats = |text: &str, term: u32, refused: &[&str]| {
        let desk = Desk::with_contract(text);
        let said = desk.run("timeline -f contract.yaml").expect(0).err;
        assert_eq!(said.lines().count(), refused.len(), "{said}");
        for part in refused {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
        let issue = "issue -f contract.yaml --signing-key keys/signing-key.pem --out key.jwt --term";
        desk.run(&format!("{issue} {term}")).expect(0);
        let claims = desk.run("verify --trust keys/jwks.json -o json --at 2027-07-01T00:00:00Z key.jwt").json();
        let pools = claims["claims"]["pools"].as_array().unwrap().clone();
        pools.iter().map(|pool| pool["seats"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let fewer = "fewer seats than 50 are possible only from the start of a term; the next term starts on 2027-01-01";
    let more = |day: &str, users: u32| format!("{users} users are ordered from {day}; Plan innoacd allows at most 100");
    // The older of two changes begins the term that is issued.
    let in_mid_term = text("2026-06-01, receivedOn: 2026-01-02, seats: 30", "2026-06-01, seats: 70");
    assert_eq!(seats(&in_mid_term, 2, &[fewer, &more("2026-06-01", 120)]), [50, 50]);
    let later = text("2026-06-01, receivedOn: 2026-01-02, seats: 30", "2026-07-01, seats: 70");
    assert_eq!(seats(&later, 2, &[fewer, &more("2026-07-01", 120)]), [50, 50]);
    let for_next_term = text("2027-01-01, receivedOn: 2026-01-02, seats: 30", "2027-01-01, seats: 70");
    assert_eq!(seats(&for_next_term, 2, &[]), [30, 70]);
    let too_late = text("2027-01-01, receivedOn: 2026-12-02, seats: 30", "2027-01-01, seats: 70");
    let said = "the reduction from 2027-01-01 had to be received before 2026-10-01";
    assert_eq!(seats(&too_late, 2, &[said, &more("2027-01-01", 120)]), [50, 50]);
}

#[test]
fn the_examples_are_contracts_that_run() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/innoacd/contract.yaml");
    let desk = Desk::with_contract(&std::fs::read_to_string(example).unwrap());
    let answer = desk.run("timeline -f contract.yaml -o json").expect(0);
    assert_eq!(answer.err, "");
    assert_eq!(at(&answer.json(), "KeyIssued")[1], "2026-10-01T00:00:00+02:00");
    desk.run("issue -f contract.yaml --signing-key keys/signing-key.pem --term 1 --out key.jwt").expect(0);
    let (exit, answer) = verify(&desk, &format!("--product innoacd {IN_2026}"));
    assert_eq!((exit, &answer["claims"]["pools"][0]["seats"]), (0, &json!(50)));
}

/// `kubectl apply -f FOLDER` takes files in the order of their names, and refused each object before the Namespace.
#[test]
fn the_namespace_of_an_example_comes_first() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/innoacd");
    let files = std::fs::read_dir(example).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    assert!(texts.len() >= 3 && texts[0].contains("kind: Namespace\n"), "{files:?}");
    assert!(!texts[1..].iter().any(|text| text.contains("kind: Namespace\n")), "{files:?}");
}

/// `kubectl wait` fails at once where the operator has not made the object yet.
#[test]
fn the_guides_wait_first_for_a_license_that_the_operator_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let waits = "kubectl -n innoacd wait --for=condition=Licensed licenses.seatkeeper.dev/innoacd";
    let made = "kubectl -n innoacd wait --for=create licenses.seatkeeper.dev/innoacd";
    for guide in ["docs/licences.md", "examples/innoacd/README.md"] {
        let text = std::fs::read_to_string(root.join(guide)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| *line == waits).unwrap_or_else(|| panic!("{guide} waits for no License"));
        assert_eq!(lines[at - 1], made, "{guide}");
    }
}

#[test]
fn the_readme_names_the_rust_that_is_needed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'));
    let needs = format!("needs Rust {} or newer", version.expect("a version"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains(&needs), "README.md does not say: {needs}");
}

/// It named a setting of the library that reads YAML.
#[test]
fn a_field_that_is_given_twice_is_named_with_what_to_do() {
    let desk = Desk::with_contract(&contract("2026-01-01", "").replace("  title:", "  title: first\n  title:"));
    let said = desk.run("timeline -f contract.yaml").expect(1).err;
    assert!(said.contains("title is given twice: remove one of them"), "{said}");
    assert!(!said.contains("DuplicateKeyPolicy"), "{said}");
}

/// Every command that `seatkeeper --help` lists has a row of its own, and is typed, in docs/command-line.md.
#[test]
fn the_guide_to_the_command_line_has_every_command_and_no_other() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/command-line.md")).unwrap();
    let help = Desk::new().run("--help").expect(0).out;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Deeper lines explain the command above them.
    let commands: Vec<&str> = listed
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split(' ').next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 10, "{help}");
    let rows: Vec<&str> = guide.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0)).collect();
    for command in &commands {
        assert!(rows.contains(command), "docs/command-line.md has no row for `{command}`");
        let typed = format!("\nseatkeeper {command} ");
        assert!(guide.contains(&typed), "docs/command-line.md does not show how to type `seatkeeper {command}`");
    }
    for row in rows {
        assert!(commands.contains(&row), "docs/command-line.md has a row for `{row}`, which is no command");
    }
}
