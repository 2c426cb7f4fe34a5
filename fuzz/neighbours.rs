//! Makes inputs that differ little from one of libFuzzer's. After each of its own inputs libFuzzer looks through the
//! counters of the whole program, which takes longer than most inputs do. It looks once for an input and its neighbours.

use crate::random::Random;

/// How many neighbours an input has.
const NEIGHBOURS: usize = 12;

/// The most changes that lead to a neighbour.
const CHANGES: usize = 4;

/// What gives texts, JSON, PEM, paths and Protobuf their shape.
const SHAPING: &[u8] = b"\"\\{}[]:,.=&%+-_/ \n\r\t0e\x00\x08\x0a\x12\x7f\x80\xc3\xff";

/// The neighbours of an input, each no longer than `longest`; always the same ones for the same input.
pub fn neighbours(data: &[u8], longest: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random::of(data);
    (0..NEIGHBOURS).map(move |_| {
        let mut neighbour = data.to_vec();
        for _ in 0..=random.below(CHANGES) {
            change(&mut neighbour, &mut random);
        }
        neighbour.truncate(longest);
        neighbour
    })
}

fn change(data: &mut Vec<u8>, random: &mut Random) {
    let shaping = SHAPING[random.below(SHAPING.len())];
    let at = random.below(data.len() + 1);
    let part = at..at + random.below((data.len() - at).min(32) + 1);
    match random.below(6) {
        0 => data.insert(at, shaping),
        1 => {
            data.drain(part);
        }
        2 => {
            let again = data[part].to_vec();
            let to = random.below(data.len() + 1);
            data.splice(to..to, again);
        }
        _ if at == data.len() => data.push(shaping),
        3 => data[at] = shaping,
        4 => data[at] ^= 1 << random.below(8),
        _ => data[at] = random.below(256) as u8,
    }
}
