//! What others did to the objects of the folder since they were applied. The folder decides what they are, so `up` undoes it
//! and says so.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use seatkeeper_embedded::Embedded;

/// An object as it was when its document was applied last.
#[derive(Clone, PartialEq, Eq)]
pub struct Stand {
    /// Its apiVersion and kind.
    of: (String, String),
    /// Its namespace and name.
    place: (String, String),
    uid: String,
    /// What somebody has set it to.
    state: String,
}

impl Stand {
    pub fn of(version: &str, kind: &str, meta: &ObjectMeta) -> Stand {
        Stand {
            of: (version.to_owned(), kind.to_owned()),
            place: place(meta),
            uid: meta.uid.clone().unwrap_or_default(),
            state: state(meta),
        }
    }

    /// Whether an object is in the same state.
    pub fn is_as(&self, meta: &ObjectMeta) -> bool {
        self.state == state(meta)
    }
}

fn place(meta: &ObjectMeta) -> (String, String) {
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// Its generation, which no change of status raises, with what stands beside the spec; or its version where it has none.
fn state(meta: &ObjectMeta) -> String {
    match meta.generation {
        Some(generation) => format!("{generation} {:?} {:?}", meta.labels, meta.annotations),
        None => meta.resource_version.clone().unwrap_or_default(),
    }
}

/// What has happened to an object since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    Deleted,
    Changed,
}

impl Drift {
    /// What is said when the object is as its file says again.
    pub fn told(self, title: &str, file: &Path) -> String {
        let file = file.display();
        match self {
            Drift::Deleted => {
                format!("{title} was deleted and is back, because it is in {file}: to delete it, remove it there too")
            }
            Drift::Changed => format!("{title} was changed and is again as {file} says: change it there"),
        }
    }
}

/// The objects that were deleted or changed. An object whose state cannot be read counts as unchanged.
pub async fn drifts(
    api: &Embedded,
    client: &Client,
    stands: Vec<((PathBuf, usize), Stand)>,
) -> BTreeMap<(PathBuf, usize), Drift> {
    let kinds: BTreeSet<&(String, String)> = stands.iter().map(|(_, stand)| &stand.of).collect();
    let mut there = HashMap::new();
    for kind in kinds {
        let Some((resource, _)) = api.resource_of(&kind.0, &kind.1) else { continue };
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let Ok(list) = objects.list_metadata(&ListParams::default()).await else { continue };
        let now: HashMap<(String, String), (String, String)> = list
            .items
            .iter()
            .map(|object| {
                (place(&object.metadata), (object.metadata.uid.clone().unwrap_or_default(), state(&object.metadata)))
            })
            .collect();
        there.insert(kind, now);
    }
    let drift = |stand: &Stand| match there.get(&stand.of)?.get(&stand.place) {
        None => Some(Drift::Deleted),
        // It was deleted and made again.
        Some((uid, _)) if *uid != stand.uid => Some(Drift::Changed),
        Some((_, state)) => (*state != stand.state).then_some(Drift::Changed),
    };
    stands.iter().filter_map(|(key, stand)| Some((key.clone(), drift(stand)?))).collect()
}
