//! Seats have a thread of their own. No reconcile delays an agent, and the tasks that take requests, answer them and
//! write the ledger never have to wake another thread (docs/performance.md).

use std::future::Future;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The most threads for what takes long for one caller (server/http/aside.rs). More would only wait for one another.
const ASIDE: usize = 4;

/// The thread. Its tasks end when this value is dropped.
pub struct SeatThread {
    runtime: Handle,
    _ends: oneshot::Sender<()>,
}

impl SeatThread {
    /// Starts the thread, without any task. Returns an error if the system cannot create it.
    pub fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(ASIDE).build()?;
        let handle = runtime.handle().clone();
        let (ends, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("seats".to_owned()).spawn(move || {
            // Nothing is ever sent: the sender is dropped.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(SeatThread { runtime: handle, _ends: ends })
    }

    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Creates something that must run on this thread: a connection, a listener, a client with a task of its own.
    pub fn make<T>(&self, make: impl FnOnce() -> T) -> T {
        let _there = self.runtime.enter();
        make()
    }

    /// Runs a task on this thread.
    pub fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(&self, task: F) -> JoinHandle<F::Output> {
        self.runtime.spawn(task)
    }
}
