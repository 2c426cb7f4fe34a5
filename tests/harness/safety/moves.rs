//! An administrator who moves grants between Licenses while their seats are held and the replicas suffer faults:
//! Licenses are renamed, deleted and restored, and a key Secret goes from one to another. Each move is seen to have
//! happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use seatkeeper::api::License;
use seatkeeper::domain::license::jwk::publish;
use seatkeeper::domain::license::key::sign_key;
use serde_json::{Value, json};

use super::agent::Town;
use super::checker::Trouble;
use super::dice::Dice;
use super::ground::{Ground, LICENSES, SOON};
use super::line::now;
use crate::harness::eventually::eventually;

/// A grant that moves, and the names of the Licenses that have it in turn.
struct Moving {
    grant: &'static str,
    seats: u32,
    licenses: &'static [&'static str],
    moves: &'static [Move],
}

const MOVING: [Moving; 2] = [
    Moving {
        grant: "renamed",
        seats: 8,
        licenses: &["renamed-1", "renamed-2", "renamed-3"],
        moves: &[Move::Renamed, Move::RenamedLate, Move::Restored],
    },
    Moving {
        grant: "moved",
        seats: 8,
        licenses: &["moved-1", "moved-2"],
        moves: &[Move::KeyMoved, Move::KeyCopied, Move::Restored],
    },
];
/// How long the administrator rests between two moves.
const RESTS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(4));
/// How long a License is gone before it is restored, at most: longer than a TTL.
const GONE: Duration = Duration::from_secs(8);
/// How long two Licenses have the same key, at most.
const BOTH: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Move {
    /// The License is deleted and made again under another name with the same key Secret.
    Renamed,
    /// The License under the other name is made first, and the first one deleted later.
    RenamedLate,
    /// The License is deleted and made again under its name.
    Restored,
    /// The key Secret is taken from one License and given to another.
    KeyMoved,
    /// The key Secret is given to the other License first, and taken from the first one later.
    KeyCopied,
}

impl Move {
    pub const ALL: [Move; 5] = [Move::Renamed, Move::RenamedLate, Move::Restored, Move::KeyMoved, Move::KeyCopied];
}

/// Returns the seats of each grant: of those that stay, and those that move.
pub fn seats() -> Vec<u32> {
    LICENSES.iter().map(|(_, seats)| *seats).chain(MOVING.iter().map(|moving| moving.seats)).collect()
}

/// Returns the names of the Licenses that have each grant in turn.
pub fn licenses() -> Vec<Vec<&'static str>> {
    LICENSES.iter().map(|(name, _)| vec![*name]).chain(MOVING.iter().map(|moving| moving.licenses.to_vec())).collect()
}

/// What was moved.
#[derive(Debug, Default)]
pub struct Moved {
    pub times: BTreeMap<Move, u64>,
    /// The times in which each grant was under way.
    pub under_way: BTreeMap<u8, Vec<Trouble>>,
}

pub struct Mover {
    ground: Arc<Ground>,
    town: Arc<Town>,
    dice: Dice,
    api: Api<License>,
    moved: Moved,
}

impl Mover {
    /// Makes the Licenses with grants that move.
    pub async fn begin(ground: Arc<Ground>, town: Arc<Town>, seed: u64) -> Self {
        ground.apply(&keys(ground.namespace)).await;
        let api = Api::namespaced(ground.admin.clone(), ground.namespace);
        let mover = Mover { ground, town, dice: Dice::new(seed ^ 0x6d6f_7665), api, moved: Moved::default() };
        for Moving { grant, licenses, .. } in &MOVING {
            mover.make(licenses[0], &[*grant]).await;
            mover.has_the_grant(licenses[0]).await;
        }
        mover.make(MOVING[1].licenses[1], &[]).await;
        mover
    }

    /// Moves grants until the town is closed.
    pub async fn live(mut self) -> Moved {
        let mut round: Vec<(usize, Move)> = Vec::new();
        while !self.town.is_closed() {
            if round.is_empty() {
                let all = MOVING.iter().enumerate();
                round = all.flat_map(|(n, moving)| moving.moves.iter().map(move |what| (n, *what))).collect();
            }
            let (which, what) = round.swap_remove(self.dice.below(round.len()));
            let grant = LICENSES.len() + which;
            let rest = self.dice.between(RESTS.0, RESTS.1);
            tokio::time::sleep(rest).await;
            let from = now();
            let to = self.carry_out(what, &MOVING[which], grant).await;
            self.is_served(grant, to).await;
            let under_way = Trouble { from, to: now() };
            eprintln!("  {what:?}: grant {grant} to its License {to} ({from} to {})", under_way.to);
            self.moved.under_way.entry(grant as u8).or_default().push(under_way);
            *self.moved.times.entry(what).or_default() += 1;
        }
        self.moved
    }

    /// Moves the grant. Returns the index of the License that has it from now on, among those that have it in turn.
    async fn carry_out(&mut self, what: Move, moving: &'static Moving, grant: usize) -> usize {
        let from = self.town.present(grant);
        let step = 1 + self.dice.below(moving.licenses.len() - 1);
        let to = if what == Move::Restored { from } else { (from + step) % moving.licenses.len() };
        let (before, after, keys) = (moving.licenses[from], moving.licenses[to], &[moving.grant][..]);
        match what {
            Move::Renamed => {
                self.delete(before).await;
                self.make(after, keys).await;
            }
            Move::RenamedLate => {
                self.make(after, keys).await;
                self.waits(BOTH).await;
                self.delete(before).await;
            }
            Move::Restored => {
                self.delete(before).await;
                self.waits(GONE).await;
                self.make(before, keys).await;
            }
            Move::KeyMoved => {
                self.give(before, &[]).await;
                self.give(after, keys).await;
            }
            Move::KeyCopied => {
                self.give(after, keys).await;
                self.waits(BOTH).await;
                self.give(before, &[]).await;
            }
        }
        to
    }

    async fn waits(&mut self, at_most: Duration) {
        let time = self.dice.between(Duration::ZERO, at_most);
        tokio::time::sleep(time).await;
    }

    /// Sends the clients to the License that has the grant now, and waits until it grants one of them a seat.
    async fn is_served(&mut self, grant: usize, at: usize) {
        let license = self.town.licenses[grant][at];
        let of_history = super::history::License { grant: grant as u8, name: at as u8 };
        self.town.sends(grant, at);
        self.has_the_grant(license).await;
        let granted = || self.town.history().granted_under(of_history);
        let before = granted();
        eventually(2 * SOON, &format!("{license} grants a seat after the move"), async || {
            if granted() > before || self.town.is_closed() { Ok(()) } else { Err(format!("{before}")) }
        })
        .await;
    }

    /// Waits until the License shows that it has a grant.
    async fn has_the_grant(&self, license: &str) {
        eventually(2 * SOON, &format!("{license} has the grant"), async || {
            let found = self.api.get_opt(license).await.map_err(|error| error.to_string())?;
            let pools = found.and_then(|license| license.status).map(|status| status.pools).unwrap_or_default();
            let has_seats = pools.iter().any(|pool| pool.limit.is_some_and(|seats| seats > 0));
            has_seats.then_some(()).ok_or_else(|| "it has no seats".to_owned())
        })
        .await
    }

    async fn make(&self, name: &str, grants: &[&str]) {
        let license = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": name},
            "spec": {"product": PRODUCT, "keys": references(grants), "trust": {"secretRef": {"name": TRUST}}},
        });
        let license: License = serde_json::from_value(license).expect("it is a License");
        eventually(SOON, &format!("{name} is made"), async || {
            match self.api.create(&PostParams::default(), &license).await {
                Ok(_) => Ok(()),
                // An earlier attempt, whose answer was lost.
                Err(kube::Error::Api(error)) if error.code == 409 => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    async fn delete(&self, name: &str) {
        eventually(SOON, &format!("{name} is deleted"), async || {
            match self.api.delete(name, &DeleteParams::default()).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(error)) if error.code == 404 => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Gives the License the keys of exactly these grants.
    async fn give(&self, name: &str, grants: &[&str]) {
        let patch = json!({"spec": {"keys": references(grants)}});
        eventually(SOON, &format!("{name} is changed"), async || {
            let patched = self.api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            patched.map(|_| ()).map_err(|error| error.to_string())
        })
        .await;
    }
}

const PRODUCT: &str = "moving";
const TRUST: &str = "moving-trust";

fn references(grants: &[&str]) -> Value {
    grants.iter().map(|grant| json!({"name": grant, "secretRef": {"name": grant}})).collect()
}

/// The key of each grant, and the trust in its signer.
fn keys(namespace: &str) -> String {
    let signing = SigningKey::from_bytes(&[8; 32]);
    let secret = |name: &str, type_: &str, entry: &str, text: &str| {
        let metadata = json!({"name": name, "namespace": namespace});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type_, "stringData": {entry: text}})
    };
    let jwks = serde_json::to_string(&publish(&[signing.verifying_key()])).expect("it is JSON");
    let mut all = vec![secret(TRUST, "seatkeeper.dev/trust", "jwks.json", &jwks)];
    for Moving { grant, seats, .. } in &MOVING {
        let claims = json!({
            "iss": "vendor", "jti": grant, "sub": "Siege", "aud": PRODUCT, "iat": 1, "nbf": 1, "exp": 4_000_000_000u64,
            "grant": grant, "pools": [{"name": "seats", "model": "Concurrent", "countBy": "Start", "seats": seats}],
        });
        let key = sign_key(&serde_json::from_value(claims).expect("it is a key"), &signing);
        all.push(secret(grant, "seatkeeper.dev/license", "key", &key));
    }
    all.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}
