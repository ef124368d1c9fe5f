//! A scripted terraform: does on purpose what the real one does only by chance.
//!
//! A POSIX shell script of steps that the test chooses. Each call is recorded before its first step, and
//! everything notable is a line in one shared log, so that orders can be compared. A signal's line is
//! written at once: the script never waits for a foreground command, which would delay its traps.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::installed::install_program;

/// What the script does, built step by step.
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: Vec<String>,
}

/// What every script begins with. `$$` is the shell itself in subshells too, so a poller ends with it.
const PROLOGUE: &str = r#"#!/bin/sh
record=@RECORD@
note() { printf '%s\n' "$*" >>"$record/log"; }
stopped=
caught() { stopped=$1; : >"$record/$$.stopped"; note "$1"; }
wait_for() {
    while [ ! -e "$1" ] && { [ -z "$2" ] || [ -z "$stopped" ]; }; do
        (
            trap '' HUP INT QUIT TERM
            while [ ! -e "$1" ] && [ -d "$record" ] && kill -0 $$; do
                # A signal between the look at it above and the wait below interrupts no wait.
                [ -z "$2" ] || [ ! -e "$record/$$.stopped" ] || break
                sleep 0.05
            done
        ) </dev/null >/dev/null 2>&1 &
        wait $!
        [ -d "$record" ] || exit 99
    done
}
if [ $# -gt 0 ]; then printf '%s\0' "$@"; fi >"$record/$$.arguments"
env -0 >"$record/$$.environment"
pwd >"$record/$$.directory"
note "begin $$"
"#;

impl Script {
    /// A script that exits with code 0 at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records each of these signals in the log by its bare name (`INT`) and goes on.
    pub fn catch<const N: usize>(mut self, signals: [Signal; N]) -> Self {
        for signal in signals {
            let name = bare_name(signal);
            self = self.step(&format!("trap 'caught {name}' {name}"));
        }
        self
    }

    /// Ignores these signals.
    pub fn ignore<const N: usize>(mut self, signals: [Signal; N]) -> Self {
        for signal in signals {
            self = self.step(&format!("trap '' {}", bare_name(signal)));
        }
        self
    }

    /// Creates a file; relative paths are below its working directory.
    pub fn touch(self, file: impl AsRef<Path>) -> Self {
        self.step(&format!(": >{}", quoted_path(file)))
    }

    /// Waits until that file exists, whatever signals are caught meanwhile.
    pub fn wait_for(self, file: impl AsRef<Path>) -> Self {
        self.step(&format!("wait_for {} ''", quoted_path(file)))
    }

    /// Waits until that file exists or a signal has been caught, even before this step.
    pub fn wait_for_file_or_signal(self, file: impl AsRef<Path>) -> Self {
        self.step(&format!("wait_for {} or-signal", quoted_path(file)))
    }

    /// Writes to stdout, as it is, without a line end.
    pub fn print(self, text: &str) -> Self {
        self.step(&format!("printf %s {}", quoted(text)))
    }

    /// Writes to stderr, as it is, without a line end.
    pub fn print_to_stderr(self, text: &str) -> Self {
        self.step(&format!("printf %s {} >&2", quoted(text)))
    }

    /// Adds a line to the log.
    pub fn note(self, line: &str) -> Self {
        self.step(&format!("note {}", quoted(line)))
    }

    /// Reads a line of stdin and notes it as `read <line>`, or `end of input`.
    pub fn read_line(self) -> Self {
        self.step("if IFS= read -r line; then note \"read $line\"; else note 'end of input'; fi")
    }

    /// Leaves a child behind that keeps stdout, stderr and all other inherited descriptors open until that
    /// file exists.
    pub fn leave_child_until(self, file: impl AsRef<Path>) -> Self {
        let file = quoted_path(file);
        self.step(&format!(
            "(trap '' HUP INT TERM; while [ ! -e {file} ] && [ -d \"$record\" ]; do sleep 0.05; \
             done; [ ! -d \"$record\" ] || note 'child ends') &"
        ))
    }

    /// Any line of POSIX shell.
    pub fn step(mut self, shell: &str) -> Self {
        self.steps.push(shell.to_owned());
        self
    }

    /// Notes `end` and exits with that code.
    pub fn exit(self, code: i32) -> Self {
        self.step(&format!("note \"end $$\"; exit {code}"))
    }

    /// Dies of that signal.
    pub fn die_of(self, signal: Signal) -> Self {
        let name = bare_name(signal);
        self.step(&format!("trap - {name}; note \"end $$\"; kill -{name} $$"))
    }

    /// Writes the script as `terraform` into `directory`, which is made if need be.
    pub fn install(self, directory: impl AsRef<Path>) -> FakeTerraform {
        let directory = directory.as_ref();
        let record = directory.join("record");
        fs::create_dir_all(&record).expect("a directory for the record");
        let mut text = PROLOGUE.replace("@RECORD@", &quoted_path(&record));
        for step in self.exit(0).steps {
            text.push_str(&step);
            text.push('\n');
        }
        let source = directory.join("terraform.sh");
        fs::write(&source, text).expect("the script is written");
        install_program(&source, &directory.join("terraform"));
        FakeTerraform {
            directory: directory.to_owned(),
        }
    }
}

/// An installed script and what it recorded.
#[derive(Debug)]
pub struct FakeTerraform {
    directory: PathBuf,
}

/// One call of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub pid: i32,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub directory: PathBuf,
}

impl FakeTerraform {
    /// The directory that goes onto `PATH`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The program, for `--terraform`.
    pub fn program(&self) -> PathBuf {
        self.directory.join("terraform")
    }

    /// The common log: `begin <pid>`, names of caught signals, notes, `end <pid>`.
    pub fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.record("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The log without its PIDs: what is compared when there was one call.
    pub fn events(&self) -> Vec<String> {
        let bare = |line: String| match line.split_once(' ') {
            Some((word @ ("begin" | "end"), rest)) if rest.parse::<i32>().is_ok() => {
                word.to_owned()
            }
            _ => line,
        };
        self.log().into_iter().map(bare).collect()
    }

    /// All calls in the order in which they began.
    pub fn calls(&self) -> Vec<Call> {
        let log = self.log();
        let pids = log.iter().filter_map(|line| line.strip_prefix("begin "));
        pids.map(|pid| self.call(pid)).collect()
    }

    /// The only call; fails if there was none or another.
    #[track_caller]
    pub fn only_call(&self) -> Call {
        let mut calls = self.calls();
        assert!(calls.len() == 1, "not one call: {calls:#?}");
        calls.remove(0)
    }

    fn call(&self, pid: &str) -> Call {
        let read = |suffix: &str| {
            fs::read_to_string(self.record(&format!("{pid}.{suffix}"))).expect("a recorded call")
        };
        let environment = read("environment");
        let pairs = environment.split_terminator('\0');
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        Call {
            pid: pid.parse().expect("a PID"),
            arguments: read("arguments")
                .split_terminator('\0')
                .map(str::to_owned)
                .collect(),
            environment: pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            directory: read("directory").trim_end_matches('\n').into(),
        }
    }

    fn record(&self, name: &str) -> PathBuf {
        self.directory.join("record").join(name)
    }
}

fn bare_name(signal: Signal) -> &'static str {
    let name = signal.as_str();
    name.strip_prefix("SIG").unwrap_or(name)
}

fn quoted_path(path: impl AsRef<Path>) -> String {
    quoted(path.as_ref().to_str().expect("test paths are UTF-8"))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
