//! The seat server as an OpenAPI 3.1 document, for generating clients. Its schemas are those of `wire`.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::wire::{Answers, Body, Evicted, Grant, Heartbeats, Holders, Kept, MOST_HOLDERS};
use crate::server::http::problem::Problem;

/// Where it is served.
pub const PATH: &str = "/v1/openapi.json";

/// Every reason for a refusal, by status.
const REASONS: [(u16, &[&str]); 9] = [
    (400, &["InvalidRequest", "PoolRequired", "UserRequired", "ClientRequired"]),
    (401, &["Unauthorized"]),
    (
        403,
        &[
            "NoLicense",
            "NoPools",
            "NotAssigned",
            "NotInRoster",
            "RosterMissing",
            "RosterExceedsSeats",
            "LoginModeNone",
            "NoPoolForLoginMode",
            "WrongPool",
            "VersionNotEntitled",
            "Forbidden",
            "NamespaceNotAllowed",
        ],
    ),
    (404, &["UnknownLicense", "UnknownPool", "NotFound"]),
    (409, &["SeatsExhausted", "DemoSeatsExhausted", "ReservedForTeam", "InUseOnOtherClient", "TooManySessions"]),
    (410, &["SeatLost"]),
    (413, &["BodyTooLarge"]),
    (429, &["Overloaded"]),
    (503, &["NotOwner", "LedgerUnavailable", "LedgerIncomplete", "CallerUnknown"]),
];

/// The document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let schemas = &mut settings.into_generator();
    let license = [
        parameter("namespace", true, json!({"type": "string"})),
        parameter("license", true, json!({"type": "string"})),
    ];
    let user = parameter("user", false, json!({"type": "string"}));
    let of_license =
        |more: Vec<Value>| -> Value { license.iter().cloned().chain([user.clone()]).chain(more).collect() };
    let page = vec![
        parameter("limit", false, json!({"type": "integer", "minimum": 1, "default": MOST_HOLDERS})),
        parameter("continue", false, json!({"type": "integer", "minimum": 0})),
    ];
    let id = json!([{
        "name": "id", "in": "path", "required": true, "schema": {"type": "string"},
        "description": "The `id` of a seat that was granted, percent-encoded.",
    }]);

    let take = Operation::new("takeSeats", "Take a seat, or several")
        .body::<Body>(schemas)
        .answer::<Grant>(
            schemas,
            201,
            "One request: its seats. If the same session asks again, it gets the same seats.",
        )
        .answer::<Answers>(schemas, 200, "Several requests: an answer for each.")
        .problems(schemas, &[400, 401, 403, 404, 409, 413, 429, 503]);
    let keep_many = Operation::new("keepSeats", "Heartbeats of several seats")
        .body::<Heartbeats>(schemas)
        .answer::<Kept>(schemas, 200, "The seats are kept, except those listed as lost.")
        .problems(schemas, &[400, 401, 403, 404, 413, 503]);
    let list = Operation::new("listSeats", "List who holds which seat, and since when")
        .parameters(of_license(page))
        .answer::<Holders>(schemas, 200, "A page of the holders, and how many seats of each pool are in use.")
        .problems(schemas, &[400, 401, 403, 404, 503]);
    let evict = Operation::new("evictSeats", "Free the seats of a user, or all of a License")
        .parameters(of_license(Vec::new()))
        .answer::<Evicted>(schemas, 200, "The seats are free.")
        .problems(schemas, &[400, 401, 403, 404, 503]);
    let keep = Operation::new("keepSeat", "A heartbeat")
        .answer::<Kept>(schemas, 200, "The seat is held for `ttlSeconds` from when the request was sent.")
        .problems(schemas, &[400, 401, 403, 404, 410, 503]);
    let release = Operation::new("releaseSeat", "Give a seat back")
        .nothing(204, "The seat is no longer held.")
        .problems(schemas, &[400, 401, 403, 404, 503]);

    let mut paths = Map::new();
    paths.insert(super::PATH.into(), json!({"post": take.0, "put": keep_many.0, "get": list.0, "delete": evict.0}));
    paths.insert(format!("{}/{{id}}", super::PATH), json!({"parameters": id, "put": keep.0, "delete": release.0}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Seatkeeper: seats",
            "version": "v1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Concurrent seats of a License: taken, kept by heartbeats, given back. docs/seats.md explains how to use them.",
        },
        "servers": [{"url": "http://127.0.0.1:6441", "description": "seatkeeper up"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {
                "type": "http", "scheme": "bearer",
                "description": "A ServiceAccount token for audience `seatkeeper`; with `seatkeeper up`, the token in its data folder.",
            }},
            "schemas": schemas.take_definitions(true),
        },
    })
}

fn parameter(name: &str, required: bool, schema: Value) -> Value {
    json!({"name": name, "in": "query", "required": required, "schema": schema})
}

/// One method of a path.
struct Operation(Value);

impl Operation {
    fn new(id: &str, summary: &str) -> Self {
        Operation(json!({"operationId": id, "summary": summary, "responses": {}}))
    }

    fn parameters(mut self, parameters: Value) -> Self {
        self.0["parameters"] = parameters;
        self
    }

    fn body<T: JsonSchema>(mut self, schemas: &mut SchemaGenerator) -> Self {
        self.0["requestBody"] =
            json!({"required": true, "content": content("application/json", schemas.subschema_for::<T>())});
        self
    }

    fn nothing(mut self, status: u16, description: &str) -> Self {
        self.0["responses"][status.to_string()] = json!({"description": description});
        self
    }

    fn answer<T: JsonSchema>(mut self, schemas: &mut SchemaGenerator, status: u16, description: &str) -> Self {
        let content = content("application/json", schemas.subschema_for::<T>());
        self.0["responses"][status.to_string()] = json!({"description": description, "content": content});
        self
    }

    fn problems(mut self, schemas: &mut SchemaGenerator, of: &[u16]) -> Self {
        for (status, reasons) in REASONS.iter().filter(|(status, _)| of.contains(status)) {
            let content = content("application/problem+json", schemas.subschema_for::<Problem>());
            let mut response = json!({"description": reasons.join(", "), "content": content});
            if [409, 429, 503].contains(status) {
                let seconds =
                    json!({"description": "Seconds after which asking again may help.", "schema": {"type": "integer"}});
                response["headers"] = json!({"Retry-After": seconds});
            }
            self.0["responses"][status.to_string()] = response;
        }
        self
    }
}

fn content(form: &str, schema: Schema) -> Value {
    json!({form: {"schema": schema}})
}
