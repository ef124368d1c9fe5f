//! Interactive shells with job control, as people use them.

use nix::unistd::Pid;

use super::console::wait_for_foreground;
use super::processes::is_stopped;
use crate::support::installed::is_installed;
use crate::support::pty::{Size, Terminal};
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

/// The shells that people have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bash,
    Zsh,
}

impl Kind {
    /// Those that are installed here.
    pub fn installed() -> impl Iterator<Item = Self> {
        let zsh = is_installed("zsh").then_some(Self::Zsh);
        std::iter::once(Self::Bash).chain(zsh)
    }

    /// What it prints about a suspended job.
    fn suspended(self) -> &'static str {
        match self {
            Self::Bash => "Stopped",
            Self::Zsh => "suspended",
        }
    }
}

/// A shell that leads a session on a terminal.
#[derive(Debug)]
pub struct Shell<'a> {
    pub terminal: Terminal,
    kind: Kind,
    workspace: &'a Workspace,
}

/// What a shell shows when it wants the next line.
const PROMPT: &str = "next> ";

/// What [`Shell::settle`] makes it print.
const SETTLED: &str = "settled.";

impl<'a> Shell<'a> {
    /// Starts it without any user's configuration, and waits for its prompt.
    #[track_caller]
    pub fn start(kind: Kind, workspace: &'a Workspace) -> Self {
        let shell = match kind {
            Kind::Bash => workspace
                .invocation("bash")
                .args(["--norc", "--noprofile", "-i"]),
            Kind::Zsh => workspace.invocation("zsh").args(["-f", "-i"]),
        };
        let shell = shell.env("PS1", PROMPT).env("HISTFILE", "");
        let shell = Self {
            terminal: Terminal::start(shell, Size::default()),
            kind,
            workspace,
        };
        shell.terminal.wait_for_output(PROMPT);
        shell.enter("stty -g >modes-before");
        shell
    }

    /// Types a line.
    #[track_caller]
    pub fn enter(&self, line: &str) {
        self.terminal.send(format!("{line}\r").as_bytes());
    }

    /// Presses Ctrl-Z and waits until the job of that process is suspended and the shell has the terminal.
    #[track_caller]
    pub fn suspend(&self, job: Pid) {
        let told = || {
            self.terminal
                .output()
                .matches(self.kind.suspended())
                .count()
        };
        let before = told();
        self.terminal.send(b"\x1a");
        wait_until("word of the suspension", || told() > before);
        assert!(is_stopped(job), "{}", self.terminal);
        wait_for_foreground(&self.terminal, self.terminal.pid());
    }

    /// Waits until the shell has reported a job that was suspended without a key. Shells do so with the next prompt.
    #[track_caller]
    pub fn wait_until_told_of_suspension(&self) {
        wait_until("word of the suspension", || {
            self.settle();
            self.terminal.output().contains(self.kind.suspended())
        });
    }

    /// Brings the suspended job to the foreground and waits until it runs there.
    #[track_caller]
    pub fn foreground(&self, job: Pid) {
        self.enter("fg");
        wait_for_foreground(&self.terminal, job);
        wait_until("the job going on", || !is_stopped(job));
    }

    /// Continues the suspended job in the background.
    #[track_caller]
    pub fn background(&self, job: Pid) {
        self.enter("bg");
        wait_until("the job going on", || !is_stopped(job));
        assert_eq!(self.terminal.foreground_group(), Some(self.terminal.pid()));
    }

    /// Presses Ctrl-C at the prompt, for the shell alone. The shell drops what is typed until it shows the next prompt.
    #[track_caller]
    pub fn press_ctrl_c_at_the_prompt(&self) {
        let prompts = || self.terminal.output().matches(PROMPT).count();
        let before = prompts();
        self.terminal.press_ctrl_c();
        wait_until("the next prompt", || prompts() > before);
    }

    /// Waits until the shell has carried out a line and shows the next prompt: then everything before is done too.
    #[track_caller]
    pub fn settle(&self) {
        let settled = || self.terminal.output().matches(SETTLED).count();
        let before = settled();
        // The echo of what is typed shows the halves apart.
        self.enter("echo set''tled.");
        wait_until("the shell at rest", || {
            settled() > before
                && self
                    .terminal
                    .output()
                    .rsplit(SETTLED)
                    .next()
                    .is_some_and(|rest| rest.contains(PROMPT))
        });
    }

    /// Checks that the shell has its terminal as it was, and the exit code of the last job; ends the shell.
    #[track_caller]
    pub fn finish(self, code: i32) -> String {
        self.enter("echo \"code=$?.\"; stty -g >modes-after");
        self.terminal.wait_for_output(&format!("code={code}."));
        self.settle();
        let [before, after] = ["modes-before", "modes-after"].map(|file| self.workspace.read(file));
        assert_eq!(before, after, "the modes of {}", self.terminal);
        assert_eq!(self.terminal.foreground_group(), Some(self.terminal.pid()));
        self.terminal.output()
    }
}
