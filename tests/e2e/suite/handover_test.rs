//! The lead passes from one replica to the next, and the operator survives outages (K3).

use std::time::Duration;

use seatkeeper::machine::monotonic;

use super::faults_ground::{Ground, Order, SOON, Vendor};
use super::faults_operators::Replica;
use super::faults_proxy::Proxy;
use crate::harness::eventually::eventually;

const LEADS: &str = "ok: leads";
const STANDS_BY: &str = "ok: stands by";
/// The number of orders in progress while the lead passes on.
const ORDERS: usize = 8;

/// Starts two replicas, the first of which leads.
async fn two(ground: &Ground) -> (Replica, Replica) {
    let first = Replica::start(&ground.operator, "first");
    first.says(SOON, LEADS).await;
    let second = Replica::start(&ground.operator, "second");
    second.says(SOON, STANDS_BY).await;
    (first, second)
}

async fn order_many(vendor: &Vendor) {
    let orders: Vec<_> = (0..ORDERS)
        .map(|n| {
            let (name, secret) = (format!("customer-{n}"), format!("keys-{n}"));
            Order { name: &name, starts_on: this_year().as_str(), seats: 50, secret: &secret }.yaml()
        })
        .collect();
    vendor.kubectl.apply(&orders.join("---")).await;
}

/// Returns the first day of a running contract: ten months ago, so that the next key is due too.
fn this_year() -> String {
    let today = seatkeeper::machine::machine_time().date_naive();
    (today - chrono::Months::new(10)).to_string()
}

/// Checks that every order has exactly its two keys.
async fn each_key_is_there_once(vendor: &Vendor) {
    eventually(SOON, "every order has its keys", async || {
        for n in 0..ORDERS {
            let keys = vendor.keys(&format!("keys-{n}")).await;
            let mut terms: Vec<_> = keys.iter().filter_map(|key| Some(key.subscription.as_ref()?.term)).collect();
            terms.sort_unstable();
            if terms != [1, 2] {
                return Err(format!("keys-{n}: {terms:?}"));
            }
        }
        Ok(())
    })
    .await;
    assert!(vendor.revocations().await.serials.is_empty(), "nothing was taken back on the way");
}

#[tokio::test]
async fn k3_a_leader_that_is_told_to_end_hands_over_in_under_two_seconds() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("handover").await;
    let (mut first, second) = two(&ground).await;

    order_many(&vendor).await;
    let told = monotonic();
    first.terminate().await;
    second.says(Duration::from_secs(10), LEADS).await;
    let took = monotonic() - told;
    let status = first.ended(SOON).await;
    println!("handed over in {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(status.code(), Some(0), "{status}");
    each_key_is_there_once(&vendor).await;
}

#[tokio::test]
async fn k3_a_leader_that_is_killed_is_replaced_within_twenty_seconds() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("killed").await;
    let (first, second) = two(&ground).await;

    order_many(&vendor).await;
    let killed = monotonic();
    first.kill().await;
    second.says(Duration::from_secs(20), LEADS).await;
    println!("taken over in {:?}", monotonic() - killed);
    each_key_is_there_once(&vendor).await;
}

/// The API server creates a Lease again that is replaced after it was deleted. A leader that had made the Lease itself went on
/// leading, though another one may have led meanwhile.
#[tokio::test]
async fn k3_a_leader_whose_lease_is_deleted_ends_also_if_it_made_the_lease() {
    let ground = Ground::take().await;
    let mut first = Replica::start(&ground.operator, "first");
    first.says(SOON, LEADS).await;
    ground.nobody_leads().await;
    let status = first.ended(SOON).await;
    assert_eq!(status.code(), Some(1), "{status}");
}

#[tokio::test]
async fn a_replica_is_ready_once_it_has_read_everything_and_says_whether_it_leads() {
    let ground = Ground::take().await;
    let proxy = Proxy::start(&ground).await;
    proxy.hold_lists(true);
    let replica = Replica::start(proxy.kubeconfig(), "reading");
    let asked = eventually(SOON, "the replica asks for a list", async || {
        let requests = proxy.requests();
        // Which kind is listed first is not certain, and one is at a time.
        if requests.iter().any(|request| ["/licenses", "/secrets"].iter().any(|kind| request.ends_with(kind))) {
            Ok(())
        } else {
            Err(format!("{requests:?}"))
        }
    });
    asked.await;
    let (code, text) = replica.ask("/readyz").await.expect("it listens");
    assert_eq!((code, text.as_str()), (503, "the caches have not listed every kind yet\n"));
    assert_eq!(replica.ask("/livez").await, Some((200, "ok\n".to_owned())));
    assert_eq!(metric(&replica, "seatkeeper_leads").await, "0");

    proxy.hold_lists(false);
    replica.says(SOON, LEADS).await;
    // What was read a moment ago is shown to everybody for a second.
    eventually(SOON, "the metric says that it leads", async || {
        let leads = metric(&replica, "seatkeeper_leads").await;
        if leads == "1" { Ok(()) } else { Err(leads) }
    })
    .await;
    let other = Replica::start(&ground.operator, "other");
    other.says(SOON, STANDS_BY).await;
    assert_eq!(metric(&other, "seatkeeper_leads").await, "0");
}

async fn metric(replica: &Replica, name: &str) -> String {
    let (_, text) = replica.ask("/metrics").await.expect("it listens");
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).to_owned()
}

#[tokio::test]
async fn k3_after_an_outage_of_the_api_server_the_operator_goes_on_by_itself() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("outage").await;
    let mut proxy = Proxy::start(&ground).await;
    let mut replica = Replica::start(proxy.kubeconfig(), "outage");
    let starts_on = this_year();
    let order = Order { name: "stadtwerke", starts_on: &starts_on, seats: 50, secret: "innoacd-license" };
    vendor.order(order).await;
    vendor.license_comes("50 agents", |license| seats(license) == "agents 0/50").await;

    proxy.go_away();
    let patch = r#"{"spec":{"plans":[{"name":"innoacd","pools":[{"name":"agents","seats":50,"changes":[{"on":"TODAY","seats":60}]}]}]}}"#;
    let today = seatkeeper::machine::machine_time().date_naive().to_string();
    vendor.edit("subscriptions", "stadtwerke", &patch.replace("TODAY", &today)).await;
    // This outage is shorter than a leader may be silent, so the leader stays.
    tokio::time::sleep(Duration::from_secs(4)).await;
    proxy.come_back();
    let back = monotonic();
    vendor.license_comes("60 agents", |license| seats(license) == "agents 0/60").await;
    println!("went on {:?} after the outage", monotonic() - back);
    replica.says(SOON, LEADS).await;

    // This one is longer: another might lead by now, so the leader ends, and Kubernetes restarts it.
    proxy.go_away();
    let status = replica.ended(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(1), "{status}");
}

fn seats(license: &seatkeeper::api::License) -> &str {
    license.status.as_ref().and_then(|status| status.seats.as_deref()).unwrap_or_default()
}
