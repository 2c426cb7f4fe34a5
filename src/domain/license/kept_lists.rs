//! What is kept of the lists of revoked keys, and for whom (docs/design/domain.md, Revocations).
//!
//! Each share is one object of the operator's own. A signer that the installation pins has a share of its own, and all
//! signers that are trusted because of one namespace have one share together. So nobody takes room away from others.

use std::collections::{BTreeMap, BTreeSet};

use super::trust::Revocations;

/// The most bytes that are kept in a share. A Secret holds 1 MiB.
pub const MAX_SHARE_BYTES: usize = 896 * 1024;
/// The most signers in a share.
pub const MAX_SIGNERS: usize = 64;
/// What a signer takes up besides its serials: thumbprint, version, times and punctuation.
const SIGNER_BYTES: usize = 256;

/// What is kept of the lists of each signer, by thumbprint.
pub type Kept = BTreeMap<String, Revocations>;

/// What a share is to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToKeep {
    pub kept: Kept,
    /// The trusted signers of which something could not be kept, because the share is full.
    pub not_kept: BTreeSet<String>,
}

/// Adds to what is `kept` in a share what the lists of the `trusted` signers say now. Nothing that is kept of a trusted
/// signer is ever dropped. What is kept of others gives way once the share is full, the oldest first.
pub fn keep(kept: &Kept, trusted: &Kept) -> ToKeep {
    let mut share = Share::default();
    let (mut of_trusted, mut of_others): (Vec<_>, Vec<_>) =
        kept.iter().partition(|(signer, _)| trusted.contains_key(*signer));
    for (signer, known) in of_trusted.drain(..) {
        share.add(signer, known, usize::MAX);
    }
    let is_known = |signer: &&String| kept.contains_key(*signer);
    let (known, new): (Vec<_>, Vec<_>) = trusted.keys().partition(is_known);
    for signer in known.into_iter().chain(new) {
        share.add(signer, &trusted[signer], MAX_SHARE_BYTES);
    }
    of_others.sort_by_key(|(signer, known)| (std::cmp::Reverse(known.iat), *signer));
    for (signer, known) in of_others {
        if share.has_room_for(known) {
            share.add(signer, known, MAX_SHARE_BYTES);
        }
    }
    share.to_keep
}

#[derive(Default)]
struct Share {
    bytes: usize,
    to_keep: ToKeep,
}

impl Share {
    fn has_room_for(&self, list: &Revocations) -> bool {
        let serials: usize = list.serials.iter().map(|serial| bytes_of(serial)).sum();
        self.to_keep.kept.len() < MAX_SIGNERS && self.bytes + SIGNER_BYTES + serials <= MAX_SHARE_BYTES
    }

    /// Adds what fits into `most` bytes of a list.
    fn add(&mut self, signer: &str, list: &Revocations, most: usize) {
        let is_new = !self.to_keep.kept.contains_key(signer);
        let is_full = self.to_keep.kept.len() >= MAX_SIGNERS || self.bytes + SIGNER_BYTES > most;
        if is_new && is_full && most != usize::MAX {
            self.to_keep.not_kept.insert(signer.to_owned());
            return;
        }
        self.bytes += if is_new { SIGNER_BYTES } else { 0 };
        let kept = self.to_keep.kept.entry(signer.to_owned()).or_default();
        kept.unite(&Revocations { serials: BTreeSet::new(), ..list.clone() });
        for serial in list.serials.difference(&kept.serials.clone()) {
            if self.bytes + bytes_of(serial) > most {
                self.to_keep.not_kept.insert(signer.to_owned());
                break;
            }
            self.bytes += bytes_of(serial);
            kept.serials.insert(serial.clone());
        }
    }
}

/// What a serial takes up as JSON: at worst six characters for each of its own, and punctuation.
fn bytes_of(serial: &str) -> usize {
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    3 + serial.chars().map(|c| if plain(c) { 1 } else { 6 }).sum::<usize>()
}
