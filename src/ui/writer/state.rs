//! What waits to be written, and what is on the screen.

use std::collections::VecDeque;

use crate::ui::bottom::{Bottom, Screen};

/// How many bytes to queue before messages are dropped.
pub(super) const CAPACITY: usize = 64 * 1024;

/// What to drop first when nothing is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ui) enum Importance {
    /// What tflock does and why.
    Detail,
    /// What the user must know.
    Message,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: VecDeque<Entry>,
    pub(super) dropped: usize,
    pub(super) bottom: Bottom,
    pub(super) screen: Screen,
    pub(super) thread: Thread,
    pub(super) reader: Reader,
    /// The number of changes requested, and how many of them are on screen.
    pub(super) requested: u64,
    pub(super) written: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) importance: Importance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thread {
    NotStarted,
    Runs,
    /// The system cannot start one.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Reads,
    /// Has not read for [`MOMENT`].
    Stalled,
    Gone,
}

impl State {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            queue: VecDeque::new(),
            dropped: 0,
            bottom: Bottom::Empty,
            screen: Screen::Clean,
            thread: Thread::NotStarted,
            reader,
            requested: 0,
            written: 0,
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.written == self.requested || self.reader == Reader::Gone
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.queue.push_back(entry);
        let mut bytes: usize = self.queue.iter().map(|entry| entry.text.len()).sum();
        while bytes > CAPACITY && self.queue.len() > 1 {
            let detail = |entry: &Entry| entry.importance == Importance::Detail;
            let place = self.queue.iter().position(detail).unwrap_or(0);
            if let Some(entry) = self.queue.remove(place) {
                bytes -= entry.text.len();
                self.dropped += entry.text.lines().count();
            }
        }
    }

    /// The bytes that bring the screen up to date; `None` if it is.
    pub(super) fn compose(&mut self, is_tick: bool) -> Option<Vec<u8>> {
        let mut words = String::new();
        if self.dropped > 0 {
            let count = std::mem::take(&mut self.dropped);
            words = format!("tflock: {count} lines dropped here: nothing was read for too long\n");
        }
        words.extend(self.queue.drain(..).map(|entry| entry.text));
        self.screen
            .change_to(&mut self.bottom, &words, is_tick)
            .map(String::into_bytes)
    }

    pub(super) fn lose_reader(&mut self) {
        self.reader = Reader::Gone;
        self.queue.clear();
        self.bottom = Bottom::Empty;
    }
}
