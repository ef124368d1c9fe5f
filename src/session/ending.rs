//! After the program of an `exec` has ended: the lock is kept until nobody runs under it any more.

use std::time::Duration;

use super::Session;
use super::event::SessionEvent;
use crate::child::{Phase, Signals};
use crate::lock::held_locks::{HeldLocks, News};
use crate::system::process::Named;
use crate::system::run_file::RunFile;
use crate::system::run_file::lent::Loan;

/// How often it is looked whether they have ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Session<'_> {
    /// Waits until every terraform that has borrowed the lock has ended, wherever it has gone: into another process group,
    /// another session. From then on the lock cannot be borrowed.
    pub(super) async fn wait_for_borrowers(
        &self,
        loan: &Loan,
        run_file: Option<&RunFile>,
        locks: &mut HeldLocks,
        signals: &mut Signals,
    ) {
        let mut told: Option<Vec<Named>> = None;
        let mut looks = 0;
        // A look that fails tells nothing, and the lock is kept.
        while !(loan.take_back().unwrap_or(false) && take_all_places(run_file)) {
            looks += 1;
            let borrowers = borrowers(loan, run_file);
            // The first may have met somebody who only looked whether this run lives.
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
                    News::TimeIsUp { key } => self.tell(SessionEvent::Expiring { key: &key }),
                    News::Renewed | News::NotRenewed(_) => {}
                },
                () = self.host.sleep(LOOK_EVERY) => {}
            }
        }
    }
}

fn take_all_places(run_file: Option<&RunFile>) -> bool {
    run_file.is_none_or(|file| file.take_all_places().unwrap_or(false))
}

/// Those who have the turn; else those who have a place, and perhaps others to whom ours was handed down.
fn borrowers(loan: &Loan, run_file: Option<&RunFile>) -> Vec<Named> {
    let borrowers = loan.borrowers();
    match run_file {
        Some(file) if borrowers.is_empty() => file.users(),
        _ => borrowers,
    }
}
