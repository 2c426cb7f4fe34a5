//! `DELETE /v1/seats?namespace=…&license=…[&user=…]`: an administrator frees the seats of a user, or all of the License.

use http::StatusCode;
use schemars::generate::SchemaGenerator;

use super::access::{EVICT, Seats};
use super::problems::reasons;
use super::query;
use super::wire::Evicted;
use crate::server::http::asked::Asked;
use crate::server::http::operation::Operation;
use crate::server::http::problem::Problem;
use crate::server::http::reply::{Reply, json};

pub fn describe(schemas: &mut SchemaGenerator) -> Operation {
    Operation::new("evictSeats", "Free the seats of a user, or all of a License")
        .parameters(query::of_license())
        .answer::<Evicted>(schemas, 200, "The seats are free.")
        .problems(schemas, reasons(&[400, 401, 403, 404, 429, 503]))
}

pub async fn answer(seats: &Seats, asked: Asked<'_>) -> Result<Reply, Problem> {
    let query = query::read(asked.query)?;
    let license = query.license();
    seats.check(asked.caller, EVICT, &license).await?;
    let released = seats.desk.evict(&license, query.user.as_deref()).await.map_err(|denied| Problem::from(&denied))?;
    seats.audit.evicted(asked.caller, &license, query.user.as_deref(), released);
    Ok(json(StatusCode::OK, &Evicted { released }))
}
