//! The child's part of a session: keeps the lock until the child has ended, and stops the child if the lock is lost.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::Session;
use super::event::SessionEvent;
use super::selection_watch::{Noticed, SelectionWatch, Verdict};
use crate::child::{Command, Ending, Event, Output, Run, Signals, StartError, Witness};
use crate::lock::held_locks::{HeldLocks, News};
use crate::system::process::ProcessIdentity;
use crate::system::run_file::lent::Loan;
use crate::system::run_file::{RunFile, Sighting};

/// What a child that has ended may leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    Nothing,
    /// It was killed, and the terraform that it started was never seen on this machine: that one may still be running.
    ProgramElsewhere,
}

/// How the child's part of a session ended.
pub(super) enum Running {
    Ended {
        ending: Ending,
        leaves: Leaves,
        output: Output,
        /// Stays until the lock is released, in case we are killed before.
        witness: Option<Witness>,
    },
    NotStarted(StartError),
    Panicked(Box<dyn Any + Send>),
}

impl Session<'_> {
    /// Runs the child, and returns when it has ended and no process holds its place.
    pub(super) async fn run_child(
        &self,
        command: &Command,
        signals: &mut Signals,
        locks: &mut HeldLocks,
        mut run_file: Option<&mut RunFile>,
        loans: &[Loan],
    ) -> Running {
        self.tell(SessionEvent::Starting(command));
        if let Some(file) = &mut run_file {
            file.note_arguments(&command.arguments);
        }
        let place = run_file.as_ref().map(|file| file.place());
        let bequest = self.bequest(locks, command, loans);
        if let Some(selection) = self.selection_watch.borrow_mut().as_mut() {
            selection.begin();
        }
        let mut run = match Run::start(command, signals, place, bequest) {
            Ok(run) => run,
            Err(error) => return Running::NotStarted(error),
        };
        // First of all: from here on the witness keeps our promise even if we are stopped.
        run.set_limit(locks.time_left());
        let child = ProcessIdentity::of(run.id());
        locks.set_child(child);
        let mut sighted = |sighting| {
            if let Some(file) = &mut run_file {
                file.note_child(child, sighting);
            }
        };
        sighted(run.sighting());
        match catching(self.watch(command, &mut run, locks, &mut sighted)).await {
            Ok(ending) => {
                let leaves = if run.left_a_program_elsewhere() {
                    Leaves::ProgramElsewhere
                } else {
                    Leaves::Nothing
                };
                let (output, witness) = run.into_parts();
                Running::Ended {
                    ending,
                    leaves,
                    output,
                    witness,
                }
            }
            // Whatever the reason, the child still runs: the lock is kept until it has ended.
            Err(panic) => {
                run.interrupt();
                while !matches!(run.next().await, Event::Ended(_)) {}
                if let (_, Some(witness)) = run.into_parts() {
                    witness.dismiss();
                }
                Running::Panicked(panic)
            }
        }
    }

    /// Keeps the lock until the child has ended.
    async fn watch(
        &self,
        command: &Command,
        run: &mut Run<'_>,
        locks: &mut HeldLocks,
        sighted: &mut impl FnMut(Sighting),
    ) -> Ending {
        let mut selection = self.selection_watch.take();
        loop {
            // In random order, so that none of them starves another.
            tokio::select! {
                event = run.next() => match event {
                    Event::Ended(ending) => {
                        if let Some(selection) = &mut selection
                            && selection.has_changed_at_end().await
                        {
                            self.selection_changed.set(true);
                        }
                        return ending;
                    }
                    // The child stays suspended until the lock is confirmed, or for as long as it can.
                    Event::Resumed => locks.renew_now(),
                    Event::Sighted(sighting) => sighted(sighting),
                    Event::Differs(difference) => {
                        self.stop(command, run, SessionEvent::Differs(&difference));
                        self.difference.replace(Some(difference));
                    }
                    other => self.tell(SessionEvent::Child(&other)),
                },
                noticed = next_of(&mut selection) => {
                    let verdict = selection
                        .as_mut()
                        .map_or(Verdict::Nothing, |watch| watch.take_in(noticed, || run.worker()));
                    match verdict {
                        Verdict::Nothing => {}
                        Verdict::Settled => run.compare_no_more(),
                        Verdict::Changed => {
                            self.selection_changed.set(true);
                            self.stop(command, run, SessionEvent::SelectionChanged);
                        }
                    }
                }
                news = locks.next() => match news {
                    News::Renewed => {
                        run.set_limit(locks.time_left());
                        if locks.is_confirmed() {
                            run.go_on();
                        }
                        self.tell(SessionEvent::Renewed);
                    }
                    News::NotRenewed(error) => self.tell(SessionEvent::NotRenewed(&error)),
                    News::Lost(loss) => self.stop(command, run, SessionEvent::Lost(&loss)),
                    News::Expiring { key } => {
                        self.stop(command, run, SessionEvent::Expiring { key: &key });
                    }
                },
            }
        }
    }

    /// Acts first, then reports.
    fn stop(&self, command: &Command, run: &mut Run<'_>, why: SessionEvent<'_>) {
        run.interrupt();
        self.tell(why);
        self.tell(SessionEvent::Stopping(command));
    }
}

async fn next_of(watch: &mut Option<SelectionWatch>) -> Noticed {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// The output of `future`, or the panic that ended it.
async fn catching<T>(future: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}
