//! Watches when the files of a directory are read or changed, by inotify, which does not reveal by which process.
//!
//! Only Linux has it, and the system may refuse it (a limit per user).

use std::ffi::OsString;
use std::io;
use std::path::Path;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touch {
    /// The file of that name in the directory has been read, to its end.
    Read(OsString),
    /// The list of files in the other directory has been read.
    Listed,
    /// Something in the directory may have changed.
    Changed,
}

#[cfg(target_os = "linux")]
pub use self::linux::FileWatch;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsFd as _, AsRawFd, RawFd};
    use std::path::PathBuf;

    use nix::errno::Errno;
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
    use tokio::io::unix::AsyncFd;

    use super::{Path, Touch, io};

    const CHANGES: AddWatchFlags = AddWatchFlags::IN_MODIFY
        .union(AddWatchFlags::IN_CLOSE_WRITE)
        .union(AddWatchFlags::IN_CREATE)
        .union(AddWatchFlags::IN_DELETE)
        .union(AddWatchFlags::IN_MOVED_FROM)
        .union(AddWatchFlags::IN_MOVED_TO)
        .union(AddWatchFlags::IN_DELETE_SELF)
        .union(AddWatchFlags::IN_MOVE_SELF);

    #[derive(Debug)]
    struct Source(Inotify);

    impl AsRawFd for Source {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    /// Watches a directory, and when another one is listed.
    #[derive(Debug)]
    pub struct FileWatch {
        inotify: AsyncFd<Source>,
        directory: PathBuf,
        of_directory: Option<WatchDescriptor>,
        of_list: WatchDescriptor,
    }

    impl FileWatch {
        /// Watches the files of `directory`, and when `listed` is listed. `directory` may be missing if it will be created
        /// in `listed`.
        ///
        /// # Errors
        /// An error of the operating system.
        pub fn start(listed: &Path, directory: &Path) -> io::Result<Self> {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            let of_list = inotify.add_watch(
                listed,
                AddWatchFlags::IN_CLOSE_NOWRITE
                    | AddWatchFlags::IN_CREATE
                    | AddWatchFlags::IN_MOVED_TO
                    | AddWatchFlags::IN_ONLYDIR,
            )?;
            let mut watch = Self {
                // SAFETY: it is the same descriptor until it is dropped.
                inotify: unsafe { AsyncFd::register(Source(inotify)) }?,
                directory: directory.to_owned(),
                of_directory: None,
                of_list,
            };
            match watch.add_directory() {
                Err(Errno::ENOENT) if directory.parent() == Some(listed) => {}
                added => added?,
            }
            Ok(watch)
        }

        fn add_directory(&mut self) -> nix::Result<()> {
            let flags = CHANGES | AddWatchFlags::IN_CLOSE_NOWRITE | AddWatchFlags::IN_ONLYDIR;
            let added = self.inotify.get_ref().0.add_watch(&self.directory, flags)?;
            self.of_directory = Some(added);
            Ok(())
        }

        /// Waits until something happens. Nothing is lost if the future is dropped.
        ///
        /// # Errors
        /// An error of the operating system.
        pub async fn next(&mut self) -> io::Result<Vec<Touch>> {
            loop {
                let mut ready = self.inotify.readable().await?;
                match ready.get_inner().0.read_events() {
                    Err(Errno::EAGAIN) => ready.clear_ready(),
                    Err(error) => return Err(error.into()),
                    Ok(events) => {
                        let touches = self.translate(events);
                        if !touches.is_empty() {
                            return Ok(touches);
                        }
                    }
                }
            }
        }

        /// What has happened so far and was not returned yet.
        pub fn so_far(&mut self) -> Vec<Touch> {
            let mut touches = Vec::new();
            while let Ok(events) = self.inotify.get_ref().0.read_events() {
                touches.extend(self.translate(events));
            }
            touches
        }

        fn translate(&mut self, events: Vec<InotifyEvent>) -> Vec<Touch> {
            let mut touches = Vec::new();
            for event in events {
                let is_directory = event.mask.contains(AddWatchFlags::IN_ISDIR);
                let was_read = event.mask.contains(AddWatchFlags::IN_CLOSE_NOWRITE);
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    touches.push(Touch::Changed);
                } else if event.wd == self.of_list {
                    let name = event.name;
                    if was_read && is_directory && name.is_none() {
                        touches.push(Touch::Listed);
                    } else if !was_read && name.as_deref() == self.directory.file_name() {
                        // It may be gone again, which is a change, too.
                        let _ = self.add_directory();
                        touches.push(Touch::Changed);
                    }
                } else if Some(event.wd) == self.of_directory {
                    match event.name {
                        Some(name) if was_read && !is_directory => touches.push(Touch::Read(name)),
                        _ if was_read => {}
                        _ => touches.push(Touch::Changed),
                    }
                }
            }
            touches
        }
    }
}

/// Other systems have no such watch.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub enum FileWatch {}

#[cfg(not(target_os = "linux"))]
impl FileWatch {
    /// Always fails.
    ///
    /// # Errors
    /// It is not supported.
    pub fn start(_listed: &Path, _directory: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    #[expect(clippy::unused_async, reason = "as the other one")]
    pub async fn next(&mut self) -> io::Result<Vec<Touch>> {
        match *self {}
    }

    /// Never called.
    pub fn so_far(&mut self) -> Vec<Touch> {
        match *self {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_listings_and_changes_are_reported_in_order() {
        let listed = tempfile::tempdir().unwrap();
        let directory = listed.path().join("data");
        std::fs::create_dir(&directory).unwrap();
        let file = directory.join("environment");
        std::fs::write(&file, "a").unwrap();
        let mut watch = FileWatch::start(listed.path(), &directory).unwrap();
        assert_eq!(watch.so_far(), []);
        std::fs::read(&file).unwrap();
        std::fs::read_dir(listed.path()).unwrap().count();
        assert_eq!(
            watch.next().await.unwrap(),
            [Touch::Read("environment".into()), Touch::Listed]
        );
        std::fs::write(&file, "b").unwrap();
        assert!(watch.next().await.unwrap().contains(&Touch::Changed));
    }

    #[tokio::test]
    async fn a_directory_that_is_created_later_is_watched_from_then_on() {
        let listed = tempfile::tempdir().unwrap();
        let directory = listed.path().join("data");
        let mut watch = FileWatch::start(listed.path(), &directory).unwrap();
        std::fs::create_dir(&directory).unwrap();
        assert_eq!(watch.next().await.unwrap(), [Touch::Changed]);
        std::fs::write(directory.join("environment"), "b").unwrap();
        assert!(watch.next().await.unwrap().contains(&Touch::Changed));
        assert!(FileWatch::start(listed.path(), &listed.path().join("a/b")).is_err());
    }
}
