//! What a run waits for: signals, the witness, the terminal, and the next moment at which something is due.

use tokio::time::{Instant, sleep_until};

use super::super::Signal;
use super::super::event::{Event, Reached};
use super::super::stop_request::StopRequest;
use super::{Run, STALLED_AFTER, State};

/// What ended a wait.
pub(super) enum Wake {
    Got(Signal),
    Witnessed(Option<Signal>),
    HungUp,
    Time,
    Delivered,
}

impl Run<'_> {
    /// The next thing that happens to the run.
    pub(super) async fn wake(&mut self) -> Wake {
        let due = self.due();
        let time = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        if let State::Draining { .. } = self.state {
            // Signals are left to the session, which releases the lock next.
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
            // First, so that we know what the child got directly when we handle our own copy.
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

    /// Does what is due by now.
    pub(super) fn look_at_time(&mut self) {
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
            State::Group { look_at, .. } if *look_at <= now => self.look_for_leftovers(),
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
}
