//! The folder whose YAML is applied: every new or changed file, again and again.

use kube::Client;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::apply::{Applied, IsDryRun, apply};
use super::drift::{Drift, Stand, drifts};
use super::issuers;
use super::screen::Screen;
use super::twice::{First, Place};
use crate::api::secret_type;
use crate::cli::failure::Failure;
use crate::cli::files::read_in_folder;
use crate::cli::private;
use crate::cli::yaml::{DEFAULT_NAMESPACE, Document, File};
use seatkeeper_embedded::Embedded;

/// The most files that are looked at.
const MAX_FILES: usize = 1_000;
/// How deep folders may be nested.
const DEEPEST: usize = 8;
/// After how many looks it is found out what others did to the objects.
const LOOKS: u32 = 3;

/// A folder, and what of it has been applied so far.
pub struct Folder {
    path: PathBuf,
    /// The data directory, which may be inside of the folder.
    data: PathBuf,
    read: BTreeMap<PathBuf, Known>,
    /// The issuers that are to have a new signing key, as `namespace/name`.
    new_keys: BTreeSet<String>,
    /// The trouble reported last; it is not reported again until it changes.
    trouble: Option<String>,
    /// How often the folder was looked at.
    looks: u32,
    /// The objects that were applied once.
    applied: BTreeSet<String>,
}

/// A file as it was last read.
#[derive(Default)]
struct Known {
    /// The hash of its content, or of why it could not be read.
    hash: [u8; 32],
    /// The objects in it.
    titles: BTreeSet<String>,
    /// Objects that could not be applied, by the number of their document, and what was reported of each. They are
    /// tried again: what they lack may come by another way.
    refused: BTreeMap<usize, Vec<String>>,
    /// The objects that were applied, by the number of their document.
    stands: BTreeMap<usize, Stand>,
    /// Where its objects are.
    places: Vec<Place>,
    /// Objects that do not count, because they stand elsewhere too, and what was reported of each.
    twice: BTreeMap<usize, Option<String>>,
    /// Whether it cannot be read now. What was in it before still counts.
    is_unreadable: bool,
}

impl Folder {
    pub fn new(path: &Path, data: &Path) -> Result<Self, Failure> {
        let trouble = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
                return Ok(Folder {
                    path: path.to_owned(),
                    data,
                    read: BTreeMap::new(),
                    new_keys: BTreeSet::new(),
                    trouble: None,
                    looks: 0,
                    applied: BTreeSet::new(),
                });
            }
            Ok(_) => "is not a folder; name the one that the file is in".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(Failure::usage(format!("{}: {trouble}", path.display())))
    }

    /// Gives these issuers a new signing key in place of one that is gone. Fails if no Subscription in the folder names one of
    /// them.
    pub fn with_new_keys(self, issuers: &[String]) -> Result<Self, Failure> {
        let files = if issuers.is_empty() { Vec::new() } else { self.documents() };
        let named: BTreeSet<String> =
            files.iter().flat_map(|file| &file.documents).filter_map(issuers::named_by).collect();
        // A file that cannot be read is named later. It may be the one that names the issuer.
        let are_all_read = self.files().is_ok_and(|all| all.len() == files.len());
        match issuers.iter().find(|issuer| are_all_read && !named.contains(*issuer)) {
            Some(unknown) => Err(Failure::usage(format!(
                "--new-signing-key {unknown}: no Subscription in {} names this issuer",
                self.path.display()
            ))),
            None => Ok(Folder { new_keys: issuers.iter().cloned().collect(), ..self }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The namespaces of the objects of our kinds in the folder, in order.
    pub fn namespaces(&self) -> BTreeSet<String> {
        let files = self.documents();
        let all = files.iter().flat_map(|file| &file.documents);
        let ours =
            all.filter(|document| document.text("/apiVersion").is_some_and(|v| v.starts_with("seatkeeper.dev/")));
        ours.map(|document| document.namespace().unwrap_or(DEFAULT_NAMESPACE).to_owned()).collect()
    }

    /// The first License that the folder leads to, as `NAMESPACE/NAME`.
    pub fn license(&self) -> Option<String> {
        let files = self.documents();
        files.iter().flat_map(|file| &file.documents).find_map(|document| {
            let name = match document.kind() {
                "License" => Some(document.name()),
                "Subscription" => document.text("/spec/deliverTo/license/name"),
                _ => None,
            };
            Some(format!("{}/{}", document.namespace().unwrap_or(DEFAULT_NAMESPACE), name?))
        })
    }

    /// Every file that can be parsed: for what has to be known before anything is applied.
    pub fn documents(&self) -> Vec<File> {
        let parse = |path: &PathBuf| File::parse(path, &read_in_folder(path).ok()?).ok();
        self.files().unwrap_or_default().iter().filter_map(parse).collect()
    }

    /// The YAML and JSON files in the folder, in order; an error if the folder cannot be read.
    fn files(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut found = Found { skipped: &self.data, files: Vec::new(), folders: BTreeSet::new() };
        found.gather(&self.path, 0)?;
        Ok(found.files)
    }

    /// Applies what is new or has changed since the last look, and reports what cannot be applied. One bad object stops
    /// no other.
    pub async fn look(&mut self, api: &Embedded, client: &Client, screen: &Screen) {
        let found = self.files();
        let trouble = match &found {
            Err(error) => Some(error.to_string()),
            Ok(files) if files.is_empty() => Some("holds no YAML yet; waiting for some".to_owned()),
            Ok(files) if files.len() > MAX_FILES => {
                Some(format!("has more than {MAX_FILES} files; the others are not applied"))
            }
            Ok(_) => None,
        };
        let trouble = trouble.map(|trouble| format!("{}: {trouble}", self.path.display()));
        if let Some(trouble) = trouble.as_ref().filter(|trouble| self.trouble.as_ref() != Some(trouble)) {
            screen.warn(trouble);
        }
        self.trouble = trouble;
        // A folder that cannot be read for a moment has not lost its files.
        let Ok(mut found) = found else { return };
        found.truncate(MAX_FILES);
        let mut left: BTreeSet<String> = BTreeSet::new();
        self.read.retain(|path, known| {
            let there = found.binary_search(path).is_ok();
            if !there {
                left.append(&mut known.titles);
            }
            there
        });
        let drifted = self.drifted(api, client).await;
        let (mut files, mut first) = (Vec::new(), First::default());
        for path in found {
            files.extend(self.read_changed(path, &drifted, &mut first, screen, &mut left));
        }
        // Objects that others need come first, whichever file they are in.
        let all = files.iter().flat_map(|(file, wanted)| {
            let wanted = file.documents.iter().filter(|document| wanted.contains(&document.number));
            wanted.filter(|document| !document.object.is_null()).map(move |document| (file, document))
        });
        let mut ordered: Vec<(&File, &Document)> = all.collect();
        ordered.sort_by_key(|(_, document)| rank(document));
        let (mut unchanged, mut issuers) = (0, BTreeSet::new());
        for (file, document) in ordered {
            // A contract that is refused needs no signing key. Of several with one issuer, the first sees to it.
            // One that is only put back may have lost its key with it: another one is made on an explicit word alone.
            let is_put_back = drifted.contains_key(&(file.path.clone(), document.number));
            if let Some(issuer) = issuers::named_by(document)
                && !is_put_back
                && !issuers.contains(&issuer)
                && apply(api, client, file, document, IsDryRun::Yes).await.is_ok()
            {
                issuers::make_missing(client, &issuer, &mut self.new_keys, screen).await;
                issuers.insert(issuer);
            }
            let applied = apply(api, client, file, document, IsDryRun::No).await;
            let Some(known) = self.read.get_mut(&file.path) else { continue };
            match applied {
                Ok(Applied { is_new, stand }) => {
                    known.refused.remove(&document.number);
                    self.applied.insert(full_title(document));
                    known.stands.extend(stand.map(|stand| (document.number, stand)));
                    match (drifted.get(&(file.path.clone(), document.number)), is_new) {
                        (Some(drift), true) => screen.warn(&drift.told(&full_title(document), &file.path)),
                        (None, true) => screen.applied(&full_title(document)),
                        (None, false) => unchanged += 1,
                        // What others added stands beside what the file says.
                        (Some(_), false) => {}
                    }
                }
                Err(lines) if known.refused.get(&document.number) == Some(&lines) => {}
                Err(lines) => {
                    lines.iter().for_each(|line| screen.warn(line));
                    known.refused.insert(document.number, lines);
                }
            }
        }
        match unchanged {
            0 => {}
            1 => screen.tell("one object matches its file already"),
            _ => screen.tell(&format!("{unchanged} objects match their files already")),
        }
        self.tell_of_left(left, screen);
    }

    /// Says which objects are in no file any more.
    fn tell_of_left(&self, left: BTreeSet<String>, screen: &Screen) {
        let is_gone = |title: &String| {
            self.applied.contains(title) && !self.read.values().any(|known| known.titles.contains(title))
        };
        for title in left.into_iter().filter(is_gone) {
            screen.warn(&format!("{title} is no longer in any file; it stays until it is deleted with kubectl"));
        }
    }

    /// The objects that others have deleted or changed since they were applied, by file and number.
    async fn drifted(&mut self, api: &Embedded, client: &Client) -> BTreeMap<(PathBuf, usize), Drift> {
        self.looks += 1;
        if !self.looks.is_multiple_of(LOOKS) {
            return BTreeMap::new();
        }
        let of_file = |(path, known): (&PathBuf, &'_ Known)| {
            known.stands.iter().map(|(number, stand)| ((path.clone(), *number), stand.clone())).collect::<Vec<_>>()
        };
        let stands = self.read.iter().flat_map(of_file);
        drifts(api, client, stands.collect()).await
    }

    /// Reads a file if it has changed, or if some of its documents are to be tried again. Returns the numbers of the
    /// documents that are to be applied.
    fn read_changed(
        &mut self,
        path: PathBuf,
        drifted: &BTreeMap<(PathBuf, usize), Drift>,
        first: &mut First,
        screen: &Screen,
        left: &mut BTreeSet<String>,
    ) -> Option<(File, BTreeSet<usize>)> {
        let read = read_in_folder(&path);
        let content = read.as_ref().map_or_else(|failure| failure.message.as_bytes(), Vec::as_slice);
        let hash: [u8; 32] = Sha256::digest(content).into();
        let known = self.read.entry(path.clone()).or_default();
        if known.hash == hash {
            let mut again = known.again(first.note(&path, &known.places), screen);
            again.extend(known.stands.keys().filter(|number| drifted.contains_key(&(path.clone(), **number))));
            // What was hashed is what is applied.
            let file = || read.ok().and_then(|bytes| File::parse(&path, &bytes).ok());
            return if again.is_empty() { None } else { file().map(|file| (file, again)) };
        }
        known.hash = hash;
        let file = match read.and_then(|bytes| File::parse(&path, &bytes)) {
            Ok(file) => file,
            Err(failure) => {
                first.note(&path, &known.places);
                known.refused.clear();
                known.is_unreadable = true;
                screen.warn(&failure.message);
                return None;
            }
        };
        if file.documents.iter().any(has_signing_key)
            && let Some(mode) = private::open_mode(&path)
        {
            screen.warn(&private::open_to_others(&path, mode));
        }
        let titles: BTreeSet<String> = file.documents.iter().filter(|d| is_object(d)).map(full_title).collect();
        let places = Place::all(&file, full_title);
        let twice = first.note(&path, &places);
        twice.values().flatten().for_each(|line| screen.warn(line));
        let wanted = file.documents.iter().map(|d| d.number).filter(|number| !twice.contains_key(number)).collect();
        let before = std::mem::replace(known, Known { hash, titles, places, twice, ..Known::default() });
        left.extend(before.titles.difference(&known.titles).cloned());
        Some((file, wanted))
    }
}

impl Known {
    /// The documents of an unchanged file that are to be tried again, where `twice` stand elsewhere too.
    fn again(&mut self, twice: BTreeMap<usize, Option<String>>, screen: &Screen) -> BTreeSet<usize> {
        if self.is_unreadable {
            return BTreeSet::new();
        }
        let untold = twice.iter().filter(|(number, line)| self.twice.get(number) != Some(line));
        untold.filter_map(|(_, line)| line.as_ref()).for_each(|line| screen.warn(line));
        self.refused.retain(|number, _| !twice.contains_key(number));
        self.stands.retain(|number, _| !twice.contains_key(number));
        let before = std::mem::replace(&mut self.twice, twice);
        let counts_now = before.into_keys().filter(|number| !self.twice.contains_key(number));
        self.refused.keys().copied().chain(counts_now).collect()
    }
}

fn rank(document: &Document) -> u8 {
    match document.kind() {
        "Namespace" => 0,
        "Secret" | "ConfigMap" => 1,
        "Plan" => 2,
        "Subscription" => 3,
        // What waits for the keys of contracts comes last.
        _ => 4,
    }
}

/// Whether it is the Secret of an issuer.
fn has_signing_key(document: &Document) -> bool {
    document.kind() == "Secret" && document.text("/type") == Some(secret_type::ISSUER)
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

/// Files found so far.
struct Found<'f> {
    skipped: &'f Path,
    files: Vec<PathBuf>,
    /// The folders gathered so far. A link that leads back to one of them is not followed.
    folders: BTreeSet<PathBuf>,
}

impl Found<'_> {
    /// Gathers the files of a folder and of those inside of it, in order. An inner folder that cannot be read is
    /// skipped.
    fn gather(&mut self, folder: &Path, depth: usize) -> std::io::Result<()> {
        if !self.folders.insert(folder.canonicalize()?) {
            return Ok(());
        }
        let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            // Skip the files of editors and of version control, and the data directory.
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden
                || self.files.len() > MAX_FILES
                || std::path::absolute(&path).is_ok_and(|path| path == self.skipped)
            {
                continue;
            }
            if path.is_dir() {
                if depth < DEEPEST {
                    let _ = self.gather(&path, depth + 1);
                }
            } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
                // Reading a pipe would block. A link that leads nowhere is kept, so that it is reported.
                && path.metadata().ok().is_none_or(|found| found.is_file())
            {
                self.files.push(path);
            }
        }
        // Sorted by whole paths, which compare part by part, because `look` searches the list.
        if depth == 0 {
            self.files.sort();
        }
        Ok(())
    }
}
