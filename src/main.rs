//! The one binary: operator and command-line tools.

/// Seats are taken on one thread and written on another: glibc's allocator makes them wait for one another
/// (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    seatkeeper::cli::main()
}
