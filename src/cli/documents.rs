//! The contract in a YAML file: several documents, among them a Subscription and its Plans. Says of everything that is
//! wrong in which document, field and line.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;
use std::path::{Path, PathBuf};

use super::{Failure, files, printable, warn};
use crate::api::contract::{Resolved, plan_faults, resolve};
use crate::api::plan::PlanSpec;
use crate::api::schema;
use crate::api::subscription::SubscriptionSpec;
use crate::domain::contract::Contract;
use crate::domain::fault::Fault;

const API_VERSION: &str = "seatkeeper.dev/v1alpha1";
/// Where a Subscription lives that does not say.
const DEFAULT_NAMESPACE: &str = "default";

/// Reads the contract of `subscription`, or of the only Subscription in the file. What is skipped, and what of the
/// contract cannot be followed, is told on standard error.
pub fn read_contract(path: &Path, subscription: Option<&str>) -> Result<Contract, Failure> {
    let file = ContractFile::read(path)?;
    let subscription = file.subscription(subscription)?;
    let plans = file.plans_of(subscription)?;
    for document in &file.documents {
        let used = std::ptr::eq(document, subscription) || plans.iter().any(|plan| std::ptr::eq(*plan, document));
        if let Some(note) = document.skipped().filter(|_| !used) {
            warn(&file.at(document, "", &note));
        }
    }
    let specs = plans.iter().map(|plan| file.spec::<PlanSpec>(plan)).collect::<Result<Vec<_>, _>>()?;
    for (plan, spec) in plans.iter().zip(&specs) {
        file.refuse(plan, &plan_faults(spec))?;
    }
    let spec: SubscriptionSpec = file.spec(subscription)?;
    let namespace = subscription.namespace().unwrap_or(DEFAULT_NAMESPACE);
    let specs: Vec<&PlanSpec> = specs.iter().collect();
    match resolve(namespace, subscription.name(), &spec, &specs) {
        Ok(Resolved { contract, refused }) => {
            refused.iter().for_each(|fault| warn(&file.fault(subscription, fault)));
            Ok(contract)
        }
        Err(faults) => file.refuse(subscription, &faults).and(Err(Failure::new("the contract cannot be acted on"))),
    }
}

struct ContractFile {
    path: PathBuf,
    documents: Vec<Document>,
}

/// One document: an object as a user wrote it.
struct Document {
    /// Counted from 1.
    number: usize,
    tree: Spanned<Tree>,
    object: Value,
}

impl ContractFile {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = files::read(path)?;
        let failure = |message: &str| Failure::new(format!("{}: {message}", path.display()));
        let text = std::str::from_utf8(&text).map_err(|_| failure("is not text in UTF-8"))?;
        let options = serde_saphyr::options! { with_snippet: false };
        let trees: Vec<Spanned<Tree>> = serde_saphyr::from_multiple_with_options(text, options).map_err(|e| {
            let line = e.location().map_or(1, |at| at.line());
            Failure::new(printable(&format!("{}:{line}: is not YAML: {e}", path.display())))
        })?;
        let mut documents = Vec::new();
        for tree in trees.into_iter().flat_map(unpack_list) {
            let object = tree.value.to_json();
            documents.push(Document { number: documents.len() + 1, tree, object });
        }
        Ok(ContractFile { path: path.to_owned(), documents })
    }

    /// The Subscription of this name, or the only one.
    fn subscription(&self, name: Option<&str>) -> Result<&Document, Failure> {
        let all: Vec<&Document> = self.documents.iter().filter(|d| d.is("Subscription")).collect();
        let names = all.iter().map(|d| d.name()).collect::<Vec<_>>().join(", ");
        let file = self.path.display();
        let named: Vec<&Document> = all.iter().copied().filter(|d| name.is_none_or(|name| name == d.name())).collect();
        match (named[..].as_ref(), name) {
            ([one], _) => Ok(one),
            (_, _) if all.is_empty() => {
                let kinds: Vec<String> = self.documents.iter().map(Document::title).collect();
                let kinds = if kinds.is_empty() { "no document".to_owned() } else { kinds.join(", ") };
                Err(Failure::new(format!("{file}: has no Subscription ({API_VERSION}); it has {kinds}")))
            }
            ([], Some(name)) => Err(Failure::usage(format!(
                "{file}: has no Subscription {name}; it has {names}: name one with --subscription"
            ))),
            ([], None) | ([_, ..], None) => Err(Failure::usage(format!(
                "{file}: has {} Subscriptions, {names}: name one with --subscription",
                all.len()
            ))),
            ([first, second, ..], Some(_)) => Err(Failure::new(format!(
                "{}: there is another one in line {}; leave one",
                self.at(second, "metadata.name", "the same Subscription twice"),
                first.line("")
            ))),
        }
    }

    /// The Plans that a Subscription names, in its order.
    fn plans_of(&self, subscription: &Document) -> Result<Vec<&Document>, Failure> {
        let namespace = subscription.namespace().unwrap_or(DEFAULT_NAMESPACE);
        self.refuse(subscription, &subscription.faults())?;
        let plans: Vec<&Document> = self.documents.iter().filter(|d| d.is("Plan")).collect();
        let mut found = Vec::new();
        let mut faults = Vec::new();
        let ordered = subscription.object["spec"]["plans"].as_array();
        for (n, name) in ordered.into_iter().flatten().filter_map(|plan| plan["name"].as_str()).enumerate() {
            // One that names no namespace is applied where the Subscription is.
            let matching = |plan: &&&Document| plan.name() == name && plan.namespace().is_none_or(|n| n == namespace);
            match plans.iter().filter(matching).collect::<Vec<_>>()[..] {
                [plan] => found.push(*plan),
                [first, second, ..] => {
                    let message = format!(
                        "Plan {name} is there twice, in lines {} and {}; leave one",
                        first.line(""),
                        second.line("")
                    );
                    faults.push(Fault::new("PlanAmbiguous", format!("spec.plans[{n}].name"), message));
                }
                [] => {
                    let there: Vec<String> = plans.iter().map(|plan| plan.full_name(namespace)).collect();
                    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                    let message = format!("the file has no Plan {name} in namespace {namespace}; Plans in it: {there}");
                    faults.push(Fault::new("PlanMissing", format!("spec.plans[{n}].name"), message));
                }
            }
        }
        self.refuse(subscription, &faults)?;
        found.iter().try_for_each(|plan| self.refuse(plan, &plan.faults()))?;
        Ok(found)
    }

    fn spec<T: serde::de::DeserializeOwned>(&self, document: &Document) -> Result<T, Failure> {
        serde_json::from_value(document.object["spec"].clone())
            .map_err(|e| Failure::new(self.at(document, "spec", &e.to_string())))
    }

    fn refuse(&self, document: &Document, faults: &[Fault]) -> Result<(), Failure> {
        match faults.is_empty() {
            true => Ok(()),
            false => {
                let lines: Vec<String> = faults.iter().map(|fault| self.fault(document, fault)).collect();
                Err(Failure::new(lines.join("\n")))
            }
        }
    }

    fn fault(&self, document: &Document, fault: &Fault) -> String {
        self.at(document, &fault.field, &fault.message)
    }

    /// `FILE:LINE: document 2 (Subscription stadtwerke), spec.startsOn: message`
    fn at(&self, document: &Document, field: &str, message: &str) -> String {
        let field = if field.is_empty() { String::new() } else { format!(", {field}") };
        let (file, line) = (self.path.display(), document.line(field.trim_start_matches(", ")));
        printable(&format!("{file}:{line}: document {} ({}){field}: {message}", document.number, document.title()))
    }
}

impl Document {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.object.pointer(pointer).and_then(Value::as_str)
    }

    fn kind(&self) -> &str {
        self.text("/kind").unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.text("/metadata/name").unwrap_or("(no name)")
    }

    fn namespace(&self) -> Option<&str> {
        self.text("/metadata/namespace")
    }

    fn full_name(&self, default: &str) -> String {
        format!("{}/{}", self.namespace().unwrap_or(default), self.name())
    }

    fn title(&self) -> String {
        match self.kind() {
            "" => "no kind".to_owned(),
            kind => format!("{kind} {}", self.name()),
        }
    }

    fn is(&self, kind: &str) -> bool {
        self.kind() == kind && self.text("/apiVersion") == Some(API_VERSION)
    }

    /// Why the document plays no part.
    fn skipped(&self) -> Option<String> {
        let version = self.text("/apiVersion").unwrap_or_default();
        Some(match self.kind() {
            _ if !self.object.is_object() => "skipped: it is no object with apiVersion and kind".to_owned(),
            "" => "skipped: it has no kind".to_owned(),
            _ if !version.starts_with("seatkeeper.dev/") => format!("skipped: {version:?} is not {API_VERSION}"),
            _ if version != API_VERSION => format!("skipped: this Seatkeeper reads {API_VERSION}, not {version}"),
            "Plan" | "Subscription" => "skipped: the contract does not name it".to_owned(),
            _ => "skipped: it is not part of a contract".to_owned(),
        })
    }

    /// What the schema of its kind has against it.
    fn faults(&self) -> Vec<Fault> {
        let mut faults = schema::faults(self.kind(), &self.object).unwrap_or_default();
        if self.text("/metadata/name").is_none_or(str::is_empty) {
            faults.push(Fault::new("FieldMissing", "metadata.name", "is missing"));
        }
        faults
    }

    /// The line of a field, or of the nearest thing around it that is there.
    fn line(&self, field: &str) -> u64 {
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

/// YAML with the lines it stands in. Keys are text as it was written, so that an unquoted `on` stays `on`.
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
        Number::from_f64(value).map(Tree::Number).ok_or_else(|| E::custom("this is no number"))
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
