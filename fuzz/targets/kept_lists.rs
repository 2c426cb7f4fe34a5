//! What is kept of the lists of revoked keys, in Secrets: what was kept, and after a line `---` what the lists say now.

use seatkeeper::domain::license::kept_lists::{Kept, keep};

use super::shared::halves;

pub fn run(data: &[u8]) {
    let (before, now) = halves(data);
    let read = |text: &[u8]| serde_json::from_slice::<Kept>(text).ok();
    let Some(before) = read(before) else { return };
    let trusted = read(now).unwrap_or_default();
    let after = keep(&before, &trusted);
    for (signer, list) in before.iter().filter(|(signer, _)| trusted.contains_key(*signer)) {
        let kept = &after.kept[signer];
        assert!(kept.serials.is_superset(&list.serials), "what was kept of a trusted signer stays");
        assert!(kept.version >= list.version);
    }
    for (signer, list) in trusted.iter().filter(|(signer, _)| !after.not_kept.contains(*signer)) {
        assert!(after.kept[signer].serials.is_superset(&list.serials), "what is not kept is said");
    }
    let written = serde_json::to_vec(&after.kept).expect("lists are JSON");
    assert_eq!(read(&written).as_ref(), Some(&after.kept));
}
