//! Commits writes one after another. Each write sees what the previous one left, and no reader sees a write before the
//! storage has it.

use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::{mpsc, oneshot};

use super::draft::Draft;
use super::objects::{Event, Object, State};
use crate::http::failure::Failure;
use crate::kinds::Kinds;
use crate::schema;
use crate::storage::{Change, Storage, StorageError};

/// The most writes that queue for the disk. Further writes wait in their own tasks.
const WAITING: usize = 1024;
/// The most writes that share one commit to the disk.
const BATCH: usize = 256;

/// The state and the storage behind it.
pub struct Ledger {
    shared: Arc<Shared>,
    /// To the thread that writes to the disk. `None` in memory, where the caller's thread does the write.
    writer: Option<mpsc::Sender<Job>>,
}

struct Shared {
    kinds: Arc<Kinds>,
    state: RwLock<State>,
    storage: Box<dyn Storage>,
    /// Held during a write, so that there is one writer at a time.
    turn: Mutex<()>,
}

/// One write: does its work on a draft, and learns whether that was committed.
trait Work: Send {
    fn run(&mut self, draft: &mut Draft<'_>);
    fn end(self: Box<Self>, committed: Result<(), Failure>);
}

type Job = Box<dyn Work>;

struct Call<F, T> {
    make: Option<F>,
    made: Option<Result<T, Failure>>,
    answer: oneshot::Sender<Result<T, Failure>>,
}

impl<F, T> Work for Call<F, T>
where
    F: FnOnce(&mut Draft<'_>) -> Result<T, Failure> + Send,
    T: Send,
{
    fn run(&mut self, draft: &mut Draft<'_>) {
        let Some(make) = self.make.take() else { return };
        self.made = Some(or_undo(draft, make));
    }

    fn end(self: Box<Self>, committed: Result<(), Failure>) {
        let Some(made) = self.made else { return };
        // The caller may no longer be waiting.
        let _ = self.answer.send(made.and_then(|made| committed.map(|()| made)));
    }
}

/// Runs `make`, and undoes its part of the draft if it fails: a refused write leaves nothing behind.
fn or_undo<T>(draft: &mut Draft<'_>, make: impl FnOnce(&mut Draft<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
    let mark = draft.mark();
    let made = make(draft);
    if made.is_err() {
        draft.undo(mark);
    }
    made
}

impl Ledger {
    /// Returns a ledger without a disk, in which writes happen at once, in the caller's thread.
    pub fn of_memory(kinds: &Arc<Kinds>, storage: impl Storage) -> Self {
        let state = RwLock::new(State::new(kinds.iter().count(), 0));
        let shared = Shared { kinds: kinds.clone(), state, storage: Box::new(storage), turn: Mutex::new(()) };
        Ledger { shared: Arc::new(shared), writer: None }
    }

    /// Loads what the storage holds, and starts the thread that writes to it.
    ///
    /// # Errors
    ///
    /// Fails if the storage cannot be read, or holds an object that it should not.
    pub fn of_disk(kinds: &Arc<Kinds>, storage: impl Storage) -> Result<Self, StorageError> {
        let contents = storage.load()?;
        let mut state = State::new(kinds.iter().count(), contents.revision);
        for (name, bytes) in contents.objects {
            let (kind, key) = place(kinds, &name).ok_or_else(|| damaged(&name, "no such kind"))?;
            let mut value: Value =
                serde_json::from_slice(&bytes).map_err(|error| damaged(&name, &error.to_string()))?;
            let revision = value["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
            let revision = revision.ok_or_else(|| damaged(&name, "it has no resourceVersion"))?;
            let known = kinds.get(kind);
            let without_status = known.custom && value.get("status").is_none();
            if known.custom {
                schema::default(&known.node, &mut value);
            }
            let without_defaults = without_status && value.get("status").is_some();
            let object = Object::new(revision, value).stored_without_defaults(without_defaults);
            state.restore(kind, key.to_owned(), object);
        }
        let shared = Arc::new(Shared {
            kinds: kinds.clone(),
            state: RwLock::new(state),
            storage: Box::new(storage),
            turn: Mutex::new(()),
        });
        let (sender, receiver) = mpsc::channel(WAITING);
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("storage".into());
        thread.spawn(move || write_out(&theirs, receiver)).map_err(|error| StorageError::Unusable {
            path: "the thread that writes to the disk".into(),
            why: error.to_string(),
        })?;
        Ok(Ledger { shared, writer: Some(sender) })
    }

    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `make` on a draft, and returns once its changes are committed. Fails if `make` does, or if the storage
    /// cannot write; nothing is changed then.
    pub async fn commit<T: Send + 'static>(
        &self,
        make: impl FnOnce(&mut Draft<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let Some(writer) = &self.writer else { return self.commit_now(make) };
        let (answer, answered) = oneshot::channel();
        let call = Call { make: Some(make), made: None, answer };
        let gone = || Failure::internal("the storage has stopped; restart this process");
        writer.send(Box::new(call)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Like [`Ledger::commit`], in the caller's thread.
    pub fn commit_now<T>(&self, make: impl FnOnce(&mut Draft<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let _turn = self.shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.read();
        let mut draft = Draft::on(&state);
        let made = or_undo(&mut draft, make)?;
        let events = self.shared.store(draft)?;
        drop(state);
        self.shared.publish(events);
        Ok(made)
    }
}

impl Shared {
    fn store(&self, draft: Draft<'_>) -> Result<Vec<(usize, Event)>, Failure> {
        if draft.mark() > 0 {
            let changes: Vec<Change> = match self.storage.keeps() {
                true => draft.changes(|kind, key| name(&self.kinds, kind, key)),
                false => Vec::new(),
            };
            self.storage.commit(draft.revision(), &changes).map_err(|error| {
                tracing::error!(%error, "objects could not be stored; the request is refused");
                Failure::internal(error)
            })?;
        }
        Ok(draft.into_events())
    }

    fn publish(&self, events: Vec<(usize, Event)>) {
        if !events.is_empty() {
            self.state.write().unwrap_or_else(PoisonError::into_inner).apply(events);
        }
    }
}

/// Takes the waiting writes, commits them together and answers them, until every sender is dropped.
fn write_out(shared: &Shared, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::new();
    while let Some(job) = jobs.blocking_recv() {
        batch.push(job);
        while batch.len() < BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        let _turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = {
            let state = shared.state.read().unwrap_or_else(PoisonError::into_inner);
            let mut draft = Draft::on(&state);
            batch.iter_mut().for_each(|job| job.run(&mut draft));
            shared.store(draft)
        };
        let committed = stored.map(|events| shared.publish(events));
        for job in batch.drain(..) {
            job.end(committed.clone());
        }
    }
}

/// Returns the key under which an object is stored: `<group>/<plural>/<key>`.
fn name(kinds: &Kinds, kind: usize, key: &str) -> String {
    let kind = kinds.get(kind);
    format!("{}/{}/{key}", kind.group, kind.plural)
}

fn place<'n>(kinds: &Kinds, name: &'n str) -> Option<(usize, &'n str)> {
    let (group, rest) = name.split_once('/')?;
    let (plural, key) = rest.split_once('/')?;
    let found = kinds.iter().find(|(id, kind)| kind.group == group && kind.plural == plural && kind.stored_as == *id);
    found.map(|(id, _)| (id, key))
}

fn damaged(name: &str, why: &str) -> StorageError {
    StorageError::Damaged { path: name.into(), why: why.to_owned() }
}
