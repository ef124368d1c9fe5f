//! The only way to stderr, which never blocks its callers: a queue, and a thread that writes it.
//!
//! A stopped terminal (Ctrl-S), an idle pager or a full pipe can block a writer for hours. So a message goes into the
//! queue; its author waits a moment for it to be written, to keep the order with whatever comes next, and goes on.
//! While nothing is read even that wait is skipped, and what does not fit into the queue is dropped. Never makes the
//! descriptor non-blocking: terraform shares it.
//!
//! The last line of a terminal can be a progress line or a question. It is kept as a wanted state instead of being
//! queued, so that a terminal that resumes after an hour shows the present, with the messages above it.

mod state;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow};

pub(super) use self::state::Importance;
use self::state::{Entry, Reader, State, Thread};
use super::bottom::{Bottom, Progress, Screen};

/// How long to wait for a message to be written while the reader keeps up.
const MOMENT: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_millis(120);
/// Enough to compose and write.
const STACK: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// A duplicate of the stream's descriptor; `None` if there is no reader.
    stream: Option<File>,
}

impl Writer {
    pub(super) fn stderr() -> &'static Self {
        static STDERR: OnceLock<Writer> = OnceLock::new();
        STDERR.get_or_init(|| {
            let copy = io::stderr().as_fd().try_clone_to_owned();
            Self::to(copy.ok().map(File::from))
        })
    }

    pub(super) fn to(stream: Option<File>) -> Self {
        let reader = if stream.is_some() {
            Reader::Reads
        } else {
            Reader::Gone
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::new(reader)),
                changed: Condvar::new(),
                stream,
            }),
        }
    }

    /// Writes whole lines, or drops them if nothing is read.
    pub(super) fn say(&self, text: String, importance: Importance) {
        self.request(|state| state.push(Entry { text, importance }));
    }

    /// Shows a progress line: the first of `lines`, which get ever shorter, that fits. Does not wait.
    pub(super) fn show_progress(&self, lines: Vec<String>) {
        let mut state = self.shared.lock();
        match &mut state.bottom {
            Bottom::Progress(progress) => progress.lines = lines,
            other => *other = Bottom::Progress(Progress::new(lines)),
        }
        state.requested += 1;
        self.shared.wake_thread(&mut state);
    }

    pub(super) fn show_question(&self, question: String) {
        self.request(|state| state.bottom = Bottom::Question(question));
    }

    /// Clears the last line: erases a progress line, leaves a question where it is.
    pub(super) fn clear_bottom(&self) {
        if self.shared.lock().bottom != Bottom::Empty {
            self.request(|state| state.bottom = Bottom::Empty);
        }
    }

    /// The question was answered, and the echoed newline has ended its line.
    pub(super) fn end_answered_question(&self) {
        let mut state = self.shared.lock();
        state.bottom = Bottom::Empty;
        state.screen = Screen::Clean;
    }

    pub(super) fn is_settled(&self) -> bool {
        self.shared.lock().is_settled()
    }

    /// Waits until every message is written or the reader is gone, but at most `limit`.
    pub(super) fn settle(&self, limit: Duration) {
        let state = self.shared.lock();
        drop(self.shared.wait_until(state, limit, State::is_settled));
    }

    fn request(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.shared.lock();
        if state.reader == Reader::Gone {
            return;
        }
        change(&mut state);
        state.requested += 1;
        let wanted = state.requested;
        self.shared.wake_thread(&mut state);
        if state.reader != Reader::Reads {
            return;
        }
        let is_done = |state: &State| state.written >= wanted || state.reader == Reader::Gone;
        let mut state = self.shared.wait_until(state, MOMENT, is_done);
        if !is_done(&state) {
            state.reader = Reader::Stalled;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        limit: Duration,
        is_done: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let begun = Instant::now();
        while !is_done(&state) {
            let left = limit.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// Wakes the thread, or starts it the first time.
    fn wake_thread(self: &Arc<Self>, state: &mut State) {
        if state.thread == Thread::NotStarted {
            let shared = Arc::clone(self);
            let started = thread::Builder::new()
                .name("words".to_owned())
                .stack_size(STACK)
                .spawn(move || shared.write_until_closed());
            state.thread = if started.is_ok() {
                Thread::Runs
            } else {
                Thread::None
            };
        }
        if state.thread == Thread::Runs {
            self.changed.notify_all();
        } else {
            self.write_directly(state);
        }
    }

    /// Without a thread, writes what the system takes at once; no progress is shown.
    fn write_directly(&self, state: &mut State) {
        let Some(mut stream) = self.stream.as_ref() else {
            return;
        };
        let mut watched = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        let takes = poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
        let requested = state.requested;
        if takes
            && let Some(bytes) = state.compose(false)
            && stream.write_all(&bytes).is_err()
        {
            state.lose_reader();
        }
        state.written = requested;
    }

    fn write_until_closed(&self) {
        // Signals belong to the thread that acts on them. With SIGTTOU blocked this thread can also write in the
        // background despite `stty tostop`: a stopped tflock would let its lock go stale.
        let _ = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let Some(stream) = &self.stream else {
            return;
        };
        let mut state = self.lock();
        let mut is_tick = false;
        loop {
            let requested = state.requested;
            if let Some(bytes) = state.compose(is_tick) {
                drop(state);
                let written = deliver(stream, &bytes);
                state = self.lock();
                if written.is_err() {
                    state.lose_reader();
                }
            }
            state.written = requested;
            if state.requested == requested && state.reader == Reader::Stalled {
                state.reader = Reader::Reads;
            }
            self.changed.notify_all();
            is_tick = false;
            if state.requested == requested {
                let is_moving = matches!(state.bottom, Bottom::Progress(_));
                state = if is_moving {
                    let waited = self.changed.wait_timeout(state, TICK);
                    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    is_tick = timeout.timed_out();
                    state
                } else {
                    let waited = self.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                };
            }
        }
    }
}

/// Writes all of `bytes`, however long the reader takes.
fn deliver(mut stream: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process that shares the stream made it non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut writable = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut writable, PollTimeout::NONE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
