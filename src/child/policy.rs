//! What to do about a signal: one pure function of everything that matters, so that its whole table can be tested.
//!
//! It must never look at the clock, the terminal or a process: everything it needs is an argument.

use std::time::Duration;

use super::signal::{Kind, Origin, Signal};

/// A second Ctrl-C counts only after this time. Anything sooner is the same request twice, as from a wrapper that
/// passes on what the terminal sent already.
pub const REPEAT_AFTER: Duration = Duration::from_secs(1);

/// The phase of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The lock is not held yet.
    Waiting,
    /// The lock is held, the child not yet started.
    Starting,
    /// The child runs.
    Running,
    /// The child has ended, the lock is being released.
    Releasing,
}

/// Who received the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// tflock itself.
    Tflock,
    /// The child's process group, and so the child; reported by the witness in that group.
    Child,
}

/// Which stop requests the child has got so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Nothing.
    NotAsked,
    /// None, but one is waiting: the witness may still report that the child got it directly.
    Settling,
    /// A request, this long ago.
    Asked(Duration),
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Ignore,
    /// End tflock at once by this signal: no lock is held.
    End,
    /// Do not start the child; release, then end by this signal.
    DoNotStart,
    /// Ask the child to stop, now.
    Ask,
    /// Ask the child to stop, unless the witness soon reports that it got the same signal directly.
    AskAfterSettling,
    /// Ask the child again: the user insists, and terraform will now drop everything.
    AskAgain,
    /// Note that someone else asked the child to stop.
    NoteAsked,
    /// Ignore it and say so: the child is already stopping.
    AlreadyAsked,
    /// Suspend the child's group; tflock follows once the child has stopped.
    SuspendChild,
    /// Suspend tflock itself: there is no child to wait for.
    SuspendSelf,
    /// Continue the child, with the terminal if we can give it.
    Continue,
    /// Finish the release, then end by this signal unless the child's ending decides.
    FinishFirst,
    /// Check the child's status.
    Reap,
}

/// Decides what to do about `signal`, received by `recipient` in `phase`, given the child's `history`.
#[must_use]
pub fn decide(phase: Phase, recipient: Recipient, signal: Signal, history: History) -> Action {
    let Signal { kind, origin } = signal;
    if origin == Origin::Tflock {
        // Signals that tflock sends to a whole group come back to it, or are reported by the witness.
        return if kind == Kind::Child {
            Action::Reap
        } else {
            Action::Ignore
        };
    }
    match (phase, kind) {
        (_, Kind::Child) => Action::Reap,
        (Phase::Running, _) => match recipient {
            Recipient::Tflock => running(kind, origin, history),
            Recipient::Child => witnessed(kind, history),
        },
        (_, Kind::Suspend) => Action::SuspendSelf,
        (_, Kind::Continue) => Action::Ignore,
        (Phase::Waiting, _) => Action::End,
        (Phase::Starting, _) => Action::DoNotStart,
        (Phase::Releasing, _) => Action::FinishFirst,
    }
}

fn running(kind: Kind, origin: Origin, history: History) -> Action {
    // A key press. A hang-up comes from the terminal too, but is no key.
    let typed = origin == Origin::Terminal && matches!(kind, Kind::Interrupt | Kind::Quit);
    match (kind, history) {
        (Kind::Child, _) => Action::Reap,
        (Kind::Suspend, _) => Action::SuspendChild,
        (Kind::Continue, _) => Action::Continue,
        (_, History::NotAsked | History::Settling) if typed => Action::Ask,
        (_, History::NotAsked) => Action::AskAfterSettling,
        (_, History::Asked(ago)) if typed && ago > REPEAT_AFTER => Action::AskAgain,
        (_, History::Settling | History::Asked(_)) => Action::AlreadyAsked,
    }
}

fn witnessed(kind: Kind, history: History) -> Action {
    match (kind, history) {
        // To terraform SIGINT and SIGTERM are the same.
        (Kind::Interrupt | Kind::Terminate, _) => Action::NoteAsked,
        // The child ignores SIGHUP, so it has not been asked to stop yet.
        (Kind::HangUp, History::NotAsked) => Action::AskAfterSettling,
        // SIGQUIT kills terraform by itself, and the others need no help from tflock.
        _ => Action::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOPS: [Kind; 4] = [Kind::HangUp, Kind::Interrupt, Kind::Quit, Kind::Terminate];
    const PHASES: [Phase; 4] = [
        Phase::Waiting,
        Phase::Starting,
        Phase::Running,
        Phase::Releasing,
    ];
    const RECIPIENTS: [Recipient; 2] = [Recipient::Tflock, Recipient::Child];
    const ORIGINS: [Origin; 3] = [Origin::Terminal, Origin::Process(4711), Origin::Tflock];
    const SOON: History = History::Asked(Duration::from_secs(1));
    const LATE: History = History::Asked(Duration::from_millis(1001));
    const HISTORIES: [History; 4] = [History::NotAsked, History::Settling, SOON, LATE];

    /// The table of `docs/signals.md`, written a second time in a different way than the code.
    fn expected(
        phase: Phase,
        recipient: Recipient,
        kind: Kind,
        origin: Origin,
        history: History,
    ) -> Action {
        if kind == Kind::Child {
            return Action::Reap;
        }
        if origin == Origin::Tflock {
            return Action::Ignore;
        }
        let stop = STOPS.contains(&kind);
        let asked = matches!(history, History::Asked(_));
        let key = origin == Origin::Terminal && (kind == Kind::Interrupt || kind == Kind::Quit);
        if phase != Phase::Running {
            return match phase {
                _ if kind == Kind::Suspend => Action::SuspendSelf,
                Phase::Waiting if stop => Action::End,
                Phase::Starting if stop => Action::DoNotStart,
                Phase::Releasing if stop => Action::FinishFirst,
                _ => Action::Ignore,
            };
        }
        if recipient == Recipient::Child {
            return match kind {
                Kind::Interrupt | Kind::Terminate => Action::NoteAsked,
                Kind::HangUp if history == History::NotAsked => Action::AskAfterSettling,
                _ => Action::Ignore,
            };
        }
        if !stop {
            return if kind == Kind::Suspend {
                Action::SuspendChild
            } else {
                Action::Continue
            };
        }
        if key {
            return if history == LATE {
                Action::AskAgain
            } else if asked {
                Action::AlreadyAsked
            } else {
                Action::Ask
            };
        }
        if history == History::NotAsked {
            Action::AskAfterSettling
        } else {
            Action::AlreadyAsked
        }
    }

    fn every_case() -> impl Iterator<Item = (Phase, Recipient, Signal, History)> {
        PHASES.into_iter().flat_map(|phase| {
            RECIPIENTS.into_iter().flat_map(move |recipient| {
                Kind::ALL.into_iter().flat_map(move |kind| {
                    ORIGINS.into_iter().flat_map(move |origin| {
                        HISTORIES.into_iter().map(move |history| {
                            (phase, recipient, Signal { kind, origin }, history)
                        })
                    })
                })
            })
        })
    }

    #[test]
    fn every_decision_is_as_documented() {
        for (phase, recipient, signal, history) in every_case() {
            assert_eq!(
                decide(phase, recipient, signal, history),
                expected(phase, recipient, signal.kind, signal.origin, history),
                "{phase:?} {recipient:?} {signal:?} {history:?}"
            );
        }
    }

    #[test]
    fn no_process_can_cause_a_second_request() {
        for (phase, recipient, signal, history) in every_case() {
            if matches!(signal.origin, Origin::Process(_)) && history != History::NotAsked {
                let action = decide(phase, recipient, signal, history);
                assert!(
                    !matches!(
                        action,
                        Action::Ask | Action::AskAfterSettling | Action::AskAgain
                    ),
                    "{phase:?} {recipient:?} {signal:?} {history:?} leads to {action:?}"
                );
            }
        }
    }

    #[test]
    fn only_a_key_press_after_more_than_a_second_asks_again() {
        let again: Vec<_> = every_case()
            .filter(|&(phase, recipient, signal, history)| {
                decide(phase, recipient, signal, history) == Action::AskAgain
            })
            .collect();
        let pressed = |kind| {
            (
                Phase::Running,
                Recipient::Tflock,
                Signal {
                    kind,
                    origin: Origin::Terminal,
                },
                LATE,
            )
        };
        assert_eq!(again, [pressed(Kind::Interrupt), pressed(Kind::Quit)]);
    }
}
