//! Texts as people hand them on: what editors, shells, mail programs and a second `base64` have made of them on their way.
//!
//! A text is read where its meaning is certain. Otherwise the error is a sentence about the text, without its subject, and
//! never repeats it: it may be a secret that was put into the wrong place.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// The length of an Ed25519 signature, in characters of base64url.
const SIGNATURE: usize = 86;
/// How every signed token begins: a JSON object whose first member has a short name.
const TOKEN_BEGINS: &str = "eyJ";
const PEM_BEGINS: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The text in these bytes, without a byte order mark: in UTF-8, or in UTF-16 as PowerShell writes it.
pub fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    const NO_TEXT: &str = "is not text in UTF-8 or UTF-16: save it as UTF-8";
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let units = Zeroizing::new(units.iter().map(|two| unit(*two)).collect::<Vec<_>>());
        let text = rest.is_empty().then(|| String::from_utf16(&units));
        text.and_then(Result::ok).map(Cow::Owned)
    };
    let text = match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => std::str::from_utf8(text).ok().map(Cow::Borrowed),
        [0xff, 0xfe, text @ ..] => utf_16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf_16(text, u16::from_be_bytes),
        // No text that is read here has a character 0.
        [1..=255, 0, 1..=255, 0, ..] => utf_16(bytes, u16::from_le_bytes),
        [0, 1..=255, 0, 1..=255, ..] => utf_16(bytes, u16::from_be_bytes),
        text => std::str::from_utf8(text).ok().map(Cow::Borrowed),
    };
    text.filter(|text| !text.contains('\0')).ok_or(NO_TEXT)
}

/// What a text is that is not what it should be, if that is recognisable.
pub fn what_it_is(text: &str) -> Option<&'static str> {
    let text = text.trim_start();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    match () {
        () if text.is_empty() => Some("is empty"),
        () if text.contains(PEM_BEGINS) => Some("holds PEM, such as a signing key or a certificate"),
        () if begins("<!doctype") || begins("<html") || begins("<?xml") => {
            Some("is a web page: download the file itself")
        }
        () if begins(TOKEN_BEGINS) => Some("begins as a signed token does"),
        () if begins("version https://git-lfs") => Some("is a pointer of Git LFS: fetch the file itself"),
        () if begins("{") => Some("begins as JSON does"),
        () => None,
    }
}

/// A text in which every line is quoted as mail programs do it (`> `), without these marks.
pub fn unquoted(text: &str) -> Cow<'_, str> {
    let is_quoted = |line: &str| line.starts_with('>') || line.trim().is_empty();
    if !text.trim_start().starts_with('>') || !text.lines().all(is_quoted) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.lines().map(|line| without_marks(line).to_owned() + "\n").collect())
}

/// A line without the marks of a quotation; a blank after each belongs to it.
fn without_marks(mut line: &str) -> &str {
    while let Some(rest) = line.strip_prefix('>') {
        line = rest.strip_prefix(' ').unwrap_or(rest);
    }
    line
}

/// What the text says once it has been decoded as base64, if it is that: a `data` value that was encoded twice.
fn decoded(text: &str) -> Option<Zeroizing<String>> {
    let characters: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    let bytes = Zeroizing::new(BASE64.decode(characters.as_bytes()).ok()?);
    let text = Zeroizing::new(text_of(&bytes).ok()?.into_owned());
    (!text.trim().is_empty()).then_some(text)
}

/// The signed token in these bytes, whatever stands around it. A text without one is returned as it is: what reads tokens
/// says what is wrong with it.
pub fn token_in(bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    let text = text_of(bytes)?;
    if is_token(text.trim()) {
        return Ok(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        });
    }
    let mut found = tokens(&text);
    if found.is_empty()
        && let Some(text) = decoded(&text)
    {
        found = if is_token(text.trim()) { [text.trim().to_owned()].into() } else { tokens(&text) };
    }
    match found.len() {
        0 => Ok(Cow::Owned(one_line(&text).unwrap_or_else(|| text.trim().to_owned()))),
        1 => Ok(Cow::Owned(found.pop_first().unwrap_or_default())),
        _ => Err("holds several signed tokens: put each of them into an entry or a file of its own"),
    }
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| is_of_token(byte) || byte == b'.') && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// A text that is a token once its blanks and line breaks are taken out.
fn one_line(text: &str) -> Option<String> {
    let joined: String = text.lines().flat_map(|line| without_marks(line).split_ascii_whitespace()).collect();
    is_token(&joined).then_some(joined)
}

/// Every token in a text that a signature of Ed25519 ends, on one line or on several.
fn tokens(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(next) = text[at..].find(TOKEN_BEGINS).map(|next| at + next) {
        let is_inside = next > 0 && (is_of_token(text.as_bytes()[next - 1]) || text.as_bytes()[next - 1] == b'.');
        at = next + TOKEN_BEGINS.len();
        if !is_inside {
            let (token, end) = token_at(&text[next..]);
            found.extend(token);
            at = at.max(next + end);
        }
    }
    found
}

/// The token with which a text begins, and where reading it has ended.
fn token_at(text: &str) -> (Option<String>, usize) {
    let bytes = text.as_bytes();
    let (mut token, mut dots, mut signature, mut at) = (String::new(), 0, 0, 0);
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'.' if dots < 2 => dots += 1,
            _ if is_of_token(byte) => signature += usize::from(dots == 2),
            _ => match line_break(&bytes[at..]) {
                Some(length) => {
                    at += length;
                    continue;
                }
                None => return (None, at),
            },
        }
        token.push(char::from(byte));
        at += 1;
        if signature == SIGNATURE {
            // A full stop after it ends a sentence.
            let ends = match &bytes[at..] {
                [] | [b'.'] => true,
                [b'.', next, ..] => next.is_ascii_whitespace(),
                [next, ..] => !is_of_token(*next),
            };
            return (ends.then_some(token), at);
        }
    }
    (None, at)
}

/// The length of the break of a line with which bytes begin, with the blanks before it and the marks of a quotation after
/// it; `None` if there is none, or an empty line.
fn line_break(bytes: &[u8]) -> Option<usize> {
    let (mut breaks, mut length) = (0, 0);
    for byte in bytes {
        match byte {
            b'\n' => breaks += 1,
            b'>' if breaks > 0 => {}
            blank if blank.is_ascii_whitespace() => {}
            _ => break,
        }
        length += 1;
    }
    (breaks == 1).then_some(length)
}

/// Reads the JSON object in these bytes with `read`, whatever stands around it and wherever its lines were wrapped. The error
/// is that of the text as it came.
pub fn json_in<T>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, String> {
    let text = text_of(bytes).map_err(|what| format!("it {what}"))?;
    let error = match read(text.as_bytes()) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    let inner = decoded(&text);
    let texts = [Some(text.as_ref()), inner.as_ref().map(|inner| inner.as_str())];
    // What stands beside a private key was put into the wrong place with it.
    let texts = texts.into_iter().flatten().filter(|text| !text.contains(PEM_BEGINS));
    let read = texts.flat_map(objects).find_map(|object| read(object.as_bytes()).ok());
    read.ok_or_else(|| match what_it_is(&text).filter(|_| !text.trim_start().starts_with('{')) {
        Some(what) => format!("{error}; it {what}"),
        None => error,
    })
}

/// What may be the JSON object in a text: as it stands there, and with its lines joined. Of JSON that has another form, or was
/// cut out of a larger one, no part is taken; nor what somebody has made a comment, to switch it off.
fn objects(text: &str) -> Vec<Zeroizing<String>> {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return vec![Zeroizing::new(text.to_owned())];
    }
    let lines: Vec<&str> = text.lines().map(without_marks).collect();
    let object = |text: String| {
        let text = Zeroizing::new(text);
        let (from, to) = (text.find('{')?, text.rfind('}')?);
        let object = text.get(from..=to)?;
        let is_alone = !text[..from].trim_end().ends_with(['[', ',', '"', '#', '/'])
            && !text[to + 1..].trim_start().starts_with([']', ',', '"']);
        is_alone.then(|| Zeroizing::new(object.to_owned()))
    };
    // A mail program that wraps a line leaves a blank at its end, or none.
    let joined = lines.iter().map(|line| line.trim_end());
    [lines.join("\n"), joined.collect()].into_iter().filter_map(object).collect()
}

/// A block of PEM.
pub struct Block {
    /// What it says that it is, such as `PRIVATE KEY`.
    pub label: String,
    /// Only a password opens it.
    pub is_encrypted: bool,
    /// `None` if it is no base64.
    pub content: Option<Zeroizing<Vec<u8>>>,
}

/// The blocks of PEM in these bytes, whatever stands around them, as OpenSSL finds them.
pub fn pem_in(bytes: &[u8]) -> Result<Vec<Block>, &'static str> {
    let text = Zeroizing::new(text_of(bytes)?.into_owned());
    match text.contains(PEM_BEGINS) {
        true => blocks(&text),
        false => match decoded(&text).filter(|text| text.contains(PEM_BEGINS)) {
            Some(text) => blocks(&text),
            None => Err(what_it_is(&text).unwrap_or("has no line -----BEGIN PRIVATE KEY-----")),
        },
    }
}

fn blocks(text: &str) -> Result<Vec<Block>, &'static str> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((_, begun)) = rest.split_once(PEM_BEGINS) {
        let (label, begun) = begun.split_once(DASHES).ok_or("has a line -----BEGIN that is cut short")?;
        let end = format!("-----END {label}{DASHES}");
        let (body, after) = begun.split_once(&end).ok_or("has no line -----END; is it complete?")?;
        found.push(block(label, body));
        rest = after;
    }
    Ok(found)
}

fn block(label: &str, body: &str) -> Block {
    // A line break that became the two characters \n, as in a value that was quoted twice.
    let body = Zeroizing::new(match body.contains('\\') {
        true => Zeroizing::new(body.replace("\\r", "")).replace("\\n", "\n"),
        false => body.to_owned(),
    });
    let lines = body.lines().map(|line| without_marks(line.trim_start()).trim());
    let is_encrypted = label.starts_with("ENCRYPTED ") || body.contains("Proc-Type:");
    let mut base64 = Zeroizing::new(String::with_capacity(body.len()));
    lines.filter(|line| !line.contains(':')).for_each(|line| base64.extend(line.split_ascii_whitespace()));
    let content = BASE64.decode(base64.as_bytes()).ok().map(Zeroizing::new);
    Block { label: label.to_owned(), is_encrypted, content }
}
