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
        let text = tokio::fs::read_to_string(path).await.map_err(|e| no_token(e.to_string()))?;
        match text.trim() {
            "" => Err(no_token("is empty".to_owned())),
            token if token.contains(|c: char| c.is_control() || c.is_whitespace()) => {
                Err(no_token("has several words, so it is not a token".to_owned()))
            }
            token => Ok(token.to_owned()),
        }
    }
}
