//! Who the caller is and what it may do: ServiceAccount tokens (TokenReview), and RBAC (SubjectAccessReview).
//!
//! Answers of the API server are cached for `TRUSTED` and no longer: after that, a token or a right that was taken away
//! no longer counts. An API server that has just started has not read every Role and denies everything, so a caller that
//! had a right is told that it is missing only once the API server has denied it for `DOUBT`.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use kube::Client;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use super::caller::{Caller, Object, Right};

use super::answers::{CachedAnswers, Finding, Share, TRUSTED};
use super::credential::{Credential, TokenHash, bearer_token, hash_of};
use super::guests::Guest;
use super::problem::Problem;
use super::reviews::{Known, Reviews, caller_unknown, not_valid, review_of, share_of, unauthorized};
use crate::cluster::clock::Clock;
use crate::domain::tick::Moment;
use crate::machine::monotonic;

/// How long a denial is cached. Short, because the right may be granted meanwhile.
const DENIAL_COUNTS: Duration = Duration::from_secs(1);
/// A caller that had the right is told that it is missing only after the API server has denied it for this long: one
/// that has just started denies rights that exist (the siege in `tests/harness/safety` found it). Nothing is granted
/// meanwhile.
const DOUBT: Duration = Duration::from_secs(5);

/// What the API server has answered about a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    /// It was given and is now denied: taken away, or not read yet by an API server that has just started.
    InDoubt {
        since: Moment,
    },
    Denied,
}

impl Verdict {
    /// The verdict after another answer of the API server, and how long that answer counts.
    fn after(before: Option<Verdict>, is_allowed: bool, now: Moment) -> (Verdict, Duration) {
        match before {
            _ if is_allowed => (Verdict::Allowed, TRUSTED),
            Some(Verdict::Allowed) => (Verdict::InDoubt { since: now }, DENIAL_COUNTS),
            Some(Verdict::InDoubt { since }) if now - since < DOUBT => (Verdict::InDoubt { since }, DENIAL_COUNTS),
            _ => (Verdict::Denied, DENIAL_COUNTS),
        }
    }
}

/// How callers are identified.
pub enum Callers {
    /// By the API server.
    Cluster(Box<Cluster>),
    /// By one token, which may do everything with seats.
    Credential(Credential),
}

/// The header last shown over a connection, and the caller it identifies. It is not looked up again while the answer
/// counts.
#[derive(Default)]
pub struct LastCaller {
    last: Mutex<Option<Last>>,
    /// The other end of the connection.
    guest: Option<Arc<Guest>>,
}

struct Last {
    /// The header as it was sent.
    header: Box<[u8]>,
    caller: Arc<Caller>,
    until: Moment,
}

impl LastCaller {
    /// Nothing shown yet over the connection of `guest`.
    pub fn by(guest: Arc<Guest>) -> Self {
        LastCaller { last: Mutex::default(), guest: Some(guest) }
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, given: &HeaderValue) -> Option<Arc<Caller>> {
        let last = self.last();
        let last = last.as_ref()?;
        (*last.header == *given.as_bytes() && monotonic() < last.until).then(|| last.caller.clone())
    }
}

/// The API server, and what it has answered.
pub struct Cluster {
    reviews: Arc<Reviews>,
    known: CachedAnswers<TokenHash, Known>,
    rights: CachedAnswers<([u8; 32], Right, Object), Verdict>,
}

impl Callers {
    /// Asks the API server with `client`. `clock` says which tokens have expired.
    pub fn of_cluster(client: Client, clock: Clock) -> Self {
        Callers::Cluster(Box::new(Cluster {
            reviews: Arc::new(Reviews::new(client, clock)),
            known: CachedAnswers::default(),
            rights: CachedAnswers::default(),
        }))
    }

    pub fn with_credential(token: &str) -> Self {
        Callers::Credential(Credential::of(token))
    }

    /// Identifies the caller by its headers. `shown` is what the same connection showed before.
    pub async fn identify(&self, headers: &HeaderMap, shown: &LastCaller) -> Result<Arc<Caller>, Problem> {
        let given = headers.get(header::AUTHORIZATION);
        if let Some(caller) = given.and_then(|given| shown.is(given)) {
            return Ok(caller);
        }
        let token = bearer_token(headers)
            .ok_or_else(|| unauthorized("send `Authorization: Bearer TOKEN`, with a token of at most 8 KiB"))?;
        let hash = hash_of(token);
        let (caller, until) = match self {
            Callers::Credential(credential) if credential.has(&hash) => {
                let caller = Caller::new("seatkeeper-up", None, Vec::new(), BTreeMap::new());
                caller.note_right();
                (Arc::new(caller), Moment::MAX)
            }
            Callers::Credential(_) => {
                return Err(unauthorized(
                    "this is not the token for seats: send the one in the file `token` of `seatkeeper up`'s data folder",
                ));
            }
            Callers::Cluster(cluster) => cluster.identify(hash, token, shown.guest.clone()).await?,
        };
        // Noted before the answer, because the first one may take long.
        shown.guest.iter().for_each(|guest| guest.becomes_known(&caller.group));
        *shown.last() = given.map(|given| Last { header: given.as_bytes().into(), caller: caller.clone(), until });
        Ok(caller)
    }

    /// Fails unless `caller` has `right` on `object`.
    pub async fn check(&self, caller: &Caller, right: Right, object: &Object) -> Result<(), Problem> {
        let cluster = match self {
            // A caller that the token identified may do everything.
            Callers::Credential(_) => return Ok(()),
            Callers::Cluster(cluster) => cluster,
        };
        match cluster.verdict(caller, right, object).await? {
            Verdict::Allowed => {
                if !caller.has_right() {
                    caller.note_right();
                }
                Ok(())
            }
            Verdict::InDoubt { .. } => {
                let detail =
                    "the API server denies a right that it granted before, as it may just after a restart; ask again";
                Err(caller_unknown(detail))
            }
            Verdict::Denied => {
                let (user, Right { resource, subresource, .. }) = (&caller.user, right);
                let Object { namespace, name } = object;
                let detail = format!(
                    "{user} may not {right} of {namespace}/{name}: \
                     bind a Role with that verb on resource {resource}/{subresource}"
                );
                Err(Problem::new(StatusCode::FORBIDDEN, "Forbidden", detail))
            }
        }
    }
}

impl Cluster {
    /// The caller with this token, and until when the answer counts.
    async fn identify(
        &self,
        hash: TokenHash,
        token: &str,
        guest: Option<Arc<Guest>>,
    ) -> Result<(Arc<Caller>, Moment), Problem> {
        let share = share_of(guest.as_ref());
        let ask = |before| self.reviews.clone().whose(token.to_owned(), before, guest);
        let (known, until) = self.known.answer(hash, share, ask).await?;
        Ok((known.ok_or_else(|| not_valid("the API server does not accept it"))?, until))
    }

    async fn verdict(&self, caller: &Caller, right: Right, object: &Object) -> Result<Verdict, Problem> {
        let key = (caller.identity, right, object.clone());
        let ask = |before| {
            let allows = self.reviews.clone().allows(caller.group.clone(), review_of(caller, right, object));
            verdict(allows, before)
        };
        let share = Share { group: caller.group.clone(), bytes: object.namespace.len() + object.name.len() };
        Ok(self.rights.answer(key, move |_| share, ask).await?.0)
    }
}

async fn verdict(allows: impl Future<Output = Result<bool, Problem>>, before: Option<Verdict>) -> Finding<Verdict> {
    Ok(Verdict::after(before, allows.await?, monotonic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_that_was_given_is_missing_once_the_api_server_has_said_so_for_a_while() {
        let at = |seconds| Moment::after_start(Duration::from_secs(seconds));
        let verdict = |before, is_allowed, now| Verdict::after(before, is_allowed, at(now)).0;
        assert_eq!(verdict(None, false, 1), Verdict::Denied, "a caller that never had it does not wait");
        let doubted = verdict(Some(Verdict::Allowed), false, 10);
        assert_eq!(doubted, Verdict::InDoubt { since: at(10) });
        assert_eq!(verdict(Some(doubted), false, 14), doubted);
        assert_eq!(verdict(Some(doubted), true, 14), Verdict::Allowed);
        assert_eq!(verdict(Some(doubted), false, 15), Verdict::Denied);
        assert_eq!(verdict(Some(Verdict::Denied), true, 16), Verdict::Allowed);
        assert_eq!([true, false].map(|yes| Verdict::after(None, yes, at(0)).1), [TRUSTED, DENIAL_COUNTS]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_shown_counts_for_that_header_alone_and_no_longer_than_the_answer() {
        let (shown, callers) = (LastCaller::default(), Callers::with_credential("a"));
        let header =
            |text: &'static str| HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(text))]);
        let caller = callers.identify(&header("Bearer a"), &shown).await.unwrap();
        assert!(Arc::ptr_eq(&callers.identify(&header("Bearer a"), &shown).await.unwrap(), &caller));
        for other in ["Bearer b", "Bearer", "Bearer a2", ""] {
            assert_eq!(callers.identify(&header(other), &shown).await.unwrap_err().status, 401, "{other}");
        }
        assert_eq!(callers.identify(&HeaderMap::new(), &shown).await.unwrap_err().status, 401);
        shown.last().as_mut().unwrap().until = monotonic() + TRUSTED;
        let same = HeaderValue::from_static("Bearer a");
        assert!(shown.is(&same).is_some());
        tokio::time::advance(TRUSTED).await;
        assert!(shown.is(&same).is_none());
    }
}
