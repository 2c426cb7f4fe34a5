//! Every route of the seat port: a row joins a path and its methods to the handler that answers and describes them.

use http::{HeaderValue, Method, StatusCode, header};
use std::time::Duration;

use super::http::asked::Asked;
use super::http::problem::Problem;
use super::http::reply::{Reply, json, shown};
use super::openapi::{self, Describe};
use super::seats::access::Seats;
use super::seats::wire::wait_of;
use super::seats::{acquire, evict, heartbeat, holders, release};

/// What a row leaves open in its path: the last segment, whatever it is.
const ID: &str = "{id}";
/// The order in which methods are named to a caller.
const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "DELETE"];

/// A path, and what is done there by some of its methods.
pub struct Route {
    path: &'static str,
    methods: &'static [&'static str],
    /// What that does, for a caller who tried another method.
    does: &'static str,
    pub by: AnsweredBy,
    handler: Handler,
    /// `None` if the OpenAPI document leaves it out.
    describe: Option<Describe>,
}

/// Which handler answers. It is not a function pointer, whose future would have to be boxed for each request.
#[derive(Clone, Copy)]
enum Handler {
    Acquire,
    HeartbeatOfSeveral,
    Holders,
    Evict,
    Heartbeat,
    Release,
    OpenApi,
}

/// Which replica answers.
pub enum AnsweredBy {
    Any,
    /// The one that owns the ledger; every other passes the request on. `waits` reads from a body how long the request
    /// wants to wait for its answer.
    Owner {
        waits: fn(&[u8]) -> Duration,
    },
}

/// For a request that is answered at once.
const OWNER: AnsweredBy = AnsweredBy::Owner { waits: |_| Duration::ZERO };

static ROUTES: [Route; 7] = [
    // Programs that hold seats, and administrators of Licenses.
    Route {
        path: "/v1/seats",
        methods: &["POST"],
        does: "takes",
        by: AnsweredBy::Owner { waits: wait_of },
        handler: Handler::Acquire,
        describe: Some(acquire::describe),
    },
    Route {
        path: "/v1/seats",
        methods: &["PUT"],
        does: "keeps",
        by: OWNER,
        handler: Handler::HeartbeatOfSeveral,
        describe: Some(heartbeat::describe_several),
    },
    Route {
        path: "/v1/seats",
        methods: &["GET", "HEAD"],
        does: "lists",
        by: OWNER,
        handler: Handler::Holders,
        describe: Some(holders::describe),
    },
    Route {
        path: "/v1/seats",
        methods: &["DELETE"],
        does: "evicts",
        by: OWNER,
        handler: Handler::Evict,
        describe: Some(evict::describe),
    },
    Route {
        path: "/v1/seats/{id}",
        methods: &["PUT"],
        does: "keeps a seat",
        by: OWNER,
        handler: Handler::Heartbeat,
        describe: Some(heartbeat::describe),
    },
    Route {
        path: "/v1/seats/{id}",
        methods: &["DELETE"],
        does: "gives it back",
        by: OWNER,
        handler: Handler::Release,
        describe: Some(release::describe),
    },
    // Those who generate a client.
    Route {
        path: "/v1/openapi.json",
        methods: &["GET"],
        does: "shows the OpenAPI document",
        by: AnsweredBy::Any,
        handler: Handler::OpenApi,
        describe: None,
    },
];

impl Route {
    /// Answers a request of this route.
    pub async fn answer(&self, seats: &Seats, asked: Asked<'_>) -> Result<Reply, Problem> {
        match self.handler {
            Handler::Acquire => acquire::answer(seats, asked).await,
            Handler::HeartbeatOfSeveral => heartbeat::answer_several(seats, asked).await,
            Handler::Holders => holders::answer(seats, asked).await,
            Handler::Evict => evict::answer(seats, asked).await,
            Handler::Heartbeat => heartbeat::answer(seats, asked).await,
            Handler::Release => release::answer(seats, asked).await,
            Handler::OpenApi => Ok(json(StatusCode::OK, &document())),
        }
    }
}

/// The OpenAPI document of the routes.
pub fn document() -> serde_json::Value {
    openapi::document(ROUTES.iter().filter_map(|route| Some((route.path, route.methods[0], route.describe?))))
}

/// The route that answers `method` at `path`, and the part of the path that it leaves open.
pub fn find<'p>(method: &Method, path: &'p str) -> Option<(&'static Route, &'p str)> {
    let route = |route: &'static Route| Some((route, route.open_part(path)?));
    ROUTES.iter().filter(|route| route.methods.contains(&method.as_str())).find_map(route)
}

/// The answer where no route is found: there is nothing at `path`, or `method` is not allowed there.
pub fn not_found(method: &Method, path: &str) -> Reply {
    let there: Vec<&Route> = ROUTES.iter().filter(|route| route.open_part(path).is_some()).collect();
    if there.is_empty() {
        let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
        paths.dedup();
        let detail = format!("there is nothing at {}; the paths are {}", shown(path), paths.join(", "));
        return Problem::new(StatusCode::NOT_FOUND, "NotFound", detail).reply();
    }
    let in_order = || METHODS.iter().filter_map(|m| Some((*m, *there.iter().find(|route| route.methods.contains(m))?)));
    let allowed: Vec<&str> = in_order().map(|(method, _)| method).collect();
    let known: Vec<String> = in_order()
        .filter(|(method, route)| route.methods[0] == *method)
        .map(|(method, route)| format!("{method} {}", route.does))
        .collect();
    let detail = format!("{} is not allowed here: {}", shown(method.as_str()), known.join(", "));
    let mut reply = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", detail).reply();
    // Names of methods are always fit for a header.
    reply.headers_mut().extend(HeaderValue::try_from(allowed.join(",")).map(|allowed| (header::ALLOW, allowed)));
    reply
}

impl Route {
    /// The part of `path` that this route leaves open, which is empty if it leaves none; `None` if it is another path.
    fn open_part<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.path.strip_suffix(ID) {
            None => (path == self.path).then_some(""),
            Some(before) => path.strip_prefix(before).filter(|id| !id.is_empty() && !id.contains('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_all_seats_or_one_or_nothing() {
        let found = |path| find(&Method::PUT, path).map(|(route, id)| (route.path, id));
        assert_eq!(found("/v1/seats"), Some(("/v1/seats", "")));
        assert_eq!(found("/v1/seats/a~b"), Some(("/v1/seats/{id}", "a~b")));
        for path in ["", "/", "*", "/v1", "/v1/seat", "/v1/seatsx", "/v1/seats/", "/v1/seats/a/", "/v1/seats/a/b"] {
            assert_eq!(found(path), None, "{path}");
            assert_eq!(not_found(&Method::PUT, path).status(), 404, "{path}");
        }
    }

    #[test]
    fn a_method_that_is_not_allowed_is_answered_with_those_that_are() {
        for (path, methods) in
            [("/v1/seats", "GET,HEAD,POST,PUT,DELETE"), ("/v1/seats/a", "PUT,DELETE"), ("/v1/openapi.json", "GET")]
        {
            assert!(find(&Method::PATCH, path).is_none(), "{path}");
            let reply = not_found(&Method::PATCH, path);
            assert_eq!(
                (reply.status().as_u16(), reply.headers()[header::ALLOW].as_bytes()),
                (405, methods.as_bytes()),
                "{path}"
            );
        }
    }

    #[test]
    fn no_method_of_a_path_has_two_routes() {
        for route in &ROUTES {
            for method in route.methods {
                let alike = ROUTES.iter().filter(|r| r.path == route.path && r.methods.contains(method));
                assert_eq!(alike.count(), 1, "{method} {}", route.path);
            }
        }
    }
}
