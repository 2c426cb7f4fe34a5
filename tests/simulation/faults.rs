//! The API as a faulty network, API server and process let the operator see it: injects faults into its requests.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use seatkeeper::api::crds;
use seatkeeper_embedded::Embedded;
use serde_json::Value;
use tokio::sync::Notify;
use tower::BoxError;

use crate::api::Call;
use crate::calendar::Calendar;
use crate::dice::Dice;
use crate::oracle::Oracle;
use crate::watch_faults;

pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Pass,
    /// It never arrives, and the caller gets no error.
    Lost,
    /// It is carried out, and the reply never arrives.
    ReplyLost,
    /// It arrives and is answered after a while.
    Late {
        before: Duration,
        after: Duration,
    },
    /// It arrives twice, and the second answer counts.
    Twice,
    /// The API server refuses it.
    Refused(u16),
    /// The connection breaks before or after the request is carried out.
    Broken {
        carried_out: bool,
    },
    /// The call panics.
    Panic,
    /// The process ends at once, before or after the request is carried out.
    Crash {
        carried_out: bool,
    },
}

/// One fault at one moment, for exhaustive runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Plan {
    /// The write at which it happens, counted from 0, and what happens to it.
    pub write: Option<(u64, Option<Fate>)>,
    /// The event that the caches do not see until a later one of the same object.
    pub hidden: Option<u64>,
    /// The older state with which the caches begin after the crash: the number of a change of any object.
    pub stale: Option<u64>,
}

/// How often each fault happens, per thousand requests.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    pub requests: u64,
    pub watches: u64,
    pub crashes: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub requests: u64,
    /// The operator's writes, except those of its Lease and of Events.
    pub writes: u64,
    pub faults: u64,
    pub crashes: u64,
    /// The watch events delivered.
    pub events: u64,
}

impl Counts {
    pub fn plus(&self, other: &Counts) -> Self {
        Counts {
            requests: self.requests + other.requests,
            writes: self.writes + other.writes,
            faults: self.faults + other.faults,
            crashes: self.crashes + other.crashes,
            events: self.events + other.events,
        }
    }
}

/// The state that simulator, faults and oracle share.
pub struct Shared {
    pub api: Embedded,
    pub calendar: Calendar,
    pub state: Mutex<State>,
    /// Notified when the operator has crashed.
    pub crash: Notify,
    /// Caches see nothing new while this is true.
    pub frozen: AtomicBool,
    pub thawed: Notify,
}

pub struct State {
    pub dice: Dice,
    pub storm: Option<Storm>,
    pub plan: Plan,
    pub counts: Counts,
    /// A hash of every request, its time, and the code of its answer.
    pub trace: u64,
    /// How much later each cache learns what has happened.
    pub lags: HashMap<String, Duration>,
    /// Older answers to lists, by number of the change; `list_from` is the one that a restarted operator gets.
    pub snapshots: Vec<HashMap<String, Bytes>>,
    pub list_from: Option<usize>,
    /// How many snapshots there were at each write.
    pub changes_at: Vec<u64>,
    /// Whether a snapshot is taken at each change.
    pub keep_snapshots: bool,
    pub crashed: bool,
    /// Whether an event is hidden and not yet delivered.
    pub hiding: bool,
    /// How long a write takes.
    pub write_takes: Duration,
    /// The requests and their bytes, by method and kind; `None` if they are not counted.
    pub load: Option<BTreeMap<String, (u64, u64)>>,
    pub oracle: Oracle,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out a request, and lets the oracle judge it.
    async fn carry_out(&self, call: &Call) -> Response<Body> {
        if call.is_lease() {
            self.calendar.lease_asked();
        }
        let takes = self.lock().write_takes;
        if call.is_write() && !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let response = self.api.answer(call.request()).await;
        if call.is_write() && response.status().is_success() && !call.is_lease() && !call.is_event() {
            let now = self.calendar.now();
            self.lock().oracle.wrote(&call.path, &call.body, now);
            self.lock().oracle.note_entitled(now);
            self.snapshot().await;
        }
        response.map(|body| body.map_err(|never| match never {}).boxed_unsync())
    }

    /// Stores what every list would answer now.
    pub async fn snapshot(&self) {
        if !self.lock().keep_snapshots {
            return;
        }
        let mut answers = HashMap::new();
        for (path, query) in lists() {
            let call = Call::get(&path, query);
            let body = self.api.answer(call.request()).await.into_body().collect().await;
            answers.insert(call.cache(), body.map(|whole| whole.to_bytes()).unwrap_or_default());
        }
        self.lock().snapshots.push(answers);
    }
}

/// The lists of the operator's caches: `LISTS`, then those of every other kind with a status, which shows that the operator
/// looks at it, and `MORE_LISTS`. A list that is missing stops the first run in which a restarted operator asks for it.
pub fn lists() -> impl Iterator<Item = (String, &'static str)> {
    let with_status = |crd: &&Value| !crd["spec"]["versions"][0]["subresources"]["status"].is_null();
    let path = |crd: &Value| {
        let text = |field: &Value| field.as_str().expect("every CRD has it").to_owned();
        let (group, plural) = (text(&crd["spec"]["group"]), text(&crd["spec"]["names"]["plural"]));
        format!("/apis/{group}/{}/{plural}", text(&crd["spec"]["versions"][0]["name"]))
    };
    static KINDS: LazyLock<Vec<Value>> = LazyLock::new(crds::all);
    let kinds = KINDS.iter().filter(with_status).map(path);
    let others = kinds.filter(|path| LISTS.iter().all(|(known, _)| known != path)).map(|path| (path, ""));
    LISTS
        .into_iter()
        .map(|(path, query)| (path.to_owned(), query))
        .chain(others)
        .chain(MORE_LISTS.map(|(path, query)| (path.to_owned(), query)))
}

/// The lists that were added since, after all others.
const MORE_LISTS: [(&str, &str); 2] = [
    ("/api/v1/secrets", "fieldSelector=type%3Dseatkeeper.dev%2Fissued"),
    ("/api/v1/namespaces/default/secrets", "fieldSelector=type%3Dseatkeeper.dev%2Frevocations"),
];

/// The lists for which dice are thrown first, in an order that stays: a seed is the same world in every version. The first
/// four are those of what a person sees at the end.
pub const LISTS: [(&str, &str); 8] = [
    ("/apis/seatkeeper.dev/v1alpha1/licenses", ""),
    ("/apis/seatkeeper.dev/v1alpha1/subscriptions", ""),
    ("/apis/seatkeeper.dev/v1alpha1/plans", ""),
    ("/api/v1/secrets", "fieldSelector=type%3Dseatkeeper.dev%2Flicense"),
    ("/api/v1/secrets", "fieldSelector=type%3Dseatkeeper.dev%2Ftrust"),
    ("/api/v1/secrets", "fieldSelector=type%3Dseatkeeper.dev%2Fissuer"),
    ("/apis/seatkeeper.dev/v1alpha1/rosters", ""),
    ("/api/v1/namespaces", ""),
];

impl State {
    /// Decides what happens to a request.
    fn fate(&mut self, call: &Call) -> Fate {
        let counted = call.is_write() && !call.is_lease() && !call.is_event();
        let number = self.counts.writes;
        self.counts.requests += 1;
        if counted {
            self.counts.writes += 1;
            if self.keep_snapshots {
                self.changes_at.push(self.snapshots.len() as u64);
            }
        }
        if let Some((at, Some(fate))) = self.plan.write
            && counted
            && at == number
        {
            self.counts.faults += 1;
            return fate;
        }
        let Some(storm) = self.storm else { return Fate::Pass };
        let rate = if call.is_watch() || call.is_list() { storm.watches } else { storm.requests };
        if self.dice.below(1000) >= rate {
            return Fate::Pass;
        }
        self.counts.faults += 1;
        let dice = &mut self.dice;
        let mut wait = |most: u64| Duration::from_millis(dice.below(most));
        let late = Fate::Late { before: wait(4_000), after: wait(4_000) };
        let too_late = Fate::Late { before: wait(12_000), after: wait(6_000) };
        match self.dice.below(if counted { 14 } else { 10 }) {
            0 => Fate::Lost,
            1 => Fate::ReplyLost,
            2 => late,
            3 => too_late,
            4 => Fate::Refused(500),
            5 => Fate::Refused(429),
            6 => Fate::Refused(504),
            7 => Fate::Broken { carried_out: false },
            8 => Fate::Broken { carried_out: true },
            9 if call.is_watch() => Fate::Refused(410),
            9 | 10 if call.is_write() => Fate::Twice,
            11 => Fate::Refused(409),
            12 => Fate::Panic,
            13 if storm.crashes => Fate::Crash { carried_out: self.dice.percent(50) },
            _ => Fate::Refused(503),
        }
    }

    fn weigh(&mut self, call: &Call) {
        let Some(load) = &mut self.load else { return };
        let kind = if call.is_watch() { "watch".into() } else { call.kind() };
        let (requests, bytes) = load.entry(format!("{} {kind}", call.method)).or_default();
        *requests += 1;
        *bytes += call.body.len() as u64;
    }

    pub fn note(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}

/// The API as the operator sees it.
#[derive(Clone)]
pub struct FaultyApi(pub Arc<Shared>);

impl tower::Service<Request<kube::client::Body>> for FaultyApi {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let call = Call::of(request).await;
            let fate = {
                let mut state = shared.lock();
                let at = shared.calendar.now();
                let text = format!("{at} {} {}?{} ", call.method, call.path, call.query);
                state.note(text.as_bytes());
                state.note(&call.body);
                state.weigh(&call);
                state.fate(&call)
            };
            let answer = meet(&shared, &call, fate).await;
            let code = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            if crate::TALK.with(std::cell::Cell::get) {
                eprintln!("{} {} {}?{} {fate:?} {code}", shared.calendar.now(), call.method, call.path, call.query);
            }
            shared.lock().note(&code.to_le_bytes());
            answer
        })
    }
}

async fn meet(shared: &Arc<Shared>, call: &Call, fate: Fate) -> Result<Response<Body>, BoxError> {
    let broken = || Err::<Response<Body>, BoxError>("the connection broke".into());
    match fate {
        Fate::Pass => {}
        Fate::Lost => return std::future::pending().await,
        Fate::ReplyLost => {
            shared.carry_out(call).await;
            return std::future::pending().await;
        }
        Fate::Late { before, after } => {
            // It arrives whether or not a caller still waits.
            let (shared, call) = (shared.clone(), call.clone());
            let arrives = tokio::spawn(async move {
                tokio::time::sleep(before).await;
                let answer = see(&shared, &call).await;
                tokio::time::sleep(after).await;
                answer
            });
            return arrives.await?;
        }
        Fate::Twice => {
            shared.carry_out(call).await;
        }
        Fate::Refused(code) => return Ok(refused(code)),
        Fate::Broken { carried_out } => {
            if carried_out {
                shared.carry_out(call).await;
            }
            return broken();
        }
        // `panic!` would write to the terminal each time.
        Fate::Panic => std::panic::resume_unwind(Box::new("a simulated panic".to_owned())),
        Fate::Crash { carried_out } => {
            if carried_out {
                shared.carry_out(call).await;
            }
            shared.lock().counts.crashes += 1;
            shared.lock().crashed = true;
            shared.crash.notify_one();
            return std::future::pending().await;
        }
    }
    see(shared, call).await
}

/// Carries out a request; lists and watches go through the faults of their cache.
async fn see(shared: &Arc<Shared>, call: &Call) -> Result<Response<Body>, BoxError> {
    if call.is_list() {
        let state = shared.lock();
        if let Some(lists) = state.list_from.and_then(|n| state.snapshots.get(n)) {
            let cache = call.cache();
            let older = lists.get(&cache).unwrap_or_else(|| panic!("{cache} is listed, but is missing in `lists`"));
            let date = shared.calendar.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let body = Full::new(older.clone()).map_err(|never| match never {}).boxed_unsync();
            let response = Response::builder().header("content-type", "application/json").header("date", date);
            return Ok(response.body(body)?);
        }
    }
    let response = shared.carry_out(call).await;
    if call.is_watch() && response.status().is_success() {
        return Ok(response.map(|body| watch_faults::faulty(shared.clone(), call.cache(), body)));
    }
    Ok(response)
}

fn refused(code: u16) -> Response<Body> {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        504 => "Timeout",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let status = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"simulated","reason":"{reason}","code":{code}}}"#
    );
    let body = Full::new(Bytes::from(status)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if code == 429 {
        response.headers_mut().insert("retry-after", http::HeaderValue::from_static("1"));
    }
    response
}

impl Call {
    fn get(path: &str, query: &str) -> Self {
        Call {
            method: Method::GET,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: http::HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}
