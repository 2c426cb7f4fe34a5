//! Objects that stand in the folder twice: the first file counts, in the order of their names, and a message names the others.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

use crate::cli::yaml::{Document, File};

/// An object in a file.
pub struct Place {
    title: String,
    /// The number of its document.
    number: usize,
    line: u64,
    hash: [u8; 32],
    /// How a message about it begins.
    begins: String,
}

impl Place {
    /// The places of what a file names, by the `title` of each object.
    pub fn all(file: &File, title: impl Fn(&Document) -> String) -> Vec<Place> {
        let named = |document: &&Document| document.text("/metadata/name").is_some_and(|name| !name.is_empty());
        let place = |document: &Document| Place {
            title: title(document),
            number: document.number,
            line: document.line(""),
            hash: Sha256::digest(document.object.to_string()).into(),
            begins: file.at(document, "", ""),
        };
        file.documents.iter().filter(named).map(place).collect()
    }
}

/// Where each object was found first, in one look at all files, and the hash of what it says.
#[derive(Default)]
pub struct First(BTreeMap<String, (String, [u8; 32])>);

impl First {
    /// Notes what a file holds. Returns the objects that do not count, by the number of their document, and what to say
    /// of each: nothing of one that says the same, such as the Namespace of several files.
    pub fn note(&mut self, file: &Path, places: &[Place]) -> BTreeMap<usize, Option<String>> {
        let mut twice = BTreeMap::new();
        for Place { title, number, line, hash, begins } in places {
            match self.0.get(title) {
                Some((first, of_first)) => {
                    let told = || format!("{begins}is also in {first}, which counts: remove one of them");
                    twice.insert(*number, (hash != of_first).then(told));
                }
                None => {
                    self.0.insert(title.clone(), (format!("{}, line {line}", file.display()), *hash));
                }
            }
        }
        twice
    }
}
