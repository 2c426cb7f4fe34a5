//! How much is read for one License. Anybody who may write Secrets can fill them, and the keys of a License are judged
//! together.

use super::key::MAX_KEY_BYTES;
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

/// The most entries that are read as keys for one License, over all its Secrets.
pub const MAX_KEYS: usize = 256;
/// The most bytes of keys that are read for one License: as many as one Secret can hold.
pub const MAX_BYTES: usize = 1024 * 1024;

/// What has been read for a License.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    keys: usize,
    bytes: usize,
}

impl Allowance {
    /// Counts an entry that is to be read next. Fails if it is one too many: then neither it nor any entry after it is
    /// read, so that the same keys count whatever the rest is.
    pub fn take(&mut self, entry: &[u8]) -> Result<(), Fault> {
        let too_many = |what: String| {
            let message = format!(
                "the Secrets hold more than {what}, the most that are read for one License: the rest, in the order of \
                 spec.keys and of the entries' names, does not count; remove keys that have ended"
            );
            Err(Fault::new(Reason::TooManyKeys, "spec.keys", message))
        };
        if self.keys == MAX_KEYS {
            return too_many(format!("{MAX_KEYS} keys"));
        }
        // A text that is too long for a key is refused unread.
        let bytes = if entry.len() > MAX_KEY_BYTES { 0 } else { entry.len() };
        if self.bytes + bytes > MAX_BYTES {
            return too_many(format!("{MAX_BYTES} bytes of keys"));
        }
        self.keys += 1;
        self.bytes += bytes;
        Ok(())
    }
}
