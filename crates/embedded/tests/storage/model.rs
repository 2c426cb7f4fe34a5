//! What a folder may contain after a kill, judging by what the killed process printed.

use std::collections::{BTreeMap, BTreeSet};

use super::child::{COUNTER, DEPENDENTS};

const GONE: &str = "gone";

#[derive(Default)]
pub struct Model {
    /// The state that was acknowledged last, and one that was requested and not yet acknowledged.
    objects: BTreeMap<String, (Seen, Option<String>)>,
    /// The highest revision that was found or acknowledged so far.
    revision: u64,
    /// The revision at which the present process began.
    opened: u64,
    /// Every number that was acknowledged.
    counted: BTreeSet<u64>,
    /// What a new process has found so far.
    found: Option<BTreeMap<String, Seen>>,
    pub acknowledged: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    revision: u64,
    /// `gone` if the object does not exist.
    sum: String,
}

impl Seen {
    fn nothing() -> Self {
        Seen { revision: 0, sum: GONE.to_owned() }
    }
}

/// The meaning of a line of the child.
#[derive(PartialEq)]
pub enum Line {
    Ready,
    Acknowledged,
    Other,
}

impl Model {
    /// Processes a line of the child. Fails if the line reports an impossible state.
    pub fn take(&mut self, line: &str) -> Result<Line, String> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |text: &str| text.parse::<u64>().map_err(|e| format!("{line}: {e}"));
        match words.as_slice() {
            ["open", revision] => {
                let revision = number(revision)?;
                if revision < self.revision {
                    return Err(format!("the revision went back from {} to {revision}", self.revision));
                }
                (self.revision, self.opened) = (revision, revision);
                self.found = Some(BTreeMap::new());
                Ok(Line::Other)
            }
            ["has", name, revision, sum] => {
                let seen = Seen { revision: number(revision)?, sum: (*sum).to_owned() };
                self.found.get_or_insert_default().insert((*name).to_owned(), seen);
                Ok(Line::Other)
            }
            ["ready"] => self.compare().map(|()| Line::Ready),
            ["try", name, sum] => {
                let (_, asked) = self.objects.entry((*name).to_owned()).or_insert((Seen::nothing(), None));
                *asked = Some((*sum).to_owned());
                Ok(Line::Other)
            }
            ["did", name, revision, sum] => self.done(name, number(revision)?, sum).map(|()| Line::Acknowledged),
            ["count", count] => {
                self.acknowledged += 1;
                match self.counted.insert(number(count)?) {
                    true => Ok(Line::Acknowledged),
                    false => Err(format!("{count} was counted twice")),
                }
            }
            // A line of the test harness.
            _ => Ok(Line::Other),
        }
    }

    fn done(&mut self, name: &str, revision: u64, sum: &str) -> Result<(), String> {
        let asked = self.objects.get(name).and_then(|(_, asked)| asked.clone());
        if asked.as_deref() != Some(sum) {
            return Err(format!("{name}: {asked:?} was asked for, and {sum} answered"));
        }
        if sum != GONE && revision <= self.opened {
            return Err(format!("{name}: was written at {revision}, though {} was there before", self.opened));
        }
        self.acknowledged += 1;
        self.revision = self.revision.max(revision);
        self.objects.insert(name.to_owned(), (Seen { revision, sum: sum.to_owned() }, None));
        if sum == GONE {
            for number in 0..DEPENDENTS {
                self.objects.insert(format!("{name}-{number}"), (Seen::nothing(), None));
            }
        }
        Ok(())
    }

    /// Compares what was found with what is allowed, and continues from there.
    fn compare(&mut self) -> Result<(), String> {
        let mut found = self.found.take().ok_or("nothing was opened")?;
        let counter = found.remove(COUNTER).and_then(|counter| counter.sum.parse::<u64>().ok());
        if counter < self.counted.last().copied() {
            return Err(format!("{:?} was counted, and {counter:?} is there", self.counted.last()));
        }
        let bare: BTreeSet<u64> =
            found.iter().filter(|(name, _)| name.starts_with("bare-")).map(|(_, seen)| seen.revision).collect();
        if bare.len() > 1 {
            return Err(format!("objects of one commit have several revisions: {bare:?}"));
        }
        let dropped: Vec<String> = found.keys().filter_map(|name| Some(owner(name)?.to_owned())).collect();
        if let Some(owner) = dropped.iter().find(|owner| !found.contains_key(*owner)) {
            return Err(format!("{owner} is gone and left dependents behind"));
        }
        let mut settled = BTreeMap::new();
        for (name, (known, asked)) in &self.objects {
            let seen = found.remove(name).unwrap_or_else(Seen::nothing);
            if seen.sum == "torn" {
                return Err(format!("{name} is torn"));
            }
            // A dependent may be gone together with its owner, whose deletion was requested.
            let with_owner = owner(name).and_then(|owner| self.objects.get(owner)?.1.clone());
            let as_known = seen.sum == known.sum && (seen.sum == GONE || seen.revision == known.revision);
            let as_asked = [asked, &with_owner].into_iter().flatten().any(|asked| *asked == seen.sum);
            let newer = seen.sum == GONE || seen.revision > known.revision;
            let right = as_known || (as_asked && newer);
            if !right {
                return Err(format!("{name}: {known:?} was acknowledged, {asked:?} asked for, and {seen:?} is there"));
            }
            settled.insert(name.clone(), (seen, None));
        }
        if let Some((name, seen)) = found.pop_first() {
            return Err(format!("{name}: {seen:?} is there although it was never requested"));
        }
        self.objects = settled;
        Ok(())
    }
}

/// Returns the owner of a dependent.
fn owner(name: &str) -> Option<&str> {
    name.rsplit_once('-').map(|(owner, _)| owner).filter(|owner| owner.ends_with("-owner"))
}
