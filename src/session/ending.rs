//! The end of an `exec`: keeps the lock until no process runs under it any more.

use std::time::Duration;

use super::Session;
use super::event::SessionEvent;
use crate::child::{Phase, Signals};
use crate::lock::held_locks::{HeldLocks, News};
use crate::system::process::Named;
use crate::system::run_file::RunFile;
use crate::system::run_file::lent::{Loan, are_back};

/// How often to check whether they have ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Session<'_> {
    /// Waits until every terraform that has borrowed a lock has ended, even in another process group or session. From then
    /// on no lock can be borrowed.
    pub(super) async fn wait_for_borrowers(
        &self,
        loans: &[Loan],
        run_file: Option<&RunFile>,
        locks: &mut HeldLocks,
        signals: &mut Signals,
    ) {
        let mut told: Option<Vec<Named>> = None;
        let mut looks = 0;
        while !are_back(loans, run_file) {
            looks += 1;
            let borrowers = borrowers(loans, run_file);
            // The first check may have met a process that only checked whether this run is alive.
            if looks > 1 && told.as_ref() != Some(&borrowers) {
                self.tell(SessionEvent::Borrowed(&borrowers));
                told = Some(borrowers);
            }
            tokio::select! {
                biased;
                signal = signals.end_requested(Phase::Releasing) => {
                    self.tell(SessionEvent::DelayedByBorrowers(signal.kind.number()));
                }
                news = locks.next() => match news {
                    News::Lost(loss) => self.tell(SessionEvent::Lost(&loss)),
                    News::Expiring { key } => self.tell(SessionEvent::Expiring { key: &key }),
                    News::Renewed | News::NotRenewed(_) => {}
                },
                () = self.host.sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// The processes that have a turn; else those that have a place, perhaps one inherited from us.
fn borrowers(loans: &[Loan], run_file: Option<&RunFile>) -> Vec<Named> {
    let borrowers: Vec<Named> = loans.iter().flat_map(Loan::borrowers).collect();
    match run_file {
        Some(file) if borrowers.is_empty() => file.users(),
        _ => borrowers,
    }
}
