//! `GET /v1/seats?namespace=…&license=…`: lists the holders, as far as the License has them shown, and since when each
//! holds its seat.

use http::StatusCode;
use schemars::generate::SchemaGenerator;
use serde_json::json as value;

use super::access::{LIST, Seats};
use super::id;
use super::problems::reasons;
use super::query;
use super::wire::{Holder, Holders, MOST_HOLDERS, PoolUse};
use crate::api::common::Timestamp;
use crate::api::license::HoldersShown;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::table::Place;
use crate::seats::list::Which;
use crate::seats::{Seat, Shown, Use};
use crate::server::http::asked::Asked;
use crate::server::http::operation::{Operation, parameter};
use crate::server::http::problem::Problem;
use crate::server::http::reply::{Reply, json};

pub fn describe(schemas: &mut SchemaGenerator) -> Operation {
    let page = [
        parameter("limit", false, value!({"type": "integer", "minimum": 1, "default": MOST_HOLDERS})),
        parameter("continue", false, value!({"type": "integer", "minimum": 0})),
    ];
    Operation::new("listSeats", "List who holds which seat, and since when")
        .parameters(query::of_license().into_iter().chain(page).collect())
        .answer::<Holders>(schemas, 200, "A page of the holders, as `shown` says, and the use of each pool.")
        .problems(schemas, reasons(&[400, 401, 403, 404, 429, 503]))
}

pub async fn answer(seats: &Seats, asked: Asked<'_>) -> Result<Reply, Problem> {
    let query = query::read(asked.query)?;
    let license = query.license();
    seats.check(asked.caller, LIST, &license).await?;
    let pools = seats.desk.in_use(&license).unwrap_or_default();
    if query.limit == Some(0) {
        return Err(Problem::invalid(format!("`limit` must be from 1 to {MOST_HOLDERS}")));
    }
    let shown = seats.desk.shown(&license).map_err(|denied| Problem::from(&denied))?;
    if shown.holders != HoldersShown::Named && query.user.is_some() {
        return Err(not_named(&license));
    }
    let (page, next) = match shown.holders {
        HoldersShown::Hidden => (Vec::new(), None),
        _ => {
            let keyed = query.user.as_deref().map(|user| shown.keyed(user));
            let which = Which {
                users: query.user.as_deref().zip(keyed.as_deref()).map(Into::into),
                from: place(query.from.unwrap_or(0)),
                most: query.limit.unwrap_or(MOST_HOLDERS).min(MOST_HOLDERS),
            };
            seats.desk.holders(&license, which).await.map_err(|denied| Problem::from(&denied))?
        }
    };
    let page: Vec<Holder> = page.into_iter().map(|(seat, client)| holder(&shown, seat, client)).collect();
    if !page.is_empty() {
        seats.audit.holders_seen(asked.caller, &license, page.len());
    }
    let of_pool =
        |(pool, u): (String, Use)| PoolUse { pool, in_use: u.in_use, peak: u.peak, held_elsewhere: u.elsewhere };
    let pools = pools.into_iter().map(of_pool).collect();
    let held_under = seats.desk.held_under(&license).iter().map(ToString::to_string).collect();
    Ok(json(
        StatusCode::OK,
        &Holders { shown: shown.holders, holders: page, pools, held_under, more: next.map(number) },
    ))
}

/// The number that stands for a place. JSON has whole numbers of 53 bits: 32 are for the slot, and a slot has at most 256 sessions.
fn number(place: Place) -> u64 {
    u64::from(place.pool) << 42 | u64::from(place.slot) << 10 | u64::from(place.session.min(0x3ff))
}

fn place(number: u64) -> Place {
    let bits = |from: u32, mask: u64| u32::try_from(number >> from & mask).unwrap_or(u32::MAX);
    Place { pool: bits(42, 0x3f_ffff), slot: bits(10, 0xffff_ffff), session: bits(0, 0x3ff) }
}

/// A list of one user's seats would tell whether that user works now, and under which pseudonym.
fn not_named(license: &LicenseName) -> Problem {
    let detail = format!("License {license} does not show its holders by name: list them without `user`");
    Problem::new(StatusCode::FORBIDDEN, "HoldersNotNamed", detail)
}

fn holder(shown: &Shown, seat: Seat, client: Option<String>) -> Holder {
    let since = chrono::DateTime::from_timestamp(seat.since, 0).map(|at| Timestamp::from(at).to_string());
    let since = since.unwrap_or_default();
    if !shown.is_named(&seat) {
        // What stands for the session and the machine is the same on another day, and an id has the session.
        let user = seat.user.as_deref().map(|user| shown.pseudonym(user));
        return Holder { id: None, pool: seat.pool, slot: seat.slot, user, session: None, client: None, since };
    }
    let id = Some(id::of(&seat));
    let Seat { pool, slot, user, session, .. } = seat;
    Holder { id, pool, slot, user, session: Some(session), client, since }
}
