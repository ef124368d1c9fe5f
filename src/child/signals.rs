//! The signals that tflock receives, recorded by handlers and turned into values.
//!
//! Handlers are installed once, before anything is spawned, and only record the signal: `policy` decides, in ordinary
//! code. A signal that was ignored at the start must stay without effect where the user meant that: SIGHUP (nohup) and
//! SIGTSTP altogether, SIGQUIT (a script's background job) if the terminal sends it. SIGINT and SIGTERM count, as they
//! do for terraform: Go's signal.Notify re-enables them even if inherited as ignored.

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
use super::policy::{Action, History, Phase, Recipient, decide};
use super::signal::{Kind, Origin, Signal};
use super::terminal;

/// Signals are the whole process's: of the tests that install handlers one runs at a time.
#[cfg(test)]
pub(crate) static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// The installed handlers and the signals they recorded. One per process.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, WithOrigin>,
    noted: VecDeque<Signal>,
    inherited: Inherited,
}

impl Signals {
    /// Installs the handlers. Call it inside the runtime and before starting any process.
    ///
    /// # Errors
    /// The system refuses a socket pair or a handler.
    pub fn install() -> io::Result<Self> {
        let inherited = Inherited::read()?;
        let heard = Kind::ALL.into_iter().map(Kind::to_nix).filter(|&signal| {
            // If these two were ignored at the start, they stay ignored.
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

        // Go unblocks the signals it handles even if the parent blocked them; SIGCHLD is needed in any case.
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

    /// The next signal. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        loop {
            self.collect();
            if let Some(signal) = self.noted.pop_front() {
                return signal;
            }
            if self.delivery.get_read().readable().await.is_err() {
                // Both ends are ours and never closed.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until a signal asks a session to end that has no child yet or any more: see [`Phase`]. Ctrl-Z and `fg`
    /// work meanwhile. In [`Phase::Waiting`], end at once by the signal; in [`Phase::Starting`], release, then end by
    /// it; in [`Phase::Releasing`], finish first. Cancel-safe.
    pub async fn end_requested(&mut self, phase: Phase) -> Signal {
        loop {
            let signal = self.next().await;
            if wants_end(phase, signal) {
                return signal;
            }
        }
    }

    /// The signal that has already asked for the end, without waiting.
    pub fn end_requested_already(&mut self, phase: Phase) -> Option<Signal> {
        self.collect();
        while let Some(signal) = self.noted.pop_front() {
            if wants_end(phase, signal) {
                return Some(signal);
            }
        }
        None
    }

    fn collect(&mut self) {
        // Drain the bytes first: a signal in between leaves a new byte, and is found now or next time.
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

    pub(super) fn has_recorded(&mut self, kind: Kind) -> bool {
        self.collect();
        self.noted.iter().any(|signal| signal.kind == kind)
    }

    pub(super) fn inherited(&self) -> &Inherited {
        &self.inherited
    }
}

fn wants_end(phase: Phase, signal: Signal) -> bool {
    match decide(phase, Recipient::Tflock, signal, History::NotAsked) {
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
        // macOS gives no cause; there the kernel has the sender ID 0. On Linux that is a process outside of our
        // container.
        (Cause::Unknown, Some(process)) if process.pid == 0 => Origin::Terminal,
        (_, Some(process)) => Origin::process(process.pid),
    };
    Some(Signal { kind, origin })
}
