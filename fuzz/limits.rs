//! What every input is held to: no panic, no more than a second, no more than 64 MiB.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::neighbours::neighbours;
use crate::stretch::stretched;
use crate::targets::{self, Target};

const LONGEST: Duration = Duration::from_secs(1);
const MOST_BYTES: usize = 64 << 20;
/// What takes more than one of these is measured again.
const SUSPICIOUS: Duration = Duration::from_millis(20);
const MANY_BYTES: usize = 4 << 20;

/// Counts what is allocated.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn take(bytes: usize) {
    PEAK.fetch_max(HELD.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        take(bytes);
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(at, layout, bytes) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

static TARGET: OnceLock<Target> = OnceLock::new();
static INPUTS: AtomicU64 = AtomicU64::new(0);
static SLOWEST: AtomicU64 = AtomicU64::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    fn atexit(then: extern "C" fn()) -> i32;
    fn clock() -> std::ffi::c_long;
}

/// Finds the target, and has a line about it written when the process ends or panics. With `SEEDS`, the process only
/// writes the seeds that are signed into that folder.
pub fn begin() {
    if let Some(folder) = std::env::var_os("SEEDS") {
        targets::write_seeds(folder.as_ref());
        std::process::exit(0);
    }
    let name = std::env::var("TARGET").unwrap_or_default();
    let known = targets::ALL.iter().find(|target| target.name == name);
    TARGET.get_or_init(|| *known.unwrap_or_else(|| panic!("TARGET={name}: there is no such target")));
    let aborts = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report();
        aborts(panic);
    }));
    // SAFETY: `report` neither unwinds nor needs anything that is gone when a process exits.
    unsafe { atexit(report) };
}

/// The line that `fuzz/run.sh` reads.
extern "C" fn report() {
    let name = TARGET.get().map_or("", |target| target.name);
    let (inputs, slowest, largest) = (INPUTS.load(Relaxed), SLOWEST.load(Relaxed), LARGEST.load(Relaxed));
    eprintln!("fuzzed: {name} {inputs} inputs, slowest {slowest} us, largest {largest} bytes");
}

/// Gives an input to the target, then its neighbours, and now and then a long one that is made of it.
pub fn run(data: &[u8]) {
    let target = TARGET.get().expect("libFuzzer has called `begin`");
    hold(target, data);
    for neighbour in neighbours(data, target.longest) {
        hold(target, &neighbour);
    }
    if let Some(long) = stretched(data, target.longest) {
        hold(target, &long);
    }
}

fn hold(target: &Target, data: &[u8]) {
    let began = now();
    let mut bytes = peak(target, data);
    let mut took = began.elapsed();
    // A busy machine, and what is made once for all inputs, are not the fault of this one.
    for _ in 0..2 {
        if took > SUSPICIOUS || bytes > MANY_BYTES {
            let began = processor_time();
            let again = (peak(target, data), processor_time().saturating_sub(began));
            (bytes, took) = (bytes.min(again.0), took.min(again.1));
        }
    }
    INPUTS.fetch_add(1, Relaxed);
    SLOWEST.fetch_max(took.as_micros() as u64, Relaxed);
    LARGEST.fetch_max(bytes, Relaxed);
    assert!(took <= LONGEST, "an input of {} bytes took {took:?}", data.len());
    assert!(bytes <= MOST_BYTES, "an input of {} bytes took {bytes} bytes of memory", data.len());
}

/// Runs the target, and returns the most bytes that were allocated at a time.
fn peak(target: &Target, data: &[u8]) -> usize {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    (target.run)(data);
    PEAK.load(Relaxed).saturating_sub(before)
}

/// The time of the processor that this process has had. To ask for it takes longer than most inputs.
fn processor_time() -> Duration {
    // SAFETY: it takes nothing, and returns microseconds on every system of POSIX.
    Duration::from_micros(unsafe { clock() }.try_into().unwrap_or(0))
}

#[expect(clippy::disallowed_methods, reason = "how long an input takes is measured by the machine's own clock")]
fn now() -> Instant {
    Instant::now()
}
