//! The folder whose YAML is applied: every file that is new or changed, again and again.

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client, core::Status};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::issuers;
use super::screen::Screen;
use crate::cli::Failure;
use crate::cli::files::{MAX_FILE_BYTES, read_start};
use crate::cli::yaml::{Document, File};
use crate::embedded::Embedded;

/// Who applies.
pub const FIELD_MANAGER: &str = "seatkeeper-up";
/// Where an object goes that does not say.
const DEFAULT_NAMESPACE: &str = "default";
/// More files are not looked at.
const MAX_FILES: usize = 1_000;
/// Folders in folders.
const DEEPEST: usize = 8;

/// What was applied of the folder so far.
pub struct Folder {
    path: PathBuf,
    /// Of each file that was read, the hash of its content and what stood in it.
    read: BTreeMap<PathBuf, ([u8; 32], BTreeSet<String>)>,
    too_many: bool,
}

impl Folder {
    pub fn new(path: &Path) -> Result<Self, Failure> {
        match path.is_dir() {
            true => Ok(Folder { path: path.to_owned(), read: BTreeMap::new(), too_many: false }),
            false => Err(Failure::usage(format!("{}: is no folder", path.display()))),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The namespaces of our kinds in it, in order.
    pub fn namespaces(&self) -> BTreeSet<String> {
        let files = self.documents();
        let all = files.iter().flat_map(|file| &file.documents);
        let ours =
            all.filter(|document| document.text("/apiVersion").is_some_and(|v| v.starts_with("seatkeeper.dev/")));
        ours.map(|document| document.namespace().unwrap_or(DEFAULT_NAMESPACE).to_owned()).collect()
    }

    /// Every file, parsed as far as it can be: for what has to be known before anything is applied.
    pub fn documents(&self) -> Vec<File> {
        files(&self.path).0.iter().filter_map(|path| File::read(path).ok()).collect()
    }

    /// Applies what is new or has changed since the last look, and tells of what cannot be applied. One bad object stops
    /// no other.
    pub async fn look(&mut self, api: &Embedded, client: &Client, screen: &Screen) {
        let (found, too_many) = files(&self.path);
        if too_many && !std::mem::replace(&mut self.too_many, too_many) {
            screen
                .warn(&format!("{}: has more than {MAX_FILES} files; the others are not applied", self.path.display()));
        }
        let mut changed = Vec::new();
        for path in &found {
            let Ok(bytes) = read_start(path, MAX_FILE_BYTES) else { continue };
            let hash: [u8; 32] = Sha256::digest(&bytes).into();
            if self.read.get(path).is_none_or(|(before, _)| *before != hash) {
                changed.push((path.clone(), hash));
            }
        }
        let gone: Vec<PathBuf> = self.read.keys().filter(|path| !found.contains(path)).cloned().collect();
        let mut left: BTreeSet<String> = BTreeSet::new();
        for path in gone {
            left.extend(self.read.remove(&path).map(|(_, titles)| titles).unwrap_or_default());
        }
        let mut files = Vec::new();
        for (path, hash) in changed {
            let file = match File::read(&path) {
                Ok(file) => file,
                Err(failure) => {
                    screen.warn(&failure.message);
                    let titles = self.read.remove(&path).map(|(_, titles)| titles).unwrap_or_default();
                    self.read.insert(path, (hash, titles));
                    continue;
                }
            };
            let titles: BTreeSet<String> = file.documents.iter().filter(|d| is_object(d)).map(full_title).collect();
            if let Some((_, before)) = self.read.insert(path, (hash, titles.clone())) {
                left.extend(before.difference(&titles).cloned());
            }
            files.push(file);
        }
        // What others need comes first, in whatever file it stands.
        let all = || files.iter().flat_map(|file| file.documents.iter().map(move |document| (file, document)));
        let rank = |document: &Document| match document.kind() {
            "Namespace" => 0,
            "Secret" | "ConfigMap" => 1,
            "Plan" => 2,
            _ => 3,
        };
        let mut ordered: Vec<(&File, &Document)> = all().filter(|(_, document)| !document.object.is_null()).collect();
        ordered.sort_by_key(|(_, document)| rank(document));
        for (file, document) in ordered {
            if document.kind() == "Subscription" {
                let namespace = document.namespace().unwrap_or(DEFAULT_NAMESPACE);
                issuers::make_missing(client, document, namespace, screen).await;
            }
            match apply(api, client, file, document).await {
                Ok(()) => screen.applied(&full_title(document)),
                Err(lines) => lines.iter().for_each(|line| screen.warn(line)),
            }
        }
        for title in left.into_iter().filter(|title| !self.read.values().any(|(_, titles)| titles.contains(title))) {
            screen.warn(&format!("{title} stands in no file any more; it stays until it is deleted with kubectl"));
        }
    }
}

fn is_object(document: &Document) -> bool {
    document.object.is_object()
}

/// `Subscription innoacd/stadtwerke`
fn full_title(document: &Document) -> String {
    match document.kind() {
        "Namespace" => format!("Namespace {}", document.name()),
        kind => format!("{kind} {}/{}", document.namespace().unwrap_or(DEFAULT_NAMESPACE), document.name()),
    }
}

/// The YAML and JSON files of a folder and those in it, and whether there are more.
fn files(folder: &Path) -> (Vec<PathBuf>, bool) {
    let mut found = Vec::new();
    gather(folder, 0, &mut found);
    found.sort();
    let too_many = found.len() > MAX_FILES;
    found.truncate(MAX_FILES);
    (found, too_many)
}

fn gather(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        // Files of editors and of version control, and our own data.
        if entry.file_name().to_string_lossy().starts_with('.') || found.len() > MAX_FILES {
            continue;
        }
        if path.is_dir() && depth < DEEPEST {
            gather(&path, depth + 1, found);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
            found.push(path);
        }
    }
}

/// Applies one object. What is wrong with it comes back as lines with file, line and field.
async fn apply(api: &Embedded, client: &Client, file: &File, document: &Document) -> Result<(), Vec<String>> {
    let refuse = |field: &str, message: &str| vec![file.at(document, field, message)];
    if !document.object.is_object() {
        return Err(refuse("", "is no object with apiVersion and kind"));
    }
    let (version, kind) = (document.text("/apiVersion").unwrap_or_default(), document.kind());
    let Some((resource, namespaced)) = api.resource_of(version, kind) else {
        let known = api.known_kinds().join(", ");
        return Err(refuse("kind", &format!("there is no kind {kind:?} of {version:?} here; there are {known}")));
    };
    let faults = document.faults();
    if !faults.is_empty() {
        return Err(faults.iter().map(|fault| file.at(document, &fault.field, &fault.message)).collect());
    }
    let namespace = document.namespace().unwrap_or(DEFAULT_NAMESPACE);
    let objects: Api<DynamicObject> = match namespaced {
        true => Api::namespaced_with(client.clone(), namespace, &resource),
        false => Api::all_with(client.clone(), &resource),
    };
    let mut params = PatchParams::apply(FIELD_MANAGER).force();
    params.field_validation = Some(kube::api::ValidationDirective::Strict);
    match objects.patch(document.name(), &params, &Patch::Apply(&document.object)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(refusal(file, document, &status)),
        Err(error) => Err(refuse("", &error.to_string())),
    }
}

fn refusal(file: &File, document: &Document, status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let lines: Vec<String> = causes
        .filter(|cause| !cause.field.is_empty() && cause.field != "<nil>")
        .map(|cause| file.at(document, &cause.field, &cause.message))
        .collect();
    if !lines.is_empty() {
        return lines;
    }
    // `failed to create typed patch object (…): .data.x: expected string, got 1`
    let field = status.message.split(": .").nth(1).and_then(|rest| rest.split(':').next()).unwrap_or_default();
    vec![file.at(document, field, &status.message)]
}
