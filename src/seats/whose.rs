//! Whose seat is it that a caller names? It belongs to who took it, and its id has a part that only the holder knows.

use super::asked::Seat;
use super::kept_names::as_kept;
use crate::domain::seats::hold::HeldSeat;
use crate::domain::seats::seating::Seating;
use crate::domain::seats::tag::Tagger;
use crate::wrong::{self, Variant::*};

/// Whose seats a caller may keep and free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Those that it took.
    Own,
    /// Those of others too: it has the right to evict.
    Any,
}

/// Whose seat it is.
pub(super) enum Whose<'s> {
    /// The caller may keep and free it. It is named as its holder names it.
    Callers(HeldSeat<'s>),
    Anothers,
    /// No session of that name holds it since then.
    Nobodys,
}

/// Whose the seat is that a caller names. `replaced` is what stands for its user since the id was made.
pub(super) fn whose<'s>(
    seat: &'s Seat,
    replaced: Option<&'s str>,
    may: May,
    seating: &Seating,
    tagger: &Tagger,
) -> Whose<'s> {
    let held = as_kept(seat, replaced);
    let found = seating.holding(&held).filter(|found| found.since == seat.since);
    let noted = || if replaced.is_some() { None } else { seating.tag(&held) };
    let made = || noted().unwrap_or_else(|| tagger.tag(&seat.license, &seat.held(), seat.since));
    // One without a taker was granted by a version whose ids have no tags.
    if found.is_some_and(|found| found.taker.is_none() || tagger.admits(seat.tag, seat.since, made)) {
        return Whose::Callers(held);
    }
    match seating.taker(&held, seat.since) {
        Some(taker) if may == May::Any || wrong::is(TakerIgnored) => Whose::Callers(HeldSeat { taker, ..held }),
        Some(_) => Whose::Anothers,
        None => Whose::Nobodys,
    }
}
