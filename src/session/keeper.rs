//! Keeps all places of a lock while the child runs, and gives them back.

use std::rc::Rc;

use crate::lock::held::{Held, RELEASE_PATIENCE, Release, Renewal};
use crate::lock::host::{Host, Instant};
use crate::lock::record::{LockId, ProcessIdentity};
use crate::lock::store::{StoreError, Stored};

/// The places of one lock.
pub(super) struct Keeper {
    held: Vec<Place>,
    host: Rc<dyn Host>,
}

struct Place {
    held: Held,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Ours,
    Lost,
}

/// What happened to the lock while the child ran.
pub(super) enum News {
    /// A heartbeat was written.
    Renewed,
    /// A heartbeat could not be written; it is tried again soon.
    NotRenewed(StoreError),
    /// The lock is not ours any more, in these words.
    Lost(String),
}

/// What came of a release.
#[derive(Default)]
pub(super) struct Released {
    /// Places that may still be held.
    pub failed: Vec<NotReleased>,
    /// Places that were lost without anybody noticing until now, in words.
    pub lost: Vec<String>,
}

/// A place that could not be given back.
pub(super) struct NotReleased {
    pub error: StoreError,
    /// What names the record that is left.
    pub id: LockId,
}

impl Keeper {
    pub(super) fn new(held: Vec<Held>, host: Rc<dyn Host>) -> Self {
        let held = held
            .into_iter()
            .map(|held| Place {
                held,
                standing: Standing::Ours,
            })
            .collect();
        Self { held, host }
    }

    /// Notes the child, so that the next heartbeat writes it.
    pub(super) fn set_child(&mut self, child: Option<ProcessIdentity>) {
        for place in &mut self.held {
            place.held.set_child(child);
        }
    }

    /// Renews at once: time may have passed unnoticed.
    pub(super) fn renew_now(&mut self) {
        for place in &mut self.held {
            place.held.renew_now();
        }
    }

    /// Whether a place was lost while the child ran.
    pub(super) fn lost_any(&self) -> bool {
        self.held
            .iter()
            .any(|place| place.standing == Standing::Lost)
    }

    /// Renews what is due next. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> News {
        let due = self
            .held
            .iter_mut()
            .filter(|place| place.standing == Standing::Ours)
            .filter_map(|place| Some((place.held.next_renewal()?, place)))
            .min_by_key(|(due, _)| *due);
        let Some((due, place)) = due else {
            return std::future::pending().await;
        };
        sleep_until(self.host.as_ref(), due).await;
        match place.held.renew().await {
            Ok(Renewal::Renewed) => News::Renewed,
            Ok(Renewal::Lost(now)) => {
                place.standing = Standing::Lost;
                News::Lost(lost(&place.held, now.as_ref()))
            }
            Err(error) => News::NotRenewed(error),
        }
    }

    /// Gives back all that is still ours, the last first.
    pub(super) async fn release(&mut self, mut retrying: impl FnMut(&StoreError)) -> Released {
        let mut released = Released::default();
        for place in self.held.iter_mut().rev() {
            if place.standing == Standing::Lost {
                continue;
            }
            match place.held.release(RELEASE_PATIENCE, &mut retrying).await {
                Ok(Release::Released) => {}
                Ok(Release::Lost(now)) => released.lost.push(lost(&place.held, now.as_ref())),
                Err(error) => released.failed.push(NotReleased {
                    id: place.held.id().clone(),
                    error,
                }),
            }
        }
        released
    }
}

/// A timer stands still while the machine is suspended; a look at the clock every second does not.
async fn sleep_until(host: &dyn Host, due: Instant) {
    const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
    loop {
        let left = due.since(host.now());
        if left.is_zero() {
            return;
        }
        host.sleep(left.min(LOOK_EVERY)).await;
    }
}

fn lost(held: &Held, now: Option<&Stored>) -> String {
    let key = held.store().key();
    match now {
        None => format!("the lock `{key}` is gone: somebody removed it while it was ours"),
        Some(stored) => {
            let who = stored.record.lock_info().map_or_else(
                || "somebody else".to_owned(),
                |info| crate::ui::holder::printable(&info.who),
            );
            format!("the lock `{key}` is not ours any more: {who} has it now")
        }
    }
}
