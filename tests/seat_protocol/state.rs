//! One state of the whole world, small enough to compare millions of them.

use std::cmp::Ordering;

use crate::RING;

/// The holder of a slot: nobody, the session of client 0 or 1, or a session that has ended.
pub const FREE: u8 = 0;
pub const ENDED: u8 = 3;

/// The phase of an owner. A process without memory is `IDLE`: newly started, crashed, or fenced and aware of it.
pub const IDLE: u8 = 0;
/// The first of the two steps before the seal is done: the ring is read, or the Lease is taken (see `Order`).
pub const BEGUN: u8 = 1;
pub const SEALING: u8 = 2;
/// The seal is known to be durable; the Lease must still be found unchanged (`Order::SealThenConfirm`).
pub const SEALED: u8 = 3;
pub const OWNER: u8 = 4;

/// The state of a write: none, on its way, or carried out without its sender knowing.
pub const NONE: u8 = 0;
pub const SENT: u8 = 1;
pub const DONE: u8 = 2;

/// The state of a client's request: `NONE`, `SENT`, in the entry that owner o is writing, or answered with a slot.
pub const IN_ENTRY_OF: u8 = 2;
pub const ANSWERED: u8 = 4;

/// The owner knows the present version of every object.
pub const ALL_FRESH: u8 = (1 << RING) - 1;

/// An entry's record for each slot: 0 for none, else the new holder plus one.
pub type Records = [u8; 2];

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Owner {
    pub phase: u8,
    /// For how many ticks of its own clock its last renewal of the Lease still proves ownership.
    pub proof: u8,
    /// One bit per object of the ring: the version it knows is still the present one.
    pub fresh: u8,
    /// The sequence of the entry it writes next, or is writing.
    pub next: u8,
    pub table: [u8; 2],
    /// Ticks of its own clock until it may free the slot.
    pub wait: [u8; 2],
    pub put: u8,
    pub records: Records,
    /// A renewal was carried out and its reply is on its way (only with `Wrong::ProofFromReply`).
    pub renewing: u8,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Client {
    pub request: u8,
    /// Ticks of its own clock since it sent the request.
    pub age: u8,
    /// The slot it believes to hold plus one, or 0 (3 is both, which must never happen), and for how many ticks of its
    /// own clock.
    pub slot: u8,
    pub left: u8,
    /// A release that names only the client is on its way (only with `Wrong::SessionUsedAgain`).
    pub releasing: u8,
}

impl Owner {
    /// Whether no other process has written the object that this owner writes next.
    pub fn is_fresh(&self) -> bool {
        self.fresh & bit(self.next) != 0
    }
}

impl Client {
    pub fn answer(&mut self, slot: usize, travel: bool) {
        self.request = ANSWERED + slot as u8;
        if !travel {
            self.age = 0;
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Entry {
    pub sequence: u8,
    pub records: Records,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct State {
    /// The table after the last entry that was folded into it, and whether it contains the oldest entry of the ring.
    pub base: [u8; 2],
    pub folded: u8,
    pub ring: [Entry; RING],
    /// The process that knows the Lease's present version, plus one.
    pub lease: u8,
    pub owners: [Owner; 2],
    pub clients: [Client; 2],
    /// A write on its way whose sender has crashed or given up: its sequence plus one, or 0.
    pub orphan: u8,
    pub orphan_records: Records,
}

impl State {
    /// Returns the state with an empty log: entries 0 … RING − 1 without records.
    pub fn first() -> Self {
        let mut state = Self { folded: 1, ..Self::default() };
        for (sequence, entry) in state.ring.iter_mut().enumerate() {
            entry.sequence = sequence as u8;
        }
        state
    }

    /// Returns the table that a reader of the store computes: the base, plus the entries that are not in it, in order.
    pub fn replay(&self) -> [u8; 2] {
        let mut table = self.base;
        let oldest = self.oldest();
        for sequence in oldest + self.folded..=self.newest() {
            let entry = &self.ring[usize::from(sequence) % RING];
            if entry.sequence == sequence {
                apply(&mut table, entry.records);
            }
        }
        table
    }

    pub fn oldest(&self) -> u8 {
        self.ring.iter().map(|entry| entry.sequence).min().unwrap_or_default()
    }

    pub fn newest(&self) -> u8 {
        self.ring.iter().map(|entry| entry.sequence).max().unwrap_or_default()
    }

    /// Whether two clients believe they hold the same slot, or one session believes it holds two. It must never happen.
    pub fn held_twice(&self) -> bool {
        let [first, second] = self.clients.map(|client| client.slot);
        first & second != 0 || first == 3 || second == 3
    }

    /// The store carries out a write: no process knows the object's version any longer, and a write on its way that
    /// names the version before will fail.
    pub fn store(&mut self, sequence: u8, records: Records) {
        self.ring[usize::from(sequence) % RING] = Entry { sequence, records };
        for owner in &mut self.owners {
            owner.fresh &= !bit(sequence);
        }
        if self.orphan != 0 && bit(self.orphan - 1) == bit(sequence) {
            (self.orphan, self.orphan_records) = (0, [0, 0]);
        }
        self.folded = 0;
    }

    /// Folds the oldest entry, the next to be overwritten, into the base.
    pub fn fold(&mut self) {
        if self.folded == 0 {
            let records = self.ring[usize::from(self.oldest()) % RING].records;
            apply(&mut self.base, records);
            self.folded = 1;
        }
    }

    /// Owner `o` no longer waits for its write. One such write may still arrive; a second one is lost.
    pub fn abandon(&mut self, o: usize) {
        let owner = self.owners[o];
        if owner.put == SENT && owner.is_fresh() && self.orphan == 0 {
            (self.orphan, self.orphan_records) = (owner.next + 1, owner.records);
        }
        self.owners[o].put = NONE;
        if owner.put == DONE {
            // The write was carried out without its knowledge, so it does not know the present version either.
            self.owners[o].fresh &= !bit(owner.next);
        }
    }

    pub fn crash(&mut self, o: usize) {
        self.owners[o] = Owner::default();
        if self.lease == o as u8 + 1 {
            self.lease = 0;
        }
    }

    /// Sequences matter only relative to each other, and as places in the ring.
    pub fn renumber(&mut self) {
        let oldest = self.oldest();
        let turn = usize::from(oldest) % RING;
        self.ring.rotate_left(turn);
        for entry in &mut self.ring {
            entry.sequence -= oldest;
        }
        for owner in &mut self.owners {
            owner.fresh = (owner.fresh >> turn | owner.fresh << (RING - turn)) & ALL_FRESH;
            // An owner with no fresh object left will never write again.
            owner.next = if owner.fresh == 0 { 0 } else { owner.next - oldest };
        }
        if self.orphan != 0 {
            self.orphan -= oldest;
        }
    }

    /// Packs the state into 123 bits. It is written out by hand, because an unoptimized search spends most of its time
    /// here.
    pub fn pack(&self) -> u128 {
        let [entry0, entry1, entry2] = self.ring;
        let sequences = [entry0.sequence, entry1.sequence, entry2.sequence];
        let rest = [self.folded, self.lease, self.orphan];
        let mut halves = [0_u64; 2];
        for (half, whole) in halves.iter_mut().enumerate() {
            let (owner, client) = (&self.owners[half], &self.clients[half]);
            let mut packed = u64::from(owner.phase);
            packed = packed << 2 | u64::from(owner.proof);
            packed = packed << 3 | u64::from(owner.fresh);
            packed = packed << 3 | u64::from(owner.next);
            packed = packed << 2 | u64::from(owner.put);
            packed = packed << 1 | u64::from(owner.renewing);
            packed = packed << 4 | u64::from(owner.table[0] << 2 | owner.table[1]);
            packed = packed << 6 | u64::from(owner.wait[0] << 3 | owner.wait[1]);
            packed = packed << 6 | u64::from(owner.records[0] << 3 | owner.records[1]);
            packed = packed << 3 | u64::from(client.request);
            packed = packed << 2 | u64::from(client.age);
            packed = packed << 5 | u64::from(client.slot << 3 | client.left << 1 | client.releasing);
            packed = packed << 5 | u64::from(self.base[half] << 3 | self.orphan_records[half]);
            packed = packed << 6 | u64::from(entry0.records[half] << 3 | entry1.records[half]);
            packed = packed << 3 | u64::from(entry2.records[half]);
            let three = if half == 0 { sequences } else { rest };
            packed = packed << 6 | u64::from(three[0] << 3 | three[1]);
            *whole = packed << 3 | u64::from(three[2]);
        }
        u128::from(halves[0]) << 64 | u128::from(halves[1])
    }

    pub fn unpack(packed: u128) -> Self {
        let mut state = Self::default();
        for half in 0..2 {
            let mut packed = (packed >> (64 - 64 * half)) as u64;
            let mut take = |bits: u32| {
                let field = packed as u8 & ((1 << bits) - 1);
                packed >>= bits;
                field
            };
            let three = [take(3), take(3), take(3)];
            for entry in state.ring.iter_mut().rev() {
                entry.records[half] = take(3);
            }
            (state.orphan_records[half], state.base[half]) = (take(3), take(2));
            let client = &mut state.clients[half];
            (client.releasing, client.left, client.slot) = (take(1), take(2), take(2));
            (client.age, client.request) = (take(2), take(3));
            let owner = &mut state.owners[half];
            (owner.records[1], owner.records[0]) = (take(3), take(3));
            (owner.wait[1], owner.wait[0]) = (take(3), take(3));
            (owner.table[1], owner.table[0]) = (take(2), take(2));
            (owner.renewing, owner.put) = (take(1), take(2));
            (owner.next, owner.fresh, owner.proof, owner.phase) = (take(3), take(3), take(2), take(3));
            if half == 0 {
                for (entry, sequence) in state.ring.iter_mut().zip(three.into_iter().rev()) {
                    entry.sequence = sequence;
                }
            } else {
                [state.orphan, state.lease, state.folded] = three;
            }
        }
        state
    }

    /// Returns the same value for states that differ only in names: which owner, client and slot comes first is
    /// irrelevant.
    pub fn canonical(&self) -> u128 {
        let owner = |o: &Owner| [o.phase, o.proof, o.fresh, o.next, o.put, o.wait[0] + o.wait[1]];
        let client = |c: &Client| [u8::from(c.request == NONE), c.age, c.slot.min(1), c.left];
        let slot = |slot: usize| {
            let waits = self.owners[0].wait[slot] + self.owners[1].wait[slot];
            [u8::from(self.base[slot] == FREE), u8::from(self.base[slot] == ENDED), waits]
        };
        let owners = owner(&self.owners[0]).cmp(&owner(&self.owners[1]));
        let clients = client(&self.clients[0]).cmp(&client(&self.clients[1]));
        let slots = slot(0).cmp(&slot(1));
        let mut least = u128::MAX;
        for names in 0..8 {
            // Cheap marks that do not depend on names decide most cases; only if they are equal are both orders tried.
            let fits =
                |bit: i32, order: Ordering| order == Ordering::Equal || (names & bit != 0) == (order == Ordering::Less);
            if !(fits(1, owners) && fits(2, clients) && fits(4, slots)) {
                continue;
            }
            let mut state = *self;
            if names & 1 != 0 {
                state.swap_owners();
            }
            if names & 2 != 0 {
                state.swap_clients();
            }
            if names & 4 != 0 {
                state.swap_slots();
            }
            least = least.min(state.pack());
        }
        least
    }

    fn swap_owners(&mut self) {
        self.owners.swap(0, 1);
        self.lease = [0, 2, 1][usize::from(self.lease)];
        for client in &mut self.clients {
            client.request = [0, 1, 3, 2, 4, 5][usize::from(client.request)];
        }
    }

    fn swap_clients(&mut self) {
        self.clients.swap(0, 1);
        self.rename(|holder| [0, 2, 1, 3][usize::from(holder)]);
    }

    fn swap_slots(&mut self) {
        self.base.swap(0, 1);
        self.orphan_records.swap(0, 1);
        for entry in &mut self.ring {
            entry.records.swap(0, 1);
        }
        for owner in &mut self.owners {
            owner.table.swap(0, 1);
            owner.wait.swap(0, 1);
            owner.records.swap(0, 1);
        }
        for client in &mut self.clients {
            client.slot = [0, 2, 1][usize::from(client.slot)];
            client.request = [0, 1, 2, 3, 5, 4][usize::from(client.request)];
        }
    }

    /// Renames every holder, wherever it is named.
    pub fn rename(&mut self, name: impl Fn(u8) -> u8) {
        let record = |record: u8| if record == 0 { 0 } else { name(record - 1) + 1 };
        self.base = self.base.map(&name);
        self.orphan_records = self.orphan_records.map(record);
        for entry in &mut self.ring {
            entry.records = entry.records.map(record);
        }
        for owner in &mut self.owners {
            owner.table = owner.table.map(&name);
            owner.records = owner.records.map(record);
        }
    }
}

/// Returns the bit of the object that holds the entry of this sequence.
pub fn bit(sequence: u8) -> u8 {
    1 << (usize::from(sequence) % RING)
}

pub fn apply(table: &mut [u8; 2], records: Records) {
    for (holder, record) in table.iter_mut().zip(records) {
        if record != 0 {
            *holder = record - 1;
        }
    }
}
