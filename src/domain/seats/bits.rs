//! Numbers of which many are in use, and the lowest free one is wanted.

/// A set of numbers that finds the lowest missing one by looking at one bit for 4,096 of them.
#[derive(Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    /// One bit for each word: all of its bits are set.
    full: Vec<u64>,
}

impl Bits {
    pub fn has(&self, n: u32) -> bool {
        self.words.get(n as usize / 64).is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    pub fn set(&mut self, n: u32, to: bool) {
        let word = n as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
            self.full.resize(word / 64 + 1, 0);
        }
        write_bit(&mut self.words[word], n, to);
        let is_full = self.words[word] == u64::MAX;
        write_bit(&mut self.full[word / 64], word as u32, is_full);
    }

    /// The lowest number from `from` on that is not in the set.
    pub fn first_missing(&self, from: u32) -> u32 {
        let first = from as usize / 64;
        let rest = self.words.get(first).map_or(0, |word| word | ((1 << (from % 64)) - 1));
        if rest != u64::MAX {
            return (first * 64) as u32 + rest.trailing_ones().max(from % 64);
        }
        let mut at = first + 1;
        while let Some(summary) = self.full.get(at / 64) {
            let ones = (summary >> (at % 64)).trailing_ones() as usize;
            at += ones;
            if ones == 0 || !at.is_multiple_of(64) {
                break;
            }
        }
        (at * 64) as u32 + self.words.get(at).map_or(0, |word| word.trailing_ones())
    }
}

fn write_bit(word: &mut u64, n: u32, to: bool) {
    *word = *word & !(1 << (n % 64)) | u64::from(to) << (n % 64);
}
