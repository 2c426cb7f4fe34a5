//! How many bytes bodies and answers may take, in all and of one group.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::group::Group;

/// Bytes that are taken for a while; clones are the same bytes.
#[derive(Clone)]
pub struct Share(Arc<Inner>);

struct Inner {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    groups: HashMap<Group, usize>,
}

impl Share {
    /// `all` bytes, of which a group may take `each`.
    pub fn new(all: usize, each: usize) -> Self {
        Share(Arc::new(Inner { all, each, taken: Mutex::default() }))
    }

    /// Nothing yet, for something of `group`.
    pub fn of(&self, group: &Group) -> Held {
        Held { share: self.clone(), group: group.clone(), bytes: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What something has taken of its share, until it is dropped.
pub struct Held {
    share: Share,
    group: Group,
    bytes: usize,
}

impl Held {
    /// Takes more; false if there is not as much left.
    pub fn take(&mut self, bytes: usize) -> bool {
        let mut taken = self.share.taken();
        let of_group = taken.groups.get(&self.group).copied().unwrap_or(0);
        let may = bytes <= self.share.0.all - taken.all && bytes <= self.share.0.each - of_group;
        if may {
            taken.all += bytes;
            taken.groups.insert(self.group.clone(), of_group + bytes);
            self.bytes += bytes;
        }
        may
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut taken = self.share.taken();
        taken.all -= self.bytes;
        if let Some(of_group) = taken.groups.get_mut(&self.group) {
            *of_group -= self.bytes;
            if *of_group == 0 {
                taken.groups.remove(&self.group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_takes_its_part_and_what_is_dropped_can_be_taken_again() {
        let share = Share::new(10, 6);
        let (a, b) = (Group::of("a"), Group::of("b"));
        let (mut first, mut second, mut other) = (share.of(&a), share.of(&a), share.of(&b));
        assert!(first.take(4) && second.take(2) && !second.take(1), "6 for each");
        assert!(other.take(4) && !other.take(1), "10 in all");
        drop(first);
        assert!(second.take(4) && !other.take(1));
        drop((second, other));
        assert!(share.taken().groups.is_empty() && share.taken().all == 0);
    }
}
