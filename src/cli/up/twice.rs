//! Objects that stand in the folder twice: the first file counts, in the order of their names, and the others are told.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cli::yaml::{Document, File};

/// An object in a file.
pub struct Place {
    title: String,
    /// The number of its document.
    number: usize,
    line: u64,
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
            begins: file.at(document, "", ""),
        };
        file.documents.iter().filter(named).map(place).collect()
    }
}

/// Where each object was found first, in one look at all files.
#[derive(Default)]
pub struct First(BTreeMap<String, String>);

impl First {
    /// Notes what a file holds. Returns the objects that do not count, by the number of their document, and what to say
    /// of each.
    pub fn note(&mut self, file: &Path, places: &[Place]) -> BTreeMap<usize, String> {
        let mut twice = BTreeMap::new();
        for Place { title, number, line, begins } in places {
            match self.0.get(title) {
                Some(first) => {
                    twice.insert(*number, format!("{begins}is also in {first}, which counts: remove one of them"));
                }
                None => {
                    self.0.insert(title.clone(), format!("{}, line {line}", file.display()));
                }
            }
        }
        twice
    }
}
