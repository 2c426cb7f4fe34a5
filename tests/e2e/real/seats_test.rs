//! Concurrent seats on a real cluster: ServiceAccounts, RBAC, replicas that die (I1, I2, I3).

use std::path::Path;
use std::time::Duration;

use seatkeeper::machine::monotonic;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::eventually::eventually;
use crate::suite::faults_ground::{Ground, Order, SOON, Vendor};
use crate::suite::faults_operators::Replica;

pub const LEADS: &str = "ok: leads";

/// A person with a ServiceAccount, who uses the seat server of a replica.
#[derive(Clone)]
pub struct Agent {
    pub token: String,
    pub namespace: String,
}

/// An answer: status, `Retry-After`, body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub body: Value,
}

impl Agent {
    /// Makes a ServiceAccount that may take seats of every License of its namespace.
    pub async fn employed(vendor: &Vendor, name: &str) -> Self {
        vendor.kubectl.expect(&["create", "serviceaccount", name]).await;
        let verbs = "--verb=create,delete,list";
        vendor.kubectl.expect(&["create", "role", name, verbs, "--resource=licenses.seatkeeper.dev/seats"]).await;
        let account = format!("--serviceaccount={}:{name}", vendor.namespace);
        vendor.kubectl.expect(&["create", "rolebinding", name, &format!("--role={name}"), &account]).await;
        Self::with_token(vendor, name, "seatkeeper").await
    }

    async fn with_token(vendor: &Vendor, name: &str, audience: &str) -> Self {
        let token = vendor.kubectl.expect(&["create", "token", name, "--audience", audience]).await;
        Agent { token: token.trim().to_owned(), namespace: vendor.namespace.clone() }
    }

    pub async fn logs_in(&self, at: &Replica, user: &str) -> Option<Answer> {
        self.ask(at, "POST", "/v1/seats", &self.wish(user)).await
    }

    /// Returns the body of a request for a seat.
    pub fn wish(&self, user: &str) -> String {
        let license = json!({"namespace": self.namespace, "name": "innoacd"});
        json!({"license": license, "user": user, "session": format!("{user}-1")}).to_string()
    }

    /// Asks for a seat, and waits in the queue for `seconds`.
    async fn waits(&self, at: &Replica, user: &str, seconds: u64) -> Option<Answer> {
        let license = json!({"namespace": self.namespace, "name": "innoacd"});
        let body = json!({"license": license, "user": user, "session": format!("{user}-1"), "wait": seconds});
        self.ask(at, "POST", "/v1/seats", &body.to_string()).await
    }

    pub async fn ask(&self, at: &Replica, method: &str, path: &str, body: &str) -> Option<Answer> {
        let stream = TcpStream::connect(("127.0.0.1", at.seats)).await.ok()?;
        self.ask_over(stream, method, path, body).await
    }

    /// Sends a request over a connection and closes it.
    pub async fn ask_over(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        method: &str,
        path: &str,
        body: &str,
    ) -> Option<Answer> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: seats\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.token,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let retry_after = head.lines().find_map(|line| line.strip_prefix("retry-after: "));
        Some(Answer {
            status: head.split(' ').nth(1)?.parse().ok()?,
            retry_after: retry_after.and_then(|seconds| seconds.parse().ok()),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        })
    }
}

/// Makes a License in force with this many agents, and an operator that grants its seats.
async fn licensed(ground: &Ground, name: &str, seats: u32) -> (Vendor, Replica) {
    licensed_by(ground, name, seats, &[]).await
}

/// Like `licensed`, with more arguments for the operator.
pub async fn licensed_by(ground: &Ground, name: &str, seats: u32, more: &[&str]) -> (Vendor, Replica) {
    licensed_over(ground, &ground.operator, name, seats, more).await
}

/// Like `licensed_by`, with an operator that uses this kubeconfig.
pub async fn licensed_over(
    ground: &Ground,
    kubeconfig: &Path,
    name: &str,
    seats: u32,
    more: &[&str],
) -> (Vendor, Replica) {
    let vendor = ground.vendor(name).await;
    let replica = Replica::start_with(kubeconfig, &format!("{name}-first"), more);
    replica.says(SOON, LEADS).await;
    let today = seatkeeper::machine::machine_time().date_naive();
    let starts_on = (today - chrono::Months::new(1)).to_string();
    vendor.order(Order { name: "stadtwerke", starts_on: &starts_on, seats, secret: "keys" }).await;
    (vendor, replica)
}

/// Returns the answer once the replica owns the seats and knows the License. A ledger that is not there grants nothing for a
/// minute.
pub async fn logged_in(agent: &Agent, at: &Replica, user: &str) -> Answer {
    eventually(5 * SOON, &format!("{user} is logged in"), async || match agent.logs_in(at, user).await {
        Some(answer) if answer.status == 201 => Ok(answer),
        other => Err(format!("{other:?}")),
    })
    .await
}

#[tokio::test]
async fn i1_i2_i3_agents_take_seats_with_their_service_account_and_never_more_than_licensed() {
    let ground = Ground::take().await;
    let (vendor, replica) = licensed(&ground, "seats", 2).await;
    let agent = Agent::employed(&vendor, "agent").await;

    let first = logged_in(&agent, &replica, "m.huber").await;
    assert_eq!(first.body["access"], "Full");
    let second = agent.logs_in(&replica, "a.kern").await.expect("it answers");
    assert_eq!(second.status, 201, "{second:?}");
    let again = agent.logs_in(&replica, "m.huber").await.expect("it answers");
    assert_eq!(again.body["seats"], first.body["seats"], "the same session has the same seat");

    let third = agent.logs_in(&replica, "j.wolf").await.expect("it answers");
    assert_eq!((third.status, &third.body["reason"]), (409, &json!("SeatsExhausted")), "{third:?}");
    assert!(third.retry_after.is_some());

    eventually(SOON, "the License shows two seats in use", async || {
        let seats = vendor
            .kubectl
            .expect(&["get", "licenses.seatkeeper.dev", "innoacd", "-o", "jsonpath={.status.seats}"])
            .await;
        if seats == "agents 2/2" { Ok(()) } else { Err(seats) }
    })
    .await;

    let id = second.body["seats"][0]["id"].as_str().expect("a seat has an id");
    let released = agent.ask(&replica, "DELETE", &format!("/v1/seats/{id}"), "").await.expect("it answers");
    assert_eq!(released.status, 204, "{released:?}");
    let third = agent.logs_in(&replica, "j.wolf").await.expect("it answers");
    assert_eq!(third.status, 201, "a seat that was given back is free at once: {third:?}");
    let lost = agent.ask(&replica, "PUT", &format!("/v1/seats/{id}"), "").await.expect("it answers");
    assert_eq!((lost.status, &lost.body["reason"]), (410, &json!("SeatLost")), "{lost:?}");

    let list = format!("/v1/seats?namespace={}&license=innoacd", vendor.namespace);
    let listed = agent.ask(&replica, "GET", &list, "").await.expect("it answers");
    let users: Vec<_> = listed.body["holders"].as_array().into_iter().flatten().map(|h| h["user"].clone()).collect();
    assert_eq!(users, [json!("m.huber"), json!("j.wolf")], "{listed:?}");
    replica.kill().await;
}

#[tokio::test]
async fn a_wrong_token_another_audience_and_a_missing_right_are_each_refused_for_what_they_are() {
    let ground = Ground::take().await;
    let (vendor, replica) = licensed(&ground, "strangers", 2).await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &replica, "m.huber").await;

    let forged = Agent { token: "eyJhbGciOiJub25lIn0.e30.".into(), namespace: vendor.namespace.clone() };
    let elsewhere = Agent::with_token(&vendor, "agent", "https://kubernetes.default.svc").await;
    for stranger in [forged, elsewhere] {
        let answer = stranger.logs_in(&replica, "x").await.expect("it answers");
        assert_eq!((answer.status, &answer.body["reason"]), (401, &json!("Unauthorized")), "{answer:?}");
    }
    vendor.kubectl.expect(&["create", "serviceaccount", "visitor"]).await;
    let visitor = Agent::with_token(&vendor, "visitor", "seatkeeper").await;
    let answer = visitor.logs_in(&replica, "x").await.expect("it answers");
    assert_eq!((answer.status, &answer.body["reason"]), (403, &json!("Forbidden")), "{answer:?}");
    let evict = format!("/v1/seats?namespace={}&license=innoacd&user=m.huber", vendor.namespace);
    let answer = agent.ask(&replica, "DELETE", &evict, "").await.expect("it answers");
    assert_eq!(answer.status, 403, "taking seats is not freeing those of others: {answer:?}");
    replica.kill().await;
}

#[tokio::test]
async fn i2_after_kill_9_the_next_replica_grants_within_a_second_or_so_and_gives_no_seat_twice() {
    let ground = Ground::take().await;
    let (vendor, first) = licensed(&ground, "failover", 3).await;
    let second = Replica::start(&ground.operator, "failover-second");
    second.says(SOON, "ok: stands by").await;
    let agent = Agent::employed(&vendor, "agent").await;

    let held = logged_in(&agent, &first, "m.huber").await;
    let id = held.body["seats"][0]["id"].as_str().expect("a seat has an id").to_owned();
    // The replica that stands by passes the request on to the owner.
    let passed_on = logged_in(&agent, &second, "a.kern").await;
    assert_eq!(passed_on.status, 201);

    let killed = monotonic();
    first.kill().await;
    logged_in(&agent, &second, "j.wolf").await;
    let took = monotonic() - killed;
    println!("a new seat was granted {took:?} after the owner was killed");
    assert!(took < Duration::from_secs(5), "{took:?}");

    let fourth = agent.logs_in(&second, "one.too.many").await.expect("it answers");
    assert_eq!((fourth.status, &fourth.body["reason"]), (409, &json!("SeatsExhausted")), "{fourth:?}");
    let kept = agent.ask(&second, "PUT", &format!("/v1/seats/{id}"), "").await.expect("it answers");
    assert_eq!(kept.status, 200, "a holder still holds the seat: {kept:?}");
    second.kill().await;
}

#[tokio::test]
async fn i2_an_owner_that_is_told_to_end_hands_over_at_once() {
    let ground = Ground::take().await;
    let (vendor, mut first) = licensed(&ground, "handing-over", 3).await;
    let second = Replica::start(&ground.operator, "handing-over-second");
    second.says(SOON, "ok: stands by").await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &first, "m.huber").await;

    let told = monotonic();
    first.terminate().await;
    logged_in(&agent, &second, "a.kern").await;
    let took = monotonic() - told;
    println!("a new seat was granted {took:?} after the owner was told to end");
    assert!(took < Duration::from_secs(3), "{took:?}");
    first.ended(SOON).await;
    second.kill().await;
}

/// The request waits behind a replica that passes it on, for longer than any other answer takes.
#[tokio::test]
async fn i2_a_waiter_learns_its_place_after_the_wait_and_of_another_owner_at_once() {
    let ground = Ground::take().await;
    let (vendor, mut first) = licensed(&ground, "queueing", 1).await;
    let second = Replica::start(&ground.operator, "queueing-second");
    second.says(SOON, "ok: stands by").await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &first, "m.huber").await;

    let asked = monotonic();
    let in_vain = agent.waits(&second, "a.kern", 14).await.expect("it answers");
    assert!(monotonic() - asked >= Duration::from_secs(14), "{:?}", monotonic() - asked);
    assert_eq!((in_vain.status, in_vain.retry_after), (409, Some(0)), "{in_vain:?}");
    assert_eq!((&in_vain.body["reason"], &in_vain.body["place"]), (&json!("SeatsExhausted"), &json!(1)));

    let ending = async {
        eventually(SOON, "a waiter is in the queue", async || match first.ask("/metrics").await {
            Some((_, text)) if text.contains("\nseatkeeper_seats_queued 1\n") => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        first.terminate().await;
        monotonic()
    };
    let waiting = async {
        let answer = agent.waits(&second, "a.kern", 30).await.expect("it answers");
        (answer, monotonic())
    };
    let ((answer, at), told) = tokio::join!(waiting, ending);
    assert_eq!((answer.status, answer.retry_after), (503, Some(1)), "{answer:?}");
    assert_eq!(answer.body["reason"], "NotOwner", "{answer:?}");
    assert!(at - told < Duration::from_secs(2), "{:?}", at - told);
    first.ended(SOON).await;
    second.kill().await;
}
