//! The signals that tflock gets, heard by handlers and turned into values.
//!
//! Handlers are installed once, before anything is spawned, and do nothing but note the signal: all decisions are taken
//! by `policy`, in ordinary code. A signal that was ignored when tflock was started must stay without effect where the
//! user meant it so: SIGHUP (nohup) and SIGTSTP altogether, SIGQUIT (a job that a script put behind with `&`) as far as the
//! terminal sends it. SIGINT and SIGTERM count, because for terraform they do: Go's signal.Notify takes them back into use
//! even if they were inherited as ignored.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream as Pipe;

use nix::sys::signal::{SigSet, SigmaskHow, Signal as Number};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::exfiltrator::origin::Origin as Received;
use signal_hook::low_level::siginfo::Cause;
use tokio::net::UnixStream;

use super::inherited::Inherited;
use super::policy::{Action, History, Phase, Place, decide};
use super::signal::{Kind, Origin, Signal};
use super::terminal;

/// The installed handlers and what they have noted. There can be one at a time in a process.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, WithOrigin>,
    noted: VecDeque<Signal>,
    inherited: Inherited,
}

impl Signals {
    /// Installs the handlers. Call it inside the runtime and before any process is started.
    ///
    /// # Errors
    /// If the system refuses a socket pair or a handler.
    pub fn install() -> io::Result<Self> {
        let inherited = Inherited::read()?;
        let heard = Kind::ALL.into_iter().map(Kind::to_nix).filter(|&signal| {
            // Nobody wants these two back who was started without them.
            !(matches!(signal, Number::SIGHUP | Number::SIGTSTP) && inherited.ignores(signal))
        });
        let heard: Vec<Number> = heard.collect();

        let (read, write) = Pipe::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let numbers = heard.iter().map(|&signal| signal as i32);
        let delivery = SignalDelivery::with_pipe(
            UnixStream::from_std(read)?,
            write,
            WithOrigin::default(),
            numbers,
        )?;

        // A parent that blocked them does not keep Go from unblocking those it asks for; SIGCHLD is needed in any case.
        heard
            .into_iter()
            .collect::<SigSet>()
            .thread_swap_mask(SigmaskHow::SIG_UNBLOCK)?;
        Ok(Self {
            delivery,
            noted: VecDeque::new(),
            inherited,
        })
    }

    /// The next signal. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Signal {
        loop {
            self.collect();
            if let Some(signal) = self.noted.pop_front() {
                return signal;
            }
            if self.delivery.get_read().readable().await.is_err() {
                // Both ends of the pair are ours, and it is never shut down.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until a signal wants the session to end that has no child yet, or no longer: see [`Phase`]. Ctrl-Z and `fg`
    /// work meanwhile. In [`Phase::Waiting`] end at once by the signal; in [`Phase::Starting`] release, then end by it;
    /// in [`Phase::Releasing`] finish first. Nothing is lost if the future is dropped.
    pub async fn end_requested(&mut self, phase: Phase) -> Signal {
        loop {
            let signal = self.next().await;
            if wants_end(phase, signal) {
                return signal;
            }
        }
    }

    /// Whether the end has been requested already, without waiting.
    pub fn end_requested_already(&mut self, phase: Phase) -> Option<Signal> {
        self.collect();
        while let Some(signal) = self.noted.pop_front() {
            if wants_end(phase, signal) {
                return Some(signal);
            }
        }
        None
    }

    /// Takes over what the handlers have noted so far.
    fn collect(&mut self) {
        // The bytes go first: a signal that comes in between leaves a new one, and is found now or next time.
        let mut bytes = [0; 64];
        while matches!(self.delivery.get_read().try_read(&mut bytes), Ok(read) if read > 0) {}
        for received in self.delivery.pending() {
            if let Some(signal) = translate(&received) {
                let is_key = signal.origin == Origin::Terminal && signal.kind == Kind::Quit;
                if !(is_key && self.inherited.ignores(signal.kind.to_nix())) {
                    self.noted.push_back(signal);
                }
            }
        }
    }

    /// Whether a signal of this kind is waiting.
    pub(super) fn has_noted(&mut self, kind: Kind) -> bool {
        self.collect();
        self.noted.iter().any(|signal| signal.kind == kind)
    }

    /// What tflock was started with.
    pub(super) fn inherited(&self) -> &Inherited {
        &self.inherited
    }
}

fn wants_end(phase: Phase, signal: Signal) -> bool {
    match decide(phase, Place::Tflock, signal, History::NotAsked) {
        Action::SuspendSelf => {
            terminal::suspend_self();
            false
        }
        Action::Ignore | Action::Reap => false,
        _ => true,
    }
}

fn translate(received: &Received) -> Option<Signal> {
    let kind = Kind::from_raw(received.signal)?;
    let origin = match (received.cause, received.process) {
        (Cause::Kernel, _) | (_, None) => Origin::Terminal,
        // macOS gives no cause; there the kernel is the sender without an ID. On Linux that is one outside of our
        // container.
        (Cause::Unknown, Some(process)) if process.pid == 0 => Origin::Terminal,
        (_, Some(process)) => Origin::process(process.pid),
    };
    Some(Signal { kind, origin })
}
