//! Collects all requests of a small scene, so that they can be carried out in any order.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash as _, Hasher};
use std::rc::Rc;

use tokio::sync::oneshot;

use crate::lock::store::Swap;
use crate::referee::Party;
use crate::server::{Envelope, Outcome, Place, Reply, Server, Wire, contents};

/// What is under way.
pub(super) struct Junction {
    pub(super) servers: Vec<Rc<Server>>,
    pub(super) pending: RefCell<Vec<Pending>>,
    /// Requests whose senders were told that their connections broke.
    pub(super) late: RefCell<Vec<Envelope>>,
    pub(super) answers: RefCell<Vec<SlowAnswer>>,
}

/// A request that has not arrived.
pub(super) struct Pending {
    pub(super) envelope: Envelope,
    pub(super) answer: oneshot::Sender<Outcome>,
    /// It may be overtaken by time.
    pub(super) slow: bool,
}

/// An answer that may be overtaken by time.
pub(super) struct SlowAnswer {
    pub(super) to: Party,
    /// From where.
    pub(super) place: Place,
    pub(super) outcome: Outcome,
    pub(super) answer: oneshot::Sender<Outcome>,
}

impl Junction {
    pub(super) fn new(servers: Vec<Rc<Server>>) -> Self {
        Self {
            servers,
            pending: RefCell::default(),
            late: RefCell::default(),
            answers: RefCell::default(),
        }
    }

    pub(super) fn take_pending(&self, index: usize) -> Pending {
        self.pending.borrow_mut().remove(index)
    }

    /// Carries out a request where it goes.
    pub(super) fn carry_out(&self, envelope: &Envelope) -> Outcome {
        self.servers[envelope.place].carry_out(envelope)
    }

    /// What is under way is lost.
    pub(super) fn clear(&self) {
        self.pending.borrow_mut().clear();
        self.late.borrow_mut().clear();
        self.answers.borrow_mut().clear();
    }

    /// The records and the requests under way, with their contents, in a few bytes.
    pub(super) fn digest(&self, hasher: &mut impl Hasher) {
        for server in &self.servers {
            server.digest(hasher);
        }
        for one in self.pending.borrow().iter() {
            one.slow.hash(hasher);
            one.envelope.digest(hasher);
        }
        "late".hash(hasher);
        for envelope in self.late.borrow().iter() {
            envelope.digest(hasher);
        }
        "answers".hash(hasher);
        for one in self.answers.borrow().iter() {
            let created_at = self.servers[one.place].created_at();
            (one.to, one.place).hash(hasher);
            digest(&one.outcome).hash(hasher);
            // Whoever has heard of a later request than the one that made a record could have known of it.
            let at = one.outcome.as_ref().map(|reply| reply.at);
            at.is_ok_and(|at| Some(at) > created_at).hash(hasher);
        }
    }
}

/// The wire of a party to a place: all go through the same junction.
#[derive(Clone)]
pub(super) struct ToJunction {
    pub(super) junction: Rc<Junction>,
    pub(super) place: Place,
}

impl Wire for ToJunction {
    fn send(&self, envelope: Envelope, answer: oneshot::Sender<Outcome>) {
        self.junction.pending.borrow_mut().push(Pending {
            envelope,
            answer,
            slow: false,
        });
    }

    fn server(&self) -> &Server {
        &self.junction.servers[self.place]
    }
}

/// An answer in a few bytes.
pub(super) fn digest(outcome: &Outcome) -> u64 {
    let mut hasher = DefaultHasher::new();
    match outcome {
        Ok(Reply { swap, .. }) => {
            let (is_done, stored) = match swap {
                Swap::Done(stored) => (true, stored),
                Swap::Refused(stored) => (false, stored),
            };
            is_done.hash(&mut hasher);
            let stored = stored.as_ref();
            stored
                .map(|stored| contents(&stored.record))
                .hash(&mut hasher);
        }
        Err(kind) => std::mem::discriminant(kind).hash(&mut hasher),
    }
    hasher.finish()
}
