//! The line of `/proc/<pid>/stat`.

use std::io;

/// A process's line of `proc_pid_stat(5)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its process ID, as requested.
    pub pid: u32,
    /// Its name as the kernel knows it: at most 15 bytes.
    pub name: String,
    /// Field 3: for `Z` and `X` the process, or its first thread, has ended.
    pub state: char,
    /// Field 4: its parent process.
    pub parent: u32,
    /// Field 5.
    pub group: i32,
    /// Field 6.
    pub session: i32,
    /// From field 9: kernel threads have neither arguments nor environment.
    pub is_kernel_thread: bool,
    /// Field 22, in clock ticks since boot.
    pub start_time: u64,
    /// Field 26: where the program's code begins. An exec sets it after it has laid out the environment (`load_elf_binary` of
    /// the Linux source), and it is 0 until then.
    pub code: usize,
    /// Fields 48 and 49: where the arguments begin and end.
    pub arguments: (usize, usize),
    /// Fields 50 and 51: where the environment begins and ends. Both are 0 in the middle of an exec.
    pub environment: (usize, usize),
}

impl Stat {
    /// `PF_KTHREAD` of the Linux source.
    const KERNEL_THREAD: u64 = 0x0020_0000;

    /// Reads the line of process `pid`.
    ///
    /// # Errors
    /// There is no such process, or we may not look at it.
    pub fn read(pid: u32) -> io::Result<Self> {
        Self::read_from(pid, &format!("/proc/{pid}/stat"))
    }

    fn read_from(pid: u32, path: &str) -> io::Result<Self> {
        // A name need not be UTF-8.
        let line = std::fs::read(path)?;
        Self::parse(pid, &String::from_utf8_lossy(&line))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a line of /proc"))
    }

    /// The name is in parentheses and can hold any character, including parentheses and blanks.
    pub(super) fn parse(pid: u32, line: &str) -> Option<Self> {
        let (start, rest) = line.rsplit_once(')')?;
        let (_, name) = start.split_once('(')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |at: usize| field(at)?.parse::<u64>().ok();
        // Missing before Linux 3.5.
        let address = |at: usize| {
            let value = number(at).and_then(|value| usize::try_from(value).ok());
            value.unwrap_or_default()
        };
        Some(Self {
            pid,
            name: name.to_owned(),
            state: field(3)?.chars().next()?,
            parent: field(4)?.parse().ok()?,
            group: field(5)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            is_kernel_thread: number(9)? & Self::KERNEL_THREAD != 0,
            start_time: number(22)?,
            code: address(26),
            arguments: (address(48), address(49)),
            environment: (address(50), address(51)),
        })
    }

    /// Whether it has ended completely: other threads can outlive the first one.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.state {
            'X' | 'x' => true,
            'Z' => !has_living_threads(self.pid),
            _ => false,
        }
    }

    /// Whether its environment is empty for good, and not only because it is in the middle of an exec.
    #[must_use]
    pub fn has_no_environment(&self) -> bool {
        let (start, end) = self.environment;
        self.is_kernel_thread || (start == end && start != 0 && self.code != 0)
    }
}

pub(super) fn has_living_threads(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|thread| Stat::read_from(pid, &format!("/proc/{pid}/task/{thread}/stat")).ok())
        .any(|stat| !matches!(stat.state, 'Z' | 'X' | 'x'))
}
