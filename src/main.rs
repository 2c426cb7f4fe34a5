//! The one binary: operator and command-line tools.

fn main() -> std::process::ExitCode {
    seatkeeper::cli::main()
}
