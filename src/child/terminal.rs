//! The controlling terminal: who is in front, and how jobs are suspended and brought back.
//!
//! The child has a process group of its own, so that signals sent to tflock's group do not reach it a second time. Keys
//! go to the foreground group, therefore the child's group is put in front whenever tflock's own group is there. Never
//! take the terminal from anybody else: a shell that has put this job behind has it now.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, Signal, kill, killpg, raise, sigaction,
};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// When the child is put in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// From the start.
    AtOnce,
    /// Once the child is stopped for using the terminal from behind. So where others of our group may be reading the
    /// keyboard, as always in a pipeline: `tflock plan | less`.
    OnDemand,
}

/// The controlling terminal while a child runs.
#[derive(Debug)]
pub(super) struct Terminal {
    device: File,
    own: Pid,
    hand_over: HandOver,
    was_on_demand: bool,
    /// The child's group was put in front by us, and has not been taken back.
    given: bool,
    modes: Option<Termios>,
    watch: Option<AsyncFd<OwnedFd>>,
    background_output: SigAction,
}

impl Terminal {
    /// Opens the controlling terminal, wherever stdin and the others lead to. None if there is none.
    pub(super) fn open(hand_over: HandOver) -> Option<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open("/dev/tty")
            .ok()?;
        // Only errors and hang-ups are wanted, not a wake-up for every key: epoll reports them in any case. macOS cannot
        // watch /dev/tty at all, and does without.
        let watch = device.try_clone().ok().and_then(|copy| {
            // SAFETY: the descriptor is owned by what watches it, is never taken out again or replaced.
            unsafe { AsyncFd::register_with_interest(OwnedFd::from(copy), Interest::ERROR) }.ok()
        });
        // What tflock has to say must not stop it when it stands behind the child (`stty tostop`), nor must tcsetpgrp.
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: ignoring a signal runs no code of ours.
        let background_output = unsafe { sigaction(Signal::SIGTTOU, &ignore) }.ok()?;
        let modes = tcgetattr(&device).ok();
        Some(Self {
            device,
            own: getpgrp(),
            hand_over,
            was_on_demand: hand_over == HandOver::OnDemand,
            given: false,
            modes,
            watch,
            background_output,
        })
    }

    /// Whether the child is to put itself in front before it becomes terraform. It does so itself, because between
    /// its start and a call of ours Ctrl-C would reach nobody.
    pub(super) fn gives_at_start(&self) -> bool {
        self.hand_over == HandOver::AtOnce && self.is_ours()
    }

    /// Whether the child did not stand in front from the start.
    pub(super) fn was_on_demand(&self) -> bool {
        self.was_on_demand
    }

    /// The open terminal, for the forked child to call [`put_in_front`] with.
    pub(super) fn device(&self) -> &File {
        &self.device
    }

    /// Notes that the child has put itself in front.
    pub(super) fn note_given(&mut self) {
        self.given = true;
    }

    /// From now on the child stands in front whenever we do: it has shown that it wants to.
    pub(super) fn want(&mut self) {
        self.hand_over = HandOver::AtOnce;
    }

    /// Puts the child's group in front if our own is there and it is time. Tells whether the child is in front now.
    pub(super) fn give_to(&mut self, child: Pid) -> bool {
        if self.hand_over == HandOver::AtOnce
            && self.is_ours()
            && tcsetpgrp(&self.device, child).is_ok()
        {
            self.given = true;
        }
        self.is_in_front(child)
    }

    /// Puts our own group back in front, if it is the child's that stands there, or one that has died out.
    pub(super) fn take_back_from(&mut self, child: Pid) {
        if let Ok(front) = tcgetpgrp(&self.device)
            && (front == child || (self.given && killpg(front, None).is_err()))
        {
            // Fails if the terminal is gone; then there is nothing left to take.
            let _ = tcsetpgrp(&self.device, self.own);
        }
        self.given = false;
    }

    /// Sets the terminal as it was before the child, which died before it could do so.
    pub(super) fn restore_modes(&self) {
        if let Some(modes) = &self.modes
            && self.is_ours()
        {
            let _ = tcsetattr(&self.device, SetArg::TCSANOW, modes);
        }
    }

    /// Whether the child's group stands in front.
    pub(super) fn is_in_front(&self, child: Pid) -> bool {
        tcgetpgrp(&self.device).is_ok_and(|front| front == child)
    }

    /// A closed terminal means nothing to us: we run under nohup.
    pub(super) fn ignore_hang_up(&mut self) {
        self.watch = None;
    }

    /// Returns once the terminal is gone, if that concerns the child: a job that was put behind survives its terminal.
    /// The kernel tells only the group in front, and not even that one if its job has handed on the terminal.
    pub(super) async fn hung_up(&mut self) {
        if let Some(watch) = &self.watch {
            while let Ok(mut ready) = watch.ready(Interest::ERROR).await {
                if is_hung_up(watch.get_ref()) {
                    break;
                }
                ready.clear_ready();
            }
            self.watch = None;
            if self.given {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    fn is_ours(&self) -> bool {
        tcgetpgrp(&self.device).is_ok_and(|front| front == self.own)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // SAFETY: this is the action that was there before, installed by code that knew what it did.
        let _ = unsafe { sigaction(Signal::SIGTTOU, &self.background_output) };
    }
}

fn is_hung_up(device: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(device.as_fd(), PollFlags::empty())];
    poll(&mut watched, PollTimeout::ZERO).is_ok()
        && watched[0]
            .revents()
            .is_some_and(|events| events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR))
}

/// Puts the calling process, leader of its group, in front. For the forked child, with SIGTTOU blocked.
pub(super) fn put_in_front(device: &File) -> nix::Result<()> {
    tcsetpgrp(device, getpgrp())
}

/// Suspends our own process group, the rest of a pipeline and the scripts around us included, as the key would have
/// done had we all stood in front. Returns when somebody continues us; or at once, because a group that no shell looks
/// after does not take such a signal.
pub(super) fn suspend_group(signal: Signal) {
    with_action(signal, SigHandler::SigIgn, || {
        let _ = kill(Pid::from_raw(0), signal);
    });
    with_action(signal, SigHandler::SigDfl, || {
        // To this very thread, so that the stop happens here and not after the handler is back.
        let _ = raise(signal);
    });
}

/// Suspends tflock alone, which has caught a Ctrl-Z that everybody else in the group got as well.
pub(super) fn suspend_self() {
    with_action(Signal::SIGTSTP, SigHandler::SigDfl, || {
        let _ = raise(Signal::SIGTSTP);
    });
}

fn with_action(signal: Signal, handler: SigHandler, body: impl FnOnce()) {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: called with the default action and with ignoring only, which run no code of ours.
    let Ok(before) = (unsafe { sigaction(signal, &action) }) else {
        return;
    };
    body();
    // SAFETY: this is the action that was there before, installed by code that knew what it did.
    let _ = unsafe { sigaction(signal, &before) };
}
