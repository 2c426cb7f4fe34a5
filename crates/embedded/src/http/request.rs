//! What a request asks for: the resource, the verb and the options, read from path, query and headers.

use http::{HeaderMap, Method, Uri};
use std::borrow::Cow;
use std::collections::HashMap;

use super::failure::Failure;
use crate::kinds::Kinds;

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Objects of a kind.
    Resource(Resource),
    /// Objects of a kind, by the path `/watch/`, which is older than the option `watch`.
    Watch(Resource),
    /// Something else that is served, such as discovery, by its path without slashes at the ends.
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The kind's index in `Kinds`.
    pub kind: usize,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: Option<String>,
}

impl Resource {
    /// Returns the key of one object or, without a name, the prefix of all keys of the namespace or the kind.
    pub fn key(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    }
}

/// Parses a path. `None` if nothing is served at it.
pub fn target(kinds: &Kinds, uri: &Uri) -> Option<Target> {
    let path = uri.path().trim_matches('/');
    let segments: Vec<Cow<'_, str>> = path.split('/').map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Some(Target::Other(path.to_owned())),
    };
    match rest {
        ["watch", rest @ ..] => resource(kinds, group, version, rest).map(Target::Watch),
        rest => resource(kinds, group, version, rest).map(Target::Resource),
    }
}

fn resource(kinds: &Kinds, group: &str, version: &str, path: &[&str]) -> Option<Resource> {
    let find = |plural: &str| kinds.find(group, version, plural);
    let (kind, namespace, rest) = match path {
        ["namespaces", namespace, plural, rest @ ..] if find(plural).is_some_and(|kind| kinds.get(kind).namespaced) => {
            (find(plural)?, Some(*namespace), rest)
        }
        [plural, rest @ ..] => (find(plural)?, None, rest),
        [] => return None,
    };
    let served = kinds.get(kind);
    let (name, subresource) = match rest {
        [] => (None, None),
        // For namespaced kinds, only a list is possible over all namespaces.
        _ if served.namespaced && namespace.is_none() => return None,
        [name] => (Some(*name), None),
        [name, "status"] if served.strategy.status => (Some(*name), Some("status")),
        [name, "finalize"] if served.is_namespace() => (Some(*name), Some("finalize")),
        [name, other] if served.custom => (Some(*name), Some(*other)),
        // For custom resources, whatever follows a subresource is ignored.
        [name, _, _, ..] if served.custom => (Some(*name), None),
        _ => return None,
    };
    let own = |text: &str| text.to_owned();
    Some(Resource { kind, namespace: namespace.map(own), name: name.map(own), subresource: subresource.map(own) })
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

/// The options of a request.
#[derive(Clone, Debug, Default)]
pub struct Query(HashMap<String, String>);

impl Query {
    pub fn read(uri: &Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let mut all = HashMap::new();
        for (name, value) in pairs {
            all.entry(name.into_owned()).or_insert(value.into_owned());
        }
        Query(all)
    }

    /// Returns an option that is present and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the same options for a watch by the path `/watch/`, which may be of one object.
    pub fn watching(mut self) -> Self {
        self.0.insert("watch".into(), "path".into());
        self
    }

    pub fn is_by_path(&self) -> bool {
        self.get("watch") == Some("path")
    }

    /// Returns a boolean as Go reads it in a query: true if present and not false.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
    }

    /// Returns a number. Fails as Go does if the text is not a number.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let why = || Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
        text.parse().map(Some).map_err(|_| why())
    }
}

/// The form in which an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Plain,
    /// A table of `meta.k8s.io` v1 or, for old clients, of v1beta1.
    Table {
        beta: bool,
    },
    /// `PartialObjectMetadata` or, with `list`, a list of them.
    Metadata {
        list: bool,
    },
    /// Discovery in one answer.
    Aggregated,
}

/// The form and encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub form: Form,
    pub yaml: bool,
}

impl Wanted {
    /// Returns the first form that the client accepts and that can be served.
    pub fn read(headers: &HeaderMap) -> Result<Self, Failure> {
        let accept = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        for choice in accept.split(',') {
            let mut parts = choice.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let yaml = media == "application/yaml";
            if !yaml && !matches!(media, "" | "*/*" | "application/*" | "application/json") {
                continue;
            }
            let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let parameter = |name: &str| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            let form = match (parameter("as"), parameter("g"), parameter("v")) {
                (None, ..) => Form::Plain,
                (Some("Table"), Some("meta.k8s.io"), Some(version @ ("v1" | "v1beta1"))) => {
                    Form::Table { beta: version == "v1beta1" }
                }
                (Some("PartialObjectMetadata"), Some("meta.k8s.io"), Some("v1")) => Form::Metadata { list: false },
                (Some("PartialObjectMetadataList"), Some("meta.k8s.io"), Some("v1")) => Form::Metadata { list: true },
                (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Form::Aggregated,
                _ => continue,
            };
            return Ok(Wanted { form, yaml });
        }
        Err(Failure::not_acceptable())
    }
}

/// Returns the media type of a body, without its parameters.
pub fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Returns the field manager: the `fieldManager` option, else the User-Agent up to its first slash.
pub fn manager(query: &Query, headers: &HeaderMap) -> Result<String, Failure> {
    const LONGEST: usize = 128;
    if let Some(manager) = query.get("fieldManager") {
        return Ok(manager.to_owned());
    }
    let agent = headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let word = agent.split('/').next().unwrap_or_default();
    Ok(word.chars().take(LONGEST).collect())
}

/// Returns whether a request writes.
pub fn is_write(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}
