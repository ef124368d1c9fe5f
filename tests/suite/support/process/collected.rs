//! What a program has written so far.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::support::waiting::comes_true_within;

/// A stream that a thread reads into a growing buffer.
#[derive(Debug)]
pub(super) struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    pub(super) fn from(stream: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let reader = stream.map(|stream| {
            let bytes = Arc::clone(&bytes);
            thread::spawn(move || read_into(&bytes, stream))
        });
        Self { bytes, reader }
    }

    pub(super) fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the stream reached its end in time.
    pub(super) fn finish_by(&mut self, deadline: Instant) -> bool {
        let limit = deadline.saturating_duration_since(Instant::now());
        comes_true_within(limit, &mut || {
            self.reader.as_ref().is_none_or(JoinHandle::is_finished)
        })
    }
}

/// Reads until the end, which a terminal reports as an error.
pub fn read_into(bytes: &Mutex<Vec<u8>>, mut stream: impl Read) {
    let mut block = [0; 16 * 1024];
    loop {
        match stream.read(&mut block) {
            Ok(0) => return,
            Ok(count) => bytes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
