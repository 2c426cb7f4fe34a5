//! When waiting fails, the message says what was seen last.

use std::time::Duration;

use crate::harness::eventually::eventually;

#[tokio::test]
async fn a_timeout_says_what_was_seen_last() {
    let mut looks = 0;
    let waiting = async move {
        eventually(Duration::from_millis(200), "the cows come home", async || {
            looks += 1;
            if looks > 1_000_000 { Ok(()) } else { Err("an empty road".into()) }
        })
        .await;
    };
    let ended = tokio::task::LocalSet::new().run_until(async { tokio::task::spawn_local(waiting).await }).await;
    let panic = ended.expect_err("they never come").into_panic();
    let message = panic.downcast_ref::<String>().expect("it panics with a text");
    assert_eq!(message, "not within 200ms: the cows come home; last seen: an empty road");
}
