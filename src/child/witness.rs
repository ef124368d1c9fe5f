//! A tiny process that lives in the child's process group, so that tflock learns what that group is sent.
//!
//! tflock stands outside of the group, and would otherwise not know that the terminal (Ctrl-C), systemd or Jenkins (who
//! signal every process there is) have asked terraform to stop already; its own request would be the second, at which
//! terraform drops the state. For the same reason the witness, and not `PR_SET_PDEATHSIG`, asks terraform to stop if tflock
//! is killed: `timeout -k`, GitLab and Jenkins send SIGTERM and then SIGKILL, and the parent-death signal cannot be called
//! off between the two. It also asks when tflock lets a time limit pass that it has set: it hangs, or was stopped.
//!
//! The witness stays until the lock has been given back. If tflock is killed before, it does that: it becomes tflock once
//! more ([`super::bequest`]), waits until nobody holds the child's place any more, and gives the lock back.
//!
//! Until then it is a fork. It must hold no descriptor but its socket, stderr, the pipes that it would have to look after, the
//! trace of the run and what it inherits, make system calls only, and never outlive both tflock and its purpose.

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

/// A name of its own, so that `pkill tflock` and `pkill -f 'tflock apply'` mean tflock alone. If the witness were hit as
/// well that would look as if terraform had got the signal.
pub(super) const NAME: &CStr = c"lock-witness";

/// What a report looks like: the number of the signal, its `si_code` and the sender's process ID.
const REPORT: usize = 12;

/// What tflock sends where it has no limit to set; others are milliseconds.
const NO_LIMIT: i32 = -1;

/// What tflock sends to hear of everything that the group has got so far: the answer is a report of no signal.
const TELL_ALL: i32 = -2;

/// What tflock sends when whoever held the child's place has ended: nobody is to be asked for anything any more.
const CHILD_ENDED: i32 = -3;

/// How long that answer is waited for. The witness may be stopped, or the machine busy.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The running witness, as tflock sees it.
#[derive(Debug)]
pub struct Witness {
    id: Pid,
    socket: UnixStream,
    report: [u8; REPORT],
    filled: usize,
}

/// What the witness needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Duty {
    /// The group to live in and to watch.
    pub(super) group: Pid,
    /// What asks the group to stop.
    pub(super) stop: Number,
    /// Whether a hang-up counts.
    pub(super) hang_up_counts: bool,
}

/// What it takes over if tflock is killed.
pub(super) struct Estate<'tflock> {
    pub(super) relays: &'tflock [Relay],
    pub(super) kept: Option<BorrowedFd<'tflock>>,
    pub(super) bequest: Option<Ready>,
    pub(super) title: Option<TitleArea>,
}

impl Witness {
    /// Forks it into the child's group, which must exist. If tflock is killed it takes over the output, which is `relays`, and
    /// then the `bequest`. `kept` is a descriptor that it holds open for as long as it lives.
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

    pub(super) fn id(&self) -> Pid {
        self.id
    }

    /// Whether nobody else is left in the group: found out without looking through all processes of the machine.
    pub(super) fn is_alone_in(&self, group: Pid) -> bool {
        let stepped_aside = setpgid(self.id, self.id).is_ok();
        let alone = killpg(group, None) == Err(Errno::ESRCH);
        if stepped_aside && !alone {
            // Fails if the last one has ended just now, which the next look will show.
            let _ = setpgid(self.id, group);
        }
        alone
    }

    /// From now on the witness asks the group to stop by itself, once, unless it hears of another limit within this one.
    pub(super) fn set_limit(&self, limit: Option<Duration>) {
        self.tell(limit.map_or(NO_LIMIT, |limit| {
            i32::try_from(limit.as_millis()).unwrap_or(i32::MAX)
        }));
    }

    /// From now on it asks nobody for anything. It stays, in case that tflock is killed before the lock is given back.
    pub(super) fn note_end(&self) {
        self.tell(CHILD_ENDED);
    }

    fn tell(&self, word: i32) {
        // Fails if it has ended, or if it was stopped for long and with it its group.
        let _ = send(
            self.socket.as_raw_fd(),
            &word.to_ne_bytes(),
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        );
    }

    /// What the group got and was not told yet: a child that ends at once can be faster than the word of why.
    pub(super) fn last_words(&mut self) -> Vec<Signal> {
        self.tell(TELL_ALL);
        let until = Instant::now() + LAST_WORDS;
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

    /// The next signal that the group got, or none if the witness has died. Nothing is lost if the future is dropped.
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

    /// Ends it, without anything being asked of the group: the lock has been given back, or not, and that is said.
    pub fn dismiss(self) {
        // SIGKILL because it would not hear anything else if somebody had stopped it along with its group.
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
