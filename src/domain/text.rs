//! Text that somebody else wrote, made safe to show.

/// Spells out what a reader does not see, or sees in the wrong place: `\u{202e}` turns the text after it around, `\u{200b}`
/// makes two names look the same, `\u{1b}` commands a terminal. Text without such characters stays as it is.
pub fn spelt_out(text: &str) -> String {
    let mut spelt = String::with_capacity(text.len());
    for c in text.chars() {
        match is_unseen(c) {
            true => spelt.extend(c.escape_default()),
            false => spelt.push(c),
        }
    }
    spelt
}

/// The most characters of a text from a key that a status shows.
const SHOWN: usize = 1000;

/// A text from a key, as a status shows it: its beginning.
pub fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// Whether a character is a control character, ends a line, or formats the text around it without being seen: Unicode's
/// Default_Ignorable_Code_Point (UAX #44), which all bidirectional controls belong to, and the marks of annotations.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
