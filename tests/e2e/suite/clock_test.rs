//! Time is trusted only if two clocks confirm each other, and nothing ends early (docs/design/domain.md, Trusted time).

use chrono::Duration;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, ResourceExt};
use seatkeeper::api::License;
use seatkeeper::cluster::clock::Clock;
use seatkeeper::cluster::leader::LEASE_NAME;
use seatkeeper::domain::Instant;
use seatkeeper::machine::machine_time;

use super::faults_ground::{Ground, HOME, Order, SOON, Vendor, condition, conditions_of};
use super::faults_operators::InProcess;
use crate::harness::eventually::eventually;

/// The annotation in which the operator stores its mark.
const MARK: &str = "seatkeeper.dev/trusted-time";

async fn order(ground: &Ground, name: &str) -> Vendor {
    let vendor = ground.vendor(name).await;
    let starts_on = (machine_time().date_naive() - chrono::Months::new(2)).to_string();
    vendor.order(Order { name: "stadtwerke", starts_on: &starts_on, seats: 50, secret: "innoacd-license" }).await;
    vendor
}

/// Returns the mode, and what the License says about the clock.
fn shown(license: &License) -> (String, String) {
    let mode = license.status.as_ref().and_then(|status| status.mode).map(|mode| mode.as_str().to_owned());
    let (status, reason, _) = condition(conditions_of(license), "ClockTrusted");
    (mode.unwrap_or_default(), format!("{status} {reason}"))
}

async fn shows(vendor: &Vendor, mode: &str, clock: &str) -> License {
    let expected = (mode.to_owned(), clock.to_owned());
    vendor.license_comes(&format!("{expected:?}"), |license| shown(license) == expected).await
}

async fn store_mark(ground: &Ground, mark: Instant) {
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(LEASE_NAME.into()),
            annotations: Some([(MARK.to_owned(), mark.to_rfc3339())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec::default()),
    };
    let leases: Api<Lease> = Api::namespaced(ground.admin.clone(), HOME);
    leases.create(&Default::default(), &lease).await.expect("nobody leads");
}

async fn stored_mark(ground: &Ground) -> Option<Instant> {
    let leases: Api<Lease> = Api::namespaced(ground.admin.clone(), HOME);
    leases.get(LEASE_NAME).await.ok()?.annotations().get(MARK)?.parse().ok()
}

#[tokio::test]
async fn a_clock_ten_years_ahead_ends_no_licence_and_is_reported() {
    let ground = Ground::take().await;
    let vendor = order(&ground, "ahead").await;
    let clock = Clock::reading(|| machine_time() + Duration::days(3650));
    let operator = InProcess::start(&ground.operator, clock).await;
    let license = shows(&vendor, "Full", "False ClocksDisagree").await;
    let issued = vendor.keys("innoacd-license").await;
    assert_eq!(issued.len(), 1, "no key before its time");
    assert!((issued[0].issued_at() - machine_time()).abs() < Duration::minutes(1), "{issued:?}");
    let since = condition(conditions_of(&license), "Licensed").2.expect("it is there").0;
    assert!((since - machine_time()).abs() < Duration::minutes(1), "{since}");
    assert!(stored_mark(&ground).await.is_some_and(|mark| mark < machine_time() + Duration::minutes(1)));
    operator.stop().await;

    // Once the clock is right, it is trusted again.
    let operator = InProcess::start(&ground.operator, Clock::of_machine()).await;
    shows(&vendor, "Full", "True ClocksAgree").await;
    operator.stop().await;
}

#[tokio::test]
async fn one_boot_in_2036_expires_nothing_for_good() {
    let ground = Ground::take().await;
    let vendor = order(&ground, "boot").await;
    store_mark(&ground, "2036-02-01T00:00:00Z".parse().expect("a time")).await;
    let operator = InProcess::start(&ground.operator, Clock::of_machine()).await;
    shows(&vendor, "Full", "False ClockWasAhead").await;
    eventually(SOON, "the mark is dropped", async || match stored_mark(&ground).await {
        Some(mark) if mark < machine_time() + Duration::minutes(1) => Ok(()),
        mark => Err(format!("{mark:?}")),
    })
    .await;
    assert_eq!(vendor.keys("innoacd-license").await.len(), 1);
    operator.stop().await;
}

#[tokio::test]
async fn time_waits_silently_for_a_mark_that_is_a_moment_ahead() {
    let ground = Ground::take().await;
    let vendor = order(&ground, "moment").await;
    let mark = machine_time() + Duration::minutes(3);
    store_mark(&ground, mark).await;
    let operator = InProcess::start(&ground.operator, Clock::of_machine()).await;
    shows(&vendor, "Full", "True ClocksAgree").await;
    let keys = vendor.keys("innoacd-license").await;
    assert_eq!(keys[0].iat, mark.timestamp(), "time stays at the mark and is never set back");
    operator.stop().await;
    assert_eq!(stored_mark(&ground).await, Some(mark));
}
