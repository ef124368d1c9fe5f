//! A run of the child, from its start to the end of everything that holds its place: signals, terminal, witness and
//! output brought together, and told to the session as events.
//!
//! Decisions are taken in `policy`; here they are carried out. The child is asked to stop at most once, unless a person
//! insists, and it is never killed.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use nix::sys::signal::{Signal as Number, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep_until};

use super::bequest::Bequest;
use super::ending::wait_for;
use super::event::{Event, Reached, StartError};
use super::group::{self, Found, Left, Leftovers, Process};
use super::job::Job;
use super::output::{self, Output};
use super::policy::{Action, Phase, Recipient, decide};
use super::sighting::{News, Watch, Worker};
use super::spawn::{Command, WaitFor, spawn};
use super::stop_request::{SETTLING, StopRequest};
use super::terminal::{HandOver, Terminal};
use super::witness::{Duty, Witness};
use super::{Ending, Kind, Origin, Signal, Signals};
use crate::system::run_file::Sighting;

/// How often the group is looked through while somebody in it is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a reader may take nothing before its share of the output is left for later.
const STALLED_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum State {
    Running,
    /// The child has ended; who is left is looked for again at that time.
    Group {
        ending: Ending,
        look_at: Instant,
        leftovers: Leftovers,
    },
    /// Nobody is left; the output is on its way.
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
    /// When somebody else has to ask the child to stop.
    limit: Option<Instant>,
    events: VecDeque<Event>,
}

/// What ended a wait.
enum Wake {
    Got(Signal),
    Witnessed(Option<Signal>),
    HungUp,
    Time,
    Delivered,
}

impl<'signals> Run<'signals> {
    /// Starts `command`. On the runtime's only thread, and with the lock held. The child and its witness keep the descriptor
    /// `kept` open for as long as they live, and the witness gets the `bequest` if tflock is killed.
    ///
    /// # Errors
    /// If the end was requested before, or the program cannot be started.
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
        // At once: if tflock is killed before, nobody asks the child to stop and gives back the lock. Without it signals
        // that reach the child directly go unnoticed, too. No reason to give up a child that runs.
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

    /// The child's process ID, which is its group's as well.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.as_raw().unsigned_abs()
    }

    /// Whether the program that does the work has been seen, as far as is known now.
    pub fn sighting(&mut self) -> Sighting {
        let news = self.sighting.look(Instant::now());
        self.tell_sighted(news);
        self.sighting.current()
    }

    /// Whether the child, which has ended, was the client of a program that may still be at work somewhere else: it died of a
    /// signal that nobody has sent through us, and the program was never seen here.
    #[must_use]
    pub fn left_a_program_elsewhere(&self) -> bool {
        let State::Over(Ending::Signalled(signal)) = self.state else {
            return false;
        };
        let is_asked_for = self.was_asked && signal.0 == self.stop as i32;
        !is_asked_for && self.sighting.current() == Sighting::Unseen
    }

    /// Who works now: a look at once.
    pub fn worker(&mut self) -> Worker {
        let (worker, news) = self.sighting.look_now();
        self.tell_sighted(news);
        worker
    }

    /// The program has read all that decides on the lock: what looks like it from now on is something that it has started.
    pub fn compare_no_more(&mut self) {
        self.sighting.compare_no_more();
    }

    fn tell_sighted(&mut self, news: Vec<News>) {
        self.events.extend(news.into_iter().map(|news| match news {
            News::Sighted(sighting) => Event::Sighted(sighting),
            News::Differs(difference) => Event::Differs(difference),
        }));
    }

    /// Asks the child to stop, because the lock was lost: the one request, unless it was made already.
    pub fn interrupt(&mut self) {
        if !matches!(self.stop_request, StopRequest::Made { .. }) {
            self.ask();
        }
    }

    /// From now on the child is asked to stop, once, unless this is called again within `limit`: even if tflock itself is
    /// stopped or hangs. While the child is suspended as well there is no limit.
    pub fn set_limit(&mut self, limit: Option<Duration>) {
        self.limit = limit.map(|limit| Instant::now() + limit);
        self.tell_witness(limit);
    }

    fn tell_witness(&self, limit: Option<Duration>) {
        if let Some(witness) = &self.witness {
            witness.set_limit(limit);
        }
    }

    /// Lets the child go on after a suspension ([`Event::Resumed`]): the lock is known to be ours still. Without this word it
    /// goes on three seconds later. Otherwise does nothing.
    pub fn go_on(&mut self) {
        self.job.hurry();
    }

    /// Gives back the signals, what of the output its reader has not yet taken, and the witness, who stays until the lock
    /// has been given back. After [`Event::Ended`].
    #[must_use]
    pub fn into_parts(self) -> (Output, Option<Witness>) {
        (self.output, self.witness)
    }

    /// The next event. After [`Event::Ended`] it is that for ever. Nothing is lost if the future is dropped.
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

    async fn wake(&mut self) -> Wake {
        let due = self.due();
        let time = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        if let State::Draining { .. } = self.state {
            // Signals are left to the session, which releases next.
            return tokio::select! {
                () = self.output.delivered() => Wake::Delivered,
                () = time => Wake::Time,
            };
        }
        let witnessed = async {
            match &mut self.witness {
                Some(witness) => witness.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // First, so that what the child got directly is known when tflock's own copy is looked at.
            signal = witnessed => Wake::Witnessed(signal),
            signal = self.signals.next() => Wake::Got(signal),
            () = self.job.hung_up() => Wake::HungUp,
            () = time => Wake::Time,
        }
    }

    fn due(&self) -> Option<Instant> {
        let state = match &self.state {
            State::Group { look_at, .. } => Some(*look_at),
            State::Draining { stalled_at, .. } => Some(*stalled_at),
            State::Running | State::Over(_) => None,
        };
        let look = self
            .sighting
            .due()
            .filter(|_| matches!(self.state, State::Running));
        [state, self.stop_request.due(), self.job.continue_at, look]
            .into_iter()
            .flatten()
            .min()
    }

    fn act(&mut self, recipient: Recipient, signal: Signal) {
        let now = Instant::now();
        match decide(
            Phase::Running,
            recipient,
            signal,
            self.stop_request.history(now),
        ) {
            Action::Ask => {
                self.ask();
                self.events.push_back(Event::StopRequested {
                    signal,
                    reached: Reached::ThroughTflock,
                });
            }
            Action::AskAfterSettling => {
                self.stop_request = StopRequest::Settling {
                    signal,
                    until: now + SETTLING,
                }
            }
            Action::AskAgain => {
                self.ask();
                self.events.push_back(Event::StopRepeated(signal));
            }
            Action::NoteAsked => {
                if !matches!(self.stop_request, StopRequest::Made { .. }) {
                    self.events.push_back(Event::StopRequested {
                        signal,
                        reached: Reached::Directly,
                    });
                    if signal.origin == Origin::Terminal {
                        self.job.share_key(signal.kind.to_nix());
                    }
                }
                self.stop_request = StopRequest::Made { at: now };
                self.job.hurry();
            }
            Action::AlreadyAsked => self.events.push_back(Event::AlreadyStopping(signal)),
            Action::SuspendChild => self.job.send(Number::SIGTSTP),
            Action::Continue => {
                self.job.resume_soon();
                self.events.push_back(Event::Resumed);
            }
            Action::Reap => self.reap(),
            Action::Ignore
            | Action::End
            | Action::DoNotStart
            | Action::SuspendSelf
            | Action::FinishFirst => {}
        }
        if signal.origin == Origin::Terminal && recipient == Recipient::Tflock {
            // Keys come to us if a shell has put this job in front without telling it (bash's `fg` on a running job).
            self.job.offer_terminal();
        }
    }

    fn ask(&mut self) {
        self.was_asked = true;
        self.job.send(self.stop);
        for program in self.sighting.outside() {
            // Fails if it has ended meanwhile.
            let _ = kill(program, self.stop);
        }
        // Stopped it would not hear it.
        self.job.hurry();
        self.stop_request = StopRequest::Made { at: Instant::now() };
    }

    fn look_at_time(&mut self) {
        let now = Instant::now();
        if let StopRequest::Settling { signal, until } = self.stop_request
            && until <= now
        {
            self.ask();
            self.events.push_back(Event::StopRequested {
                signal,
                reached: Reached::ThroughTflock,
            });
        }
        if self.job.continue_at.is_some_and(|at| at <= now) {
            self.job.resume();
        }
        if matches!(self.state, State::Running) {
            let news = self.sighting.look(now);
            self.tell_sighted(news);
        }
        match &mut self.state {
            State::Group { look_at, .. } if *look_at <= now => self.look_for_holders(),
            State::Draining {
                progress,
                stalled_at,
                ..
            } if *stalled_at <= now => {
                let delivered = self.output.progress();
                if *progress == delivered {
                    self.finish();
                } else {
                    (*progress, *stalled_at) = (delivered, now + STALLED_AFTER);
                }
            }
            _ => {}
        }
    }

    /// Takes in whatever has become of the child.
    fn reap(&mut self) {
        while matches!(self.state, State::Running) {
            let Some(status) = wait_for(self.child) else {
                return;
            };
            if let Some(ending) = Ending::of(status) {
                self.state = State::Group {
                    ending,
                    look_at: Instant::now(),
                    leftovers: Leftovers::default(),
                };
                self.look_for_holders();
                continue;
            }
            // While both are suspended nothing happens, and before the child goes on the lock is confirmed.
            self.tell_witness(None);
            let stopped = status.stopped_signal();
            if let Some(signal) = stopped.and_then(|raw| Number::try_from(raw).ok()) {
                self.job.follow_stop(signal, self.signals);
            }
            let left = self
                .limit
                .map(|limit| limit.saturating_duration_since(Instant::now()));
            self.tell_witness(left.filter(|left| !left.is_zero()));
        }
    }

    fn look_for_holders(&mut self) {
        let State::Group {
            ending,
            look_at,
            leftovers,
        } = &mut self.state
        else {
            return;
        };
        let left = match (&*ending, self.wait_for) {
            (Ending::Signalled(_), _) => Left::Killed,
            (Ending::Exited(_), WaitFor::All) => Left::Relying,
            (Ending::Exited(_), WaitFor::Terraform) => Left::Orderly,
        };
        let outside: Vec<Pid> = self.sighting.outside().collect();
        let living = match &self.witness {
            Some(witness) if witness.is_alone_in(self.child) && outside.is_empty() => {
                Ok(Vec::new())
            }
            _ => group::living(self.child, &outside),
        };
        let is_program = |process: &Process| self.sighting.is_the_program(process);
        if let Found::Somebody { news } = leftovers.look(living, left, is_program) {
            *look_at = Instant::now() + LOOK_EVERY;
            self.events.extend(news.map(Event::WaitingFor));
            return;
        }

        let ending = *ending;
        if self.job.shares_keys()
            && let Some(witness) = &mut self.witness
        {
            for signal in witness.last_words() {
                self.act(Recipient::Child, signal);
            }
        }
        if let Some(witness) = &self.witness {
            witness.note_end();
        }
        self.job.end(left);
        self.stop_request = StopRequest::Made { at: Instant::now() };
        self.output.child_ended();
        self.state = State::Draining {
            ending,
            progress: self.output.progress(),
            stalled_at: Instant::now() + STALLED_AFTER,
        };
    }

    fn finish(&mut self) {
        if let State::Draining { ending, .. } = self.state {
            self.state = State::Over(ending);
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
