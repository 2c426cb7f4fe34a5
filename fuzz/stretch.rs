//! Makes a long input of a short one. libFuzzer seldom tries long inputs, and most of what is slow or large is short until
//! a part of it comes many times.

use crate::random::Random;

/// What parts of texts and of JSON begin with.
const BEGINNINGS: &[u8] = b",\n .:/~[{(&-";

/// One of this many inputs is stretched.
const ONE_IN: usize = 2048;

/// The input with one part of it repeated, to as many bytes as `longest`; `None` for most inputs, because a long one
/// takes a while. The same input is always stretched in the same way.
pub fn stretched(data: &[u8], longest: usize) -> Option<Vec<u8>> {
    let mut random = Random::of(data);
    if data.is_empty() || data.len() >= longest || random.below(ONE_IN) != 0 {
        return None;
    }
    let from = random.below(data.len());
    let to = match BEGINNINGS.contains(&data[from]).then(|| data[from + 1..].iter().position(|b| *b == data[from])) {
        Some(Some(after)) => from + 1 + after,
        Some(None) => from + 1,
        None => from + 1 + random.below((data.len() - from).min(64)),
    };
    let part = &data[from..to];
    // Copies that differ are kept where equal ones would count as one.
    let mark = part.iter().rposition(u8::is_ascii_alphanumeric).filter(|_| random.below(2) == 0);
    let mut long = Vec::with_capacity(longest + 64);
    long.extend_from_slice(&data[..from]);
    for n in 0_u32.. {
        if long.len() + part.len() + data.len() - to > longest {
            break;
        }
        match mark {
            Some(at) => {
                long.extend_from_slice(&part[..=at]);
                long.extend_from_slice(n.to_string().as_bytes());
                long.extend_from_slice(&part[at + 1..]);
            }
            None => long.extend_from_slice(part),
        }
    }
    long.extend_from_slice(&data[to..]);
    Some(long)
}
