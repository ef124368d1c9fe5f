//! A store with one thing changed: what a test does not alter goes through to the store below.

use std::rc::Rc;

use crate::lock::record::Record;
use crate::lock::store::companion::{Companion, Purpose};
use crate::lock::store::{Heartbeats, Identity, Refusal, Store, StoreFuture, Stored, Swap};

/// What is different from the store `below`.
pub trait Alteration {
    /// Instead of [`Store::read`].
    fn read<'a>(&'a self, below: &'a dyn Store) -> StoreFuture<'a, Option<Stored>> {
        below.read()
    }

    /// Instead of [`Store::swap`].
    fn swap<'a>(
        &'a self,
        below: &'a dyn Store,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        below.swap(expected, new)
    }

    /// Instead of [`Store::heartbeats`].
    fn heartbeats(&self, below: &dyn Store) -> Heartbeats {
        below.heartbeats()
    }

    /// Instead of [`Store::identity`].
    fn identity(&self, below: &dyn Store) -> Identity {
        below.identity()
    }

    /// Instead of [`Store::refusal`].
    fn refusal(&self, below: &dyn Store) -> Refusal {
        below.refusal()
    }

    /// Instead of [`Store::companion`].
    fn companion(&self, below: &dyn Store, purpose: Purpose) -> Option<Companion> {
        below.companion(purpose)
    }
}

/// The store `below` with an alteration.
pub struct Altered<A> {
    below: Rc<dyn Store>,
    alteration: A,
}

impl<A: Alteration + 'static> Altered<A> {
    /// `below`, altered, for the protocol to use.
    pub fn shared(below: Rc<dyn Store>, alteration: A) -> Rc<dyn Store> {
        Rc::new(Self { below, alteration })
    }
}

impl<A: Alteration> Store for Altered<A> {
    fn read(&self) -> StoreFuture<'_, Option<Stored>> {
        self.alteration.read(&*self.below)
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        self.alteration.swap(&*self.below, expected, new)
    }

    fn heartbeats(&self) -> Heartbeats {
        self.alteration.heartbeats(&*self.below)
    }

    fn key(&self) -> &str {
        self.below.key()
    }

    fn identity(&self) -> Identity {
        self.alteration.identity(&*self.below)
    }

    fn place(&self) -> String {
        self.below.place()
    }

    fn kind(&self) -> &'static str {
        self.below.kind()
    }

    fn refusal(&self) -> Refusal {
        self.alteration.refusal(&*self.below)
    }

    fn companion(&self, purpose: Purpose) -> Option<Companion> {
        self.alteration.companion(&*self.below, purpose)
    }
}
