//! The end of an `exec`: keeps the lock until no process runs under it any more.

use std::time::Duration;

use super::Session;
use super::event::SessionEvent;
use crate::child::{Phase, Signals};
use crate::lock::held_locks::{HeldLocks, News};
use crate::system::process::Named;
use crate::system::run_file::RunFile;
use crate::system::run_file::lent::Loan;

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
        // If a check fails, the locks are kept.
        while !(take_back(loans) && take_all_places(run_file)) {
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

/// Takes back the loans whose turn is not in use, for good. Returns whether that was all of them.
fn take_back(loans: &[Loan]) -> bool {
    let is_taken = |loan: &&Loan| loan.take_back().unwrap_or(false);
    loans.iter().filter(is_taken).count() == loans.len()
}

fn take_all_places(run_file: Option<&RunFile>) -> bool {
    run_file.is_none_or(|file| file.take_all_places().unwrap_or(false))
}

/// The processes that have a turn; else those that have a place, perhaps one inherited from us.
fn borrowers(loans: &[Loan], run_file: Option<&RunFile>) -> Vec<Named> {
    let borrowers: Vec<Named> = loans.iter().flat_map(Loan::borrowers).collect();
    match run_file {
        Some(file) if borrowers.is_empty() => file.users(),
        _ => borrowers,
    }
}
