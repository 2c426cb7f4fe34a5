//! What a License shows of its seats, across owners of the ledger.

use std::time::Duration;

use http::Method;

use crate::api::must;
use crate::contact_centre::{asks, centre, open};
use crate::run::Run;

/// The `SEATS` column of the License.
async fn shown(run: &Run) -> String {
    let path = "/apis/seatkeeper.dev/v1alpha1/namespaces/centre/licenses/innoacd";
    let license = must(&run.shared.api, Method::GET, path, None).await;
    license["status"]["seats"].as_str().expect("it is shown").to_owned()
}

async fn soon(run: &Run, seats: &str) {
    for _ in 0..300 {
        if shown(run).await == seats {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it shows {} instead of {seats}", shown(run).await);
}

#[test]
fn a_seat_given_back_as_the_owner_ends_is_not_shown_by_the_next_owner() {
    let mut run = open(&centre(2, None));
    let desk = run.desk();
    run.within(async {
        let held = asks(&desk, "a").await.expect("there are two").seats.remove(0);
        soon(&run, "agents 1/2").await;
        assert_eq!(desk.release(&held), Ok(true));
        // The ledger has it by then, the status does not.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(shown(&run).await, "agents 1/2");
    });
    run.kill();
    run.restart();
    run.within(async { soon(&run, "agents 0/2").await });
}
