//! Runs tests: first each on its own, to see which changes it passes, then for each change those that pass it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A test of one of the programs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    pub program: PathBuf,
    pub name: String,
}

/// What one test passes, and how long it takes.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    pub changes: BTreeSet<u32>,
    pub took: Duration,
}

/// How a change is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// By a variable: several run at once.
    Variable,
    /// By a file, where the environment is emptied: one after the other.
    File,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Noticed,
    /// Tests wait for ever, which is noticed as well.
    TimedOut,
    /// Tests pass it and say nothing.
    Unnoticed,
    /// No test passes it.
    NotPassed,
}

impl Fate {
    /// The word for what was not noticed.
    pub fn unnoticed(self) -> Option<&'static str> {
        match self {
            Self::Noticed | Self::TimedOut => None,
            Self::Unnoticed => Some("not noticed"),
            Self::NotPassed => Some("not reached"),
        }
    }
}

/// A test that takes longer is left out: it would be run for nearly every change.
const LONGEST: Duration = Duration::from_secs(5);

/// How much longer than usual tests may take before they count as waiting for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same in the suite.
const LONGEST_IN_SUITE: Duration = Duration::from_secs(20);

/// The tests of a program.
pub fn list(program: &Path) -> Result<Vec<Test>> {
    let output = Command::new(program)
        .args(["--list", "--format", "terse"])
        .output()?;
    ensure!(
        output.status.success(),
        "`{}` does not list its tests",
        program.display()
    );
    let text = String::from_utf8(output.stdout)?;
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names
        .map(|name| Test {
            program: program.to_owned(),
            name: name.to_owned(),
        })
        .collect())
}

/// Runs each test on its own, as many as can be begun before `deadline`.
pub fn record(
    tests: &[Test],
    directory: &Path,
    switch: Switch,
    deadline: Option<Instant>,
) -> Result<BTreeMap<Test, Passed>> {
    let scratch = directory.join("passed");
    fs::create_dir_all(&scratch)?;
    let longest = match switch {
        Switch::Variable => LONGEST,
        Switch::File => LONGEST_IN_SUITE,
    };
    let results = Mutex::new(BTreeMap::new());
    in_parallel(switch.workers(), tests.len(), |at| {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return;
        }
        let test = &tests[at];
        let file = match switch {
            Switch::Variable => scratch.join(at.to_string()),
            Switch::File => scratch.join("by-suite"),
        };
        let _ = fs::remove_file(&file);
        let started = Instant::now();
        let mut run = command(&test.program, directory);
        run.args(["--exact", &test.name])
            .env("MUTATION_PASSED", &file);
        turn(&mut run, "record", directory, switch);
        let ending = watch(run, longest * 2);
        let took = started.elapsed();
        let bytes = fs::read(&file).unwrap_or_default();
        let changes = bytes
            .chunks_exact(4)
            .map(|number| u32::from_le_bytes([number[0], number[1], number[2], number[3]]));
        let passed = Passed {
            changes: changes.collect(),
            took,
        };
        if ending == Ending::Passed && took <= longest {
            results
                .lock()
                .expect("no panic")
                .insert(test.clone(), passed);
        } else {
            eprintln!(
                "left out: {} ({ending:?} after {:.1} s)",
                test.name,
                took.as_secs_f32()
            );
        }
    });
    Ok(results.into_inner().expect("no panic"))
}

impl Switch {
    /// How many tests are asked.
    fn enough(self) -> usize {
        match self {
            Self::Variable => usize::MAX,
            Self::File => 60,
        }
    }

    fn workers(self) -> usize {
        match self {
            Self::Variable => thread::available_parallelism().map_or(1, usize::from),
            Self::File => 1,
        }
    }
}

fn turn(run: &mut Command, to: &str, directory: &Path, switch: Switch) {
    match switch {
        Switch::Variable => {
            run.env("MUTATION_NUMBER", to);
        }
        Switch::File => fs::write(directory.join("number"), to).expect("a file in our directory"),
    }
}

/// Switches each change on and runs the tests that pass it, until `deadline`. Each fate is told at once.
pub fn try_out(
    numbers: &[u32],
    tell: &(dyn Fn(u32, Fate) + Sync),
    passed: &BTreeMap<Test, Passed>,
    directory: &Path,
    switch: Switch,
    deadline: Option<Instant>,
) -> BTreeMap<u32, Fate> {
    let fates = Mutex::new(BTreeMap::new());
    in_parallel(switch.workers(), numbers.len(), |at| {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return;
        }
        let number = numbers[at];
        let fate = fate_of(number, passed, directory, switch);
        tell(number, fate);
        fates.lock().expect("no panic").insert(number, fate);
    });
    fates.into_inner().expect("no panic")
}

fn fate_of(number: u32, passed: &BTreeMap<Test, Passed>, directory: &Path, switch: Switch) -> Fate {
    let mut those: Vec<(&Test, &Passed)> = passed
        .iter()
        .filter(|(_, passed)| passed.changes.contains(&number))
        .collect();
    if those.is_empty() {
        return Fate::NotPassed;
    }
    those.sort_by_key(|(test, passed)| (&test.program, passed.took));
    // The quick ones first: mostly they are enough.
    those.truncate(switch.enough());
    let mut at = 0;
    while at < those.len() {
        let program = &those[at].0.program;
        let same = those[at..]
            .iter()
            .take_while(|(test, _)| test.program == *program)
            .count();
        let batch = &those[at..at + same.min(if at == 0 { 20 } else { 200 })];
        let expected: Duration = batch.iter().map(|(_, passed)| passed.took).sum();
        let mut run = command(program, directory);
        run.arg("--exact")
            .args(batch.iter().map(|(test, _)| &test.name));
        turn(&mut run, &number.to_string(), directory, switch);
        match watch(run, PATIENCE + expected * 4) {
            Ending::Passed => at += batch.len(),
            Ending::Failed => return Fate::Noticed,
            Ending::TimedOut => return Fate::TimedOut,
        }
    }
    Fate::Unnoticed
}

fn command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("RUST_TEST_THREADS", "6")
        .env("RUST_BACKTRACE", "0")
        .current_dir(directory.join("tree"))
        .process_group(0);
    command
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Passed,
    Failed,
    TimedOut,
}

/// Names a run in the environment of all that it starts.
const RUN: &str = "MUTATION_RUN";

/// Runs it until its end, its first failure, or the end of its time. Nothing that it has started outlives it, in whatever group
/// or session.
fn watch(mut command: Command, limit: Duration) -> Ending {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    let run = format!("{}-{number}", std::process::id());
    let ending = watch_it(command.env(RUN, &run), limit);
    end_all_of(&format!("{RUN}={run}"));
    ending
}

fn watch_it(command: &mut Command, limit: Duration) -> Ending {
    let started = Instant::now();
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = spawned.expect("a test program starts");
    let stdout = child.stdout.take().expect("a pipe");
    let failed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&failed);
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line.ends_with("... FAILED") {
                told.store(true, Ordering::Relaxed);
                return;
            }
        }
    });
    let mut pause = Duration::from_millis(1);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return if status.success() {
                Ending::Passed
            } else {
                Ending::Failed
            };
        }
        if failed.load(Ordering::Relaxed) {
            end(&mut child);
            return Ending::Failed;
        }
        if started.elapsed() >= limit {
            end(&mut child);
            return Ending::TimedOut;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends it; what it has started is ended with all of its run.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Ends the processes with that variable in their environment, until there are none.
fn end_all_of(variable: &str) {
    loop {
        let mut found = false;
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
        for id in names.filter_map(|name| name.parse::<i32>().ok()) {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            if environment
                .split(|byte| *byte == 0)
                .any(|one| one == variable.as_bytes())
            {
                found = true;
                let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
            }
        }
        if !found {
            return;
        }
    }
}

fn in_parallel(workers: usize, count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    work(at);
                }
            });
        }
    });
}
