//! stdout and stderr that are pipes: tflock relays them, so that a reader that goes away (`| head`) cannot kill
//! terraform in the middle of an apply.
//!
//! Bytes and their order are preserved and not inspected. Output without a reader is read and dropped.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use tokio::sync::oneshot;

/// The default capacity of a pipe (pipe(7)).
const CHUNK: usize = 64 * 1024;

/// The relayed streams, and the output still in transit.
#[derive(Debug, Default)]
pub struct Output {
    stdout: Option<PipeWriter>,
    stderr: Option<PipeWriter>,
    copies: Vec<Copy>,
    relays: Vec<Relay>,
    progress: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
pub(super) struct Relay {
    pub(super) source: Arc<PipeReader>,
    pub(super) target: Arc<File>,
}

impl Output {
    /// Relays our stdout and stderr where they are pipes or sockets. If both are the same one, the child gets one pipe
    /// for both, which keeps the order.
    pub(super) fn between() -> io::Result<Self> {
        Self::between_these(io::stdout().as_fd(), io::stderr().as_fd())
    }

    fn between_these(stdout: BorrowedFd<'_>, stderr: BorrowedFd<'_>) -> io::Result<Self> {
        let mut output = Self::default();
        let (first, second) = (identity(stdout), identity(stderr));
        if first.is_some() {
            output.stdout = Some(output.copy_to(stdout)?);
        }
        if second.is_some() {
            output.stderr = match &output.stdout {
                Some(shared) if first == second => Some(shared.try_clone()?),
                _ => Some(output.copy_to(stderr)?),
            };
        }
        Ok(output)
    }

    fn copy_to(&mut self, target: BorrowedFd<'_>) -> io::Result<PipeWriter> {
        let (source, child_end) = io::pipe()?;
        let (ended_reader, ended) = io::pipe()?;
        let (done, delivered) = oneshot::channel();
        let relay = Relay {
            source: Arc::new(source),
            target: Arc::new(File::from(target.try_clone_to_owned()?)),
        };
        self.relays.push(relay.clone());
        let progress = Arc::clone(&self.progress);
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                copy(&relay, &ended_reader, &progress);
                // No receiver is left if tflock has stopped waiting.
                let _ = done.send(());
            })?;
        self.copies.push(Copy {
            child_ended: Some(ended),
            delivered,
        });
        Ok(child_end)
    }

    /// The child's stdout, unless it inherits ours.
    pub(super) fn take_stdout(&mut self) -> Option<Stdio> {
        self.stdout.take().map(Stdio::from)
    }

    /// The child's stderr, unless it inherits ours.
    pub(super) fn take_stderr(&mut self) -> Option<Stdio> {
        self.stderr.take().map(Stdio::from)
    }

    pub(super) fn relays(&self) -> &[Relay] {
        &self.relays
    }

    /// From now on only passes on what is already in the pipes: a daemon that the child left behind may hold them open
    /// forever.
    pub(super) fn child_ended(&mut self) {
        self.relays.clear();
        for copy in &mut self.copies {
            copy.child_ended = None;
        }
    }

    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Returns when the reader has taken all output or has gone away. With an idle pager that may be never.
    /// Cancel-safe.
    pub async fn delivered(&mut self) {
        while let Some(copy) = self.copies.last_mut() {
            // An error means that the thread has ended, which is just as good.
            let _ = (&mut copy.delivered).await;
            self.copies.pop();
        }
    }
}

#[derive(Debug)]
struct Copy {
    /// Closed to signal the thread that the child has ended.
    child_ended: Option<PipeWriter>,
    delivered: oneshot::Receiver<()>,
}

/// The identity of a pipe or socket, whose reader may go away; `None` for other files.
fn identity(descriptor: BorrowedFd<'_>) -> Option<(u64, u64)> {
    let status = fstat(descriptor).ok()?;
    let kind = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT;
    #[expect(
        clippy::useless_conversion,
        reason = "device numbers are signed on some systems"
    )]
    let device = u64::try_from(status.st_dev).ok()?;
    (kind == SFlag::S_IFIFO || kind == SFlag::S_IFSOCK).then_some((device, status.st_ino))
}

/// Whether stdin, stdout or stderr is connected to another program, which may use the terminal while we do not.
pub(super) fn in_pipeline() -> bool {
    [
        identity(io::stdin().as_fd()),
        identity(io::stdout().as_fd()),
        identity(io::stderr().as_fd()),
    ]
    .iter()
    .any(Option::is_some)
}

/// Copies until the source ends, or is empty after the child has ended.
fn copy(relay: &Relay, child_ended: &PipeReader, progress: &AtomicU64) {
    let mut chunk = vec![0; CHUNK];
    let mut reader = Reader::Reads;
    let mut child = Child::Lives;
    loop {
        let has_bytes = match wait(&relay.source, child_ended, child) {
            Ok((has_bytes, now)) => {
                child = now;
                has_bytes
            }
            Err(_) => return,
        };
        if !has_bytes {
            if child == Child::Ended {
                return;
            }
            continue;
        }
        match relay.source.as_ref().read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => {
                if reader == Reader::Reads
                    && deliver(&relay.target, &chunk[..count], progress).is_err()
                {
                    reader = Reader::Gone;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Reads,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Child {
    Lives,
    Ended,
}

/// Waits for bytes, or only checks once the child has ended. Returns whether there are any (or the end of input), and
/// whether the child lives.
fn wait(source: &PipeReader, child_ended: &PipeReader, child: Child) -> nix::Result<(bool, Child)> {
    let mut watched = [
        PollFd::new(source.as_fd(), PollFlags::POLLIN),
        PollFd::new(child_ended.as_fd(), PollFlags::POLLIN),
    ];
    let timeout = if child == Child::Ended {
        PollTimeout::ZERO
    } else {
        PollTimeout::NONE
    };
    match poll(&mut watched, timeout) {
        Ok(_) => {}
        Err(nix::errno::Errno::EINTR) => return Ok((false, Child::Lives)),
        Err(error) => return Err(error),
    }
    let [has_bytes, ended] = [0, 1].map(|at: usize| {
        watched[at]
            .revents()
            .is_some_and(|events| !events.is_empty())
    });
    // If both came at once, there may be more than this poll saw: look again before ending.
    Ok((has_bytes, if ended { Child::Ended } else { Child::Lives }))
}

/// Writes all of `bytes`, however long the reader takes. Allocates nothing, because the witness uses it too.
pub(super) fn deliver(mut target: &File, mut bytes: &[u8], progress: &AtomicU64) -> io::Result<()> {
    while !bytes.is_empty() {
        match target.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                progress.fetch_add(count as u64, Ordering::Relaxed);
                bytes = &bytes[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process that shares the pipe made it non-blocking.
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
mod tests;
