//! The caches of our kinds, in which the specs of a namespace have a share of memory for each kind. If an object has no room
//! in it, only what identifies the object is kept. Like a malformed object it cannot be read, so nothing is decided on a part
//! of it.

use k8s_openapi::NamespaceResourceScope;
use kube::api::ListParams;
use kube::core::object::HasSpec;
use kube::core::{DeserializeGuard, error_boundary::InvalidObject};
use kube::runtime::reflector::store::Store;
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::Semaphore;

use super::client::{CallError, call};
use super::room::{Measure, Room, Rooms, Share};
use super::scope::Scope;
use super::watch::{Bound, Guarded, Read, Watch, cache_of};
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

/// The most objects listed in one request: each may have more than a megabyte, and a page is held as a whole.
const PAGE: u32 = 8;
/// What is kept of the specs of a kind in a namespace, in bytes: of Licenses that assign seats to 150,000 users, or of Rosters
/// with 50,000 members (T1).
const SHARE: usize = 24 << 20;
/// How many bytes of each spec do not count: ordinary specs are kept, however many there are.
const FREE: usize = 4 << 10;
/// What a spec takes in memory beside its texts, in bytes: for each object in it, and for each item of a list.
const OBJECT: usize = 128;
const ITEM: usize = 32;
/// Why an object that is left out cannot be read. No malformed object has the same error.
const LEFT_OUT: &str = "it is among the largest in its namespace, and there is no room for all of them";

/// A cache of a kind, within `scope`; `listing` is for one list at a time.
pub fn cache<K>(client: &Client, scope: &Scope, listing: &Arc<Semaphore>) -> (Store<Guarded<K>>, Watch<Guarded<K>>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + HasSpec<Spec: Serialize>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (cache, watch) = cache_of(scope.sources(client, &Config::default().page_size(PAGE)));
    let room = Box::new(|place: &str| {
        let share = Share { most: SHARE, without_bound: String::new() };
        Room::new(Rooms::default(), "specs", place, share, Measure { size: beyond_free, rest: what_identifies })
    });
    let client = client.clone();
    let read: Read<Guarded<K>> = Box::new(move |namespace, name| {
        let api: Api<Guarded<K>> = Api::namespaced(client.clone(), &namespace);
        Box::pin(async move { read(&api, &name).await })
    });
    (cache, watch.without_labels_and_annotations().within(Bound { listing: listing.clone(), room, read }))
}

/// Reads an object; `None` if it does not exist. The operator may list and watch its kinds, and has no other right to read.
pub async fn read<K>(api: &Api<K>, name: &str) -> Result<Option<K>, CallError>
where
    K: Clone + Debug + DeserializeOwned,
{
    let of_name = ListParams::default().fields(&format!("metadata.name={name}"));
    Ok(call(api.list(&of_name)).await?.items.pop())
}

/// Why an object is not read, if there is no room for it.
pub fn left_out<K: Resource<DynamicType = ()>>(object: &Guarded<K>) -> Option<Fault> {
    let unread = object.0.as_ref().err().filter(|unread| unread.error == LEFT_OUT)?;
    let (kind, namespace) = (K::kind(&()), unread.metadata.namespace.as_deref().unwrap_or_default());
    let message = format!(
        "{kind} {namespace}/{} is not read and counts for nothing: the {kind}s in this namespace take more than {} MiB \
         together, and only the smallest of them are read; shorten it, delete those that nothing needs, or use another \
         namespace",
        object.name_any(),
        SHARE >> 20
    );
    Some(Fault::new(Reason::SpecsTooLarge, "spec", message))
}

fn what_identifies<K: Resource + Clone>(object: &Guarded<K>) -> Option<Guarded<K>> {
    Some(DeserializeGuard(Err(InvalidObject { error: LEFT_OUT.to_owned(), metadata: object.meta().clone() })))
}

/// What the spec of an object takes, in bytes, beyond what is free. The status has no part in it: what the operator writes
/// must not decide whether there is room.
fn beyond_free<K: HasSpec<Spec: Serialize>>(object: &Guarded<K>) -> usize {
    let size = match &object.0 {
        Ok(object) => in_memory(object.spec()),
        Err(malformed) => malformed.error.len(),
    };
    size.saturating_sub(FREE)
}

fn in_memory(spec: &impl Serialize) -> usize {
    let mut size = Size(0);
    // Counting never fails, and every spec came as JSON.
    let _ = serde_json::to_writer(&mut size, spec);
    size.0
}

/// Counts what the JSON that is written takes in memory.
struct Size(usize);

impl Write for Size {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        // serde_json writes each sign on its own, and each text as a whole. A text that is just such a sign counts for more
        // than it takes, which does no harm.
        self.0 += match json {
            b"{" => OBJECT,
            b"[" | b"," => ITEM,
            text => text.len(),
        };
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::License;
    use crate::api::license::LicenseStatus;
    use crate::api::roster::RosterMember;

    fn license(spec: Value) -> Guarded<License> {
        let object = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License",
            "metadata": {"name": "l", "namespace": "n", "uid": "u", "generation": 3}, "spec": spec,
        });
        serde_json::from_value(object).expect("it is a License, or almost")
    }

    /// Of the lists that may have thousands of items, with the shortest texts that there are. An allocation has 8 bytes or more.
    #[test]
    fn no_item_of_a_long_list_takes_more_memory_than_is_counted() {
        let counted = |items: [Value; 2]| {
            let of = |items: &[Value]| in_memory(&items);
            of(&items) - of(&items[1..])
        };
        let member = json!({"user": "a", "loginMode": "None", "entryDate": "2026-01-01"});
        assert!(serde_json::from_value::<RosterMember>(member.clone()).is_ok());
        assert!(counted([member.clone(), member]) >= size_of::<RosterMember>() + 8);
        assert!(counted([json!("a"), json!("b")]) >= size_of::<String>() + 8, "a user of an assignment");
    }

    #[test]
    fn an_ordinary_spec_takes_nothing_and_the_status_never_counts() {
        let keys =
            json!([{"name": "a", "secretRef": {"name": "keys"}}, {"name": "b", "secretRef": {"name": "keys-b"}}]);
        let mut ordinary = license(json!({
            "product": "innoacd", "keys": keys, "trust": {"secretRef": {"name": "vendor-trust"}},
            "allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "acd"}}},
            "administrators": [{"user": "m.huber", "email": "m.huber@example.org"}],
            "assignments": [{"pool": "agents", "users": ["m.huber", "a.kern", "e.roth"]}],
        }));
        assert_eq!(beyond_free(&ordinary), 0);
        if let Ok(license) = &mut ordinary.0 {
            license.status = Some(LicenseStatus { seats: Some("x".repeat(1_000_000)), ..LicenseStatus::default() });
        }
        assert_eq!(beyond_free(&ordinary), 0);
        let users: Vec<String> = (0..1_000).map(|n| format!("user-{n}")).collect();
        let large = license(json!({"product": "p", "assignments": [{"pool": "agents", "users": users}]}));
        assert!(beyond_free(&large) > 30_000);
    }

    #[test]
    fn what_is_left_out_cannot_be_read_and_says_why_and_what_to_do() {
        let whole = license(json!({"product": "p"}));
        assert_eq!(left_out(&whole).map(|fault| fault.message), None);
        let rest = what_identifies(&whole).expect("something is left");
        assert!(rest.0.is_err());
        assert_eq!((rest.uid().as_deref(), rest.meta().generation), (Some("u"), Some(3)));
        assert_eq!(beyond_free(&rest), 0);
        let fault = left_out(&rest).expect("it says so");
        assert_eq!(fault.reason, Reason::SpecsTooLarge);
        assert!(fault.message.starts_with("License n/l is not read"), "{}", fault.message);
        assert!(
            fault.message.contains("24 MiB together") && fault.message.contains("delete those"),
            "{}",
            fault.message
        );
        let malformed = license(json!({"product": 7}));
        assert!(malformed.0.is_err());
        assert_eq!(left_out(&malformed).map(|fault| fault.message), None);
    }
}
