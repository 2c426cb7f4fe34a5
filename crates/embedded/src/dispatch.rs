//! Which request leads to which read or write.

use ::http::request::Parts;
use ::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::http::answer::{self, Body, refuse, respond, warn};
use crate::http::decode::LONGEST_BODY;
use crate::http::failure::Failure;
use crate::http::request::{self, Form, Query, Resource, Target, Wanted, is_write};
use crate::http::{discovery, openapi, openapi_v2};
use crate::kinds::Kind;
use crate::read::shown::{Include, Page, Shown};
use crate::read::{list, watch};
use crate::state::{Draft, Served};
use crate::write::{self, Deleted, Done, Write};

/// Answers a request. Whatever the request contains, this neither fails nor panics.
pub async fn answer<B>(api: &Arc<Served>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            let why = format!("Request entity too large: limit is {LONGEST_BODY}");
            return dated(api, refuse(&Failure::new(413, "RequestEntityTooLarge", why), false));
        }
    };
    let answered = match request::target(&api.kinds, &head.uri) {
        Some(Target::Resource(resource)) => objects(api, resource, Query::read(&head.uri), &head, body).await,
        Some(Target::Watch(resource)) if head.method == Method::GET => {
            objects(api, resource, Query::read(&head.uri).watching(), &head, body).await
        }
        Some(Target::Watch(_)) => Err(Failure::no_method()),
        Some(Target::Other(path)) => return dated(api, other(api, &path, &head)),
        None => return dated(api, answer::nothing_there(head.uri.path().trim_matches('/'))),
    };
    let yaml = || Wanted::read(&head.headers).is_ok_and(|wanted| wanted.yaml);
    let mut response = answered.unwrap_or_else(|failure| refuse(&failure, yaml()));
    if head.method == Method::HEAD {
        *response.body_mut() = Body::default();
    }
    dated(api, response)
}

fn dated(api: &Served, mut response: Response<Body>) -> Response<Body> {
    let date = api.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// Answers discovery, OpenAPI and health checks.
fn other(api: &Served, path: &str, head: &Parts) -> Response<Body> {
    let json = |value: Value| respond(StatusCode::OK, "application/json", value.to_string().into());
    match path {
        "livez" | "readyz" | "healthz" => return respond(StatusCode::OK, "text/plain; charset=utf-8", "ok".into()),
        // The API server serves the index as text.
        "openapi/v3" => {
            let index = openapi::index(&api.kinds).to_string();
            return respond(StatusCode::OK, "text/plain; charset=utf-8", index.into());
        }
        "openapi/v2" => {
            return match openapi_v2::answer(&api.kinds, &head.headers) {
                Some((media, document)) => respond(StatusCode::OK, media, document),
                None => nothing(StatusCode::NOT_ACCEPTABLE),
            };
        }
        "version" if head.method != Method::GET => return refuse(&Failure::no_method(), false),
        _ => {}
    }
    if let Some(of) = path.strip_prefix("openapi/v3/") {
        return match openapi::document(&api.kinds, of) {
            Some(document) => respond(StatusCode::OK, "application/json", Bytes::copy_from_slice(document.as_bytes())),
            None => nothing(StatusCode::NOT_FOUND),
        };
    }
    let wanted = match Wanted::read(&head.headers) {
        Ok(wanted) => wanted,
        Err(failure) => return refuse(&failure, false),
    };
    let aggregated = wanted.form == Form::Aggregated;
    if aggregated && !matches!(path, "api" | "apis") {
        return refuse(&Failure::not_acceptable(), false);
    }
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    match discovery::answer(&api.kinds, path, aggregated, host) {
        Some(found) if aggregated => respond(StatusCode::OK, discovery::AGGREGATED, found.to_string().into()),
        Some(found) => json(found),
        None => answer::nothing_there(path),
    }
}

/// Answers a request about objects.
async fn objects(
    api: &Arc<Served>,
    resource: Resource,
    query: Query,
    head: &Parts,
    body: Bytes,
) -> Result<Response<Body>, Failure> {
    let wanted = Wanted::read(&head.headers)?;
    let kind = api.kinds.get(resource.kind);
    let shown = Shown { kind, wanted, include: Include::read(&query)?, now: api.now() };
    let served = match resource.subresource.as_deref() {
        None => true,
        Some("status") => kind.strategy.status,
        Some(other) => other == "finalize" && !kind.custom,
    };
    if !served {
        return Err(Failure::not_found(kind, resource.name.as_deref().unwrap_or_default()));
    }
    if !is_write(&head.method) {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(match kind.custom {
                true => Failure::unsupported(kind, ""),
                false => Failure::no_method(),
            });
        }
        return get(api, &resource, &query, &shown);
    }
    let write = Write {
        kinds: api.kinds.clone(),
        resource,
        query,
        headers: head.headers.clone(),
        body,
        now: shown.now,
        random: api.random,
    };
    let named = write.resource.name.is_some();
    let plain = write.resource.subresource.is_none();
    match (&head.method, named) {
        (&Method::POST, true) if kind.custom && !plain => Err(Failure::unsupported(kind, "create")),
        // For custom resources, the name in the path is ignored.
        (&Method::POST, named) if (kind.custom || !named) && write.is_in_its_place() => {
            let done = api.ledger.commit(move |draft| finished(&write, draft, Write::create)).await?;
            Ok(done_response(&shown, done))
        }
        (&Method::PUT, true) => {
            let done = api.ledger.commit(move |draft| finished(&write, draft, Write::update)).await?;
            Ok(done_response(&shown, done))
        }
        (&Method::PATCH, true) => {
            let done = api.ledger.commit(move |draft| finished(&write, draft, Write::patch)).await?;
            Ok(done_response(&shown, done))
        }
        (&Method::DELETE, true) if plain => {
            let deleted = api.ledger.commit(move |draft| finished(&write, draft, write::delete));
            Ok(match deleted.await? {
                Deleted::Going(object) => shown.respond(StatusCode::OK, shown.object(&object)),
                Deleted::Gone(object) => shown.respond(StatusCode::OK, gone(kind, &object.value)),
            })
        }
        (&Method::PUT | &Method::PATCH, false) if kind.custom => Err(Failure::bad_request("name must be provided")),
        (&Method::DELETE, false) if write.is_in_its_place() && !kind.is_namespace() => {
            let revision = api.read().revision;
            let deleted = api.ledger.commit(move |draft| finished(&write, draft, write::delete_collection));
            let page = Page { revision, ..Page::default() };
            Ok(shown.respond(StatusCode::OK, shown.list(&deleted.await?, &page)))
        }
        (_, false) if kind.custom => Ok(answer::nothing_there(head.uri.path().trim_matches('/'))),
        _ => Err(Failure::no_method()),
    }
}

fn get(api: &Arc<Served>, resource: &Resource, query: &Query, shown: &Shown<'_>) -> Result<Response<Body>, Failure> {
    let state = api.read();
    if query.flag("watch") && (resource.name.is_none() || query.is_by_path()) {
        let body = watch::begin(api, &state, resource, query, shown.wanted)?;
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Ok(response);
    }
    if resource.name.is_some() {
        if resource.subresource.as_deref() == Some("finalize") {
            return Err(Failure::no_method());
        }
        shown.refuse_misfit(false)?;
        let object = list::get(&state, shown.kind, resource, query)?;
        return Ok(shown.respond(StatusCode::OK, shown.object(&object)));
    }
    shown.refuse_misfit(true)?;
    let (objects, page) = list::list(&state, shown.kind, resource, query)?;
    drop(state);
    Ok(shown.respond(StatusCode::OK, shown.list(&objects, &page)))
}

/// Runs a write, and does what follows from it.
fn finished<T>(
    write: &Write,
    draft: &mut Draft<'_>,
    make: impl FnOnce(&Write, &mut Draft<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let done = make(write, draft)?;
    write::collect(write, draft);
    if let Some(most) = write.kind().strategy.most_kept {
        write::forget_oldest(draft, write.kind().stored_as, most);
    }
    Ok(done)
}

fn done_response(shown: &Shown<'_>, done: Done) -> Response<Body> {
    let code = StatusCode::from_u16(done.code).unwrap_or(StatusCode::OK);
    let mut response = shown.respond(code, shown.object(&done.object));
    warn(&mut response, &done.warnings);
    response
}

/// Returns an answer without a body.
fn nothing(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = code;
    response
}

/// Returns the answer to a delete whose object is gone.
fn gone(kind: &Kind, object: &Value) -> Bytes {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut details = kind.details(name);
    details["uid"] = object["metadata"]["uid"].clone();
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    status.to_string().into()
}
