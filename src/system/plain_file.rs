//! Reads files that anyone may have put there: only plain ones of a limited size, and never waiting for the writer of a
//! pipe.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

/// What to do if the file is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Follow it.
    Follow,
    /// Refuse it.
    Refuse,
}

/// The whole content of a plain file of at most `longest` bytes.
///
/// # Errors
/// An error of the operating system, or `InvalidInput` for any other kind of file. Never quotes its content.
pub fn read(path: &Path, link: Link, longest: u64) -> io::Result<Vec<u8>> {
    let refused = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
    let follow = match link {
        Link::Follow => OFlag::empty(),
        Link::Refuse => OFlag::O_NOFOLLOW,
    };
    let flags = (OFlag::O_NONBLOCK | follow).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match file {
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => {
            return Err(refused("it is a symbolic link"));
        }
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(refused("it is not a plain file"));
    }
    let mut content = Vec::new();
    file.take(longest + 1).read_to_end(&mut content)?;
    if content.len() as u64 > longest {
        return Err(refused("it is too large"));
    }
    Ok(content)
}

/// What came of opening or examining a file; `None` if there is none.
///
/// # Errors
/// Any other error of the operating system.
pub fn if_there<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn only_a_plain_file_of_the_right_size_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("plain"), "12345").unwrap();
        symlink(at("plain"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        let reads = |name: &str, link, longest| {
            read(&at(name), link, longest).map_err(|error| error.to_string())
        };
        assert_eq!(reads("plain", Link::Refuse, 5), Ok(b"12345".to_vec()));
        assert_eq!(reads("link", Link::Follow, 5), Ok(b"12345".to_vec()));
        let refused = |what: &str| Err(what.to_owned());
        assert_eq!(reads("plain", Link::Refuse, 4), refused("it is too large"));
        assert_eq!(
            reads("link", Link::Refuse, 5),
            refused("it is a symbolic link")
        );
        assert_eq!(
            reads("pipe", Link::Follow, 5),
            refused("it is not a plain file")
        );
        assert_eq!(
            reads(".", Link::Follow, 5),
            refused("it is not a plain file")
        );
    }
}
