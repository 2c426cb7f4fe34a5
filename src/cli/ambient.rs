//! Time and randomness of this machine, for the commands that need them.

use crate::domain::Instant;

/// Random bytes of the operating system.
#[expect(clippy::disallowed_methods, reason = "a signing key has to be random")]
pub fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| std::io::Error::other(e.to_string()))?;
    Ok(bytes)
}

/// The machine's clock as it stands: these commands have no API server to ask.
#[expect(clippy::disallowed_methods, reason = "what is in force is asked of the machine's clock")]
pub fn machine_time() -> Instant {
    chrono::Utc::now()
}
