//! `SeatLedger`: the API server itself refuses the writes of an owner that was replaced (I2; docs/design/seats.md).

use serde_json::{Value, json};

use super::case::Case;

fn ledger(name: &str, spec: Value) -> String {
    json!({"apiVersion": "seatkeeper.dev/v1alpha1", "kind": "SeatLedger", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

fn base(epoch: i64, sequence: i64) -> Value {
    let base = json!({"license": {"namespace": "contact-centre", "name": "innoacd"}, "pool": "agents", "number": 0});
    json!({"base": base, "epoch": epoch, "sequence": sequence, "lines": "0 a.ivanov s1 1767225600\n"})
}

#[tokio::test]
async fn i2_an_epoch_never_falls_nor_a_sequence_within_it() {
    let case = Case::new("ledgers").await;
    let put = async |spec: Value| case.kubectl.run_with(&["replace", "-f", "-"], &ledger("b", spec)).await;
    case.kubectl.expect_with(&["create", "-f", "-"], &ledger("b", base(3, 7))).await;
    let other = |field: &str, value: Value| {
        let mut spec = base(4, 1);
        spec["base"][field] = value;
        spec
    };
    let epoch =
        "spec.epoch: Invalid value: a ledger's epoch must not decrease: another owner has sealed this ledger since";
    let sequence = "spec.sequence: Invalid value: a ledger's sequence must not decrease within an epoch";
    let same = "a ledger's License, pool and number cannot be changed: create another object";
    for (spec, message) in [
        (base(2, 9), epoch),
        (base(3, 6), sequence),
        (other("pool", json!("others")), same),
        (other("number", json!(1)), same),
        (other("license", json!({"namespace": "contact-centre", "name": "other"})), same),
        (json!({"journal": {"number": 1}, "epoch": 4, "sequence": 1, "lines": ""}), same),
    ] {
        let output = put(spec.clone()).await;
        assert!(!output.ok && output.stderr.contains(message), "{spec}: {output:?}");
    }
    for spec in [base(3, 7), base(3, 8), base(4, 1)] {
        let output = put(spec.clone()).await;
        assert!(output.ok, "{spec}: {output:?}");
    }
}

/// K1: a SeatLedger shows its License and pool but never who holds which seat, and no field is filled in by defaults.
#[tokio::test]
async fn i2_a_ledger_is_one_thing_and_stays_small() {
    let case = Case::new("ledger-shape").await;
    let one = "a ledger is either a journal or a base: give exactly one of them";
    let both = |mut spec: Value| {
        spec["journal"] = json!({"number": 1});
        spec
    };
    let neither = json!({"epoch": 1, "sequence": 1, "lines": ""});
    let long = json!({"journal": {"number": 1}, "epoch": 1, "sequence": 1, "lines": "x".repeat(1_048_577)});
    for (spec, message) in [
        (both(base(1, 1)), one),
        (neither, one),
        (
            json!({"journal": {"number": 1}, "epoch": -1, "sequence": 1, "lines": ""}),
            "should be greater than or equal to 0",
        ),
        (long, "1048576"),
    ] {
        let output = case.kubectl.run_with(&["create", "-f", "-"], &ledger("bad", spec)).await;
        assert!(!output.ok && output.stderr.contains(message), "{message}: {output:?}");
    }
    case.kubectl.expect_with(&["create", "-f", "-"], &ledger("b", base(3, 7))).await;
    let printed = case.kubectl.expect(&["get", "lledger"]).await;
    let cells: Vec<Vec<_>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0], ["NAME", "LICENSE", "POOL", "EPOCH", "SEQUENCE", "AGE"], "{printed}");
    assert_eq!(cells[1][..5], ["b", "innoacd", "agents", "3", "7"], "{printed}");
    assert!(!case.kubectl.expect(&["get", "lledger", "-o", "wide"]).await.contains("a.ivanov"));
    let stored = case.kubectl.expect(&["get", "seatledgers.seatkeeper.dev/b", "-o", "json"]).await;
    let stored: Value = serde_json::from_str(&stored).expect("kubectl prints JSON");
    assert_eq!(stored["spec"], base(3, 7));
    assert_eq!(stored["status"], Value::Null);
    let status = case.kubectl.run(&["patch", "lledger/b", "--subresource=status", "--type=merge", "-p", "{}"]).await;
    assert!(!status.ok, "there is no status to write: {status:?}");
}
