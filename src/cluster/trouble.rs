//! Trouble that lasts: it is logged when it begins, when it changes and when it is over, not at each attempt.

use std::fmt::Display;

/// One thing that may go wrong again and again.
pub struct Trouble {
    what: &'static str,
    told: Option<String>,
}

impl Trouble {
    /// `what` says what does not work.
    pub fn with(what: &'static str) -> Self {
        Trouble { what, told: None }
    }

    /// It did not work this time either.
    pub fn lasts(&mut self, why: impl Display) {
        let why = why.to_string();
        if self.is_news(&why) {
            tracing::warn!("{}: {why}", self.what);
        }
    }

    fn is_news(&mut self, why: &str) -> bool {
        let is_news = self.told.as_deref() != Some(why);
        self.told = Some(why.to_owned());
        is_news
    }

    /// It works.
    pub fn is_over(&mut self) {
        if self.told.take().is_some() {
            tracing::info!("over: {}", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_told_once_until_it_changes_or_is_over() {
        let mut trouble = Trouble::with("the ledger cannot be read yet");
        let told: Vec<bool> = ["away", "away", "away", "refused", "away"].map(|why| trouble.is_news(why)).to_vec();
        assert_eq!(told, [true, false, false, true, true]);
        trouble.is_over();
        assert!(trouble.is_news("away"));
    }
}
