//! The witness: a tiny process in the child's process group that reports which signals that group gets.
//!
//! tflock is outside of the group. Without the witness it would not know that the terminal (Ctrl-C), systemd or Jenkins
//! (which signal every process) have already asked terraform to stop; its own request would be the second, at which
//! terraform drops the state. For the same reason the witness, not `PR_SET_PDEATHSIG`, asks terraform to stop if tflock
//! is killed: `timeout -k`, GitLab and Jenkins send SIGTERM and then SIGKILL, and the parent-death signal cannot be
//! cancelled in between. It also asks if tflock misses a deadline that it has set, because it hangs or was stopped.
//!
//! The witness stays until the lock is released. If tflock is killed before, the witness releases it: it execs tflock
//! again ([`super::bequest`]), waits until no process holds the child's place, and releases the lock.
//!
//! Until then it is a fork. It may hold no descriptors but its socket, stderr, the pipes that it may have to relay, the
//! run file and what it inherits; it must make only system calls, and never outlive both tflock and its purpose.

mod life;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::time::{Duration, Instant};

use nix::errno::Errno;
#[cfg(target_os = "linux")]
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal as Number, kill, killpg};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, read, setpgid};
use tokio::net::UnixStream;

use self::life::keep_watch;
use super::bequest::{Bequest, Ready};
use super::output::Relay;
use super::signal::{Kind, Origin, Signal};
use super::title::{TitleArea, title_area};

/// A name of its own, so that `pkill tflock` and `pkill -f 'tflock apply'` hit only tflock. A signal to the witness
/// would look as if terraform had got it.
pub(super) const NAME: &CStr = c"lock-witness";

/// The length of a report: signal number, `si_code` and the sender's process ID.
const REPORT: usize = 12;

/// Sent by tflock to remove its deadline; other values are milliseconds.
const NO_LIMIT: i32 = -1;

/// Sent by tflock to get all pending reports; the answer is a report without a signal.
const REPORT_ALL: i32 = -2;

/// Sent by tflock when everything that held the child's place has ended: ask nothing of the group any more.
const CHILD_ENDED: i32 = -3;

/// How long to wait for that answer: the witness may be stopped, or the machine busy.
const REPORT_PATIENCE: Duration = Duration::from_millis(500);

/// tflock's side of the running witness.
#[derive(Debug)]
pub struct Witness {
    id: Pid,
    socket: UnixStream,
    report: [u8; REPORT],
    filled: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Duty {
    pub(super) group: Pid,
    /// The signal that asks the group to stop.
    pub(super) stop: Number,
    /// Whether to report hang-ups.
    pub(super) hang_up_counts: bool,
}

/// What the witness takes over if tflock is killed.
pub(super) struct Estate<'tflock> {
    pub(super) relays: &'tflock [Relay],
    pub(super) kept: Option<BorrowedFd<'tflock>>,
    pub(super) bequest: Option<Ready>,
    pub(super) title: Option<TitleArea>,
}

impl Witness {
    /// Forks the witness into the child's group, which must exist. If tflock is killed it takes over the output in
    /// `relays`, and then the `bequest`. It keeps the descriptor `kept` open as long as it lives.
    pub(super) fn start(
        duty: Duty,
        relays: &[Relay],
        kept: Option<BorrowedFd<'_>>,
        bequest: Option<Bequest>,
    ) -> io::Result<Self> {
        let (ours, theirs) = Socket::pair()?;
        let theirs = OwnedFd::from(theirs);
        ours.set_nonblocking(true)?;
        let socket = UnixStream::from_std(ours)?;
        let bequest = bequest.map(|bequest| bequest.ready(duty.group, kept));
        let estate = Estate {
            relays,
            kept,
            bequest: bequest.transpose()?,
            title: title_area(),
        };

        let held_back = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        // SAFETY: the forked process makes system calls only, on values prepared before, until it ends by `_exit`.
        let forked = unsafe { fork() };
        if matches!(forked, Ok(ForkResult::Child)) {
            keep_watch(&theirs, duty, &estate);
        }
        held_back.thread_set_mask()?;
        let ForkResult::Parent { child: id } = forked? else {
            return Err(Errno::ECHILD.into());
        };

        let witness = Self {
            id,
            socket,
            report: [0; REPORT],
            filled: 0,
        };
        if let Err(error) = setpgid(id, duty.group) {
            witness.dismiss();
            return Err(error.into());
        }
        Ok(witness)
    }

    /// Whether the group is otherwise empty; avoids looking through all processes of the machine.
    pub(super) fn is_alone_in(&self, group: Pid) -> bool {
        let stepped_aside = setpgid(self.id, self.id).is_ok();
        let alone = killpg(group, None) == Err(Errno::ESRCH);
        if stepped_aside && !alone {
            // Fails if the last one has just ended, which the next look will show.
            let _ = setpgid(self.id, group);
        }
        alone
    }

    /// From now on the witness asks the group to stop, once, unless it gets another limit before this one passes.
    pub(super) fn set_limit(&self, limit: Option<Duration>) {
        self.tell(limit.map_or(NO_LIMIT, |limit| {
            i32::try_from(limit.as_millis()).unwrap_or(i32::MAX)
        }));
    }

    /// From now on it asks nothing of the group. It stays in case tflock is killed before the lock is released.
    pub(super) fn note_end(&self) {
        self.tell(CHILD_ENDED);
    }

    fn tell(&self, word: i32) {
        // Fails if it has ended, or was stopped for long together with its group.
        let _ = send(
            self.socket.as_raw_fd(),
            &word.to_ne_bytes(),
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        );
    }

    /// The reports still pending: a child that ends at once can be faster than the report of why.
    pub(super) fn last_words(&mut self) -> Vec<Signal> {
        self.tell(REPORT_ALL);
        let until = Instant::now() + REPORT_PATIENCE;
        let mut signals = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut readable = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut readable, timeout) {
                Err(Errno::EINTR) => continue,
                Ok(1) => {}
                _ => return signals,
            }
            match read(self.socket.as_fd(), &mut self.report[self.filled..]) {
                Err(Errno::EINTR) => {}
                Ok(0) | Err(_) => return signals,
                Ok(count) => self.filled += count,
            }
            if self.filled == REPORT {
                self.filled = 0;
                match translate(self.report) {
                    Some(signal) => signals.push(signal),
                    None => return signals,
                }
            }
        }
    }

    /// The next signal to the group; `None` if the witness has died. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Signal> {
        loop {
            match self.socket.try_read(&mut self.report[self.filled..]) {
                Ok(0) => return None,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.readable().await.ok()?;
                }
                Err(_) => return None,
            }
            if self.filled == REPORT {
                self.filled = 0;
                if let Some(signal) = translate(self.report) {
                    return Some(signal);
                }
            }
        }
    }

    /// Ends the witness without asking anything of the group: the lock was released, or the user was told that it was
    /// not.
    pub fn dismiss(self) {
        // SIGKILL, because it may be stopped together with its group.
        let _ = kill(self.id, Number::SIGKILL);
        let _ = waitpid(self.id, None);
    }
}

fn translate(report: [u8; REPORT]) -> Option<Signal> {
    let [number, code, sender] = [0, 4, 8].map(|at| {
        let mut field = [0; 4];
        field.copy_from_slice(&report[at..at + 4]);
        i32::from_ne_bytes(field)
    });
    let kind = Kind::from_raw(number)?;
    let origin = if is_kernel(code, sender) {
        Origin::Terminal
    } else {
        Origin::process(sender)
    };
    Some(Signal { kind, origin })
}

#[cfg(target_os = "linux")]
fn is_kernel(code: i32, _sender: i32) -> bool {
    code == libc::SI_KERNEL
}

#[cfg(not(target_os = "linux"))]
fn is_kernel(_code: i32, sender: i32) -> bool {
    sender == 0
}

#[cfg(test)]
mod tests;
