//! The end of a run: from the child's own end to that of every process that holds its place.

use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal as Number;
use nix::unistd::Pid;
use tokio::time::Instant;

use super::{LOOK_EVERY, Run, STALLED_AFTER, State};
use crate::child::Ending;
use crate::child::ending::wait_for;
use crate::child::event::Event;
use crate::child::group::{self, Found, Left, Leftovers, Process};
use crate::child::policy::Recipient;
use crate::child::spawn::WaitFor;
use crate::child::stop_request::StopRequest;

impl Run<'_> {
    /// Takes note of a change of the child's state: suspended, continued or ended.
    pub(super) fn reap(&mut self) {
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
                self.look_for_leftovers();
                continue;
            }
            // While both are suspended nothing happens, and the lock is confirmed before the child goes on.
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

    /// Looks for leftover processes. If there are none, goes on to the output.
    pub(super) fn look_for_leftovers(&mut self) {
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
        if let Found::Leftovers { news } = leftovers.look(living, left, is_program) {
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

    /// Ends the run.
    pub(super) fn finish(&mut self) {
        if let State::Draining { ending, .. } = self.state {
            self.state = State::Over(ending);
        }
    }
}
