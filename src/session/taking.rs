//! Getting all places of the lock, one after the other, or none.

use std::pin::pin;
use std::rc::Rc;

use tokio::sync::watch;

use super::Session;
use crate::child::{Phase, Signal, Signals};
use crate::lock::acquire::{self, AcquireError, Acquisition, Decision, Observed, Progress};
use crate::lock::held::Held;
use crate::lock::keeper::Keeper;
use crate::lock::store::Store;
use crate::ui::waiting::Waiting;

/// How the attempt to get all places of a lock ended.
pub(super) enum Taking {
    Held(Vec<Held>),
    TimedOut {
        /// The name of the place that is held.
        key: String,
        observed: Box<Observed>,
    },
    Stopped,
    Failed(AcquireError),
}

impl Session<'_> {
    /// Takes the places one after the other; a request to end gives back what was taken.
    pub(super) async fn take(&self, signals: &mut Signals) -> (Taking, Option<Signal>) {
        let (stop, stopped) = watch::channel(false);
        let mut taking = pin!(self.take_all(stopped));
        let mut asked_to_end = None;
        let taking = loop {
            tokio::select! {
                biased;
                taking = &mut taking => break taking,
                signal = signals.end_requested(Phase::Waiting), if asked_to_end.is_none() => {
                    asked_to_end = Some(signal);
                    stop.send_replace(true);
                }
            }
        };
        (taking, asked_to_end)
    }

    async fn take_all(&self, stop: watch::Receiver<bool>) -> Taking {
        let mut taken = Vec::new();
        for store in &self.stores {
            let not_taken = match self.take_one(store, stop.clone()).await {
                Ok(Acquisition::Held { held, replaced }) => {
                    taken.push(held);
                    if let Some(dead) = replaced {
                        self.tell_replaced(&dead);
                    }
                    continue;
                }
                Ok(Acquisition::TimedOut(observed)) => Taking::TimedOut {
                    key: store.key().to_owned(),
                    observed,
                },
                Ok(Acquisition::Stopped) => Taking::Stopped,
                Err(error) => Taking::Failed(error),
            };
            let mut keeper = Keeper::new(taken, Rc::clone(&self.host));
            for failed in keeper.release(|_| {}).await.failed {
                self.tell_not_released(&failed);
            }
            return not_taken;
        }
        Taking::Held(taken)
    }

    async fn take_one(
        &self,
        store: &Rc<dyn Store>,
        stop: watch::Receiver<bool>,
    ) -> Result<Acquisition, AcquireError> {
        self.ui
            .detail(|| format!("taking the lock `{}` in {}", store.key(), store.place()));
        let mut waiting = Waiting::new(self.ui, store.key(), self.patience, self.host.wall());
        let acquisition = acquire::acquire(
            Rc::clone(store),
            Rc::clone(&self.host),
            &self.claim,
            self.patience,
            stop,
            |progress| {
                let now = self.host.wall();
                match progress {
                    Progress::HeldBy(observed) => waiting.held_unless_taken_over(observed, now),
                    Progress::Retrying(error) => {
                        waiting.retrying(error, now);
                        Decision::Wait
                    }
                }
            },
        )
        .await;
        waiting.end();
        if let Ok(Acquisition::Held { replaced, .. }) = &acquisition {
            if waiting.was_shown() && replaced.is_none() {
                self.ui.notice("the lock is free, going on");
            }
            self.ui.detail(|| {
                format!(
                    "holding `{}` with the lock ID {}",
                    store.key(),
                    self.claim.info.id
                )
            });
        }
        acquisition
    }
}
