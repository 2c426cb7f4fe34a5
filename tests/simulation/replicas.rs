//! Replicas of the operator, each on a machine of its own: with a clock that may run fast, a process that may be
//! stopped or killed, and a link to the API server that may hold back what is sent.
//!
//! A machine is a runtime that makes progress only while it is driven. All are driven in turn, a slice of time each.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use seatkeeper::cluster::client::{RequestCount, over};
use seatkeeper::cluster::clock::Clock;
use seatkeeper::domain::license::whom_to_trust::TrustFromLicenses;
use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::monotonic;
use seatkeeper::operator::Operator;
use seatkeeper::seats::Desk;
use seatkeeper::seats::limits::{TTL, with_drift};
use seatkeeper::seats::proof::PROOF_LASTS;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{oneshot, watch};
use tower::{BoxError, Service};

use crate::contact_centre::centre;
use crate::faults::{Body, FaultyApi, Shared};
use crate::run::{runtime, shared};
use crate::schedule::Schedule;
use crate::vendor;
use crate::world::Edit;

/// For how long each machine is driven before the next one: a request takes about two slices.
const SLICE: Duration = Duration::from_millis(20);
/// The clock of the network is this far ahead at first, so that a new machine's clock is always set forwards.
const AHEAD: Duration = Duration::from_secs(60 * 60);
/// The longest that a first owner takes to begin.
const BEGINS: Duration = Duration::from_secs(20);

/// What a link holds back until that changes: requests, and replies to requests, for these kinds (plurals).
#[derive(Clone, Copy, Default)]
pub struct Held {
    pub requests: &'static [&'static str],
    pub replies: &'static [&'static str],
}

/// A machine's way to the API server. What it sends arrives even if nobody waits for the reply any longer, but not once
/// the machine is gone.
#[derive(Clone)]
struct Link {
    api: FaultyApi,
    network: Handle,
    held: watch::Receiver<Held>,
}

impl Service<Request<kube::client::Body>> for Link {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let (tell, reply) = oneshot::channel();
        let Link { mut api, network, mut held } = self.clone();
        network.spawn(async move {
            let path = request.uri().path().to_owned();
            let is_of = |kinds: &[&str]| path.split('/').any(|part| kinds.contains(&part));
            if held.wait_for(|held| !is_of(held.requests)).await.is_err() {
                return;
            }
            let answer = api.call(request).await;
            if held.wait_for(|held| !is_of(held.replies)).await.is_ok() {
                // The caller may be gone.
                let _ = tell.send(answer);
            }
        });
        async move { reply.await.map_err(|_| "the machine is gone")? }.boxed()
    }
}

struct Machine {
    runtime: Runtime,
    desk: Desk,
    held: watch::Sender<Held>,
    /// By how much its clock is faster than time.
    fast: f64,
    is_stopped: bool,
    /// What its clock shows when it was last driven, or should have been.
    clock: Moment,
    /// Ends the operator when it is dropped.
    _stop: watch::Sender<bool>,
}

/// Two machines, of which the first owns the ledger, and a licence in force.
pub struct Replicas {
    pub shared: Arc<Shared>,
    network: Runtime,
    machines: [Option<Machine>; 2],
    /// True time.
    pub now: Moment,
}

impl Replicas {
    /// Starts a licence for `seats` agents on two machines; the clock of the second runs faster by `fast`.
    pub fn start(seats: u32, fast: [f64; 2]) -> Self {
        let world = centre(seats, None);
        let network = runtime();
        let shared = network.block_on(async {
            let _ = tokio::time::advance(AHEAD).now_or_never();
            Arc::new(shared(&world, Schedule::Calm, 0))
        });
        let mut replicas =
            Replicas { shared, network, machines: [None, None], now: Moment::after_start(Duration::ZERO) };
        replicas.people_do(async |shared| {
            for namespace in &world.namespaces {
                vendor::make_namespace(shared, namespace).await;
            }
            vendor::make_plan(shared, 0).await;
        });
        replicas.boot(0, fast[0]);
        assert!(replicas.until(BEGINS, |replicas| replicas.owns(0)), "the first replica never owned the ledger");
        replicas.people_do(async |shared| {
            vendor::carry_out(shared, &Edit::Issuer { namespace: "centre".into(), key: 1 }).await;
            vendor::carry_out(shared, &Edit::Order(0)).await;
        });
        replicas.boot(1, fast[1]);
        // The ledger is new, so nothing is granted until the time of seats that it may lack would be over.
        replicas.pass(BEGINS + with_drift(PROOF_LASTS + TTL));
        replicas
    }

    fn boot(&mut self, n: usize, fast: f64) {
        let runtime = runtime();
        let network = self.network.block_on(async { monotonic() });
        let (held, holds) = watch::channel(Held::default());
        let (stop, stopped) = watch::channel(false);
        let link = Link { api: FaultyApi(self.shared.clone()), network: self.network.handle().clone(), held: holds };
        let calendar = self.shared.calendar.clone();
        let (desk, clock) = runtime.block_on(async {
            let _ = tokio::time::advance(network - monotonic()).now_or_never();
            let clock = Clock::reading(move || calendar.own());
            let requests = RequestCount::default();
            let client = over(link, clock.clone(), requests.clone());
            let operator = Operator::new(
                client,
                clock,
                &requests,
                "default",
                &format!("machine-{n}"),
                TrustFromLicenses::Allow,
                TTL,
            );
            let desk = operator.desk();
            tokio::spawn(operator.run(stopped));
            (desk, monotonic())
        });
        self.machines[n] = Some(Machine { runtime, desk, held, fast, is_stopped: false, clock, _stop: stop });
    }

    /// Lets people do something at the API, past all faults.
    pub fn people_do<T>(&self, what: impl AsyncFnOnce(&Shared) -> T) -> T {
        self.network.block_on(what(&self.shared))
    }

    /// Lets time pass for the network and for every machine.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            let slice = SLICE.min(until - self.now);
            self.now = self.now + slice;
            self.network.block_on(async { tokio::time::sleep(slice).await });
            for machine in self.machines.iter_mut().flatten() {
                machine.clock = machine.clock + slice.mul_f64(machine.fast);
                if !machine.is_stopped {
                    let clock = machine.clock;
                    machine.runtime.block_on(async { tokio::time::sleep(clock - monotonic()).await });
                }
            }
        }
    }

    /// Lets time pass until `done`, and returns whether that came within `most`.
    pub fn until(&mut self, most: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let until = self.now + most;
        while !done(self) {
            if self.now >= until {
                return false;
            }
            self.pass(SLICE);
        }
        true
    }

    fn machine(&self, n: usize) -> &Machine {
        self.machines[n].as_ref().expect("the machine was not killed")
    }

    pub fn owns(&self, n: usize) -> bool {
        self.machine(n).desk.owns()
    }

    pub fn desk(&self, n: usize) -> Desk {
        self.machine(n).desk.clone()
    }

    /// Sets what the link of a machine holds back from now on.
    pub fn hold(&self, n: usize, held: Held) {
        self.machine(n).held.send_replace(held);
    }

    /// Ends the process. What its link holds back never arrives.
    pub fn kill(&mut self, n: usize) {
        self.machines[n] = None;
    }

    /// Stops the process: it notices only once it goes on.
    pub fn stop(&mut self, n: usize) {
        self.machines[n].as_mut().expect("the machine was not killed").is_stopped = true;
    }

    /// Lets a stopped process go on: the first thing it does is `what`.
    pub fn go_on_with<T>(&mut self, n: usize, what: impl Future<Output = T>) -> Option<T> {
        let machine = self.machines[n].as_mut().expect("the machine was not killed");
        machine.is_stopped = false;
        machine.runtime.block_on(async {
            // The first poll moves the clock; at the second, other tasks would run.
            let _ = tokio::time::advance(machine.clock - monotonic()).now_or_never();
            what.now_or_never()
        })
    }

    /// Sends a request to a machine's desk. The answer waits until it is received.
    pub fn send<T: Send + 'static>(&self, n: usize, what: impl Future<Output = T> + Send + 'static) -> Sent<T> {
        let (tell, answer) = oneshot::channel();
        self.machine(n).runtime.spawn(async move {
            // A client that no longer waits is gone.
            let _ = tell.send(what.await);
        });
        Sent { at: self.now, answer }
    }
}

/// A request that was sent, and when.
pub struct Sent<T> {
    pub at: Moment,
    answer: oneshot::Receiver<T>,
}

impl<T> Sent<T> {
    /// Waits for the answer for at most `most`. `None` if there is none.
    pub fn receive(&mut self, replicas: &mut Replicas, most: Duration) -> Option<T> {
        let mut answer = None;
        replicas.until(most, |_| {
            answer = self.answer.try_recv().ok();
            answer.is_some()
        });
        answer
    }
}
