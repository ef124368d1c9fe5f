//! A program on a real terminal: a session of its own whose controlling terminal the test types at, reads,
//! and hangs up.
//!
//! Both ends are opened close-on-exec in one step. With the usual `openpty` a program that another test
//! starts in between inherits the master, and the hang-up would not come before that program ends.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, mem};

use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid, tcgetpgrp};

use super::process::{Invocation, Status, pid_of, read_into};
use super::waiting::{PATIENCE, comes_true_within};

nix::ioctl_write_ptr_bad!(set_window_size, libc::TIOCSWINSZ, Winsize);

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            rows: 24,
            columns: 80,
        }
    }
}

/// A terminal with the program that was started on it. Dropping it hangs up, and kills that process, and
/// only that, if it still runs.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    shown: String,
    line: Option<Line>,
    output: Arc<Mutex<Vec<u8>>>,
}

/// The test's end of the terminal, and the thread that reads it.
#[derive(Debug)]
struct Line {
    master: Arc<PtyMaster>,
    /// Dropping it makes the thread close the master.
    hang_up: io::PipeWriter,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts the program with the terminal as its stdin, stdout and stderr. `TERM` is set to `xterm`.
    #[track_caller]
    pub fn start(invocation: Invocation, size: Size) -> Self {
        Self::try_start(invocation, size).expect("a program on a terminal")
    }

    fn try_start(invocation: Invocation, size: Size) -> io::Result<Self> {
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        resize(&master, size)?;
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open(ptsname_r(&master)?)?;

        let mut command = invocation.env("TERM", "xterm").into_command();
        let shown = format!("{command:?}");
        command
            .stdin(slave.try_clone()?)
            .stdout(slave.try_clone()?)
            .stderr(Stdio::from(slave));
        let take_terminal = || {
            setsid()?;
            // SAFETY: TIOCSCTTY takes no pointer; descriptor 0 is the terminal by now.
            if unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } == -1 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        };
        // SAFETY: between fork and exec it makes two async-signal-safe system calls and allocates nothing.
        unsafe { command.pre_exec(take_terminal) };
        let child = command.spawn()?;
        // The command keeps the slave open, and with it the terminal would never end.
        drop(command);

        let master = Arc::new(master);
        let output = Arc::new(Mutex::new(Vec::new()));
        let (woken, hang_up) = io::pipe()?;
        let screen = Screen {
            master: Arc::clone(&master),
            woken,
        };
        let reader = thread::spawn({
            let output = Arc::clone(&output);
            move || read_into(&output, screen)
        });
        Ok(Self {
            child,
            shown,
            line: Some(Line {
                master,
                hang_up,
                reader,
            }),
            output,
        })
    }

    pub fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Everything that was shown until now, escape sequences and echo included.
    pub fn output(&self) -> String {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Waits until that text has been shown, even if long ago.
    #[track_caller]
    pub fn wait_for_output(&self, text: &str) {
        let shown = comes_true_within(PATIENCE, &mut || self.output().contains(text));
        assert!(shown, "no `{text}` on the terminal of {self}");
    }

    /// Types. `b"\x03"` is Ctrl-C, `b"\x1a"` Ctrl-Z, `b"\x04"` Ctrl-D, `b"\r"` Enter.
    #[track_caller]
    pub fn send(&self, keys: &[u8]) {
        let mut master: &PtyMaster = self.master();
        master.write_all(keys).expect("a terminal takes keys");
    }

    /// Types Ctrl-C.
    #[track_caller]
    pub fn press_ctrl_c(&self) {
        self.send(b"\x03");
    }

    /// Sends a signal to the program alone. It is not reaped yet, so its PID cannot be anybody else's.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|error| panic!("{signal} to {self}: {error}"));
    }

    /// Changes the size; the foreground group gets SIGWINCH.
    #[track_caller]
    pub fn resize(&self, size: Size) {
        resize(self.master(), size).expect("a terminal can be resized");
    }

    /// The process group that owns the keyboard; `None` if there is none (any more).
    pub fn foreground_group(&self) -> Option<Pid> {
        let line = self.line.as_ref()?;
        tcgetpgrp(&*line.master)
            .ok()
            .filter(|group| group.as_raw() > 0)
    }

    /// Hangs up, as closing the window does: the session gets SIGHUP, reads end, writes fail.
    pub fn close(&mut self) {
        if let Some(line) = self.line.take() {
            drop(line.hang_up);
            let ended = line.reader.join();
            drop(line.master);
            ended.expect("the reader of a terminal does not panic");
        }
    }

    /// Whether the program has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end of the program; what it showed is then in [`Terminal::output`].
    #[track_caller]
    pub fn wait(&mut self) -> Status {
        let ended = comes_true_within(PATIENCE, &mut || !self.is_running());
        // Unwinding drops it, and that kills it.
        assert!(ended, "{self} did not end in time and is killed");
        if let Some(line) = &self.line {
            // Only what the program itself wrote is owed; a child of it may hold the terminal for longer.
            let limit = Duration::from_secs(2);
            comes_true_within(limit, &mut || line.reader.is_finished());
        }
        let status = self.child.wait().expect("a child that ended has a status");
        status.into()
    }

    #[track_caller]
    fn master(&self) -> &PtyMaster {
        &self
            .line
            .as_ref()
            .expect("the terminal is not closed")
            .master
    }
}

impl fmt::Display for Terminal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} (pid {})", self.shown, self.child.id())?;
        writeln!(out, "--- terminal\n{}\n---", self.output())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.is_running() {
            // It can have ended in between, which is what is wanted.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.close();
    }
}

fn resize(master: &PtyMaster, size: Size) -> io::Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        // SAFETY: the remaining fields are two numbers, for which zero is valid.
        ..unsafe { mem::zeroed() }
    };
    // SAFETY: the pointer is to a `Winsize` that outlives the call, which only reads it.
    unsafe { set_window_size(master.as_raw_fd(), &raw const size) }?;
    Ok(())
}

/// The terminal's output as a stream that ends when the terminal does or when the test hangs up.
struct Screen {
    master: Arc<PtyMaster>,
    woken: io::PipeReader,
}

impl Read for Screen {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let events = PollFlags::POLLIN;
        let mut ends = [
            PollFd::new(self.master.as_fd(), events),
            PollFd::new(self.woken.as_fd(), events),
        ];
        poll(&mut ends, PollTimeout::NONE)?;
        let hung_up = ends[1].any().unwrap_or(false);
        if hung_up {
            return Ok(0);
        }
        // When the last process has closed the terminal this fails with EIO, which is its end of file.
        let mut master: &PtyMaster = &self.master;
        master.read(block)
    }
}
