//! tflock's command line as clap knows it: the commands and their arguments. The doc comments are the help.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use super::help;
use super::options::{Options, some_time};
use crate::environment;

/// Runs terraform under its own state lock.
///
/// Use tflock wherever you would type terraform. Commands that lock the state run under that lock; all others go
/// straight to terraform.
#[derive(Debug, Parser)]
#[command(
    name = "tflock",
    disable_help_subcommand = true,
    override_usage = "tflock [OPTIONS] <terraform command> [terraform arguments…]\n       \
                      tflock [OPTIONS] exec [--dir DIR]… -- <program> [arguments…]\n       \
                      tflock [OPTIONS] status [--json] [--exit-code] [--watch]\n       \
                      tflock [OPTIONS] force-unlock [LOCK_ID] [--force] [--yes]\n       \
                      tflock [OPTIONS] hold [--for DURATION]\n       \
                      tflock [OPTIONS] release [LOCK_ID] [--mine] [--yes]\n       \
                      tflock [OPTIONS] history [--json] [-n N]\n       \
                      tflock [OPTIONS] list [--json]\n       \
                      tflock [OPTIONS] doctor [--json]\n       \
                      tflock [OPTIONS] create-table [--yes]\n       \
                      tflock completions <bash|zsh|fish|powershell|elvish>\n       \
                      tflock man [DIR]"
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) options: Options,

    /// Print help
    // clap's own flag would also take `-h`, which is terraform's.
    #[arg(long, action = clap::ArgAction::HelpShort, global = true)]
    help: Option<bool>,

    /// Print the versions of tflock and terraform
    #[arg(long)]
    pub(super) version: bool,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// The command to run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Hold the lock, or several, while any program runs
    Exec(ExecArguments),
    /// Show who holds the lock, and whether that run is alive
    Status(StatusArguments),
    /// Remove the lock of a dead holder, after asking
    ForceUnlock(ForceUnlockArguments),
    /// Keep the lock after tflock has ended, for runs of yours
    Hold(HoldArguments),
    /// Give back a hold, or what dead runs of yours have left
    Release(ReleaseArguments),
    /// Show who held this lock before, what they did, and how it ended
    History(HistoryArguments),
    /// Show every lock of the table, the bucket or this machine
    List(ListArguments),
    /// Check what runs need, one by one, and say what is wrong and how to fix it
    Doctor(DoctorArguments),
    /// Create the DynamoDB table for locks, after asking
    CreateTable(CreateTableArguments),
    /// Print the completion script for a shell
    Completions(CompletionsArguments),
    /// Print the manual, or write all of its pages as files
    Man(ManArguments),
    /// terraform's command and everything after it.
    #[command(skip)]
    Terraform(Vec<OsString>),
    /// `--version`.
    #[command(skip)]
    Version,
}

/// `exec`.
#[derive(Debug, Args)]
pub struct ExecArguments {
    /// A directory whose lock to hold; give it again for each further one [default: this one]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub dir: Vec<PathBuf>,
    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM"
    )]
    pub program: Vec<OsString>,
}

/// `status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
    /// Exit with 0 if the lock is free, 75 if held, 76 if stale
    #[arg(long)]
    pub exit_code: bool,
    /// Keep it on screen until `q` or Ctrl-C; print each change where it is not a terminal
    #[arg(long)]
    pub watch: bool,
}

/// `force-unlock`.
#[derive(Debug, Args)]
pub struct ForceUnlockArguments {
    /// Remove only the lock with this ID
    #[arg(value_name = "LOCK_ID")]
    pub id: Option<String>,
    /// Remove it even if its holder is alive
    #[arg(long)]
    pub force: bool,
    /// Skip the confirmation prompt
    #[arg(long)]
    pub yes: bool,
}

/// `hold`.
#[derive(Debug, Args)]
pub struct HoldArguments {
    /// After this long anyone may take the lock [default: never]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub r#for: Option<Duration>,
}

/// `release`.
#[derive(Debug, Args)]
pub struct ReleaseArguments {
    /// Release only the hold with this ID
    #[arg(value_name = "LOCK_ID")]
    pub id: Option<String>,
    /// Release what runs of yours on this machine have left, and jobs of this CI run on others; never what lives
    #[arg(long, conflicts_with_all = ["id", "yes"])]
    pub mine: bool,
    /// Skip the confirmation prompt for another's hold
    #[arg(long)]
    pub yes: bool,
}

/// `history`.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Only the last N holders [default: all that are kept, fifty]
    #[arg(short = 'n', value_name = "N")]
    pub count: Option<usize>,
}

/// `list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `create-table`.
#[derive(Debug, Args)]
pub struct CreateTableArguments {
    /// Skip the confirmation prompt
    #[arg(long)]
    pub yes: bool,
}

/// `man`.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// Write all pages into this directory, which is created if it is missing
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell
    pub shell: Shell,
}

/// A shell that completion scripts are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// Bash
    Bash,
    /// Elvish
    Elvish,
    /// Fish
    Fish,
    /// PowerShell
    Powershell,
    /// Zsh
    Zsh,
}

impl Shell {
    /// What it is called on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

/// The whole command line, for clap.
pub(super) fn definition() -> clap::Command {
    Cli::command()
        .disable_help_flag(true)
        .disable_version_flag(true)
        .after_help(help::WHOLE.below())
}

/// Ignores variables that are set but empty, as terraform does: CI systems leave a variable out that way.
pub(super) fn without_empty_variables(definition: clap::Command) -> clap::Command {
    definition.mut_args(|argument| {
        let variable = argument.get_env().and_then(|name| name.to_str());
        let value = variable.and_then(environment::variable);
        if value.is_some_and(|value| value.is_empty()) {
            argument.env(None)
        } else {
            argument
        }
    })
}
