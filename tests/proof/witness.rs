//! Whoever outlives tflock, and asks its child to stop where tflock cannot: `src/child/witness.rs`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::referee::{Party, Referee};
use crate::lock::host::Host as _;
use crate::lock::record::ProcessIdentity;
use crate::simulation::SimulatedHost;

/// Clones share the child.
#[derive(Clone, Default)]
pub(super) struct Witness(Rc<RefCell<Option<Child>>>);

#[derive(Clone)]
struct Child {
    process: ProcessIdentity,
    stop: watch::Sender<bool>,
    /// After how long the witness asks it to stop by itself.
    limit: watch::Sender<Option<Duration>>,
}

impl Witness {
    /// Knows a child from now on. The receivers hear when it is asked to stop, and of limits.
    pub(super) fn begin(
        &self,
        process: ProcessIdentity,
    ) -> (watch::Receiver<bool>, watch::Receiver<Option<Duration>>) {
        let (stop, stopped) = watch::channel(false);
        let (limit, limits) = watch::channel(None);
        *self.0.borrow_mut() = Some(Child {
            process,
            stop,
            limit,
        });
        (stopped, limits)
    }

    /// From now on it asks the child to stop by itself, unless this is called again within `limit`.
    pub(super) fn set_limit(&self, limit: Option<Duration>) {
        if let Some(child) = self.0.borrow().as_ref() {
            child.limit.send_replace(limit);
        }
    }

    pub(super) fn process(&self) -> Option<ProcessIdentity> {
        self.0.borrow().as_ref().map(|child| child.process)
    }

    /// Asks the child to stop if tflock lets a limit pass: it was stopped, or hangs.
    pub(super) async fn watch(
        self,
        mut limits: watch::Receiver<Option<Duration>>,
        host: SimulatedHost,
        referee: Referee,
        party: Party,
    ) {
        loop {
            let limit = *limits.borrow_and_update();
            let over = async {
                match limit {
                    Some(limit) => host.sleep(limit).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Ok(()) = limits.changed() => {}
                () = over => {
                    self.ask_to_stop(&referee, party, "tflock says nothing");
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Asks the child to stop, once however often it is called.
    pub(super) fn ask_to_stop(&self, referee: &Referee, party: Party, why: &str) {
        if let Some(child) = self.0.borrow().as_ref()
            && !child.stop.send_replace(true)
        {
            referee.asked_to_stop(party, why);
        }
    }
}
