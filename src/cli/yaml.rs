//! YAML files of objects: several documents, each with the lines of its fields.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::files;
use super::output::printable;
use crate::domain::transit::{text_of, unquoted, what_it_is};

/// The namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// How deeply a document may be nested, which takes stack. Objects of Kubernetes are not half as deep.
const DEEPEST: usize = 64;

/// A file of objects.
pub struct File {
    pub path: PathBuf,
    pub documents: Vec<Document>,
}

impl File {
    /// Reads a file. Fails if it is too large, not text in UTF-8 or not YAML.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        File::parse(path, &files::read(path)?)
    }

    /// The same from what was read at `path`.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, Failure> {
        let failure = |message: &str| Failure::new(format!("{}: {message}", path.display()));
        let text = text_of(text).map_err(failure)?;
        let text = unquoted(&text);
        let budget = serde_saphyr::budget! { max_depth: DEEPEST };
        let options = serde_saphyr::options! { with_snippet: false, budget: budget };
        let trees: Vec<Spanned<Tree>> = serde_saphyr::from_multiple_with_options(&text, options).map_err(|e| {
            let line = e.location().map_or(1, |at| at.line());
            let near = |at: &usize| *at == line as usize || *at + 1 == line as usize;
            if let Some((line, what)) = odd_indentation(&text).find(|(at, _)| near(at)) {
                return Failure::new(format!("{}:{line}: {what}", path.display()));
            }
            if let Some(second) = second_json_object(&text) {
                let message = "a second JSON object begins here: put a line with --- between them";
                return Failure::new(format!("{}:{second}: {message}", path.display()));
            }
            let why = said_of(&e.to_string());
            let what = what_it_is(&text).filter(|_| !text.trim_start().starts_with('{'));
            let what = what.map_or(String::new(), |what| format!("; it {what}"));
            Failure::new(printable(&format!("{}:{line}: is not YAML: {why}{what}", path.display())))
        })?;
        let is_object = |tree: &Spanned<Tree>| matches!(tree.value, Tree::Map(_) | Tree::List(_));
        if let Some(what) = what_it_is(&text).filter(|_| !trees.is_empty() && !trees.iter().any(is_object)) {
            return Err(failure(&format!("is not YAML of an object: it {what}")));
        }
        let mut documents = Vec::new();
        for tree in trees.into_iter().flat_map(unpack_list) {
            let object = tree.value.to_json();
            documents.push(Document { number: documents.len() + 1, tree, object });
        }
        Ok(File { path: path.to_owned(), documents })
    }

    /// `FILE:LINE: document 2 (Subscription stadtwerke), spec.startsOn: message`
    pub fn at(&self, document: &Document, field: &str, message: &str) -> String {
        let (file, line) = (self.path.display(), document.line(field));
        let field = if field.is_empty() { String::new() } else { format!(", {field}") };
        printable(&format!("{file}:{line}: document {} ({}){field}: {message}", document.number, document.title()))
    }
}

/// The line on which a second JSON object begins, if a text is several of them, one after the other.
fn second_json_object(text: &str) -> Option<usize> {
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Map<String, Value>>();
    objects.next()?.ok()?;
    let end = objects.byte_offset();
    objects.next()?.ok()?;
    let begins = end + text[end..].find('{')?;
    Some(text[..begins].matches('\n').count() + 1)
}

/// What the library says, without its advice to those who program with it.
fn said_of(error: &str) -> String {
    const ADVICE: &str = ", set DuplicateKeyPolicy in Options if acceptable";
    match error.split_once(ADVICE) {
        None => error.to_owned(),
        Some((said, place)) => match said.split_once("duplicate mapping key: ") {
            Some((before, key)) => format!("{before}{key} is given twice: remove one of them{place}"),
            None => format!("{said}{place}"),
        },
    }
}

/// The lines that are indented with something else than blanks, and with what. In a text of several lines that may be right.
fn odd_indentation(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let odd = |line: &str| match line.trim_start_matches(' ').chars().next()? {
        '\t' => Some("begins with a tab, which YAML does not allow: indent with blanks"),
        '\u{a0}' => Some("holds a no-break space (U+00A0), as web pages have them: indent with blanks"),
        _ => None,
    };
    text.lines().enumerate().filter_map(move |(n, line)| Some((n + 1, odd(line)?)))
}

/// One document: an object as a user wrote it.
pub struct Document {
    /// Counted from 1.
    pub number: usize,
    tree: Spanned<Tree>,
    pub object: Value,
}

impl Document {
    /// The text at a JSON pointer.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.object.pointer(pointer).and_then(Value::as_str)
    }

    /// The kind; empty if the document has none.
    pub fn kind(&self) -> &str {
        self.text("/kind").unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.text("/metadata/name").unwrap_or("(no name)")
    }

    pub fn namespace(&self) -> Option<&str> {
        self.text("/metadata/namespace")
    }

    /// `Subscription stadtwerke`
    pub fn title(&self) -> String {
        match self.kind() {
            "" => "no kind".to_owned(),
            kind => format!("{kind} {}", self.name()),
        }
    }

    /// The line of a field, or of the nearest part around it that exists.
    pub fn line(&self, field: &str) -> u64 {
        let mut at = &self.tree;
        let mut line = at.referenced.line();
        for step in field.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty()) {
            let next = match &at.value {
                Tree::Map(fields) => {
                    let found = fields.iter().find(|(name, _)| name.value == step);
                    found.map(|(name, value)| (name.referenced.line(), value))
                }
                Tree::List(items) => items.iter().enumerate().find_map(|(n, item)| {
                    let named = ["name", "on", "true"].iter().any(|key| item.value.field(key) == Some(step));
                    (named || n.to_string() == step).then_some((item.referenced.line(), item))
                }),
                _ => None,
            };
            let Some((found_on, found)) = next else { break };
            (line, at) = (found_on, found);
        }
        line
    }
}

/// The objects of a `kind: List`, as `kubectl get -o yaml` prints them; any other document as it is.
fn unpack_list(document: Spanned<Tree>) -> Vec<Spanned<Tree>> {
    if document.value.field("kind") != Some("List") || document.value.field("apiVersion") != Some("v1") {
        return vec![document];
    }
    let Tree::Map(fields) = document.value else { return Vec::new() };
    let items = fields.into_iter().find(|(name, _)| name.value == "items").map(|(_, items)| items.value);
    match items {
        Some(Tree::List(items)) => items,
        _ => Vec::new(),
    }
}

/// YAML with its lines. Keys are kept as text, as they were written, so that an unquoted `on` stays `on`.
enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl Tree {
    fn to_json(&self) -> Value {
        match self {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Number(number) => Value::Number(number.clone()),
            Tree::Text(text) => Value::String(text.clone()),
            Tree::List(items) => Value::Array(items.iter().map(|item| item.value.to_json()).collect()),
            Tree::Map(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.value.clone(), value.value.to_json())).collect())
            }
        }
    }

    /// The text of a field.
    fn field(&self, name: &str) -> Option<&str> {
        let Tree::Map(fields) = self else { return None };
        match fields.iter().find(|(key, _)| key.value == name).map(|(_, value)| &value.value) {
            Some(Tree::Text(text)) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Tree, D::Error> {
        Tree::deserialize(from)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        Number::from_f64(value).map(Tree::Number).ok_or_else(|| E::custom("this is not a number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Tree::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: a thousand lists in one another took more stack than a thread has.
    #[test]
    fn a_document_that_is_nested_too_deeply_is_refused() {
        let read = |depth| File::parse(Path::new("a.yaml"), "- ".repeat(depth).as_bytes());
        assert!(read(DEEPEST - 1).is_ok());
        for depth in [DEEPEST + 1, 1_000, 100_000] {
            let refused = read(depth).err().map(|failure| failure.message).unwrap_or_default();
            assert!(refused.starts_with("a.yaml:1: is not YAML"), "{refused}");
        }
    }
}
