//! Whose is the seat that a caller names? It belongs to the caller that took it, and its id has a part that only the holder
//! knows.

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

/// Finds out whose a seat is that a caller names. `replaced` is what has stood for its user since the id was made.
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

#[cfg(test)]
mod tests {
    use super::super::kept_names::{replaced_since, unite_forms};
    use super::*;
    use crate::domain::Instant;
    use crate::domain::license::name::LicenseName;
    use crate::domain::seats::hold::Record;
    use crate::domain::seats::line::{read_base, write_base};
    use crate::domain::seats::tag::KEY_BYTES;
    use crate::domain::seats::taker::Taker;
    use crate::domain::tick::Tick;

    const SINCE: i64 = 1_790_000_000;
    const WRITTEN: &str = "j.mu\u{308}ller";
    const NORMAL: &str = "j.m\u{fc}ller";
    /// A letter that Unicode writes as two: its form takes more room in the ledger.
    const GROWS: &str = "\u{9dc}";

    fn license() -> LicenseName {
        LicenseName::new("centre", "innoacd")
    }

    fn taker() -> Taker {
        Taker::of("pod", None, None)
    }

    fn tagger() -> Tagger {
        Tagger::new(&[7; KEY_BYTES], 0)
    }

    /// What an owner has that found these lines in a base.
    fn taken_over(lines: &str) -> Seating {
        let takers = vec![taker().to_string(); lines.lines().count()].join(" ");
        let found = read_base(&"agents".into(), lines, &takers).expect("lines as an earlier version wrote them");
        let mut holds: Vec<_> = found.into_iter().map(|hold| (license(), Record::Hold(hold))).collect();
        unite_forms(&mut holds, &tagger());
        let mut seating = Seating::empty(Instant::UNIX_EPOCH);
        holds.iter().for_each(|(_, record)| seating.apply(record, Tick::MAX));
        seating
    }

    /// The seat of an id that an earlier version gave to this user.
    fn id_of(user: &str, slot: u32) -> Seat {
        let (license, user, session) = (license(), Some(user.to_owned()), "s1".to_owned());
        let mut seat =
            Seat { license, pool: "agents".into(), slot, user, session, since: SINCE, taker: Some(taker()), tag: None };
        seat.tag = Some(tagger().tag(&seat.license, &seat.held(), SINCE));
        seat
    }

    fn is_the_callers(seat: &Seat, seating: &Seating) -> bool {
        let replaced = replaced_since(seat, seating, &tagger());
        matches!(whose(seat, replaced.as_deref(), May::Own, seating, &tagger()), Whose::Callers(_))
    }

    #[test]
    fn seats_that_an_earlier_version_kept_as_names_were_written_stay_their_users() {
        let lines = format!("0 j.mu%CC%88ller s1 {SINCE} pc-mu%CC%88ller\n1 {GROWS} s1 {SINCE}\n2 anna s1 {SINCE}\n");
        let seating = taken_over(&lines);
        for (slot, user) in [WRITTEN, GROWS, "anna"].into_iter().enumerate() {
            let seat = id_of(user, slot as u32);
            assert!(is_the_callers(&seat, &seating), "{user}");
            let other = Seat { tag: id_of("anna", 7).tag, ..seat };
            assert!(!is_the_callers(&other, &seating), "{user}: with the secret part of another id");
        }
        assert!(seating.table().has_user(NORMAL), "the next session shares the seat");
        let kept = write_base(seating.table().holders_within("agents", 0..9));
        assert!(kept.contains("j.m\u{fc}ller s1") && kept.contains("pc-m\u{fc}ller"), "{kept}");
        assert!(kept.len() <= lines.len(), "a base may be full: {kept}");
    }

    #[test]
    fn so_do_seats_whose_names_are_not_kept() {
        let hash = |user: &str| tagger().user(&license(), user);
        let seating = taken_over(&format!("0 {} s1 {SINCE}\n", hash(WRITTEN)));
        assert!(is_the_callers(&id_of(WRITTEN, 0), &seating));
        // The last owner ended while it replaced names: the two sessions share a seat.
        for keyed in [WRITTEN, NORMAL] {
            let seating = taken_over(&format!("0 {} s1 {SINCE}\n0 j.mu%CC%88ller s2 {SINCE}\n", hash(keyed)));
            let kept = write_base(seating.table().holders_within("agents", 0..9));
            assert_eq!(kept.matches(&hash(keyed)).count(), 2, "{kept}");
        }
    }

    /// The attack: a name becomes the hash that stands for another user, by a tilde of another width.
    #[test]
    fn nobody_becomes_who_has_a_seat_under_a_hash() {
        let wide = tagger().user(&license(), "anna").replacen('~', "\u{ff5e}", 1);
        let seating = taken_over(&format!("0 {} s1 {SINCE}\n", wide.replace('\u{ff5e}', "%EF%BD%9E")));
        assert!(!seating.has_keyed() && is_the_callers(&id_of(&wide, 0), &seating));
    }
}
