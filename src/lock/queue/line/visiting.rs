//! A run's visits to the queue: entering its ticket, finding its place, and removing the ticket again.

use std::rc::Rc;
use std::time::Duration;

use super::{Leaving, Line, Membership};
use crate::lock::host::{Host, Instant};
use crate::lock::queue::order::{self, pace};
use crate::lock::queue::{Ticket, Tickets};
use crate::lock::record::LockId;
use crate::lock::store::companion::{
    Companion, Document, Edit, Edited, KnownDocument, OnFailure, Persistence, Purpose,
};
use crate::lock::store::{Store, StoreError};

/// How long one request to the queue may take. The queue is not worth a longer delay.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long a run competes with others to enter its ticket before it waits without a place for now.
const ENTERING: Duration = Duration::from_secs(5);
/// How often to visit the queue.
const AGAIN: Duration = Duration::from_secs(10);
/// How long removing the ticket may take.
const LEAVING: Duration = Duration::from_secs(1);

impl Line {
    /// Visits the queue if that is due.
    pub async fn visit_if_due(&mut self) {
        if self.membership != Membership::NoQueue && self.host.now() >= self.next_visit {
            self.visit().await;
        }
    }

    /// Visits the queue: enters our ticket if it is not there, and finds our place.
    pub async fn visit(&mut self) {
        if self.companion.is_none() {
            self.companion = self.store.companion(Purpose::Queue);
        }
        let Some(companion) = self.companion.clone() else {
            self.membership = Membership::NoQueue;
            return;
        };
        self.membership = match self.enter(&companion).await {
            Ok(place) => place,
            // The next visit may succeed, and our ticket may still be there.
            Err(Trouble::Passing) => self.membership,
            Err(Trouble::Lasting) => Membership::NoQueue,
        };
        let after = match self.membership {
            Membership::Inside => AGAIN.max(pace(self.before.len()) * 4),
            Membership::Outside | Membership::NoQueue => AGAIN,
        };
        self.next_visit = Instant(self.host.now().0 + after);
    }

    /// Enters our ticket unless it is there.
    async fn enter(&mut self, companion: &Companion) -> Result<Membership, Trouble> {
        let host = Rc::clone(&self.host);
        let mut seen = KnownDocument::Unread;
        let entered = companion.edit(
            host.as_ref(),
            persistence(ENTERING),
            &mut seen,
            |document| self.enter_into(document),
        );
        let entered = entered.await;
        let tickets = match &seen {
            KnownDocument::Read(document) => tickets_of(document.as_ref()),
            KnownDocument::Unread => Err(Trouble::Lasting),
        };
        self.seen = seen;
        match entered? {
            Edited::Done => {
                self.stands_in(&tickets?.tickets);
                Ok(Membership::Inside)
            }
            Edited::OutOfTime => Ok(Membership::Outside),
            Edited::LeftAlone => Err(Trouble::Lasting),
        }
    }

    fn enter_into(&mut self, document: Option<&Document>) -> Edit {
        let Ok(mut queue) = tickets_of(document) else {
            return Edit::Refuse;
        };
        let tickets = &mut queue.tickets;
        let seen_before = self
            .seen_before
            .get_or_insert_with(|| tickets.iter().map(|one| one.id.clone()).collect());
        if order::before(tickets, &self.mine.id).is_some() {
            return Edit::Keep;
        }
        order::clear(tickets, self.host.wall());
        self.mine.under.clone_from(&self.under);
        order::enter(tickets, self.mine.clone(), seen_before);
        let Some(text) = queue.to_text() else {
            return Edit::Refuse;
        };
        self.may_be_there = true;
        Edit::Write(text)
    }

    fn stands_in(&mut self, tickets: &[Ticket]) {
        let before = order::before(tickets, &self.mine.id).unwrap_or_default();
        self.seen_before = Some(before.iter().map(|ticket| ticket.id.clone()).collect());
        self.behind = order::behind(tickets, &self.mine.id).len();
        let before = match &self.holder {
            Some(holder) => order::behind(before, holder),
            None => before,
        };
        let before = order::competing(before, self.under.as_ref());
        // A run was served or has left: the lock is now reserved for the next one.
        if self.before.iter().ne(&before) && self.open_since.is_some() {
            self.open_since = Some(self.host.now());
        }
        self.before = before;
    }

    /// Removes our ticket because this run gives up.
    pub async fn give_up(&mut self) {
        let host = Rc::clone(&self.host);
        tokio::select! {
            biased;
            () = self.leave(order::Leaving::GaveUp) => {}
            () = host.sleep(LEAVING) => {}
        }
    }

    /// Removes our ticket because this run has the lock; `None` if there can be none.
    #[must_use]
    pub fn served(mut self) -> Option<Leaving> {
        self.may_be_there.then(|| -> Leaving {
            Box::pin(async move { self.leave(order::Leaving::Served).await })
        })
    }

    async fn leave(&mut self, leaving: order::Leaving) {
        let Some(companion) = self.companion.clone().filter(|_| self.may_be_there) else {
            return;
        };
        let (host, id) = (Rc::clone(&self.host), self.mine.id.clone());
        let edit = |document: Option<&Document>| {
            let Ok(mut tickets) = tickets_of(document) else {
                return Edit::Refuse;
            };
            let there = tickets.tickets.len();
            order::leave(&mut tickets.tickets, &id, leaving);
            match tickets.tickets.len() {
                0 => Edit::Remove,
                left if left == there => Edit::Keep,
                // We do not cut a document that is too long for us.
                _ => tickets.to_text().map_or(Edit::Refuse, Edit::Write),
            }
        };
        // Nothing depends on it.
        let _ = companion
            .edit(
                host.as_ref(),
                persistence(Duration::MAX),
                &mut self.seen,
                edit,
            )
            .await;
    }
}

/// For requests to the queue: a failure is not worth a delay, a busy queue is.
fn persistence(patience: Duration) -> Persistence {
    Persistence {
        patience,
        attempt: ATTEMPT,
        on_failure: OnFailure::Return,
    }
}

/// Why the queue cannot be used.
#[derive(Debug)]
enum Trouble {
    /// It may be usable again soon.
    Passing,
    /// Forbidden, full, or not a queue.
    Lasting,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        if error.kind.is_transient() {
            Self::Passing
        } else {
            Self::Lasting
        }
    }
}

fn tickets_of(document: Option<&Document>) -> Result<Tickets, Trouble> {
    match document {
        None => Ok(Tickets::default()),
        Some(document) => Tickets::parse(document.text()).ok_or(Trouble::Lasting),
    }
}

/// The runs that wait for the lock of `store` while `holder` has it, for people; empty if the queue does not answer soon.
pub async fn read(store: &dyn Store, host: &dyn Host, holder: Option<&LockId>) -> Vec<Ticket> {
    let Some(companion) = store.companion(Purpose::Queue) else {
        return Vec::new();
    };
    let document = tokio::select! {
        biased;
        answer = companion.read() => answer.ok().flatten(),
        () = host.sleep(ATTEMPT) => None,
    };
    let Ok(tickets) = tickets_of(document.as_ref()) else {
        return Vec::new();
    };
    let mut tickets = tickets.tickets;
    order::clear(&mut tickets, host.wall());
    match holder {
        Some(holder) => order::behind(&tickets, holder).to_vec(),
        None => tickets,
    }
}
