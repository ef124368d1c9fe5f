//! What the traces of a run prove about its end.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use nix::libc;

use super::{LARGEST, Run, Sighting, for_this_user_alone, hash_of, path_of, text_of};
use crate::system::machine;
use crate::system::own_directory::OwnDirectory;
use crate::system::process::{self, Carries, Existence, ProcessIdentity, Stat};

/// What the traces of a run prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traces {
    /// Someone still works under its lock, or may.
    Living,
    /// All agree that it has ended, in this boot.
    Ended,
    /// All agree that it ended in an earlier boot, or this is a copy of the disk that it ran on.
    EndedBeforeBoot,
    /// There are no traces, they disagree, or a look failed.
    Inconclusive,
}

/// How often, and at which interval, to check whether anyone has a place: another observer that checks has the file locked
/// for microseconds.
const ATTEMPTS: u32 = 8;
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(1);

/// Examines what the run with the lock `lock_id` left in `directory` and among the processes of this machine. `claimed`
/// is the process that the lock's record names.
#[must_use]
pub fn traces_of(directory: &Path, lock_id: &str, claimed: ProcessIdentity) -> Traces {
    // A failed look proves nothing.
    look(directory, lock_id, claimed).unwrap_or(Traces::Inconclusive)
}

fn look(directory: &Path, lock_id: &str, claimed: ProcessIdentity) -> io::Result<Traces> {
    let path = path_of(directory, lock_id)?;
    match OwnDirectory::open(directory).map_err(io::Error::other)? {
        Some(directory) => for_this_user_alone(&directory)?,
        None => return Ok(Traces::Inconclusive),
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(&path)?;
    let status = file.metadata()?;
    let own = nix::unistd::geteuid().as_raw();
    if !status.is_file() || status.uid() != own || status.len() > LARGEST {
        return Ok(Traces::Inconclusive);
    }
    if !is_without_places(&file)? {
        return Ok(Traces::Living);
    }
    let mut text = Vec::new();
    (&file).take(LARGEST).read_to_end(&mut text)?;
    let run: Run = serde_json::from_slice(&text)?;
    if run.lock_id != lock_id
        || run.tflock != claimed
        || run.uid != own
        || run.is_of_another_machine()
    {
        return Ok(Traces::Inconclusive);
    }
    if run.sighting == Sighting::Unseen {
        return Ok(Traces::Inconclusive);
    }
    if machine::boot_id().as_ref() != Some(&run.boot_id) {
        // A container's directory may come from another host.
        return Ok(match run.machine {
            Some(_) => Traces::EndedBeforeBoot,
            None => Traces::Inconclusive,
        });
    }
    run.look_at_processes()
}

/// Whether no one has a place in the run. From then on only a process that carries the lock's ID can take one, and we look
/// for such a process afterwards. So the file need not stay locked, which would look like a place to other observers.
fn is_without_places(file: &File) -> io::Result<bool> {
    for attempt in 1..=ATTEMPTS {
        match file.try_lock() {
            Ok(()) => {
                file.unlock()?;
                return Ok(true);
            }
            Err(TryLockError::WouldBlock) if attempt == ATTEMPTS => {}
            Err(TryLockError::WouldBlock) => std::thread::sleep(ATTEMPT_INTERVAL),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

impl Run {
    /// Every trace of a machine can be copied: equal ones prove nothing, different ones refute.
    fn is_of_another_machine(&self) -> bool {
        self.machine != machine::identity()
    }

    fn look_at_processes(&self) -> io::Result<Traces> {
        let elsewhere = machine::pid_namespace() != Some(self.pid_namespace)
            || machine::time_namespace() != self.time_namespace;
        if elsewhere || process::are_hidden() {
            return Ok(Traces::Inconclusive);
        }
        for named in [Some(self.tflock), self.child].into_iter().flatten() {
            match named.existence() {
                Existence::Exists => return Ok(Traces::Living),
                Existence::Hidden => return Ok(Traces::Inconclusive),
                Existence::Absent => {}
            }
        }
        for pid in process::all()? {
            if pid != std::process::id() && self.may_belong(pid)? {
                return Ok(Traces::Inconclusive);
            }
        }
        Ok(Traces::Ended)
    }

    /// Whether a process may work under the lock: it carries the lock's ID, has the child's arguments and directory, or
    /// hides both and could belong to the run.
    fn may_belong(&self, pid: u32) -> io::Result<bool> {
        let stat = match Stat::read(pid) {
            Ok(stat) => stat,
            // It has ended since the processes were listed.
            Err(_) if process::existence_of(pid) == Existence::Absent => return Ok(false),
            Err(error) => return Err(error),
        };
        // The run's processes started after tflock. That excludes the many old processes with unreadable environments,
        // such as an ssh-agent.
        if stat.has_ended() || stat.is_kernel_thread || stat.start_time < self.tflock.start_time {
            return Ok(false);
        }
        match process::carries(pid, self.lock_id.as_bytes()) {
            Carries::Yes => return Ok(true),
            Carries::Hidden => {
                let same_user = process::owner(pid).is_ok_and(|owner| owner == self.uid);
                if same_user || stat.session == self.session {
                    return Ok(true);
                }
            }
            Carries::No => {}
        }
        let Ok(words) = process::command_line(pid) else {
            return Ok(process::existence_of(pid) != Existence::Absent);
        };
        let Some((_, arguments)) = words.split_first() else {
            return Ok(false);
        };
        // Another tflock waiting for this very lock has the same arguments.
        let is_same = self.arguments.as_ref() == Some(&hash_of(arguments));
        if !is_same || process::is_same_program(pid) {
            return Ok(false);
        }
        // Its directory may be unreadable, as for another user's process.
        Ok(process::directory(pid).map_or(true, |directory| {
            self.directories.contains(&text_of(&directory))
        }))
    }
}
