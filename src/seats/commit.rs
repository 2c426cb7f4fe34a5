//! Group commit: everything that waited while the last write was under way goes into the next one.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

use super::ledger::{Fenced, Ledger};
use super::ownership::Ownership;
use super::pending::Taken;
use super::shared::Shared;
use crate::domain::seats::journal::{Base, BaseName, Entry};
use crate::domain::tick::Moment;
use crate::machine::monotonic;

/// After a commit that served several callers, the next one waits for those that come straight back, at most as long as
/// the commit took and never longer than this: one write for all costs less than two for half of them each
/// (docs/performance.md).
const LONGEST_GATHERING: Duration = Duration::from_millis(5);
/// How long changes that no caller waits for are held back: a holder that releases a seat often takes the next one at
/// once, and both changes go into one write.
const ALONE: Duration = Duration::from_millis(20);
/// The most bases queued to be written. Each is queued at most once.
const BASES_WAITING: usize = 1024;

/// One commit.
struct Commit {
    entry: Entry,
    taken: Taken,
    waiting: Vec<oneshot::Sender<()>>,
    /// Bases as they are after this commit.
    bases: Vec<Base>,
}

/// Commits until another owner has taken over, and returns why.
pub(super) async fn run(shared: Arc<Shared>, ledger: Arc<Ledger>) -> Fenced {
    let (to_write, bases) = mpsc::channel(BASES_WAITING);
    let flushed = Arc::new(Notify::new());
    let flushing = write_bases(shared.clone(), ledger.clone(), bases, flushed.clone());
    tokio::select! {
        biased;
        fenced = commits(&shared, &ledger, to_write, &flushed) => fenced,
        fenced = flushing => fenced,
    }
}

async fn commits(shared: &Shared, ledger: &Ledger, to_write: mpsc::Sender<Base>, flushed: &Notify) -> Fenced {
    let (mut served, mut took) = (0, Duration::ZERO);
    loop {
        while shared.lock().ownership.as_ref().is_none_or(|ownership| ownership.pending.is_empty()) {
            shared.wake_committer.notified().await;
        }
        if served > 1 {
            let everybody = served + waiting(shared);
            gather(shared, everybody, took.min(LONGEST_GATHERING)).await;
        }
        gather(shared, 1, ALONE).await;
        let pause = shared.budget().pause(monotonic());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        loop {
            let came = flushed.notified();
            let in_the_way =
                shared.lock().ownership.as_ref().is_some_and(|ownership| !ownership.journal.in_the_way().is_empty());
            if !in_the_way {
                break;
            }
            came.await;
        }
        let began = monotonic();
        let Some(commit) = begin(shared, began) else { continue };
        shared.room.notify_waiters();
        let bytes = match ledger.write_entry(&commit.entry).await {
            Ok(bytes) => bytes,
            Err(fenced) => return fenced,
        };
        took = monotonic() - began;
        served = commit.waiting.len();
        let joined = end(shared, &commit, bytes, took);
        for waiting in commit.waiting.into_iter().chain(joined) {
            // The caller may be gone.
            let _ = waiting.send(());
        }
        for base in commit.bases {
            let _ = to_write.send(base).await;
        }
    }
}

/// The number of callers whose seats are not in a commit yet.
fn waiting(shared: &Shared) -> usize {
    shared.lock().ownership.as_ref().map_or(0, |ownership| ownership.waiting.len())
}

/// Waits until `enough` callers wait, for at most `most`, and not at all if no further caller may come.
async fn gather(shared: &Shared, enough: usize, most: Duration) {
    let came = async {
        loop {
            {
                let mut state = shared.lock();
                state.enough = enough;
                if state.stopping || state.is_enough() {
                    break;
                }
            }
            shared.wake_committer.notified().await;
        }
    };
    let _ = tokio::time::timeout(most, came).await;
    shared.lock().enough = 0;
}

/// Takes all pending changes as one commit; `None` if there are none.
fn begin(shared: &Shared, now: Moment) -> Option<Commit> {
    let mut state = shared.lock();
    let ownership = state.ownership.as_mut()?;
    let taken = ownership.pending.take();
    if taken.changes.is_empty() {
        return None;
    }
    ownership.writing_since = Some(now);
    let entry = ownership.journal.entry(&taken.changes);
    let mut due = ownership.journal.due();
    due.retain(|base| ownership.bases_under_way.insert(base.clone()));
    // The table holds exactly what will be durable once this entry is.
    let bases = due.into_iter().map(|name| base(ownership, name, entry.sequence)).collect();
    Some(Commit { entry, taken, waiting: std::mem::take(&mut ownership.waiting), bases })
}

/// A base as the table has it after the entry `sequence`.
pub(super) fn base(ownership: &Ownership, name: BaseName, sequence: u64) -> Base {
    let Some(seats) = ownership.seats_of.get(&name.license) else {
        return Base { name, sequence, grants: String::new(), lines: String::new(), takers: String::new() };
    };
    let mut base = Base::of(seats.seating.table(), seats.note.to_string(), sequence, name);
    // Without a seat, nothing draws on them.
    if base.lines.is_empty() {
        base.grants.clear();
    }
    base
}

/// The commit is durable. Returns the callers that asked for its seats again meanwhile.
fn end(shared: &Shared, commit: &Commit, bytes: usize, took: Duration) -> Vec<oneshot::Sender<()>> {
    let Taken { changes, sizes } = &commit.taken;
    shared.spend(bytes, changes.iter().map(|change| &change.license).zip(sizes.iter().copied()));
    let metrics = &shared.metrics;
    let records: usize = changes.iter().map(|change| change.records.len()).sum();
    metrics.changes.inc_by(records as u64);
    metrics.bytes.inc_by(bytes as u64);
    metrics.batch.observe(commit.waiting.len() as f64);
    metrics.commit.observe(took.as_secs_f64());
    let mut state = shared.lock();
    let Some(ownership) = &mut state.ownership else { return Vec::new() };
    ownership.journal.wrote(&commit.entry, changes);
    ownership.writing_since = None;
    std::mem::take(&mut ownership.joining)
}

async fn write_bases(
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    mut bases: mpsc::Receiver<Base>,
    flushed: Arc<Notify>,
) -> Fenced {
    while let Some(base) = bases.recv().await {
        let epoch = shared.lock().ownership.as_ref().map_or(0, |ownership| ownership.journal.epoch());
        match ledger.write_base(&base, epoch).await {
            Ok(bytes) => {
                shared.metrics.bytes.inc_by(bytes as u64);
                shared.spend(bytes, [(&base.name.license, bytes)]);
                if let Some(ownership) = &mut shared.lock().ownership {
                    ownership.journal.wrote_base(&base.name, base.sequence);
                    ownership.bases_under_way.remove(&base.name);
                }
                flushed.notify_one();
            }
            Err(fenced) => return fenced,
        }
    }
    // The sender lives as long as the commits do.
    std::future::pending().await
}
