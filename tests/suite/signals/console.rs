//! A script that leads a session on a terminal and runs tflock: the terminal is checked right before
//! and right after, with no interactive shell that would repair it.

use nix::unistd::Pid;

use super::apply::Apply;
use crate::support::process::Status;
use crate::support::pty::{Size, Terminal};
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

/// The script on its terminal.
#[derive(Debug)]
pub struct Console<'a> {
    pub terminal: Terminal,
    workspace: &'a Workspace,
}

impl<'a> Console<'a> {
    /// Runs `line` in a workspace. The script itself does not end at Ctrl-C.
    pub fn start(workspace: &'a Workspace, line: &str) -> Self {
        let script = format!(
            "trap : INT; stty -g >modes-before; {line}; code=$?; stty -g >modes-after; \
             echo \"code=$code.\"; read end; echo \"read <$end>\""
        );
        let shell = workspace.invocation("/bin/sh").args(["-c", &script]);
        Self {
            terminal: Terminal::start(shell, Size::default()),
            workspace,
        }
    }

    /// Runs the apply, and waits until terraform is running and has the keyboard.
    #[track_caller]
    pub fn start_apply(apply: &'a Apply) -> Self {
        let console = Self::start(&apply.workspace, &Apply::line());
        let terraform = apply.terraform();
        assert_eq!(console.terminal.foreground_group(), Some(terraform));
        console
    }

    /// Waits until `line` has ended, checks that the terminal is the script's again and as it was, and returns the
    /// exit code.
    #[track_caller]
    pub fn code(&self) -> i32 {
        let code = || {
            let output = self.terminal.output();
            let (_, rest) = output.rsplit_once("code=")?;
            rest.split_once('.')?.0.parse::<i32>().ok()
        };
        wait_until("the end of the line", || code().is_some());
        assert_eq!(
            self.terminal.foreground_group(),
            Some(self.terminal.pid()),
            "{}",
            self.terminal
        );
        let (before, after) = ["modes-before", "modes-after"]
            .map(|file| self.workspace.read(file))
            .into();
        assert_eq!(before, after, "the modes of {}", self.terminal);
        code().expect("a code")
    }

    /// The same, and then lets the script read a line from the terminal and end. Returns all that was shown.
    #[track_caller]
    pub fn finish(mut self, expected: i32) -> String {
        assert_eq!(self.code(), expected, "{}", self.terminal);
        self.terminal.send(b"typed\r");
        assert_eq!(self.terminal.wait(), Status::Code(0), "{}", self.terminal);
        let output = self.terminal.output();
        assert!(output.contains("read <typed>"), "{output}");
        output
    }
}

/// Waits until that group owns the keyboard.
#[track_caller]
pub fn wait_for_foreground(terminal: &Terminal, group: Pid) {
    wait_until(&format!("group {group} in front"), || {
        terminal.foreground_group() == Some(group)
    });
}
