//! The one way to stderr, which never holds anybody up: a queue, and a thread that writes it.
//!
//! A terminal that is stopped (Ctrl-S), a pager that nobody scrolls or a full pipe block whoever writes to them, for
//! hours. So whoever has something to say puts it into the queue, waits for a moment until it is written, so that it
//! stands before whatever comes next, and goes on. While nobody reads, not even that moment is spent, and what does not
//! fit into the queue is left out. Never makes the descriptor non-blocking: terraform shares it.
//!
//! The last line of a terminal can be one that moves, or a question. It is not queued but kept as what it should be, so
//! that a terminal that goes on after an hour shows how things are now, and words go above it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow};

use super::bottom::{Bottom, Moving, Screen};

/// How long words that are read are waited for.
const MOMENT: Duration = Duration::from_millis(100);
/// How many bytes wait to be written before some are left out.
const CAPACITY: usize = 64 * 1024;
/// How often the moving line moves.
const TICK: Duration = Duration::from_millis(120);
/// The thread does nothing but compose and write.
const STACK: usize = 256 * 1024;

/// What is left out first when nobody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// What is done and why.
    Detail,
    /// What a person must know.
    Word,
}

/// A stream with its queue.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// A duplicate of the stream's descriptor; without one nobody reads.
    target: Option<File>,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Entry>,
    left_out: usize,
    bottom: Bottom,
    screen: Screen,
    thread: Thread,
    reader: Reader,
    /// How often something was asked for, and how many of these are on the screen.
    asked: u64,
    written: u64,
}

#[derive(Debug)]
struct Entry {
    text: String,
    weight: Weight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thread {
    NotStarted,
    Runs,
    /// The system has no room for one.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Reads,
    /// For longer than a moment.
    Stalled,
    Gone,
}

impl Writer {
    /// That of this process's stderr.
    pub(super) fn stderr() -> &'static Self {
        static STDERR: OnceLock<Writer> = OnceLock::new();
        STDERR.get_or_init(|| {
            let copy = io::stderr().as_fd().try_clone_to_owned();
            Self::to(copy.ok().map(File::from))
        })
    }

    fn to(target: Option<File>) -> Self {
        let reader = if target.is_some() {
            Reader::Reads
        } else {
            Reader::Gone
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    queue: VecDeque::new(),
                    left_out: 0,
                    bottom: Bottom::Empty,
                    screen: Screen::Clean,
                    thread: Thread::NotStarted,
                    reader,
                    asked: 0,
                    written: 0,
                }),
                changed: Condvar::new(),
                target,
            }),
        }
    }

    /// Writes whole lines, or leaves them out if nobody reads.
    pub(super) fn say(&self, text: String, weight: Weight) {
        self.ask_for(|state| state.push(Entry { text, weight }));
    }

    /// Lets the last line move from now on: the first of these lines, which are ever shorter, that fits. It is not waited
    /// for.
    pub(super) fn move_line(&self, lines: Vec<String>) {
        let mut state = self.shared.lock();
        match &mut state.bottom {
            Bottom::Moving(moving) => moving.lines = lines,
            other => *other = Bottom::Moving(Moving::new(lines)),
        }
        state.asked += 1;
        self.shared.hand_on(&mut state);
    }

    /// Asks in the last line.
    pub(super) fn put_question(&self, question: String) {
        self.ask_for(|state| state.bottom = Bottom::Question(question));
    }

    /// The last line has served: a line that moves is erased, a question left behind.
    pub(super) fn clear_bottom(&self) {
        if self.shared.lock().bottom != Bottom::Empty {
            self.ask_for(|state| state.bottom = Bottom::Empty);
        }
    }

    /// The question was answered, and the terminal's echo has left its line.
    pub(super) fn end_answered_question(&self) {
        let mut state = self.shared.lock();
        state.bottom = Bottom::Empty;
        state.screen = Screen::Clean;
    }

    /// Whether everything that was said has been written.
    pub(super) fn is_settled(&self) -> bool {
        self.shared.lock().is_settled()
    }

    /// Waits until everything is written, or nobody can read it any more, but no longer than `limit`.
    pub(super) fn settle(&self, limit: Duration) {
        let state = self.shared.lock();
        drop(self.shared.wait_until(state, limit, State::is_settled));
    }

    fn ask_for(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.shared.lock();
        if state.reader == Reader::Gone {
            return;
        }
        change(&mut state);
        state.asked += 1;
        let wanted = state.asked;
        self.shared.hand_on(&mut state);
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

    /// Has the thread look at what there is; the first time it is started.
    fn hand_on(self: &Arc<Self>, state: &mut State) {
        if state.thread == Thread::NotStarted {
            let shared = Arc::clone(self);
            let started = thread::Builder::new()
                .name("words".to_owned())
                .stack_size(STACK)
                .spawn(move || shared.write_all_that_comes());
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

    /// Without a thread only what the system takes at once can be written, and nothing moves.
    fn write_directly(&self, state: &mut State) {
        let Some(mut target) = self.target.as_ref() else {
            return;
        };
        let mut watched = [PollFd::new(target.as_fd(), PollFlags::POLLOUT)];
        let takes = poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
        let asked = state.asked;
        if takes
            && let Some(bytes) = state.compose(false)
            && target.write_all(&bytes).is_err()
        {
            state.lose_reader();
        }
        state.written = asked;
    }

    fn write_all_that_comes(&self) {
        // Signals are for the thread that acts on them. And a job in the background may write although `stty tostop` is
        // on: a stopped tflock would let its lock go stale.
        let _ = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let Some(target) = &self.target else {
            return;
        };
        let mut state = self.lock();
        let mut is_tick = false;
        loop {
            let asked = state.asked;
            if let Some(bytes) = state.compose(is_tick) {
                drop(state);
                let written = deliver(target, &bytes);
                state = self.lock();
                if written.is_err() {
                    state.lose_reader();
                }
            }
            state.written = asked;
            if state.asked == asked && state.reader == Reader::Stalled {
                state.reader = Reader::Reads;
            }
            self.changed.notify_all();
            is_tick = false;
            if state.asked == asked {
                let is_moving = matches!(state.bottom, Bottom::Moving(_));
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

impl State {
    fn is_settled(&self) -> bool {
        self.written == self.asked || self.reader == Reader::Gone
    }

    fn push(&mut self, entry: Entry) {
        self.queue.push_back(entry);
        let mut bytes: usize = self.queue.iter().map(|entry| entry.text.len()).sum();
        while bytes > CAPACITY && self.queue.len() > 1 {
            let detail = |entry: &Entry| entry.weight == Weight::Detail;
            let place = self.queue.iter().position(detail).unwrap_or(0);
            if let Some(entry) = self.queue.remove(place) {
                bytes -= entry.text.len();
                self.left_out += entry.text.lines().count();
            }
        }
    }

    /// What has to be written for the screen to be as it should; `None` if it is.
    fn compose(&mut self, is_tick: bool) -> Option<Vec<u8>> {
        let mut words = String::new();
        if self.left_out > 0 {
            let count = std::mem::take(&mut self.left_out);
            words =
                format!("tflock: {count} lines are left out here: nothing was read for too long\n");
        }
        words.extend(self.queue.drain(..).map(|entry| entry.text));
        self.screen
            .change_to(&mut self.bottom, &words, is_tick)
            .map(String::into_bytes)
    }

    fn lose_reader(&mut self) {
        self.reader = Reader::Gone;
        self.queue.clear();
        self.bottom = Bottom::Empty;
    }
}

/// Writes all of `bytes`, however long the reader takes.
fn deliver(mut target: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match target.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody who shares the stream with us has made it non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut writable = [PollFd::new(target.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut writable, PollTimeout::NONE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read as _};
    use std::os::fd::OwnedFd;

    use super::*;

    fn pipe() -> (PipeReader, Writer) {
        let (reader, writer) = io::pipe().unwrap();
        (reader, Writer::to(Some(File::from(OwnedFd::from(writer)))))
    }

    fn say(writer: &Writer, text: &str) {
        writer.say(format!("{text}\n"), Weight::Word);
    }

    /// More than a pipe takes, so that its writer blocks.
    fn fill(writer: &Writer) -> String {
        let text = "x".repeat(200_000) + "\n";
        writer.say(text.clone(), Weight::Word);
        text
    }

    fn read(reader: &mut PipeReader, length: usize) -> String {
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_said_has_been_written_when_the_speaker_goes_on() {
        let (mut reader, writer) = pipe();
        for text in ["one", "two", "three"] {
            say(&writer, text);
            assert!(writer.is_settled());
            assert_eq!(read(&mut reader, text.len() + 1), format!("{text}\n"));
        }
    }

    #[test]
    fn a_reader_that_does_not_read_costs_a_moment_once_and_gets_all_in_order_later() {
        let (mut reader, writer) = pipe();
        let first = fill(&writer);
        let begun = Instant::now();
        let words: Vec<String> = (0..100).map(|number| format!("word {number}\n")).collect();
        for word in &words {
            writer.say(word.clone(), Weight::Detail);
        }
        assert!(begun.elapsed() < MOMENT, "{:?}", begun.elapsed());
        assert!(!writer.is_settled());
        let expected = first + &words.concat();
        assert_eq!(read(&mut reader, expected.len()), expected);
        writer.settle(Duration::from_secs(20));
        assert!(writer.is_settled());
        // It reads again, and so it is waited for again.
        say(&writer, "after");
        assert!(writer.is_settled());
        assert_eq!(read(&mut reader, 6), "after\n");
    }

    #[test]
    fn what_does_not_fit_is_left_out_details_first_and_that_is_said() {
        let (mut reader, writer) = pipe();
        let first = fill(&writer);
        say(&writer, "a warning");
        for number in 0..9 {
            let text = format!("{number}{}\n", "d".repeat(CAPACITY / 8));
            writer.say(text, Weight::Detail);
        }
        say(&writer, "the end");
        assert_eq!(read(&mut reader, first.len()), first);
        writer.settle(Duration::from_secs(20));
        drop(writer);
        let mut rest = vec![0; 2 * CAPACITY];
        let mut length = 0;
        while !String::from_utf8_lossy(&rest[..length]).ends_with("the end\n") {
            length += reader.read(&mut rest[length..]).unwrap();
        }
        let rest = String::from_utf8_lossy(&rest[..length]).into_owned();
        let starts: Vec<&str> = rest
            .lines()
            .map(|line| &line[..line.len().min(9)])
            .collect();
        assert_eq!(starts[0], "tflock: 2");
        assert_eq!(starts[1], "a warning");
        assert!(starts[2].starts_with("2d"), "{starts:?}");
        assert_eq!(starts.last(), Some(&"the end"));
    }

    #[test]
    fn a_reader_that_is_gone_is_not_waited_for() {
        let (reader, writer) = pipe();
        drop(reader);
        say(&writer, "lost");
        let begun = Instant::now();
        say(&writer, "lost too");
        writer.settle(Duration::from_secs(20));
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert!(writer.is_settled());
    }
}
