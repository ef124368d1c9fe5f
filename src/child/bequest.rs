//! What a killed tflock leaves to its witness: the means to exec tflock again and release the lock.
//!
//! Everything is prepared before the witness is forked, because the fork may make only system calls: tflock's
//! executable, open, so that replacing or deleting it does not matter; the environment; and the instructions, in a
//! memory file that is inherited, because they may hold secrets. None of it appears on a command line.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use nix::libc;
use nix::sys::signal::{SigHandler, Signal as Number};
use nix::unistd::Pid;

use super::inherited;
use super::title::rename;
use super::witness::NAME;

/// A missing descriptor or group on the command line.
const NONE: &str = "-";

/// The instructions, and everything needed to carry them out.
#[derive(Debug)]
pub struct Bequest {
    executable: OwnedFd,
    content: OwnedFd,
    environment: Vec<CString>,
}

impl Bequest {
    /// Prepares to hand `content` to the process that carries it out.
    ///
    /// # Errors
    /// The system refuses. Only Linux tells which processes are left in a process group, without which a lock must not
    /// be released.
    #[cfg(target_os = "linux")]
    pub fn prepare(content: &[u8]) -> io::Result<Self> {
        use std::io::Write as _;
        use std::os::unix::ffi::OsStringExt as _;
        use std::os::unix::fs::OpenOptionsExt as _;

        let executable = File::options()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open("/proc/self/exe")?;
        let mut memory = File::from(in_memory()?);
        memory.write_all(content)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the environment is passed on, not read"
        )]
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            let variable = [name.into_vec(), value.into_vec()].join(&b'=');
            CString::new(variable).ok()
        });
        Ok(Self {
            executable: executable.into(),
            content: memory.into(),
            environment: environment.collect(),
        })
    }

    /// Not supported.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(target_os = "linux"))]
    pub fn prepare(_content: &[u8]) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Completes it for the witness of `group`, which keeps `place`.
    pub(super) fn ready(self, group: Pid, place: Option<BorrowedFd<'_>>) -> io::Result<Ready> {
        let place = place.map(|place| place.as_raw_fd());
        let content = self.content.as_raw_fd().to_string();
        let kept = place.map_or(NONE.to_owned(), |place| place.to_string());
        let words = |group: &str| -> io::Result<Vec<CString>> {
            let name = CString::from(NAME);
            let rest = [&content, &kept, group].map(CString::new);
            let rest = rest.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok(std::iter::once(name).chain(rest).collect())
        };
        let (while_it_lives, once_it_has_ended) = (words(&group.to_string())?, words(NONE)?);
        Ok(Ready {
            while_it_lives: pointers(&while_it_lives),
            once_it_has_ended: pointers(&once_it_has_ended),
            environment: pointers(&self.environment),
            words: [while_it_lives, once_it_has_ended],
            place,
            bequest: self,
        })
    }
}

/// A memory file. Some kernels want to be told that it is not executable, others do not know the flag.
#[cfg(target_os = "linux")]
fn in_memory() -> io::Result<OwnedFd> {
    for flags in [libc::MFD_CLOEXEC | libc::MFD_NOEXEC_SEAL, libc::MFD_CLOEXEC] {
        // SAFETY: the name is a string of C.
        let made = unsafe { libc::memfd_create(NAME.as_ptr(), flags) };
        if made >= 0 {
            // SAFETY: it was just made, and is nobody else's.
            return Ok(unsafe { OwnedFd::from_raw_fd(made) });
        }
    }
    Err(io::Error::last_os_error())
}

fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    let words = words.iter().map(|word| word.as_ptr());
    words.chain(std::iter::once(ptr::null())).collect()
}

/// Whether the child's group has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Child {
    /// It may be alive: wait for its end.
    Living,
    /// Everything that held its place has ended.
    Ended,
}

/// A bequest that can be carried out with system calls alone.
pub(super) struct Ready {
    bequest: Bequest,
    place: Option<RawFd>,
    /// The strings behind the pointers.
    #[expect(dead_code, reason = "they are read through the pointers")]
    words: [Vec<CString>; 2],
    while_it_lives: Vec<*const libc::c_char>,
    once_it_has_ended: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
}

impl Ready {
    pub(super) fn descriptors(&self) -> [RawFd; 2] {
        let Bequest {
            executable,
            content,
            ..
        } = &self.bequest;
        [executable.as_raw_fd(), content.as_raw_fd()]
    }

    /// Execs tflock. Returns only on failure. Makes only system calls.
    pub(super) fn carry_out(&self, child: Child) {
        // It is in the child's group, and signals to that must not end it.
        for signal in [
            Number::SIGHUP,
            Number::SIGINT,
            Number::SIGQUIT,
            Number::SIGTERM,
            Number::SIGTSTP,
            Number::SIGTTIN,
            Number::SIGTTOU,
        ] {
            let _ = inherited::set(signal, SigHandler::SigIgn);
        }
        let words = match child {
            Child::Living => &self.while_it_lives,
            Child::Ended => &self.once_it_has_ended,
        };
        // SAFETY: system calls that take numbers, and pointers to what lives as long as `self`. Rust's runtime opens
        // streams anew that are closed.
        unsafe {
            libc::close(libc::STDIN_FILENO);
            libc::close(libc::STDOUT_FILENO);
            for kept in [Some(self.bequest.content.as_raw_fd()), self.place]
                .into_iter()
                .flatten()
            {
                libc::fcntl(kept, libc::F_SETFD, 0);
            }
            #[cfg(target_os = "linux")]
            libc::syscall(
                libc::SYS_execveat,
                self.bequest.executable.as_raw_fd(),
                c"".as_ptr(),
                words.as_ptr(),
                self.environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
            #[cfg(not(target_os = "linux"))]
            let _ = (words, &self.environment);
        }
    }
}

/// A bequest for this process to carry out.
#[derive(Debug)]
pub struct Inheritance {
    content: File,
    /// The killed tflock's place in the run.
    pub place: Option<OwnedFd>,
    /// The group of a child that may be alive.
    pub group: Option<Pid>,
}

impl Inheritance {
    /// Whether this process was started to carry one out; no user types such a command line. Call it once only: it
    /// takes ownership of the descriptors.
    #[must_use]
    pub fn of_this_process(zeroth: Option<&OsStr>, arguments: &[OsString]) -> Option<Self> {
        let [content, place, group] = arguments else {
            return None;
        };
        if zeroth?.as_encoded_bytes() != NAME.to_bytes() {
            return None;
        }
        let content = File::from(taken(content)?);
        let place = if place == NONE {
            None
        } else {
            Some(taken(place)?)
        };
        let group = if group == NONE {
            None
        } else {
            Some(Pid::from_raw(number(group)?))
        };
        rename(NAME, None);
        Some(Self {
            content,
            place,
            group,
        })
    }

    /// The instructions.
    ///
    /// # Errors
    /// What the system says.
    pub fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.content.rewind()?;
        self.content.read_to_end(&mut content)?;
        Ok(content)
    }
}

fn number(word: &OsStr) -> Option<i32> {
    word.to_str()?.parse().ok().filter(|number| *number > 2)
}

/// An open descriptor, set to close on exec.
fn taken(word: &OsStr) -> Option<OwnedFd> {
    let descriptor = number(word)?;
    // SAFETY: system calls that take numbers; if the first succeeds the descriptor is open, and nothing else in this young
    // process knows it.
    unsafe {
        if libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) == -1 {
            return None;
        }
        Some(OwnedFd::from_raw_fd(descriptor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_typed_command_line_looks_like_a_bequest() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (zeroth, line) in [
            ("tflock", "5 6 7"),
            ("lock-witness", "apply"),
            ("lock-witness", "state list x"),
            ("lock-witness", "1 - -"),
            ("lock-witness", "9999 - -"),
        ] {
            let heir = Inheritance::of_this_process(Some(OsStr::new(zeroth)), &words(line));
            assert!(heir.is_none(), "{zeroth} {line}");
        }
    }
}
