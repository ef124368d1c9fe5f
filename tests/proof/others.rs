//! Who else touches the lock: plain terraform, which compares nothing when it unlocks, and people.

use std::rc::Rc;
use std::time::Duration;

use super::client::Client;
use super::referee::{Party, Referee};
use super::server::{Request, Server};
use crate::lock::evict::{Removal, remove};
use crate::lock::hold::Hold;
use crate::lock::host::Host as _;
use crate::lock::record::{LockId, LockInfo, Record};
use crate::lock::store::{Store as _, StoreError, Stored, Swap};
use crate::simulation::SimulatedHost;

/// How often the AWS SDK for Go sends a request whose answer does not come or says to.
const SDK_ATTEMPTS: u32 = 3;

/// A plain terraform with the S3 backend.
pub(super) struct Terraform {
    pub(super) party: Party,
    pub(super) host: SimulatedHost,
    pub(super) id: LockId,
    pub(super) client: Client,
    pub(super) server: Rc<Server>,
    pub(super) referee: Referee,
    /// `-lock-timeout`.
    pub(super) patience: Duration,
    pub(super) work: Duration,
}

impl Terraform {
    pub(super) async fn run(self) {
        let how = if self.lock().await {
            self.work().await;
            self.unlock().await
        } else {
            "not locked"
        };
        self.referee.ended(self.party, how);
        self.host.kill();
    }

    async fn work(&self) {
        let process = self.host.machine().child_under(&self.id);
        let standing = [self.server.holder()];
        self.referee.child_started(self.party, process, &standing);
        self.host.sleep(self.work).await;
        self.host.machine().end(process);
        self.referee.child_ended(self.party);
    }

    /// `LockWithContext`: attempts after pauses of 1, 2, 4, 8, 16, 16, … seconds.
    async fn lock(&self) -> bool {
        let info = LockInfo {
            id: self.id.clone(),
            operation: "OperationTypeApply".into(),
            created: self.host.wall().to_rfc3339(),
            ..LockInfo::default()
        };
        let record = Record {
            info: Some(info.to_go_json()),
            lease: None,
        };
        let began = self.host.machine().running_for();
        let mut pause = Duration::from_secs(1);
        loop {
            let put = Request::Swap {
                expected: None,
                new: Some(record.clone()),
            };
            match self.ask(put).await {
                Ok(Swap::Done(_)) => return true,
                // It does not know its own lock again.
                Ok(Swap::Refused(_)) => {}
                Err(_) => return false,
            }
            if self.ask(Request::Read).await.is_err() {
                return false;
            }
            if self.host.machine().running_for() - began + pause > self.patience {
                return false;
            }
            self.host.sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(16));
        }
    }

    /// Looks whose lock it is, and deletes whatever stands there by then.
    async fn unlock(&self) -> &'static str {
        let Ok(Swap::Done(seen) | Swap::Refused(seen)) = self.ask(Request::Read).await else {
            return "its lock is left";
        };
        if seen.and_then(|seen| seen.record.lock_id()).as_ref() != Some(&self.id) {
            return "another has its lock";
        }
        match self.ask(Request::DeleteUncompared).await {
            Ok(_) => "unlocked",
            Err(_) => "its lock is left",
        }
    }

    async fn ask(&self, request: Request) -> Result<Swap, StoreError> {
        let mut attempt = 1;
        loop {
            match self.client.ask(request.clone()).await {
                Err(error) if error.kind.is_transient() && attempt < SDK_ATTEMPTS => {
                    self.host.sleep(Duration::from_millis(100 << attempt)).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }
}

/// Whether a person means the lock even if its holder goes on writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Insistence {
    /// `force-unlock`: a heartbeat since it was shown ends it.
    Careful,
    /// `force-unlock --force`.
    Forced,
}

/// Somebody who looks at the lock and removes what was shown.
pub(super) struct Person {
    pub(super) party: Party,
    pub(super) host: SimulatedHost,
    /// Every place of the lock.
    pub(super) clients: Vec<Client>,
    pub(super) referee: Referee,
    pub(super) thinks_for: Duration,
    pub(super) insistence: Insistence,
}

impl Person {
    pub(super) async fn run(self) {
        let mut shown = Vec::new();
        for client in &self.clients {
            shown.push(client.read().await);
        }
        self.host.sleep(self.thinks_for).await;
        for (client, shown) in self.clients.iter().zip(shown) {
            let how = match shown {
                Ok(Some(shown)) => self.remove(client, shown).await,
                Ok(None) => "nothing to remove",
                Err(_) => "cannot look",
            };
            self.referee.ended(self.party, how);
        }
        self.host.kill();
    }

    /// As `commands/force_unlock.rs` has it.
    async fn remove(&self, client: &Client, mut shown: Stored) -> &'static str {
        loop {
            match remove(client, &self.host, &shown).await {
                Ok(Removal::Removed) => return "removed",
                Ok(Removal::Changed(Some(now)))
                    if self.insistence == Insistence::Forced
                        && now.record.is_same_lock_as(&shown.record) =>
                {
                    shown = now;
                }
                Ok(Removal::Changed(_)) => return "it has changed",
                Err(_) => return "cannot remove it",
            }
        }
    }
}

/// A hold that somebody has put there with this tflock, which has ended.
pub(super) fn hold_of(host: &SimulatedHost) -> Record {
    let mut claim = host.claim(None);
    claim.lease.hold = Some(Hold::until(None));
    claim.lease.holder = None;
    Record::new(&claim.info, claim.lease)
}
