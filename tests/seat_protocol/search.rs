//! Breadth-first search through every reachable state.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use crate::protocol::Protocol;
use crate::state::State;
use crate::step::Step;

/// The steps that lead to a state, each with the state after it.
pub type Trace = Vec<(Step, State)>;

pub struct Search {
    protocol: Protocol,
    /// Every state reached so far, in order of distance, each with the index of the state it was reached from.
    reached: Vec<(u128, u32)>,
}

impl Search {
    /// Returns the shortest trace from a state to a step that is sought. `Err` holds the number of states if none of
    /// them has such a step.
    pub fn find(protocol: Protocol, from: State, sought: impl Fn(Step, &State) -> bool) -> Result<Trace, usize> {
        let mut search = Self { protocol, reached: vec![(from.pack(), 0)] };
        let mut seen: HashSet<u128, BuildHasherDefault<Multiply>> = HashSet::from_iter([from.canonical()]);
        let mut next = Vec::new();
        let mut at = 0;
        while at < search.reached.len() {
            next.clear();
            protocol.steps(&State::unpack(search.reached[at].0), &mut next);
            for (step, state) in &next {
                if sought(*step, state) {
                    let mut trace = search.trace(at);
                    trace.push((*step, *state));
                    return Ok(trace);
                }
                if seen.insert(state.canonical()) {
                    let packed = state.pack();
                    assert_eq!(State::unpack(packed), *state, "a field does not fit in its bits");
                    search.reached.push((packed, u32::try_from(at).expect("a search has fewer than 2³² states")));
                }
            }
            at += 1;
        }
        Err(search.reached.len())
    }

    /// Returns the steps that led to a state. They are not stored, but taken again.
    fn trace(&self, mut at: usize) -> Trace {
        let mut trace = Vec::new();
        while at != 0 {
            let (packed, from) = self.reached[at];
            let mut next = Vec::new();
            self.protocol.steps(&State::unpack(self.reached[from as usize].0), &mut next);
            trace.extend(next.into_iter().find(|(_, state)| state.pack() == packed));
            at = from as usize;
        }
        trace.reverse();
        trace
    }
}

/// One multiplication scatters packed states well enough; the standard hasher would take most of the time.
#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only packed states are hashed");
    }

    fn write_u128(&mut self, packed: u128) {
        let folded = packed as u64 ^ ((packed >> 64) as u64).rotate_left(23);
        let mixed = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 29;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
