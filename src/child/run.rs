//! A run of the child, from its start to the end of every process that holds its place. Brings signals, terminal, witness
//! and output together, and reports events to the session.
//!
//! The decisions are those of `policy`. The child is asked to stop at most once, unless the user insists, and is never
//! killed.

mod acting;
mod reaping;
mod waking;

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::sys::signal::Signal as Number;
use nix::unistd::Pid;
use tokio::time::Instant;

use self::waking::Wake;
use super::bequest::Bequest;
use super::event::{Event, StartError};
use super::group::Leftovers;
use super::job::Job;
use super::output::{self, Output};
use super::policy::{Phase, Recipient};
use super::sighting::{News, Watch, Worker};
use super::spawn::{Command, WaitFor, spawn};
use super::stop_request::StopRequest;
use super::terminal::{HandOver, Terminal};
use super::witness::{Duty, Witness};
use super::{Ending, Kind, Origin, Signal, Signals};
use crate::system::run_file::Sighting;

/// How often to look for leftover processes while waiting for them.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long the reader of the output may stall before the run ends without waiting for it.
const STALLED_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum State {
    Running,
    /// The child has ended; the next look for leftover processes is at that time.
    Group {
        ending: Ending,
        look_at: Instant,
        leftovers: Leftovers,
    },
    /// No process is left, but some of the output is.
    Draining {
        ending: Ending,
        progress: u64,
        stalled_at: Instant,
    },
    Over(Ending),
}

/// A running child. If it is dropped before [`Event::Ended`] the child is asked to stop, unless it has been.
#[derive(Debug)]
pub struct Run<'signals> {
    signals: &'signals mut Signals,
    child: Pid,
    wait_for: WaitFor,
    sighting: Watch,
    stop: Number,
    job: Job,
    witness: Option<Witness>,
    output: Output,
    state: State,
    stop_request: StopRequest,
    /// Whether we have asked it to stop.
    was_asked: bool,
    /// When the witness has to ask the child to stop.
    limit: Option<Instant>,
    events: VecDeque<Event>,
}

impl<'signals> Run<'signals> {
    /// Starts `command`. Call it on the runtime's only thread and with the lock held. The child and its witness keep the
    /// descriptor `kept` open as long as they live, and the witness carries out the `bequest` if tflock is killed.
    ///
    /// # Errors
    /// The end was requested before, or the program cannot be started.
    pub fn start(
        command: &Command,
        signals: &'signals mut Signals,
        kept: Option<BorrowedFd<'_>>,
        bequest: Option<Bequest>,
    ) -> Result<Self, StartError> {
        if let Some(signal) = signals.end_requested_already(Phase::Starting) {
            return Err(StartError::EndRequested(signal));
        }
        let inherited = *signals.inherited();
        let mut output = Output::between().map_err(|source| command.error(source))?;
        let mut terminal = Terminal::open(if output::in_pipeline() {
            HandOver::OnDemand
        } else {
            command.hand_over
        });

        let child = spawn(command, &inherited, terminal.as_mut(), &mut output, kept)?;
        // A program that was started with SIGINT ignored need not hear it; terraform counts both alike.
        let stop = if inherited.ignores(Number::SIGINT) {
            Number::SIGTERM
        } else {
            Number::SIGINT
        };
        let duty = Duty {
            group: child,
            stop,
            hang_up_counts: !inherited.ignores(Number::SIGHUP),
        };
        if inherited.ignores(Number::SIGHUP)
            && let Some(terminal) = &mut terminal
        {
            terminal.ignore_hang_up();
        }
        // At once: if tflock is killed before, nothing asks the child to stop and releases the lock. Without a witness,
        // signals that reach the child directly go unnoticed, too, but that is no reason to stop a running child.
        let witness = Witness::start(duty, output.relays(), kept, bequest).ok();
        Ok(Self {
            signals,
            child,
            wait_for: command.wait_for,
            sighting: Watch::new(command, child),
            stop,
            job: Job::new(child, terminal, command.hand_over),
            witness,
            output,
            state: State::Running,
            stop_request: StopRequest::None,
            was_asked: false,
            limit: None,
            events: VecDeque::new(),
        })
    }

    /// The child's process ID, which is also its group's.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.as_raw().unsigned_abs()
    }

    /// Whether the program that does the work has been seen by now.
    pub fn sighting(&mut self) -> Sighting {
        let news = self.sighting.look(Instant::now());
        self.tell_sighted(news);
        self.sighting.current()
    }

    /// Whether the child, which has ended, may have been the client of a program that is still running elsewhere: it died of
    /// a signal that was not sent through us, and the program was never seen here.
    #[must_use]
    pub fn left_a_program_elsewhere(&self) -> bool {
        let State::Over(Ending::Signalled(signal)) = self.state else {
            return false;
        };
        let is_asked_for = self.was_asked && signal.0 == self.stop as i32;
        !is_asked_for && self.sighting.current() == Sighting::Unseen
    }

    /// The process that does the work now, by a fresh look.
    pub fn worker(&mut self) -> Worker {
        let (worker, news) = self.sighting.look_now();
        self.tell_sighted(news);
        worker
    }

    /// The program has read everything that decides on the lock: from now on, a process that looks like it is one that it has
    /// started.
    pub fn compare_no_more(&mut self) {
        self.sighting.compare_no_more();
    }

    fn tell_sighted(&mut self, news: Vec<News>) {
        self.events.extend(news.into_iter().map(|news| match news {
            News::Sighted(sighting) => Event::Sighted(sighting),
            News::Differs(difference) => Event::Differs(difference),
        }));
    }

    /// Asks the child to stop because the lock was lost, unless it has been asked already.
    pub fn interrupt(&mut self) {
        if !matches!(self.stop_request, StopRequest::Made { .. }) {
            self.ask();
        }
    }

    /// From now on the witness asks the child to stop, once, unless this is called again within `limit`: even if tflock itself
    /// is suspended or hangs. There is no limit while the child is suspended, too.
    pub fn set_limit(&mut self, limit: Option<Duration>) {
        self.limit = limit.map(|limit| Instant::now() + limit);
        self.tell_witness(limit);
    }

    fn tell_witness(&self, limit: Option<Duration>) {
        if let Some(witness) = &self.witness {
            witness.set_limit(limit);
        }
    }

    /// Lets the child go on after a suspension ([`Event::Resumed`]), because the lock is still ours. Without this call it goes
    /// on after three seconds.
    pub fn go_on(&mut self) {
        self.job.hurry();
    }

    /// The output that its reader has not yet taken, and the witness, which stays until the lock is released. Call it after
    /// [`Event::Ended`].
    #[must_use]
    pub fn into_parts(self) -> (Output, Option<Witness>) {
        (self.output, self.witness)
    }

    /// The next event; after [`Event::Ended`] always that one. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if let State::Over(ending) = self.state {
                return Event::Ended(ending);
            }
            match self.wake().await {
                Wake::Got(signal) => self.act(Recipient::Tflock, signal),
                Wake::Witnessed(Some(signal)) => self.act(Recipient::Child, signal),
                Wake::Witnessed(None) => self.dismiss_witness(),
                Wake::HungUp => {
                    self.act(
                        Recipient::Tflock,
                        Signal {
                            kind: Kind::HangUp,
                            origin: Origin::Terminal,
                        },
                    );
                }
                Wake::Time => self.look_at_time(),
                Wake::Delivered => self.finish(),
            }
        }
    }

    fn dismiss_witness(&mut self) {
        if let Some(witness) = self.witness.take() {
            witness.dismiss();
        }
    }
}

#[cfg(test)]
mod tests;
