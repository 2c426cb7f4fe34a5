//! Forgets what can no longer make a difference, so that fewer states are distinct.

use crate::protocol::{Order, Protocol, Wrong};
use crate::state::*;
use crate::{RING, TTL};

impl Protocol {
    pub fn tidy(&self, t: &mut State) {
        for c in 0..2 {
            if !self.world.travel && t.clients[c].request >= ANSWERED {
                self.receives(t, c);
            }
            let client = &mut t.clients[c];
            if client.age == TTL && !self.is(Wrong::TtlFromReply) {
                // A reply would now come too late to be believed.
                (client.request, client.age) = (NONE, 0);
            }
            if client.left == 0 {
                client.slot = 0;
            }
        }
        // Under these two wrong rules even a fenced owner's write has consequences.
        let writes_in_vain = !self.is(Wrong::ReplyBeforeDurable) && !self.is(Wrong::SkipsToNextObject);
        for o in 0..2 {
            if writes_in_vain {
                self.forget_fenced(t, o);
            }
        }
        for c in 0..2 {
            let request = t.clients[c].request;
            if (IN_ENTRY_OF..ANSWERED).contains(&request) {
                let owner = &t.owners[usize::from(request - IN_ENTRY_OF)];
                let coming = owner.put == DONE || owner.put == SENT && (owner.is_fresh() || !writes_in_vain);
                if !coming || !owner.records.contains(&(c as u8 + 2)) {
                    (t.clients[c].request, t.clients[c].age) = (NONE, 0);
                }
            }
        }
        if !self.world.log {
            t.base = t.replay();
            t.ring.iter_mut().for_each(|entry| entry.records = [0, 0]);
            t.folded = 1;
        } else if t.folded == 1 {
            let oldest = usize::from(t.oldest()) % RING;
            t.ring[oldest].records = [0, 0];
        }
        t.renumber();
    }

    /// If another process has written the object that an owner would write next, the owner can only answer from memory;
    /// once it cannot, it is as good as crashed.
    fn forget_fenced(&self, t: &mut State, o: usize) {
        let owner = &t.owners[o];
        let leads = t.lease == o as u8 + 1;
        let nothing_read = owner.phase == BEGUN && self.order != Order::ReadLeaseSeal;
        let fenced = owner.phase != IDLE && !nothing_read && owner.put != DONE && !owner.is_fresh();
        if !fenced && (owner.phase != SEALED || leads) {
            return;
        }
        let ever_proves = leads
            || owner.proof != 0
            || owner.renewing != 0
            || self.is(Wrong::HeartbeatsWithoutProof)
            || self.is(Wrong::LeaseTakenBackWithoutSeal);
        if owner.phase == OWNER && ever_proves {
            t.owners[o] = Owner { fresh: 0, next: 0, wait: [0, 0], ..*owner };
        } else {
            t.crash(o);
        }
    }
}
