//! No two clients ever believe they hold the same seat (I1, I2, I3), also while grants move between Licenses: the short size
//! of `safety`, with every fault once.

use crate::harness::safety::history::Count;
use crate::harness::safety::moves::Move;
use crate::harness::safety::siege::{Size, lay};

#[tokio::test]
async fn i1_i2_i3_no_seat_is_held_twice_whatever_is_done_to_replicas_network_clocks_and_api_server() {
    let size = Size {
        seed: u64::from_le_bytes(seatkeeper::machine::random_bytes().expect("randomness")),
        replicas: 3,
        brief: 48,
        lasting: 12,
        patient: 6,
        ttl: 5,
        operations: 10_000,
        quiet: 300,
        lingers: false,
        fsync: false,
        more: Vec::new(),
    };
    let report = lay(size, None).await;
    println!("{report}");
    assert!(report.verdict.defects.is_empty(), "{report}");
    let Count { granted, in_turn, refused, without_grant, queued, kept, lost, released, unanswered, .. } = report.count;
    let each = [granted, in_turn, refused, without_grant, queued, kept, lost, released, unanswered];
    assert!(each.iter().all(|times| *times > 0), "{report}");
    assert!(report.take_overs >= 6 && report.verdict.refusals_in_quiet > 0, "{report}");
    assert_eq!(report.verdict.most_believed.len(), 4);
    assert!(Move::ALL.iter().all(|what| report.moved.times.contains_key(what)), "{report}");
    // Seats of the grants that move were held under the License before and the License after at once.
    assert!(report.verdict.most_licenses[2..].iter().all(|n| *n > 1), "{report}");
}
