//! Requests to the embedded API, one after the other with a line `---` between them: a line with method, target and
//! content type, then the body. Each input begins with an empty API.

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use seatkeeper::api::crds;
use seatkeeper_embedded::{Embedded, Instant, Kinds, Setup};
use serde_json::Value;
use std::cell::Cell;
use std::sync::{Arc, LazyLock};
use tokio::runtime::{Builder, Runtime};

use super::shared::halves;

/// The most requests of one input.
const MOST: usize = 8;

static KINDS: LazyLock<Arc<Kinds>> = LazyLock::new(|| Kinds::with(&crds::all()).expect("our kinds can be served"));
/// Watches have timers.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime is made"));

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

fn random(bytes: &mut [u8]) {
    let next = NEXT.replace(NEXT.get() + 1);
    bytes.iter_mut().zip(next.to_le_bytes().iter().cycle()).for_each(|(byte, from)| *byte = *from);
}

pub fn run(data: &[u8]) {
    let _guard = RUNTIME.enter();
    NEXT.set(1);
    let now = || Instant::from_timestamp(1_767_225_600, 0).unwrap_or_default();
    let api = Embedded::in_memory(Setup { kinds: KINDS.clone(), now: Box::new(now), random });
    let mut rest = data;
    for _ in 0..MOST {
        let (one, others) = halves(rest);
        if let Some(request) = request(one) {
            answer(&api, request);
        }
        rest = others;
        if rest.is_empty() {
            return;
        }
    }
}

fn request(bytes: &[u8]) -> Option<Request<Full<Bytes>>> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let mut words = head.splitn(3, |byte| *byte == b' ');
    let request = Request::builder().method(words.next()?).uri(words.next()?);
    let request = request.header(header::USER_AGENT, "fuzz/1").header(header::ACCEPT, "application/json");
    let request = request.header(header::CONTENT_TYPE, words.next().unwrap_or(b"application/json"));
    request.body(Full::new(Bytes::copy_from_slice(body))).ok()
}

fn answer(api: &Embedded, request: Request<Full<Bytes>>) {
    let named = format!("{} {}", request.method(), request.uri());
    let response = api.answer(request).now_or_never().expect("in memory, every answer is there at once");
    let (head, body) = response.into_parts();
    let is_json = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    // A watch goes on.
    let Some(Ok(body)) = body.collect().now_or_never() else { return };
    let body = body.to_bytes();
    if is_json && !body.is_empty() {
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in lines {
            assert!(serde_json::from_slice::<Value>(line).is_ok(), "{named}: the answer is not JSON");
        }
    }
}
