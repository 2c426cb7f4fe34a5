//! What a tenant may try against the seats of another with lists of revoked keys: a list counts wherever it is, so every trust
//! Secret bears on everybody until it is known whom it concerns.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::SigningKey;
use futures::StreamExt;
use futures::stream;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use seatkeeper::api::secret_type::{ISSUER, TRUST};
use seatkeeper::domain::license::jwk::{read_signing_key, thumbprint};
use seatkeeper::domain::license::trust::{Revocations, sign_revocations};
use serde_json::json;
use tokio::task::JoinSet;

use super::hostile_flood_test::{ATTACKER, Line};
use super::hostile_load_test::ask;
use super::hostile_shares_test::{cycles, intruder};
use super::seats_test::{Agent, licensed_by, logged_in};
use crate::suite::faults_ground::{Ground, SOON, Vendor};
use crate::suite::faults_operators::Replica;

/// How long is measured, before the attack and during it.
const TIME: Duration = Duration::from_secs(10);
const WRITERS: usize = 4;
/// A quiet operator has thousands of cycles, and hundreds while Secrets are written that it does not read.
const FEW: usize = 30;
/// How many times as long a cycle may take as while Secrets are written that the operator does not read: the API server has work
/// with those, too.
const TIMES: u32 = 5;
/// How many lists there are.
const LARGE: usize = 16;
const SMALL: usize = 500;

/// A list that a tenant makes.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// In Secrets of another type, which the operator does not read: what writing them takes away from everybody.
    Unread,
    /// It says that the victim's vendor signed it, who did not.
    Forged,
    /// Signed by an issuer of the tenant's own, whom Licenses of its own trust.
    Own,
}

/// The lists that the writers write in turn: one large one for nine small ones.
struct Lists {
    type_: &'static str,
    jwks: String,
    large: Vec<String>,
    small: Vec<String>,
}

impl Lists {
    fn new(kind: Kind, victim: &Issuer, own: &Issuer) -> Lists {
        let list = |nth: usize, serials: usize| {
            let serials: BTreeSet<String> = (0..serials).map(|n| format!("{nth}-{n}")).collect();
            let list = Revocations { version: nth as u64, iat: 1, exp: None, serials };
            match kind {
                Kind::Own => sign_revocations(&list, &own.key),
                Kind::Unread | Kind::Forged => {
                    let signer = thumbprint(&victim.key.verifying_key());
                    let header = json!({"alg": "EdDSA", "typ": "revocations+jwt", "kid": signer});
                    let claims = serde_json::to_string(&list).expect("a list is JSON");
                    format!(
                        "{}.{}.{}",
                        BASE64.encode(header.to_string()),
                        BASE64.encode(claims),
                        BASE64.encode([7; 64])
                    )
                }
            }
        };
        let jwks = if matches!(kind, Kind::Own) { &own.jwks } else { &victim.jwks };
        Lists {
            type_: if matches!(kind, Kind::Unread) { "Opaque" } else { TRUST },
            jwks: jwks.clone(),
            large: (0..8).map(|nth| list(nth, 25_000)).collect(),
            small: (8..16).map(|nth| list(nth, 1)).collect(),
        }
    }

    fn secret(&self, name: String, is_large: bool, nth: usize) -> Secret {
        let texts = if is_large { &self.large } else { &self.small };
        let entries = [("jwks.json", &self.jwks), ("revoked.jwt", &texts[nth % texts.len()])];
        let entries = entries.map(|(entry, text)| (entry.to_owned(), ByteString(text.clone().into_bytes())));
        Secret {
            metadata: ObjectMeta { name: Some(name), ..ObjectMeta::default() },
            type_: Some(self.type_.to_owned()),
            data: Some(entries.into()),
            ..Secret::default()
        }
    }
}

/// What signs the keys of a contract, and what the operator has published of it.
struct Issuer {
    key: SigningKey,
    jwks: String,
}

impl Issuer {
    async fn of(ground: &Ground, vendor: &Vendor) -> Issuer {
        let secrets: Api<Secret> = Api::namespaced(ground.admin.clone(), &vendor.namespace);
        let entry = async |type_: &str, entry: &str| {
            let of_type = ListParams::default().fields(&format!("type={type_}"));
            let found = secrets.list(&of_type).await.expect("the API server answers").items.pop();
            found.and_then(|secret| secret.data?.remove(entry)).expect("it has that entry").0
        };
        let key = read_signing_key(&entry(ISSUER, "signing-key.pem").await).expect("a signing key");
        let jwks = String::from_utf8(entry(TRUST, "jwks.json").await).expect("it is text");
        Issuer { key, jwks }
    }
}

/// Lists that are written over and over, on a thread of its own, while the tenant takes and gives back a seat of its own.
struct Attack {
    over: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Attack {
    fn begins(lists: &Arc<Lists>, secrets: &Api<Secret>, agent: Agent, at: &Replica) -> Attack {
        let (over, written) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            let (over, written, secrets, lists) = (over.clone(), written.clone(), secrets.clone(), lists.clone());
            tasks.spawn(async move {
                for nth in 0.. {
                    if over.load(Relaxed) {
                        break;
                    }
                    let is_large = nth % 10 == 0;
                    let name = format!("list-{}", if is_large { writer } else { LARGE + writer });
                    let secret = lists.secret(name.clone(), is_large, nth);
                    secrets.replace(&name, &PostParams::default(), &secret).await.expect("it is written");
                    written.fetch_add(1, Relaxed);
                }
            });
        }
        let (ends, to) = (over.clone(), at.seats);
        tasks.spawn(async move {
            let mut line = Line::from(ATTACKER, to).await.expect("it listens");
            let wish = agent.wish("intruder");
            while !ends.load(Relaxed) {
                let (_, granted) = ask(&mut line, "POST /v1/seats", &agent.token, &wish).await;
                if let Some(id) = granted["seats"][0]["id"].as_str() {
                    ask(&mut line, &format!("DELETE /v1/seats/{id}"), &agent.token, "").await;
                }
            }
        });
        Attack { over, written, tasks }
    }

    async fn ends(mut self) -> u64 {
        self.over.store(true, Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("the attack went on to the end");
        }
        self.written.load(Relaxed)
    }
}

/// The attack: lists in the name of the victim's vendor, and genuine ones by an issuer of the attacker's own, large and small,
/// which are written again without end. Each change had every License looked at, and all trust built again from all lists under
/// the lock of all seats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i2_lists_that_a_tenant_writes_without_end_delay_nobody() {
    let ground = Ground::take().await;
    let (vendor, mut replica) = licensed_by(&ground, "lists", 4, &[]).await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &replica, "m.huber").await;
    let (other, hostile) = intruder(&ground, "lists-intruder", &replica).await;
    let (issuer, own) = (Issuer::of(&ground, &vendor).await, Issuer::of(&ground, &other).await);
    let secrets: Api<Secret> = Api::namespaced(ground.admin.clone(), &other.namespace);
    let mut line = Line::from(Ipv4Addr::LOCALHOST.into(), replica.seats).await.expect("it listens");
    let (mut unread, mut failed) = (None, Vec::new());
    for kind in [Kind::Unread, Kind::Forged, Kind::Own] {
        let lists = Arc::new(Lists::new(kind, &issuer, &own));
        let creating = stream::iter(0..LARGE + SMALL).map(|nth| {
            let (secrets, secret) = (secrets.clone(), lists.secret(format!("list-{nth}"), nth < LARGE, nth));
            async move { secrets.create(&PostParams::default(), &secret).await.map(|_| ()) }
        });
        let (quiet, usual) = cycles(&mut line, &agent, TIME).await;
        let created: Vec<_> = creating.buffer_unordered(8).collect().await;
        created.into_iter().for_each(|created| created.expect("a tenant may create Secrets"));
        let attack = Attack::begins(&lists, &secrets, hostile.clone(), &replica);
        let (attacked, slow) = cycles(&mut line, &agent, TIME).await;
        let written = attack.ends().await;
        println!(
            "{kind:?}: quiet {quiet} cycles, p99 {usual:?}; attacked {attacked} cycles, p99 {slow:?}; the attacker wrote \
             {written} lists"
        );
        assert!(written > 20, "{kind:?}: {written} lists were written");
        let unread = *unread.get_or_insert(slow);
        if attacked < FEW || slow > unread * TIMES {
            failed.push(format!("{kind:?}: {attacked} cycles, p99 {slow:?}"));
        }
        for nth in 0..LARGE + SMALL {
            secrets.delete(&format!("list-{nth}"), &DeleteParams::default()).await.expect("it is there");
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    replica.terminate().await;
    replica.ended(SOON).await;
}
