//! The machine that the protocol runs on: its clocks, its randomness and its processes.
//!
//! The protocol sees them only through [`Host`], so that a simulation can stand in. This is the one place
//! that reads a clock.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::record::{HolderProcess, LockId, ProcessIdentity};

/// Time on this machine since some fixed moment, suspend included. Not comparable between machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub Duration);

impl Instant {
    /// How long ago `earlier` was; zero if it was not.
    #[must_use]
    pub fn since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What is known of a holder that says it runs on some machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessFate {
    /// It, or its child, exists on this machine.
    Running,
    /// Same boot, and neither it nor its child exists any more.
    Ended,
    /// It ran on this machine before the last boot.
    Rebooted,
    /// It runs elsewhere, or cannot be told.
    Elsewhere,
}

/// Clock, randomness and processes, as the protocol needs them.
pub trait Host {
    /// Time that goes on while the machine is suspended.
    fn now(&self) -> Instant;
    /// The wall clock: for people and for `Created`, never compared between machines without a margin.
    fn wall(&self) -> DateTime<Utc>;
    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>>;
    /// Random bytes that no other holder draws.
    fn random(&self) -> [u8; 16];
    /// This process, as it is written into a record; `None` where the system does not tell.
    fn this_process(&self) -> Option<HolderProcess>;
    /// What became of the process that a record names, and of all that it started under the lock `id`.
    fn fate_of(&self, holder: &HolderProcess, id: &LockId) -> ProcessFate;

    /// `duration`, shortened at random by up to a third, so that a crowd does not move in step.
    fn jittered(&self, duration: Duration) -> Duration {
        let [byte, ..] = self.random();
        duration.mul_f64(1.0 - f64::from(byte) / 765.0)
    }
}

/// The real machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Host for Machine {
    fn now(&self) -> Instant {
        // CLOCK_MONOTONIC stands still while Linux is suspended; on other systems it is what there is.
        #[cfg(target_os = "linux")]
        let clock = nix::time::ClockId::CLOCK_BOOTTIME;
        #[cfg(not(target_os = "linux"))]
        let clock = nix::time::ClockId::CLOCK_MONOTONIC;
        Instant(clock.now().map_or(Duration::ZERO, Duration::from))
    }

    fn wall(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        #[expect(
            clippy::expect_used,
            reason = "without randomness lock IDs could collide: better no run at all"
        )]
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        bytes
    }

    fn this_process(&self) -> Option<HolderProcess> {
        let pid = std::process::id();
        Some(HolderProcess {
            machine: machine_identity(),
            boot_id: boot_id()?,
            pid_namespace: pid_namespace()?,
            uid: nix::unistd::geteuid().as_raw(),
            session: stat(pid).map(|stat| stat.session),
            process: ProcessIdentity {
                pid,
                start_time: start_time(pid)?,
            },
            child: None,
        })
    }

    fn fate_of(&self, holder: &HolderProcess, id: &LockId) -> ProcessFate {
        let (Some(boot_id), Some(pid_namespace)) = (boot_id(), pid_namespace()) else {
            return ProcessFate::Elsewhere;
        };
        if holder.boot_id != boot_id {
            let machine = machine_identity();
            return if machine.is_some() && machine == holder.machine {
                ProcessFate::Rebooted
            } else {
                ProcessFate::Elsewhere
            };
        }
        if holder.pid_namespace != pid_namespace {
            return ProcessFate::Elsewhere;
        }
        if holder.machine.is_some() && holder.machine != machine_identity() {
            // Two clones that woke from one memory image share boot and namespace.
            return ProcessFate::Elsewhere;
        }
        for process in [Some(holder.process), holder.child].into_iter().flatten() {
            match existence_of(process) {
                Existence::Exists => return ProcessFate::Running,
                Existence::Hidden => return ProcessFate::Elsewhere,
                Existence::Absent => {}
            }
        }
        let user = nix::unistd::geteuid();
        if !user.is_root() && user.as_raw() != holder.uid {
            return ProcessFate::Elsewhere;
        }
        match descendants_of(id, holder) {
            Some(Descendants::None) => ProcessFate::Ended,
            Some(Descendants::Some) => ProcessFate::Running,
            None => ProcessFate::Elsewhere,
        }
    }
}

/// The identity of a process of this machine by its number; `None` if there is none.
#[must_use]
pub fn identity_of(pid: u32) -> Option<ProcessIdentity> {
    Some(ProcessIdentity {
        pid,
        start_time: start_time(pid)?,
    })
}

fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

fn pid_namespace() -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Some(std::fs::metadata("/proc/self/ns/pid").ok()?.ino())
}

/// What `/proc/<pid>/stat` tells of a process that has not ended.
struct Stat {
    /// Field 6.
    session: i32,
    /// From field 9: kernel threads have no environment.
    is_kernel_thread: bool,
    /// Field 22.
    start_time: u64,
    /// Fields 50 and 51: where the environment begins and ends. Both are 0 in the middle of an exec.
    environment: (u64, u64),
}

impl Stat {
    /// `PF_KTHREAD` of the Linux source.
    const KERNEL_THREAD: u64 = 0x0020_0000;

    /// Whether there is nothing in its environment for good, and not only because it is about to become another program.
    fn has_no_environment(&self) -> bool {
        let (start, end) = self.environment;
        self.is_kernel_thread || (start == end && start != 0)
    }
}

/// Counted after the closing parenthesis, because the name may hold blanks. A zombie has ended: it holds nothing any
/// more.
fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&stat_line(pid).ok()?)
}

fn stat_line(pid: u32) -> std::io::Result<String> {
    // A name need not be UTF-8.
    let line = std::fs::read(format!("/proc/{pid}/stat"))?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn parse_stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X" | "x") {
        return None;
    }
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        session: fields.get(3)?.parse().ok()?,
        is_kernel_thread: number(9)? & Stat::KERNEL_THREAD != 0,
        start_time: number(22)?,
        // Not there before Linux 3.5.
        environment: (
            number(50).unwrap_or_default(),
            number(51).unwrap_or_default(),
        ),
    })
}

fn start_time(pid: u32) -> Option<u64> {
    stat(pid).map(|stat| stat.start_time)
}

enum Existence {
    Exists,
    Absent,
    /// There is a process of that number, and it may not be looked at (`hidepid`).
    Hidden,
}

fn existence_of(process: ProcessIdentity) -> Existence {
    if let Ok(line) = stat_line(process.pid) {
        return match parse_stat(&line) {
            Some(stat) if stat.start_time == process.start_time => Existence::Exists,
            _ => Existence::Absent,
        };
    }
    let pid = i32::try_from(process.pid).unwrap_or(i32::MAX);
    match nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) {
        Err(nix::errno::Errno::ESRCH) => Existence::Absent,
        _ => Existence::Hidden,
    }
}

enum Descendants {
    None,
    Some,
}

/// Whether any process was started under the lock `id`: its environment names it (`TFLOCK_HELD`).
///
/// A run that ends soon never writes its child's number into the store, so a holder that was killed could
/// leave a terraform behind that no record knows of. `None` where the answer would be a guess.
fn descendants_of(id: &LockId, holder: &HolderProcess) -> Option<Descendants> {
    use std::os::unix::fs::MetadataExt as _;
    let wanted = id.0.as_bytes();
    // Where the first process cannot be seen, others may be hidden too.
    if wanted.is_empty() || stat(1).is_none() {
        return None;
    }
    for entry in std::fs::read_dir("/proc").ok()? {
        let entry = entry.ok()?;
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Whatever the holder started, it started later. That leaves out the many old processes that keep their
        // environment to themselves, such as an ssh-agent.
        let Some(before) = stat(pid) else {
            continue;
        };
        if pid == std::process::id() || before.start_time < holder.process.start_time {
            continue;
        }
        match std::fs::read(entry.path().join("environ")) {
            // Looked at again, because it may have become another program in between.
            Ok(environment) if environment.is_empty() => {
                if stat(pid).is_some_and(|now| !now.has_no_environment()) {
                    return None;
                }
            }
            Ok(environment) => {
                if environment
                    .windows(wanted.len())
                    .any(|window| window == wanted)
                {
                    return Some(Descendants::Some);
                }
            }
            // It may be one of the holder's, and keeps its environment to itself.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let owner = entry.metadata().map(|metadata| metadata.uid());
                let same_user = owner.is_ok_and(|owner| owner == holder.uid);
                if same_user || holder.session == Some(before.session) {
                    return None;
                }
            }
            Err(_) => {}
        }
    }
    Some(Descendants::None)
}

/// The inode of the first PID namespace (`PROC_PID_INIT_INO` of the Linux source).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Names this machine across boots: a hash of machine ID, host name and the addresses of its own network
/// cards. All three, because each alone is copied with images; none inside of containers, whose names and
/// addresses repeat from host to host.
fn machine_identity() -> Option<String> {
    if pid_namespace()? != INITIAL_PID_NAMESPACE {
        return None;
    }
    let machine_id = std::fs::read_to_string("/etc/machine-id").ok()?;
    let machine_id = machine_id.trim();
    if machine_id.is_empty() {
        return None;
    }
    let mut addresses: Vec<String> = std::fs::read_dir("/sys/class/net")
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| card_address(&entry.path()))
        .collect();
    if addresses.is_empty() {
        return None;
    }
    addresses.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(machine_id);
    hash.update([0]);
    hash.update(nix::unistd::gethostname().ok()?.as_encoded_bytes());
    for address in addresses {
        hash.update([0]);
        hash.update(address);
    }
    Some(hex(&hash.finalize()[..16]))
}

fn card_address(card: &Path) -> Option<String> {
    let address = std::fs::read_to_string(card.join("address")).ok()?;
    let address = address.trim();
    let blank = address
        .chars()
        .all(|character| matches!(character, '0' | ':'));
    (!blank).then(|| address.to_owned())
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> LockId {
        LockId::from_bytes(Machine.random())
    }

    #[test]
    fn this_process_is_running() {
        let holder = Machine.this_process().unwrap();
        assert_eq!(Machine.fate_of(&holder, &id()), ProcessFate::Running);
    }

    #[test]
    fn a_number_that_was_given_again_does_not_revive_its_first_owner() {
        let mut holder = Machine.this_process().unwrap();
        holder.process.start_time += 1;
        assert_eq!(Machine.fate_of(&holder, &id()), ProcessFate::Ended);
    }

    #[test]
    fn a_child_that_lives_keeps_its_dead_holder_from_being_gone() {
        let mut holder = Machine.this_process().unwrap();
        holder.child = Some(holder.process);
        holder.process.start_time += 1;
        assert_eq!(Machine.fate_of(&holder, &id()), ProcessFate::Running);
    }

    #[test]
    fn a_child_that_no_record_knows_is_found_by_its_environment() {
        use std::io::{Read as _, Write as _};
        use std::process::{Command, Stdio};
        let id = id();
        let mut holder = Machine.this_process().unwrap();
        holder.process.pid = u32::MAX;
        let mut child = Command::new("cat")
            .env("TFLOCK_HELD", &id.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It is that program once it answers.
        child.stdin.as_mut().unwrap().write_all(b"!").unwrap();
        let mut answer = [0];
        let output = child.stdout.as_mut().unwrap();
        output.read_exact(&mut answer).unwrap();
        assert_eq!(Machine.fate_of(&holder, &id), ProcessFate::Running);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(Machine.fate_of(&holder, &id), ProcessFate::Ended);
    }

    #[test]
    fn a_process_that_is_about_to_become_another_program_is_not_taken_for_a_stranger() {
        let line = |flags: u64, environment: (u64, u64)| {
            let mut fields = std::array::from_fn::<_, 52, _>(|_| "0".to_owned());
            fields[2] = "R".to_owned();
            fields[8] = flags.to_string();
            (fields[49], fields[50]) = (environment.0.to_string(), environment.1.to_string());
            format!("77 (a) b) {}", fields[2..].join(" "))
        };
        let kernel_thread = 0x0420_8040;
        for (flags, environment, is_settled) in [
            (0x0040_0100, (0, 0), false),
            (0x0040_0100, (4096, 5000), false),
            (0x0040_0100, (4096, 4096), true),
            (kernel_thread, (0, 0), true),
        ] {
            let stat = parse_stat(&line(flags, environment)).unwrap();
            assert_eq!(stat.has_no_environment(), is_settled, "{environment:?}");
        }
    }

    #[test]
    fn another_boot_proves_nothing_without_the_machine_s_identity() {
        let mut holder = Machine.this_process().unwrap();
        holder.boot_id = "another".into();
        holder.machine = None;
        assert_eq!(Machine.fate_of(&holder, &id()), ProcessFate::Elsewhere);
        holder.machine = Some("another".into());
        assert_eq!(Machine.fate_of(&holder, &id()), ProcessFate::Elsewhere);
    }

    #[test]
    fn another_pid_namespace_proves_nothing() {
        let mut holder = Machine.this_process().unwrap();
        holder.pid_namespace = 1;
        holder.process.pid = u32::MAX;
        assert_eq!(Machine.fate_of(&holder, &id()), ProcessFate::Elsewhere);
    }
}
