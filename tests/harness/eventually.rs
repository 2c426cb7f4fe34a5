//! Waiting for a condition instead of a fixed time.

use std::time::Duration;

/// Calls `attempt` until it returns a value, and returns that. Panics at the deadline with what was seen last, which is
/// the last error of `attempt`.
pub async fn eventually<T>(deadline: Duration, what: &str, mut attempt: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut seen = "nothing: the first look did not come back".to_owned();
    let looking = async {
        loop {
            match attempt().await {
                Ok(value) => return value,
                Err(now) => seen = now,
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    match tokio::time::timeout(deadline, looking).await {
        Ok(value) => value,
        Err(_) => panic!("not within {deadline:?}: {what}; last seen: {seen}"),
    }
}
