//! What a run does about signals: the policy decides, this carries it out.

use nix::sys::signal::{Signal as Number, kill};
use tokio::time::Instant;

use super::Run;
use crate::child::event::{Event, Reached};
use crate::child::policy::{Action, Phase, Recipient, decide};
use crate::child::stop_request::{SETTLING, StopRequest};
use crate::child::{Origin, Signal};

impl Run<'_> {
    /// Does what the policy decides about a signal.
    pub(super) fn act(&mut self, recipient: Recipient, signal: Signal) {
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
            // Keys come to us if a shell has put this job into the foreground without telling it (bash's `fg` on a running
            // job).
            self.job.offer_terminal();
        }
    }

    /// Asks the child to stop.
    pub(super) fn ask(&mut self) {
        self.was_asked = true;
        self.job.send(self.stop);
        for program in self.sighting.outside() {
            // Fails if it has already ended.
            let _ = kill(program, self.stop);
        }
        // A suspended child would not get the signal.
        self.job.hurry();
        self.stop_request = StopRequest::Made { at: Instant::now() };
    }
}
