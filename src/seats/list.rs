//! Who holds the seats of a License, read a page at a time. The work for a page does not grow with the holders before it, and
//! others have their turn while holders of other users are passed over.

use super::asked::{Denied, Seat};
use super::shared::Shared;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::table::Place;

/// The most holders that are looked at before others have their turn.
const SLICE: usize = 256;

/// Which holders are wanted.
#[derive(Clone, Copy)]
pub struct Which<'w> {
    /// Those that are kept under one of these names; all if `None`.
    pub users: Option<[&'w str; 2]>,
    /// The place at which the page begins.
    pub from: Place,
    pub most: usize,
}

/// A held seat, with the machine that it is used on. User and machine are named as they are kept.
pub type Holder = (Seat, Option<String>);

/// The first holders that are wanted, by pool and slot, and the place of the next one.
pub(super) async fn list(
    shared: &Shared,
    license: &LicenseName,
    which: Which<'_>,
) -> Result<(Vec<Holder>, Option<Place>), Denied> {
    let (mut page, mut from) = (Vec::new(), which.from);
    loop {
        match slice(shared, license, Which { from, ..which }, &mut page)? {
            Next::Unread(place) => from = place,
            Next::Wanted(place) => return Ok((page, Some(place))),
            Next::Nobody => return Ok((page, None)),
        }
        tokio::task::yield_now().await;
    }
}

/// The holder after those that were looked at.
enum Next {
    /// It may be wanted.
    Unread(Place),
    /// It is wanted, and the page is full.
    Wanted(Place),
    Nobody,
}

fn slice(shared: &Shared, license: &LicenseName, which: Which<'_>, page: &mut Vec<Holder>) -> Result<Next, Denied> {
    let state = shared.lock();
    let Some(ownership) = &state.ownership else { return Err(Denied::NotOwner) };
    let Some(seats) = ownership.seats_of.get(license) else { return shared.known(license).map(|()| Next::Nobody) };
    for (looked, (place, pool, held)) in seats.seating.table().holders_from(which.from).enumerate() {
        if looked == SLICE {
            return Ok(Next::Unread(place));
        }
        if which.users.is_some_and(|users| held.user.is_none_or(|user| !users.contains(&user))) {
            continue;
        }
        if page.len() == which.most {
            return Ok(Next::Wanted(place));
        }
        let seat = Seat {
            license: license.clone(),
            pool: pool.to_string(),
            slot: held.slot,
            user: held.user.map(str::to_owned),
            session: held.session.to_owned(),
            since: held.since,
            taker: held.taker,
            tag: None,
        };
        page.push((seat, held.client.map(str::to_owned)));
    }
    Ok(Next::Nobody)
}
