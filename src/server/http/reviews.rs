//! What the API server is asked about callers: whose a token is (TokenReview), and what a caller may do
//! (SubjectAccessReview).
//!
//! Anybody may send a token that was made up, so few reviews are under way at once. Tokens that the cluster has signed,
//! and those that were good a moment ago, have turns of their own: however many others come, they do not wait for them.

use http::{Request, StatusCode};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::answers::{CachedAnswers, Finding, Share, TRUSTED};
use super::caller::{Caller, Object, Right};
use super::group::Group;
use super::guests::Guest;
use super::problem::{A_MOMENT, Problem};
use super::strangers::Strangers;
use super::token::{Issuer, Standing};
use super::turns::{Turn, Turns};
use crate::cluster::client::{CallError, call};
use crate::cluster::clock::Clock;
use crate::machine::monotonic;

/// The audience that a token has to be issued for.
pub const AUDIENCE: &str = "seatkeeper";
/// How long the API server's "no" to a token is remembered.
const REFUSAL_COUNTS: Duration = Duration::from_secs(5);
/// A caller waits this long for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many reviews are under way at once, and how many of one group: of tokens that the cluster has signed, and of
/// rights.
const UNDER_WAY: (usize, usize) = (16, 8);
const CONFIGURATION: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/openid/v1/jwks";

/// Whose a token is; `None` if the API server does not accept it.
pub type Known = Option<Arc<Caller>>;

/// The API server, and who is asking it.
pub struct Reviews {
    client: Client,
    clock: Clock,
    /// The audience that a token has to be issued for; `None` for the API server's own.
    audience: Option<&'static str>,
    issuer: CachedAnswers<(), Option<Arc<Issuer>>>,
    tokens: Turns,
    strangers: Strangers,
    rights: Turns,
    of_keys: Trouble,
    of_tokens: Trouble,
    of_rights: Trouble,
}

impl Reviews {
    /// Asks with `client`, about tokens for `AUDIENCE`. `clock` says which tokens have expired.
    pub fn new(client: Client, clock: Clock) -> Self {
        Reviews { audience: Some(AUDIENCE), ..Self::of_api_server(client, clock) }
    }

    /// The same, about tokens for the API server.
    pub fn of_api_server(client: Client, clock: Clock) -> Self {
        let turns = |(all, each)| Turns::new(all, each);
        Reviews {
            client,
            clock,
            audience: None,
            issuer: CachedAnswers::default(),
            tokens: turns(UNDER_WAY),
            strangers: Strangers::default(),
            rights: turns(UNDER_WAY),
            of_keys: Trouble::of("the cluster's public keys cannot be read: made-up tokens cost a review each"),
            of_tokens: Trouble::of("callers cannot be identified"),
            of_rights: Trouble::of("the callers' rights cannot be checked"),
        }
    }

    /// Finds out whose `token` is. `before` is what was last known, and `guest` who sent it.
    pub async fn whose(
        self: Arc<Self>,
        token: String,
        before: Option<Known>,
        guest: Option<Arc<Guest>>,
    ) -> Finding<Known> {
        let before = before.flatten();
        let turn = match &before {
            Some(caller) => self.tokens.take(&caller.group, PATIENCE).await,
            None => self.turn_of_newcomer(&token, guest.as_ref()).await?,
        };
        let _turn = turn.ok_or_else(overloaded)?;
        let review = TokenReview {
            spec: TokenReviewSpec { token, audiences: self.audience.map(|audience| vec![audience.to_owned()]) },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let review = self.of_tokens.heard(call(api.create(&PostParams::default(), &review)).await)?;
        let status = review.status.unwrap_or_default();
        let named = |wanted| status.audiences.iter().flatten().any(|audience| audience == wanted);
        let for_us = self.audience.is_none_or(named);
        let Some(UserInfo { username: Some(user), uid, groups, extra }) =
            status.user.filter(|_| status.authenticated == Some(true) && for_us)
        else {
            return Ok((None, REFUSAL_COUNTS));
        };
        let caller = Caller::new(&user, uid, groups.unwrap_or_default(), extra.unwrap_or_default());
        self.strangers.note_good(address(guest.as_ref()), &caller.group, monotonic());
        // What was found out about the caller stays with it.
        let caller = before.filter(|before| before.identity == caller.identity).unwrap_or_else(|| Arc::new(caller));
        Ok((Some(caller), TRUSTED))
    }

    /// A turn for a token that is not known yet; `None` if it does not come. Fails if the token cannot be good.
    async fn turn_of_newcomer(
        self: &Arc<Self>,
        token: &str,
        guest: Option<&Arc<Guest>>,
    ) -> Result<Option<Turn>, Problem> {
        let at = address(guest);
        Ok(match self.standing(token).await {
            Some(Standing::Genuine(group)) => {
                // Noted before the review: while many wait for theirs, they are not taken for strangers.
                guest.iter().for_each(|guest| guest.becomes_known(&group));
                self.tokens.take(&group, PATIENCE).await
            }
            Some(Standing::Refused(why)) => return Err(not_valid(why)),
            Some(Standing::Unknown) => self.strangers.take(&at, PATIENCE, monotonic()).await,
            None => self.tokens.take(&at, PATIENCE).await,
        })
    }

    /// What `token` is by the cluster's own keys; `None` if they cannot be read.
    async fn standing(self: &Arc<Self>, token: &str) -> Option<Standing> {
        let find = |before: Option<Option<Arc<Issuer>>>| self.clone().read_issuer(before.flatten());
        let share = |_: &Option<Arc<Issuer>>| Share { group: Group::at(Ipv4Addr::UNSPECIFIED.into()), bytes: 0 };
        let issuer = self.issuer.answer((), share, find).await.ok()?.0?;
        let now = self.clock.now().at.timestamp();
        Some(issuer.standing(token, self.audience, now))
    }

    /// Reads the cluster's public keys. If that fails, the former ones go on counting.
    async fn read_issuer(self: Arc<Self>, before: Option<Arc<Issuer>>) -> Finding<Option<Arc<Issuer>>> {
        let get = async |path: &str| {
            let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
            self.client.request_text(request).await
        };
        let read = async {
            let (configuration, keys) = (get(CONFIGURATION).await?, get(KEYS).await?);
            Issuer::read(&configuration, &keys).map_err(kube::Error::SerdeError)
        };
        let issuer = self.of_keys.heard(call(read).await).ok().map(Arc::new);
        Ok((issuer.or(before), TRUSTED))
    }

    /// Whether the API server allows `right` on `object` to `caller`.
    pub async fn allows(self: Arc<Self>, group: Group, review: SubjectAccessReview) -> Result<bool, Problem> {
        let _turn = self.rights.take(&group, PATIENCE).await.ok_or_else(overloaded)?;
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = self.of_rights.heard(call(api.create(&PostParams::default(), &review)).await)?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }
}

/// Against whom a cached review of a token is counted: the group of its caller, or the address that showed it if it was
/// refused.
pub fn share_of(guest: Option<&Arc<Guest>>) -> impl FnOnce(&Known) -> Share + Send + 'static {
    let address = address(guest);
    move |known| match known {
        Some(caller) => Share { group: caller.group.clone(), bytes: caller.bytes() },
        None => Share { group: address, bytes: 0 },
    }
}

fn address(guest: Option<&Arc<Guest>>) -> Group {
    guest.map_or_else(|| Group::at(Ipv4Addr::UNSPECIFIED.into()), |guest| guest.at())
}

/// The question whether `caller` has `right` on `object`.
pub fn review_of(caller: &Caller, right: Right, object: &Object) -> SubjectAccessReview {
    let mut review = about(caller);
    review.spec.resource_attributes = Some(ResourceAttributes {
        group: Some(right.group.into()),
        resource: Some(right.resource.into()),
        subresource: Some(right.subresource.into()),
        namespace: Some(object.namespace.to_string()),
        name: Some(object.name.to_string()),
        verb: Some(right.verb.into()),
        ..ResourceAttributes::default()
    });
    review
}

/// The question whether `caller` may get `path`, which is of no resource.
pub fn review_of_path(caller: &Caller, path: &str) -> SubjectAccessReview {
    let mut review = about(caller);
    review.spec.non_resource_attributes =
        Some(NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) });
    review
}

fn about(caller: &Caller) -> SubjectAccessReview {
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(caller.user.to_string()),
            uid: caller.uid.clone(),
            groups: Some(caller.groups.clone()),
            extra: Some(caller.extra.clone()),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

/// What goes wrong with one kind of question. It is logged when it begins, changes or ends, not for each request.
struct Trouble {
    what: &'static str,
    /// The status of the last failure, if the API server answered at all; `None` if nothing is wrong.
    last: Mutex<Option<Option<u16>>>,
}

impl Trouble {
    fn of(what: &'static str) -> Self {
        Trouble { what, last: Mutex::default() }
    }

    /// Notes how a question ended. Returns the refusal if it failed.
    fn heard<T>(&self, answer: Result<T, CallError>) -> Result<T, Problem> {
        let now = answer.as_ref().err().map(CallError::code);
        let changed = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *last, now) != now
        };
        match (&answer, changed) {
            (Err(error), true) => tracing::warn!(%error, "{}", self.what),
            (Ok(_), true) => tracing::info!("over: {}", self.what),
            (_, false) => {}
        }
        answer.map_err(|_| {
            caller_unknown(&format!("{} at present: the API server does not answer as it should", self.what))
        })
    }
}

/// The refusal of a token that does not count.
pub fn not_valid(why: &str) -> Problem {
    let detail = format!(
        "the token is not valid for audience `{AUDIENCE}`: {why}; mount a projected ServiceAccount token with that audience"
    );
    unauthorized(&detail)
}

/// The refusal of a caller that is not identified.
pub fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "Unauthorized", detail)
}

/// The refusal while it cannot be found out who the caller is, or what it may do.
pub fn caller_unknown(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "CallerUnknown", detail).retry_after(A_MOMENT)
}

fn overloaded() -> Problem {
    let detail = "too many callers are being checked at present: ask again";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "Overloaded", detail).retry_after(A_MOMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// Counts the lines that are logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicUsize>);

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Relaxed);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn trouble_is_told_once_per_change() {
        let trouble = Trouble::of("it is away");
        // What is logged while an answer is heard.
        let told = |answer: Result<(), CallError>| {
            let lines = Lines::default();
            tracing::subscriber::with_default(lines.clone(), || {
                let _ = trouble.heard(answer);
            });
            lines.0.load(Relaxed)
        };
        let refused = |code| {
            let status = kube::core::Status { code, ..kube::core::Status::default() };
            Err(CallError::Refused(kube::Error::Api(Box::new(status))))
        };
        assert_eq!(told(Ok(())), 0, "nothing was wrong");
        assert_eq!([(); 3].map(|()| told(Err(CallError::TimedOut))), [1, 0, 0]);
        assert_eq!([403, 403, 500, 403].map(|code| told(refused(code))), [1, 0, 1, 1]);
        assert_eq!([(); 3].map(|()| told(Ok(()))), [1, 0, 0]);
    }
}
