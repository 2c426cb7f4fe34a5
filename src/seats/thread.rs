//! Seats have a thread of their own: no reconcile holds up an agent, and those who ask, those who are told and the one who
//! writes the ledger wake nobody on another thread (docs/performance.md).

use std::future::Future;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The thread. What runs there ends when this is dropped.
pub struct SeatThread {
    runtime: Handle,
    _ends: oneshot::Sender<()>,
}

impl SeatThread {
    /// Nothing runs there yet.
    pub fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (ends, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("seats".to_owned()).spawn(move || {
            // Never told, but dropped.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(SeatThread { runtime: handle, _ends: ends })
    }

    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Makes something that belongs there: a connection, a listener, a client with a task of its own.
    pub fn make<T>(&self, make: impl FnOnce() -> T) -> T {
        let _there = self.runtime.enter();
        make()
    }

    /// Runs a task there.
    pub fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(&self, task: F) -> JoinHandle<F::Output> {
        self.runtime.spawn(task)
    }
}
