//! A tiny process that lives in the child's process group, so that tflock learns what that group is sent.
//!
//! tflock stands outside of the group, and would otherwise not know that the terminal (Ctrl-C), systemd or Jenkins (who
//! signal every process there is) have asked terraform to stop already; its own request would be the second, at which
//! terraform drops the state. For the same reason the witness, and not `PR_SET_PDEATHSIG`, asks terraform to stop if tflock
//! is killed: `timeout -k`, GitLab and Jenkins send SIGTERM and then SIGKILL, and the parent-death signal cannot be called
//! off between the two. It also asks when tflock lets a time limit pass that it has set: it hangs, or was stopped.
//!
//! The witness is forked and never becomes another program. It must hold no descriptor but its socket and the pipes that
//! it would have to look after, make system calls only, and never outlive both tflock and its purpose.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as Socket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal as Number, kill, killpg, sigaction,
};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stdin, fork, read, setpgid};
use tokio::net::UnixStream;

use super::output::Relay;
use super::signals::{Kind, Origin, Signal};
use super::{inherited, orphaned};

/// What a report looks like: the number of the signal, its `si_code` and the sender's process ID.
const REPORT: usize = 12;

/// What tflock sends where it has no limit to set; others are milliseconds.
const NO_LIMIT: i32 = -1;

/// The running witness, as tflock sees it.
#[derive(Debug)]
pub(super) struct Witness {
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

impl Witness {
    /// Forks it into the child's group, which must exist. `relays` is the output that it takes over if tflock is killed.
    pub(super) fn start(duty: Duty, relays: &[Relay]) -> io::Result<Self> {
        let (ours, theirs) = Socket::pair()?;
        let theirs = OwnedFd::from(theirs);
        ours.set_nonblocking(true)?;
        let socket = UnixStream::from_std(ours)?;
        let title = title_area();

        let held_back = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        // SAFETY: the forked process makes system calls only, on values prepared before, until it ends by `_exit`.
        let forked = unsafe { fork() };
        if matches!(forked, Ok(ForkResult::Child)) {
            keep_watch(&theirs, duty, relays, title);
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
        let milliseconds = limit.map_or(NO_LIMIT, |limit| {
            i32::try_from(limit.as_millis()).unwrap_or(i32::MAX)
        });
        // Fails if it has ended, or if it was stopped for long and with it its group.
        let _ = send(
            self.socket.as_raw_fd(),
            &milliseconds.to_ne_bytes(),
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        );
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

    /// Ends it, without anything being asked of the group.
    pub(super) fn dismiss(self) {
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

/// Whether the group was asked to stop: by anybody, tflock included.
static ASKED: AtomicBool = AtomicBool::new(false);

/// The witness's whole life.
fn keep_watch(socket: &OwnedFd, duty: Duty, relays: &[Relay], title: Option<TitleArea>) -> ! {
    // Both sides do it, so that neither has to wait for the other. On failure tflock ends us.
    let _ = setpgid(Pid::from_raw(0), duty.group);
    let ready = dup2_stdin(socket.as_fd()).is_ok() && install(duty).is_ok();
    if ready {
        close_all_but_stdin_and(relays);
        rename(title);
        let _ = SigSet::empty().thread_set_mask();
        outlast_tflock(duty);
        ask(duty);
        orphaned::pass_on(relays);
    }
    // SAFETY: ends the process without running anything that tflock has registered for its own exit.
    unsafe { libc::_exit(0) }
}

fn install(duty: Duty) -> nix::Result<()> {
    // Whole reports only: no handler interrupts another.
    let note = SigAction::new(
        SigHandler::SigAction(report),
        SaFlags::SA_RESTART,
        SigSet::all(),
    );
    for signal in [Number::SIGINT, Number::SIGTERM] {
        // SAFETY: `report` is async-signal-safe.
        unsafe { sigaction(signal, &note) }?;
    }
    // It must neither stop nor die with its group; the leader's death by SIGQUIT is seen elsewhere.
    for signal in [
        Number::SIGHUP,
        Number::SIGQUIT,
        Number::SIGTSTP,
        Number::SIGTTIN,
        Number::SIGTTOU,
        Number::SIGPIPE,
    ] {
        inherited::set(signal, SigHandler::SigIgn)?;
    }
    for signal in [Number::SIGCHLD, Number::SIGCONT] {
        inherited::set(signal, SigHandler::SigDfl)?;
    }
    if duty.hang_up_counts {
        // SAFETY: as above.
        unsafe { sigaction(Number::SIGHUP, &note) }?;
    }
    Ok(())
}

extern "C" fn report(number: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    if number == libc::SIGINT || number == libc::SIGTERM {
        ASKED.store(true, Ordering::SeqCst);
    }
    // SAFETY: the kernel passes a valid pointer, and both fields are set for signals sent by processes and terminals.
    let (code, sender) = unsafe { ((*info).si_code, (*info).si_pid()) };
    let fields = [number, code, sender];
    // SAFETY: `write` is async-signal-safe; the array is REPORT bytes long. If it fails tflock is gone, which is noticed
    // elsewhere.
    unsafe {
        let before = *errno_location();
        libc::write(libc::STDIN_FILENO, fields.as_ptr().cast(), REPORT);
        *errno_location() = before;
    }
}

#[cfg(target_os = "linux")]
use libc::__errno_location as errno_location;
#[cfg(not(target_os = "linux"))]
use libc::__error as errno_location;

/// Returns when tflock has ended, and the socket with it. Until then asks if a limit passes.
fn outlast_tflock(duty: Duty) {
    // SAFETY: the socket was put there, and stays open until this process ends.
    let socket = unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) };
    let mut limit = None::<Instant>;
    loop {
        let left = limit.map(|limit| limit.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            ask(duty);
            limit = None;
            continue;
        }
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            // Rounded up, or it would not have passed.
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        let mut milliseconds = [0; 4];
        match read(socket, &mut milliseconds) {
            Ok(0) => return,
            Ok(_) => {
                let milliseconds = u64::try_from(i32::from_ne_bytes(milliseconds));
                limit = milliseconds
                    .ok()
                    .map(|left| Instant::now() + Duration::from_millis(left));
            }
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Asks the group to stop, unless somebody has.
fn ask(duty: Duty) {
    if !ASKED.load(Ordering::SeqCst) {
        let _ = killpg(duty.group, duty.stop);
    }
}

/// Locked files, connections and other pipes of tflock's must not stay open because of the witness.
fn close_all_but_stdin_and(relays: &[Relay]) {
    let ends = |relay: &Relay| [relay.source.as_raw_fd(), relay.target.as_raw_fd()];
    let mut first: RawFd = 1;
    // There are four at the most: looking for the next one costs less than a sorted list, which would have to live
    // somewhere.
    while let Some(kept) = relays
        .iter()
        .flat_map(ends)
        .filter(|&one| one >= first)
        .min()
    {
        close_range(first, kept - 1);
        first = kept + 1;
    }
    close_range(first, RawFd::MAX);
}

/// Closes these descriptors, both ends included, and all between them.
fn close_range(first: RawFd, last: RawFd) {
    if first > last {
        return;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: a system call that takes numbers; nothing in this process uses the descriptors any more.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    // SAFETY: as above.
    unsafe {
        let limit = libc::sysconf(libc::_SC_OPEN_MAX).clamp(256, 65_536);
        let limit = libc::c_int::try_from(limit).unwrap_or(65_536);
        for descriptor in first..=last.min(limit) {
            libc::close(descriptor);
        }
    }
}

/// Where the arguments of this process are kept: address and length.
type TitleArea = (usize, usize);

/// Fields 48 and 49 of `proc_pid_stat(5)`.
fn title_area() -> Option<TitleArea> {
    let line = std::fs::read("/proc/self/stat").ok()?;
    let line = String::from_utf8_lossy(&line);
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest
        .split_ascii_whitespace()
        .skip(45)
        .map(str::parse::<usize>);
    let (start, end) = (fields.next()?.ok()?, fields.next()?.ok()?);
    (start != 0 && end > start).then(|| (start, end - start))
}

/// Takes a name of its own, so that `pkill tflock` and `pkill -f 'tflock apply'` mean tflock alone. If the witness were
/// hit as well that would look as if terraform had got the signal.
fn rename(title: Option<TitleArea>) {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_name(NAME);
    if let Some((start, length)) = title {
        let area: *mut u8 = std::ptr::with_exposed_provenance_mut(start);
        let shown = NAME.to_bytes();
        // SAFETY: the kernel placed the arguments in this range of our memory, writable, and says so itself; this
        // process reads them no more.
        unsafe {
            area.write_bytes(0, length);
            area.copy_from_nonoverlapping(shown.as_ptr(), shown.len().min(length - 1));
        }
    }
}

const NAME: &std::ffi::CStr = c"lock-witness";
