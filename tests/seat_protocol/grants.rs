//! A second model, of whose grants seats count on: keys are given to Licenses and taken away while seats are held, and
//! owners of the ledger end at any moment. Every state is reached, in whatever order things happen.
//!
//! Who may write to the ledger is the other model's question. Here an owner's entries are durable at once, with one
//! exception: that a License now draws on other grants is noted with the next entry.
//!
//! **Licenses** present keys of grants; each grant is for one seat. A grant belongs to the License that claimed it first.
//! **The controller** looks at a License some time after its keys changed: it has the desk look again, and then makes the
//! claims and takes back those without a key. **The desk** judges a License before it grants a seat if it has to look again,
//! together with the others that may draw on the same grants. A License owes the grants that it had before and that its
//! own may not cover. Seats beyond its own grants count for the License that has what is owed.
//! **A new owner** knows the seats and the noted grants from the ledger, and which of several Licenses had a grant it may
//! find out wrongly.
//!
//! **Right** is, by Hall's theorem: for every set of grants, the seats that can only draw on them are at most as many as
//! there are grants in the set.

use std::collections::HashSet;
use std::fmt;

/// Three Licenses and two grants are the least with a chain of debts.
const LICENSES: usize = 3;
const GRANTS: usize = 2;

/// A set of grants, one bit each.
type Grants = u8;

/// The rule that is left out, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrong {
    Nothing,
    CountsByName,
    NotesNothing,
    NotesOnlyWithSeats,
    ClaimsBeforeLookingAgain,
    ForgetsWhatIsOwed,
    CountsNoChain,
}

#[derive(Clone, Copy, Default)]
struct License {
    /// The grants of which it presents keys.
    keys: Grants,
    /// The seats in use, as the ledger has them.
    seats: u8,
    /// The grants that the ledger notes.
    noted: Grants,
    /// What the owner of the ledger knows: the grants it has, those it owes, and whether to look again.
    has: Grants,
    owes: Grants,
    outdated: bool,
    /// The truth: every grant that it had since it had no seat in use.
    had: Grants,
}

#[derive(Clone, Copy)]
struct State {
    licenses: [License; LICENSES],
    /// The License that claims each grant, plus one.
    claims: [u8; GRANTS],
}

#[derive(Clone, Copy)]
enum Step {
    GivesKey(usize, usize),
    TakesKey(usize, usize),
    Looks(usize),
    Grants(usize),
    Judges(usize),
    Frees(usize),
    Ends([u8; GRANTS]),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Step::GivesKey(license, grant) => write!(f, "License {license} gets a key of grant {grant}"),
            Step::TakesKey(license, grant) => write!(f, "License {license} loses its key of grant {grant}"),
            Step::Looks(license) => write!(f, "the controller looks at License {license}"),
            Step::Grants(license) => write!(f, "a seat of License {license} is granted"),
            Step::Judges(license) => write!(f, "the desk refuses a seat of License {license}"),
            Step::Frees(license) => write!(f, "a seat of License {license} is freed"),
            Step::Ends(claims) => write!(f, "the owner ends; the next one finds the claims {claims:?}"),
        }
    }
}

fn bits(grants: Grants) -> impl Iterator<Item = usize> {
    (0..GRANTS).filter(move |grant| grants & 1 << grant != 0)
}

impl State {
    fn first() -> Self {
        State { licenses: [License { outdated: true, ..License::default() }; LICENSES], claims: [0; GRANTS] }
    }

    fn is_right(&self) -> bool {
        (1..1u8 << GRANTS).all(|set| {
            let within = self.licenses.iter().filter(|license| license.had & !set == 0);
            within.map(|license| u32::from(license.seats)).sum::<u32>() <= set.count_ones()
        })
    }

    fn claims_of(&self, license: usize) -> Grants {
        (0..GRANTS).filter(|grant| self.claims[*grant] == license as u8 + 1).fold(0, |all, grant| all | 1 << grant)
    }

    /// The seats of a License beyond its own grants, after those that count there from elsewhere.
    fn beyond(&self, license: usize, elsewhere: &[u8; LICENSES]) -> u8 {
        let License { seats, has, .. } = self.licenses[license];
        seats.saturating_sub((has.count_ones() as u8).saturating_sub(elsewhere[license]))
    }

    /// The seats of other Licenses that count on the grants of each.
    fn elsewhere(&self, wrong: Wrong) -> [u8; LICENSES] {
        let mut elsewhere = [0; LICENSES];
        if wrong == Wrong::CountsByName {
            return elsewhere;
        }
        loop {
            let mut next = [0; LICENSES];
            for (n, license) in self.licenses.iter().enumerate() {
                let others = (0..LICENSES).filter(|other| *other != n && self.licenses[*other].owes & license.has != 0);
                next[n] = others.map(|other| self.beyond(other, &elsewhere)).sum();
            }
            if next == elsewhere || wrong == Wrong::CountsNoChain {
                return next;
            }
            elsewhere = next;
        }
    }

    /// The desk judges a License and all outdated ones that may draw on its grants.
    fn judge(&mut self, license: usize, wrong: Wrong) -> [u8; LICENSES] {
        let mut outdated = vec![license];
        while let Some(n) = outdated.pop() {
            if !self.licenses[n].outdated {
                continue;
            }
            for grant in bits(self.licenses[n].keys).filter(|grant| self.claims[*grant] == 0).collect::<Vec<_>>() {
                self.claims[grant] = n as u8 + 1;
            }
            let has = self.licenses[n].keys & self.claims_of(n);
            let license = &mut self.licenses[n];
            license.owes = (license.owes | license.has) & !has;
            (license.has, license.outdated) = (has, false);
            license.had = if license.seats == 0 { has } else { license.had | has };
            let draws = |other: &License| (other.has | other.owes) & has != 0;
            outdated.extend((0..LICENSES).filter(|other| *other != n && draws(&self.licenses[*other])));
        }
        let elsewhere = self.elsewhere(wrong);
        for n in 0..LICENSES {
            if self.beyond(n, &elsewhere) == 0 || wrong == Wrong::ForgetsWhatIsOwed {
                self.licenses[n].owes = 0;
            }
        }
        elsewhere
    }

    /// An entry of the ledger is written: it notes what each License draws on.
    fn write(&mut self, of: usize, wrong: Wrong) {
        for (n, license) in self.licenses.iter_mut().enumerate() {
            license.noted = match wrong {
                _ if license.seats == 0 => 0,
                Wrong::NotesNothing => 0,
                Wrong::NotesOnlyWithSeats if n != of => license.noted,
                _ => license.has | license.owes,
            };
            if license.seats == 0 {
                (license.owes, license.had) = (0, license.has);
            }
        }
    }

    fn steps(&self, wrong: Wrong) -> Vec<(Step, State)> {
        let mut steps = Vec::new();
        let after = |change: &dyn Fn(&mut State)| {
            let mut after = *self;
            change(&mut after);
            after
        };
        for n in 0..LICENSES {
            for grant in 0..GRANTS {
                let has_key = self.licenses[n].keys & 1 << grant != 0;
                let what = if has_key { Step::TakesKey(n, grant) } else { Step::GivesKey(n, grant) };
                steps.push((what, after(&|state| state.licenses[n].keys ^= 1 << grant)));
            }
            let looked_at = after(&|state| {
                state.licenses[n].outdated |= wrong != Wrong::ClaimsBeforeLookingAgain;
                for grant in 0..GRANTS {
                    let has_key = state.licenses[n].keys & 1 << grant != 0;
                    match state.claims[grant] {
                        0 if has_key => state.claims[grant] = n as u8 + 1,
                        claim if claim == n as u8 + 1 && !has_key => state.claims[grant] = 0,
                        _ => {}
                    }
                }
            });
            steps.push((Step::Looks(n), looked_at));
            let mut judged = *self;
            let elsewhere = judged.judge(n, wrong);
            let License { seats, has, .. } = judged.licenses[n];
            if u32::from(seats + elsewhere[n]) < has.count_ones() {
                judged.licenses[n].seats += 1;
                judged.write(n, wrong);
                steps.push((Step::Grants(n), judged));
            } else {
                judged.write(n, wrong);
                steps.push((Step::Judges(n), judged));
            }
            if self.licenses[n].seats > 0 {
                let mut freed = *self;
                freed.licenses[n].seats -= 1;
                freed.write(n, wrong);
                steps.push((Step::Frees(n), freed));
            }
        }
        for claims in self.claims_that_may_be_found() {
            let mut after = *self;
            after.claims = claims;
            for license in &mut after.licenses {
                *license = License { has: 0, owes: license.noted, outdated: true, ..*license };
            }
            steps.push((Step::Ends(claims), after));
        }
        steps
    }

    /// Any License with a key of a grant may be found to have it.
    fn claims_that_may_be_found(&self) -> Vec<[u8; GRANTS]> {
        let may_have = |grant: usize| -> Vec<u8> {
            let with_key = (0..LICENSES).filter(|n| self.licenses[*n].keys & 1 << grant != 0);
            let some: Vec<u8> = with_key.map(|n| n as u8 + 1).collect();
            if some.is_empty() { vec![0] } else { some }
        };
        let second = may_have(1);
        may_have(0).into_iter().flat_map(|first| second.iter().map(move |second| [first, *second])).collect()
    }

    /// The same for states that differ only in which License comes first. A number each for a License and its claims; 15 bits
    /// are enough.
    fn canonical(&self) -> u64 {
        let mut numbers = [0u64; LICENSES];
        for (n, number) in numbers.iter_mut().enumerate() {
            let License { keys, seats, noted, has, owes, outdated, had } = self.licenses[n];
            for part in [keys, seats, noted, has, owes, had, self.claims_of(n)] {
                *number = *number << 2 | u64::from(part);
            }
            *number = *number << 1 | u64::from(outdated);
        }
        numbers.sort_unstable();
        numbers.iter().fold(0, |all, number| all << 15 | number)
    }
}

/// The shortest history that ends with more seats than grants, or the number of states if there is none.
fn search(wrong: Wrong) -> Result<String, usize> {
    let mut reached: Vec<(State, usize, Option<Step>)> = vec![(State::first(), 0, None)];
    let mut seen: HashSet<u64> = HashSet::from([State::first().canonical()]);
    let mut at = 0;
    while at < reached.len() {
        for (step, after) in reached[at].0.steps(wrong) {
            if seen.insert(after.canonical()) {
                reached.push((after, at, Some(step)));
                if !after.is_right() {
                    return Ok(told(&reached));
                }
            }
        }
        at += 1;
    }
    Err(reached.len())
}

/// The steps that led to the last state.
fn told(reached: &[(State, usize, Option<Step>)]) -> String {
    let mut steps = Vec::new();
    let mut at = reached.len() - 1;
    while let (_, before, Some(step)) = reached[at] {
        steps.push(step.to_string());
        at = before;
    }
    steps.reverse();
    steps.join("\n")
}

#[test]
fn s_i2_k4_no_more_seats_are_held_than_granted_over_all_licenses_whatever_is_done_to_their_keys() {
    match search(Wrong::Nothing) {
        Ok(history) => panic!("more seats than grants:\n{history}"),
        Err(states) => {
            println!("all {states} states");
            assert!(states > 100_000, "only {states} states");
        }
    }
}

#[test]
fn s_known_wrong_rules_of_grants_are_found() {
    for wrong in [
        Wrong::CountsByName,
        Wrong::NotesNothing,
        Wrong::NotesOnlyWithSeats,
        Wrong::ClaimsBeforeLookingAgain,
        Wrong::ForgetsWhatIsOwed,
        Wrong::CountsNoChain,
    ] {
        match search(wrong) {
            Ok(history) => println!("{wrong:?}:\n{history}\n"),
            Err(states) => panic!("{wrong:?}: no defect in any of {states} states"),
        }
    }
}
