//! `DELETE /v1/seats/{id}`: gives a seat back. Releasing a seat that is no longer held succeeds; releasing one that another
//! caller took needs the right to evict.

use http::StatusCode;
use schemars::generate::SchemaGenerator;

use super::access::{DELETE, Seats};
use super::id;
use super::problems::reasons;
use crate::seats::Denied;
use crate::server::http::asked::Asked;
use crate::server::http::operation::Operation;
use crate::server::http::problem::Problem;
use crate::server::http::reply::{Reply, empty};

pub fn describe(schemas: &mut SchemaGenerator) -> Operation {
    Operation::new("releaseSeat", "Give a seat back")
        .of_path(id::parameter())
        .nothing(204, "The seat is no longer held.")
        .problems(schemas, reasons(&[400, 401, 403, 404, 429, 503]))
}

pub async fn answer(seats: &Seats, asked: Asked<'_>) -> Result<Reply, Problem> {
    let seat = id::in_path(asked.id, asked.caller.taker)?;
    seats.check(asked.caller, DELETE, &seat.license).await?;
    let mut freed = seats.desk.release(&seat);
    if freed == Err(Denied::TakenByAnother) && seats.may_evict(asked.caller, &seat.license).await? {
        freed = seats.desk.release_of_others(&seat);
        seats.audit.released_of_another(asked.caller, &seat, freed == Ok(true));
    }
    freed.map_err(|denied| Problem::from(&denied))?;
    Ok(empty(StatusCode::NO_CONTENT))
}
