//! The token that a client shows.

use std::path::PathBuf;

use super::trouble::Trouble;

/// A bearer token, given as text or in a file. A file is read for each request, because a projected ServiceAccount
/// token is replaced before it expires.
#[derive(Clone)]
pub struct Token(Source);

#[derive(Clone)]
enum Source {
    Text(String),
    File(PathBuf),
}

impl Token {
    /// A token that never changes.
    pub fn fixed(token: impl Into<String>) -> Self {
        Token(Source::Text(token.into()))
    }

    /// A token in a file, which may change.
    pub fn in_file(path: impl Into<PathBuf>) -> Self {
        Token(Source::File(path.into()))
    }

    pub(super) async fn read(&self) -> Result<String, Trouble> {
        let path = match &self.0 {
            Source::Text(token) => return Ok(token.clone()),
            Source::File(path) => path,
        };
        let no_token = |why: String| Trouble::NoToken { path: path.clone(), why };
        let bytes = tokio::fs::read(path).await.map_err(|e| no_token(e.to_string()))?;
        token_in(&bytes).map_err(|why| no_token(why.to_owned()))
    }
}

/// The token in a file, which an editor or a shell may have written.
fn token_in(bytes: &[u8]) -> Result<String, &'static str> {
    let text = text_of(bytes).ok_or("is not text in UTF-8 or UTF-16")?;
    let text = text.trim();
    let text = text.strip_prefix("Bearer ").unwrap_or(text).trim_start();
    let words: Vec<&str> = text.lines().map(str::trim).collect();
    let token = words.concat();
    let is_signed = token.bytes().filter(|byte| *byte == b'.').count() == 2;
    match () {
        () if token.is_empty() => Err("is empty"),
        // Of a signed token it is certain that its lines belong together.
        () if token.contains(char::is_whitespace) || (words.len() > 1 && !is_signed) => {
            Err("has several words, so it is not a token")
        }
        () if !token.bytes().all(|byte| byte.is_ascii_graphic()) => Err("has characters that no token has"),
        () => Ok(token),
    }
}

/// Text in UTF-8, or in UTF-16 with a byte order mark. This crate does not depend on the operator, which reads a little more
/// (`domain::transit::text_of`).
fn text_of(bytes: &[u8]) -> Option<String> {
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|two| unit(*two)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8(text.to_vec()).ok(),
        [0xff, 0xfe, text @ ..] => utf_16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf_16(text, u16::from_be_bytes),
        text => String::from_utf8(text.to_vec()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read from a file with these bytes.
    async fn read(name: &str, bytes: &[u8]) -> Result<String, String> {
        let path = std::env::temp_dir().join(format!("seatkeeper-token-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("a file can be written");
        let read = Token::in_file(&path).read().await;
        std::fs::remove_file(&path).expect("it can be removed");
        read.map_err(|trouble| trouble.to_string())
    }

    #[tokio::test]
    async fn a_token_is_read_as_people_write_it_into_a_file() {
        let utf_16 =
            |bytes: fn(u16) -> [u8; 2]| "\u{feff}a.b.c\r\n".encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        for (n, bytes) in [
            b"a.b.c".to_vec(),
            b"a.b.c \r\n\r\n".to_vec(),
            b"\xef\xbb\xbfa.b.c\n".to_vec(),
            b"Bearer a.b.c\n".to_vec(),
            b"a.\nb.\r\nc\n".to_vec(),
            utf_16(u16::to_le_bytes),
            utf_16(u16::to_be_bytes),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(read(&n.to_string(), &bytes).await.as_deref(), Ok("a.b.c"), "{bytes:?}");
        }
        for (n, (bytes, says)) in [
            (b"".as_slice(), "is empty"),
            (b" \n", "is empty"),
            (b"a b", "has several words"),
            (b"token\nof mine", "has several words"),
            (b"a.b.c d.e.f", "has several words"),
            (b"\xff\xff", "is not text"),
            ("a.b.\u{e4}".as_bytes(), "has characters that no token has"),
        ]
        .into_iter()
        .enumerate()
        {
            let said = read(&format!("wrong-{n}"), bytes).await.expect_err("it is no token");
            assert!(said.contains(says), "{bytes:?}: {said}");
        }
    }
}
