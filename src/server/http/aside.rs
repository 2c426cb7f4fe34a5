//! What takes long for one caller: large bodies are read, and large answers written, on other threads than the one that
//! answers everybody.

use http::StatusCode;

use super::problem::{A_MOMENT, Problem};

/// Does `work` on another thread. Fails if it panics, or if the server ends.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        let detail = "the request could not be finished: ask again";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "Overloaded", detail).retry_after(A_MOMENT)
    })
}
