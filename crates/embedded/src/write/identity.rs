//! What makes a new object unique: its generated name and its UID.

use crate::Random;

/// The letters of generated names: no vowels, so that no words come out, and no letters that look like others.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// The API server shortens the requested stem so that the whole name fits a DNS label.
const LONGEST_STEM: usize = 58;

/// Returns a generated name that starts with `stem`.
pub fn generated_name(stem: &str, random: Random) -> String {
    let end = stem.char_indices().nth(LONGEST_STEM).map_or(stem.len(), |(at, _)| at);
    let mut bytes = [0; 5];
    random(&mut bytes);
    let letters = bytes.map(|byte| char::from(LETTERS[usize::from(byte) % 27]));
    stem[..end].chars().chain(letters).collect()
}

/// Returns a new UID (RFC 9562, version 4).
pub fn new_uid(random: Random) -> String {
    let mut bytes = [0; 16];
    random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
