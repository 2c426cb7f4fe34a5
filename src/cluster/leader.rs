//! Which of several replicas acts. The Lease only says which one should try: every write that matters is a
//! compare-and-swap, so two replicas that both believe they lead do no harm.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{PostParams, Request};
use kube::{Api, Client, ResourceExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

use super::client::{self, CallError, call};
use super::clock::Clock;
use super::trouble::Trouble;
use crate::domain::Instant;
use crate::domain::tick::Moment;
use crate::machine::{jittered, monotonic};
use crate::wrong::{self, Variant::*};

/// The Lease in the operator's own namespace.
pub const LEASE_NAME: &str = "seatkeeper";
/// A leader whose Lease has not been seen to change for this long is considered gone.
const LASTS: Duration = Duration::from_secs(15);
/// How often the leader renews the Lease.
const RENEW: Duration = Duration::from_secs(3);
/// How often the other replicas look at the Lease.
const LOOK: Duration = Duration::from_secs(1);
/// A leader that could not renew for this long stops, well before another replica takes over.
const GIVE_UP: Duration = Duration::from_secs(10);
/// The annotation for the trusted time. It is stored with the Lease, which is renewed anyway.
const MARK: &str = "seatkeeper.dev/trusted-time";
/// The annotation for the address of the leader's seat server.
const SEATS: &str = "seatkeeper.dev/seats";

/// A replica that may lead.
pub struct Candidate {
    api: Api<Lease>,
    identity: String,
    clock: Clock,
    /// The version of the Lease last seen, and when: the clocks of two machines are never compared.
    seen: Option<(Option<String>, Moment)>,
    /// The Lease as this replica last wrote it while it leads, so that renewing it takes one request instead of two.
    held: Option<Lease>,
    /// Called each time the Lease was taken or renewed, with the time at which the request was sent.
    proven: Box<dyn Fn(Moment) + Send + Sync>,
    rank: Rank,
}

/// What a replica knows of its leader.
#[derive(Clone)]
pub struct Rank {
    /// `ADDRESS:PORT` at which the other replicas reach this replica's seat server; published while it leads.
    pub own: Option<String>,
    /// The address of the leader; `None` if it is unknown, or if this replica leads.
    pub leader: watch::Sender<Option<String>>,
    pub suspicion: Suspicion,
    /// Notified when it must be known at once whether this replica still leads.
    pub renew: Arc<Notify>,
}

impl Default for Rank {
    fn default() -> Self {
        Rank { own: None, leader: watch::Sender::new(None), suspicion: Suspicion::default(), renew: Arc::default() }
    }
}

/// A sign that the leader may be gone before its Lease runs out. A false one does no harm: the Lease and every write
/// are compare-and-swap.
#[derive(Clone, Default)]
pub struct Suspicion(Arc<(Notify, Mutex<Option<String>>)>);

impl Suspicion {
    /// Asks the candidate to look at the Lease now.
    pub fn look(&self) {
        self.0.0.notify_one();
    }

    /// Reports that the leader whose seat server is at `address` is gone, whatever its Lease says. It names the suspect,
    /// so that a leader elected since then is not affected: otherwise a third replica would take the Lease from it.
    pub fn gone(&self, address: &str) {
        *self.suspect() = Some(address.to_owned());
        self.look();
    }

    fn suspect(&self) -> MutexGuard<'_, Option<String>> {
        self.0.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Candidate {
    /// `proven` is called each time the Lease was taken or renewed, with the time at which the request was sent.
    pub fn new(
        client: Client,
        namespace: &str,
        identity: String,
        clock: Clock,
        rank: Rank,
        proven: impl Fn(Moment) + Send + Sync + 'static,
    ) -> Self {
        let (api, proven) = (Api::namespaced(client, namespace), Box::new(proven));
        Candidate { api, identity, clock, seen: None, held: None, proven, rank }
    }

    /// Adopts the trusted time that the previous leader stored.
    pub async fn recall_time(&self) -> Result<(), CallError> {
        if let Some(lease) = call(self.api.get_opt(LEASE_NAME)).await?
            && let Some(mark) = lease.annotations().get(MARK).and_then(|text| text.parse::<Instant>().ok())
        {
            self.clock.remember(mark);
        }
        Ok(())
    }

    /// Waits until this replica leads, and returns true; returns false if `stop` comes first.
    pub async fn lead(&mut self, stop: &mut watch::Receiver<bool>) -> bool {
        let mut trouble = Trouble::with("the leader's Lease");
        loop {
            match self.try_lead().await {
                Ok(true) => return true,
                Ok(false) => trouble.is_over(),
                Err(error) => trouble.lasts(self.why_not(&error)),
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return false,
                () = self.rank.suspicion.0.0.notified() => {}
                () = tokio::time::sleep(jittered(LOOK)) => {}
            }
        }
    }

    /// Why there is no Lease, and what to do if it will not pass by itself.
    fn why_not(&self, error: &CallError) -> String {
        match (self.api.namespace(), error.is_of_missing_namespace()) {
            (Some(namespace), true) => format!(
                "namespace {namespace}, which is the operator's own, does not exist: create it with `kubectl create \
                 namespace {namespace}`, or name another one with --namespace"
            ),
            _ => format!("it could not be read or written: {error}"),
        }
    }

    /// Keeps the lead until `stop` comes or the lead is lost. Returns true if the Lease is still held and can be given
    /// back.
    pub async fn keep(&mut self, stop: &mut watch::Receiver<bool>) -> bool {
        let mut renewed = monotonic();
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return true,
                () = self.rank.renew.notified() => {}
                () = tokio::time::sleep(jittered(RENEW)) => {}
            }
            match tokio::time::timeout(GIVE_UP.saturating_sub(monotonic() - renewed), self.renew()).await {
                Ok(Ok(true)) => renewed = monotonic(),
                Ok(Ok(false)) => return false,
                Ok(Err(error)) => tracing::warn!(%error, "the leader's Lease could not be renewed"),
                Err(_) => tracing::warn!("the leader's Lease could not be renewed in time"),
            }
            if monotonic() - renewed >= GIVE_UP {
                return false;
            }
        }
    }

    /// Gives up the lead, so that another replica takes over at once.
    pub async fn release(&mut self) {
        let lease = match call(self.api.get_opt(LEASE_NAME)).await {
            Ok(Some(lease)) if holder(&lease) == Some(&self.identity) => lease,
            _ => return,
        };
        if let Err(error) = self.put(lease, String::new()).await {
            tracing::warn!(%error, "the leader's Lease could not be released; another replica takes over in {LASTS:?}");
        }
    }

    /// Renews the Lease. Returns false if it is lost. A lost Lease is not taken back even if it is free again: another
    /// replica may have led meanwhile, and what this replica believes is then out of date.
    async fn renew(&mut self) -> Result<bool, CallError> {
        if let Some(lease) = self.held.take() {
            let sent = monotonic();
            match self.put(lease, self.identity.clone()).await {
                Ok(lease) => return Ok(self.hold(lease, sent)),
                // Another client's write, or our own whose reply was lost: read the Lease to find out.
                Err(error) if error.is_conflict() => {}
                Err(error) if error.is_not_found() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let lease = match call(self.api.get_opt(LEASE_NAME)).await? {
            Some(lease) if holder(&lease) == Some(&self.identity) => lease,
            _ => return Ok(false),
        };
        let sent = monotonic();
        match self.put(lease, self.identity.clone()).await {
            Ok(lease) => Ok(self.hold(lease, sent)),
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn try_lead(&mut self) -> Result<bool, CallError> {
        let lease = match call(self.api.get_opt(LEASE_NAME)).await? {
            None => Lease {
                metadata: ObjectMeta { name: Some(LEASE_NAME.into()), ..ObjectMeta::default() },
                ..Lease::default()
            },
            Some(lease) => {
                let version = lease.resource_version();
                if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
                    self.seen = Some((version, monotonic()));
                }
                let silent = self.seen.as_ref().map_or(Duration::ZERO, |(_, at)| monotonic() - *at);
                let held_by_other = holder(&lease).is_some_and(|holder| !holder.is_empty() && *holder != self.identity);
                let leader = lease.annotations().get(SEATS).filter(|_| held_by_other);
                let suspect = self.rank.suspicion.suspect().take();
                let gone = suspect.is_some() && suspect.as_ref() == leader;
                if held_by_other && silent < LASTS && !gone {
                    self.rank.leader.send_if_modified(|known| {
                        let changed = known.as_ref() != leader;
                        *known = leader.cloned();
                        changed
                    });
                    return Ok(false);
                }
                lease
            }
        };
        let sent = monotonic();
        match self.put(lease, self.identity.clone()).await {
            Ok(lease) => Ok(self.hold(lease, sent)),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn hold(&mut self, lease: Lease, sent: Moment) -> bool {
        (self.proven)(if wrong::is(ProofFromReply) { monotonic() } else { sent });
        self.rank.leader.send_if_modified(|known| known.take().is_some());
        self.seen = Some((lease.resource_version(), monotonic()));
        // The API server creates a Lease again if one that is gone is replaced, unless the writer names its UID. Then this replica
        // would go on leading although another one may have led meanwhile. The UID of a Lease that was just made is read
        // before the next renewal.
        self.held = Some(lease).filter(|lease| lease.metadata.uid.is_some());
        true
    }

    async fn put(&self, mut lease: Lease, holder_identity: String) -> Result<Lease, CallError> {
        let now = self.clock.now().at;
        let time = Timestamp::from_microsecond(now.timestamp_micros()).ok().map(MicroTime);
        let before = lease.spec.take().unwrap_or_default();
        let same = before.holder_identity.as_deref() == Some(holder_identity.as_str());
        lease.spec = Some(LeaseSpec {
            lease_duration_seconds: Some(i32::try_from(LASTS.as_secs()).unwrap_or(i32::MAX)),
            renew_time: time.clone(),
            acquire_time: if same { before.acquire_time } else { time },
            lease_transitions: Some(
                before.lease_transitions.unwrap_or(0) + i32::from(!same && !holder_identity.is_empty()),
            ),
            holder_identity: Some(holder_identity),
            ..LeaseSpec::default()
        });
        if let Some(mark) = self.clock.mark() {
            lease.annotations_mut().insert(MARK.into(), mark.to_rfc3339());
        }
        match &self.rank.own {
            Some(own) => _ = lease.annotations_mut().insert(SEATS.into(), own.clone()),
            None => _ = lease.annotations_mut().remove(SEATS),
        }
        lease.metadata.managed_fields = None;
        let (request, params) = (Request::new(self.api.resource_url()), PostParams::default());
        let body = serde_json::to_vec(&lease).unwrap_or_default();
        let request = match lease.metadata.resource_version {
            None => request.create(&params, body),
            Some(_) => request.replace(LEASE_NAME, &params, body),
        };
        // The new Lease is what was sent, in a new version.
        lease.metadata.resource_version = call(client::write(&self.api.clone().into_client(), request)).await?;
        Ok(lease)
    }
}

fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref()
}
