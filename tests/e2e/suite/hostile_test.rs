//! What somebody with an ordinary namespace may try against the licence of somebody else.

use seatkeeper::domain::license::mode::Mode;

use super::case::{Case, KEYS, TRUST};
use super::keys::{Signer, claims};

/// The attack: a key signed by oneself with the name of the victim's grant, in a License that is older than the victim's
/// and trusts oneself. It used to switch the victim's licence off.
#[tokio::test]
async fn k4_a_key_that_somebody_signed_for_anothers_grant_takes_nothing_away() {
    let (intruder, victim) = (Case::new("intruder").await, Case::new("victim").await);
    let (vendor, own) = (Signer::of("vendor"), Signer::of("intruder"));
    let grant = claims("innoacd", &victim.namespace, 365);
    for trusted in [own.jwks(), both(&own.jwks(), &vendor.jwks())] {
        intruder.secret("vendor-trust", TRUST, &[("jwks.json", &trusted)]).await;
        intruder.secret("forged", KEYS, &[("key.jwt", &own.sign(&grant))]).await;
        let forged = intruder.apply_license("acd", "innoacd", &["forged"]).await;
        forged.becomes(Mode::Full).await;

        victim.trust().await;
        victim.secret("keys", KEYS, &[("key.jwt", &vendor.sign(&grant))]).await;
        let genuine = victim.apply_license("acd", "innoacd", &["keys"]).await;
        genuine.becomes(Mode::Full).await;
        genuine.shows_key("keys", "key.jwt", "InForce", None).await;
        // It is no better off if it comes second.
        intruder.kubectl.expect(&["annotate", "--overwrite", "lic/acd", "looked=again"]).await;
        genuine.becomes(Mode::Full).await;
        victim.kubectl.expect(&["delete", "lic/acd"]).await;
        intruder.kubectl.expect(&["delete", "lic/acd"]).await;
    }
}

/// A set of the keys of two sets.
fn both(one: &str, other: &str) -> String {
    let read = |set: &str| serde_json::from_str::<serde_json::Value>(set).expect("it is JSON")["keys"].clone();
    let keys: Vec<_> = [one, other].iter().flat_map(|set| read(set).as_array().cloned().unwrap_or_default()).collect();
    serde_json::json!({ "keys": keys }).to_string()
}
