//! Keys between languages: PyJWT and jose verify what we sign, and `seatkeeper verify` accepts what they sign. OpenSSL
//! makes signing keys, reads ours, and verifies signatures independently. Our time zones are those of PyPI's tzdata.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chrono::{DateTime, NaiveDate, NaiveTime, Offset, TimeZone};
use seatkeeper::domain::contract::term::start_of_day;
use seatkeeper::domain::zone::{Zone, release};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// PyJWT and jose, each called as an application in its language would call it.
const TOOLS: [&str; 2] = ["pyjwt", "jose"];

/// Returns the folder of the libraries, which are fetched once for all tests. Fails with what to install if Python or
/// Node.js is missing.
fn libraries() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let output = Command::new(here("setup.sh")).output().expect("tests/interop/setup.sh runs with bash");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
    })
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

fn tool(name: &str, folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = match name {
        "pyjwt" => {
            let mut python = Command::new(libraries().join("python/bin/python"));
            python.arg(here("pyjwt_tool.py"));
            python
        }
        _ => {
            let mut node = Command::new("node");
            node.arg(here("jose_tool.cjs")).env("NODE_PATH", libraries().join("node/node_modules"));
            node
        }
    };
    run(command.args(arguments).current_dir(folder), input)
}

fn seatkeeper(folder: &Path, command: &str) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_seatkeeper")).args(command.split(' ')).current_dir(folder), "")
}

fn openssl(folder: &Path, command: &str) -> Output {
    run(Command::new("openssl").args(command.split(' ')).current_dir(folder), "")
}

fn run(command: &mut Command, input: &str) -> Output {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}; install it"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn done(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    output.stdout
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Makes a folder for one test with our keys and the lead case's contract, and issues its key for the running term.
fn desk(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interop-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    done(seatkeeper(&folder, "keygen --out keys"));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/innoacd/contract.yaml");
    let contract = std::fs::read_to_string(example).unwrap().replace("startsOn: \"2026", "startsOn: \"2020");
    let contract = contract.replace("2025-12", "2019-12");
    std::fs::write(folder.join("contract.yaml"), contract).unwrap();
    folder
}

fn issue(folder: &Path, signing_key: &str) {
    done(seatkeeper(folder, &format!("issue -f contract.yaml --signing-key {signing_key} --out key.jwt")));
}

fn leave(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn other_languages_verify_our_keys_with_our_jwks() {
    let folder = desk("ours");
    issue(&folder, "keys/signing-key.pem");
    let key = std::fs::read_to_string(folder.join("key.jwt")).unwrap();
    let payload: Value = serde_json::from_slice(&BASE64.decode(key.split('.').nth(1).unwrap()).unwrap()).unwrap();
    for name in TOOLS {
        let claims = done(tool(name, &folder, &["verify", "keys/jwks.json", "key.jwt", "innoacd"], ""));
        assert_eq!(serde_json::from_slice::<Value>(&claims).unwrap(), payload, "{name}");
        // They also refuse bad keys; otherwise the above would prove nothing.
        let other = tool(name, &folder, &["verify", "keys/jwks.json", "key.jwt", "other"], "");
        assert!(!other.status.success(), "{name} accepted a key for another product");
        let last = if key.trim().ends_with('A') { 'Q' } else { 'A' };
        let changed = format!("{}{last}", &key.trim()[..key.trim().len() - 1]);
        std::fs::write(folder.join("changed.jwt"), changed).unwrap();
        let changed = tool(name, &folder, &["verify", "keys/jwks.json", "changed.jwt", "innoacd"], "");
        assert!(!changed.status.success(), "{name} accepted a changed signature");
    }
    leave(&folder);
}

#[test]
fn we_verify_keys_that_other_languages_signed() {
    let folder = desk("theirs");
    let claims = json!({
        "iss": "root", "jti": "serial-1", "sub": "Büro Müller", "aud": "innoacd", "iat": 1_577_836_800, "nbf": 1_577_836_800,
        "exp": 4_102_444_800_u64, "plan": "hand", "features": ["acd"], "colour": {"unknown": true},
        "pools": [{"name": "agents", "model": "Concurrent", "countBy": "User", "seats": 7}],
    });
    for name in TOOLS {
        let (jwks, key) = (format!("{name}.json"), format!("{name}.jwt"));
        done(tool(name, &folder, &["sign", &jwks, &key], &claims.to_string()));
        let answer = done(seatkeeper(&folder, &format!("verify --trust {jwks} --product innoacd -o json {key}")));
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((&answer["state"], &answer["reason"]), (&json!("InForce"), &Value::Null), "{name}");
        for (claim, value) in claims.as_object().unwrap() {
            assert_eq!(&answer["claims"][claim], value, "{name}");
        }
        // A key of another signer is not trusted.
        let stranger = seatkeeper(&folder, &format!("verify --trust keys/jwks.json -o json {key}"));
        let answer: Value = serde_json::from_slice(&stranger.stdout).unwrap();
        assert_eq!((stranger.status.code(), &answer["reason"]), (Some(1), &json!("UnknownKey")), "{name}");
    }
    leave(&folder);
}

/// The last 32 bytes of the DER of an Ed25519 public key are the key (RFC 8410).
fn jwks_by_openssl(folder: &Path, pem: &str) {
    done(openssl(folder, &format!("pkey -in {pem} -pubout -outform DER -out public.der")));
    let der = std::fs::read(folder.join("public.der")).unwrap();
    let x = BASE64.encode(&der[der.len() - 32..]);
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]});
    std::fs::write(folder.join("openssl.json"), set.to_string()).unwrap();
}

#[test]
fn a_key_that_openssl_made_signs_licences() {
    let folder = desk("openssl");
    done(openssl(&folder, "genpkey -algorithm ed25519 -out openssl.pem"));
    jwks_by_openssl(&folder, "openssl.pem");
    issue(&folder, "openssl.pem");
    done(seatkeeper(&folder, "verify --trust openssl.json --product innoacd key.jwt"));
    // Another kind of key is refused with an explanation, and nothing is written.
    done(openssl(&folder, "genpkey -algorithm x25519 -out other.pem"));
    let refused = seatkeeper(&folder, "issue -f contract.yaml --signing-key other.pem --out none.jwt");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("other.pem: is not an Ed25519 private key"), "{}", text(&refused.stderr));
    assert!(!folder.join("none.jwt").exists());
    leave(&folder);
}

#[test]
fn openssl_reads_our_signing_key_and_verifies_our_signatures_by_itself() {
    let folder = desk("ours-openssl");
    issue(&folder, "keys/signing-key.pem");
    jwks_by_openssl(&folder, "keys/signing-key.pem");
    let published = |file: &str| {
        let set: Value = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
        set["keys"][0]["x"].clone()
    };
    assert_eq!(published("keys/jwks.json"), published("openssl.json"));
    let key = std::fs::read_to_string(folder.join("key.jwt")).unwrap();
    let (signed, signature) = key.trim().rsplit_once('.').unwrap();
    std::fs::write(folder.join("signed"), signed).unwrap();
    std::fs::write(folder.join("signature"), BASE64.decode(signature).unwrap()).unwrap();
    let verify = "pkeyutl -verify -rawin -pubin -keyform DER -inkey public.der -in signed -sigfile signature";
    done(openssl(&folder, verify));
    std::fs::write(folder.join("signed"), format!("{signed}x")).unwrap();
    assert!(!openssl(&folder, verify).status.success());
    leave(&folder);
}

/// The zones that were compiled in before were of 2025b: since autumn 2026, midnight in Vancouver was an hour off.
#[test]
fn every_time_zone_changes_when_that_of_pypis_tzdata_does() {
    let at = |year: i32| NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_time(NaiveTime::MIN).and_utc().timestamp();
    let (first, last, step) = (at(1990), at(2045), 2 * 86_400);
    let zones = Zone::all();
    assert!(zones.len() > 500, "{} zones", zones.len());
    let mut ours = String::new();
    for zone in &zones {
        let offset = |at: i64| {
            let at = DateTime::from_timestamp(at, 0).unwrap().naive_utc();
            zone.offset_from_utc_datetime(&at).fix().local_minus_utc()
        };
        let mut before = offset(first);
        writeln!(ours, "{zone} {first} {before}").unwrap();
        for at in (first..last).step_by(step) {
            let step = i64::try_from(step).unwrap();
            let after = offset(at + step);
            if after != before {
                let (mut low, mut high) = (at, at + step);
                while high - low > 1 {
                    let middle = i64::midpoint(low, high);
                    if offset(middle) == after { high = middle } else { low = middle }
                }
                writeln!(ours, "{zone} {high} {after}").unwrap();
                before = after;
            }
        }
    }
    let names: Vec<&str> = zones.iter().map(Zone::name).collect();
    let mut python = Command::new(libraries().join("python/bin/python"));
    let theirs = run(python.arg(here("zones.py")).args([first.to_string(), last.to_string()]), &names.join("\n"));
    let theirs = text(&done(theirs));
    let differing: Vec<(&str, &str)> =
        ours.lines().zip(theirs.lines()).filter(|(ours, theirs)| ours != theirs).collect();
    assert!(differing.is_empty(), "{:?}", &differing[..differing.len().min(5)]);
    assert_eq!(ours.lines().count(), theirs.lines().count());
    // British Columbia stays at summer time: clocks are not set back in autumn 2026.
    let vancouver = Zone::named("America/Vancouver").unwrap();
    assert_eq!(
        start_of_day(NaiveDate::from_ymd_opt(2026, 12, 1).unwrap(), &vancouver).to_rfc3339(),
        "2026-12-01T07:00:00+00:00"
    );
    let said = done(run(Command::new(env!("CARGO_BIN_EXE_seatkeeper")).arg("--version"), ""));
    assert!(text(&said).contains(&format!("(time zones {})", release())), "{}", text(&said));
}
