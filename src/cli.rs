//! The command line: what clap parses, and the grammar that clap cannot express.
//!
//! clap's types stay in here; callers see only [`Invocation`].

mod argv;
mod completion;
mod help;
mod manual;
mod misplaced;
mod options;
mod typed;
mod usage_error;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use completion::{Typing, VARIABLE as COMPLETION_VARIABLE, completion_script};
pub use manual::{Page, manual};
pub use misplaced::Misplaced;
pub use options::{Expiry, Options, StoreChoice};
pub use typed::Typed;

use crate::environment;
use crate::exit_code;
use crate::failure::Failure;

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
struct Cli {
    #[command(flatten)]
    options: Options,

    /// Print help
    // clap's own flag would also take `-h`, which is terraform's.
    #[arg(long, action = clap::ArgAction::HelpShort, global = true)]
    help: Option<bool>,

    /// Print the versions of tflock and terraform
    #[arg(long)]
    version: bool,

    #[command(subcommand)]
    command: Option<OwnCommand>,
}

#[derive(Debug, Subcommand)]
enum OwnCommand {
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
    #[arg(long, value_name = "DURATION", value_parser = options::some_time)]
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

/// What was asked for.
#[derive(Debug)]
pub struct Invocation {
    /// tflock's own options, from the command line or the environment.
    pub options: Options,
    /// terraform's `-chdir`.
    pub chdir: Option<PathBuf>,
    /// terraform's `-no-color`, given to one of our commands.
    pub no_color: bool,
    /// The command line as typed, for hints.
    pub typed: Typed,
    /// The command.
    pub command: Command,
}

/// The command to run.
#[derive(Debug)]
pub enum Command {
    /// terraform's command and everything after it.
    Terraform(Vec<OsString>),
    /// `exec`.
    Exec(ExecArguments),
    /// `status`.
    Status(StatusArguments),
    /// `force-unlock`.
    ForceUnlock(ForceUnlockArguments),
    /// `hold`.
    Hold(HoldArguments),
    /// `release`.
    Release(ReleaseArguments),
    /// `history`.
    History(HistoryArguments),
    /// `list`.
    List(ListArguments),
    /// `doctor`.
    Doctor(DoctorArguments),
    /// `create-table`.
    CreateTable(CreateTableArguments),
    /// `completions`.
    Completions(CompletionsArguments),
    /// `man`.
    Man(ManArguments),
    /// `--version`.
    Version,
}

/// What to print instead of running a command.
#[derive(Debug)]
pub enum EarlyExit {
    /// The requested help.
    Help(String),
    /// What is wrong with the command line.
    UsageError(Failure),
}

impl EarlyExit {
    fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::UsageError(Failure::new(exit_code::USAGE, message).hint(hint))
    }

    /// Turns clap's error into the help of `command` or a usage error about `words`.
    fn of_clap(
        error: &clap::Error,
        words: &[OsString],
        definition: &clap::Command,
        command: &str,
    ) -> Self {
        if error.use_stderr() {
            let error = usage_error::explain(error, words, definition);
            return Self::usage(error.message, error.hint);
        }
        let help = help::of_command(command, definition.clone());
        Self::Help(help.unwrap_or_else(|| error.render().to_string()))
    }
}

/// Parses a command line (without the program's name) and the `TFLOCK_` variables.
///
/// # Errors
/// What to print instead of running a command.
pub fn parse(arguments: Vec<OsString>) -> Result<Invocation, EarlyExit> {
    let definition = without_empty_variables(definition());
    let argv = argv::split(arguments, &definition)
        .map_err(|message| EarlyExit::usage(message, "see `tflock --help`"))?;
    let words: Vec<OsString> = std::iter::once(OsString::from("tflock"))
        .chain(argv.own)
        .collect();
    let (mut cli, matches) = definition
        .clone()
        .try_get_matches_from(&words)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)))
        .map_err(|error| {
            let command = argv.typed.command_name();
            EarlyExit::of_clap(&error, &words, &definition, command)
        })?;
    // An option on the command line beats a variable from the environment.
    if cli.options.quiet && cli.options.verbose {
        let is_option = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        match (is_option("quiet"), is_option("verbose")) {
            (true, false) => cli.options.verbose = false,
            (false, true) => cli.options.quiet = false,
            _ => {
                return Err(EarlyExit::usage(
                    "`--quiet` cannot be used with `--verbose`",
                    "see `tflock --help`",
                ));
            }
        }
    }
    let command = match (cli.command, argv.terraform) {
        _ if cli.version => Command::Version,
        (Some(OwnCommand::Exec(arguments)), _) => Command::Exec(arguments),
        (Some(OwnCommand::Status(arguments)), _) => Command::Status(arguments),
        (Some(OwnCommand::ForceUnlock(arguments)), _) => Command::ForceUnlock(arguments),
        (Some(OwnCommand::Hold(arguments)), _) => Command::Hold(arguments),
        (Some(OwnCommand::Release(arguments)), _) => Command::Release(arguments),
        (Some(OwnCommand::History(arguments)), _) => Command::History(arguments),
        (Some(OwnCommand::List(arguments)), _) => Command::List(arguments),
        (Some(OwnCommand::Doctor(arguments)), _) => Command::Doctor(arguments),
        (Some(OwnCommand::CreateTable(arguments)), _) => Command::CreateTable(arguments),
        (Some(OwnCommand::Completions(arguments)), _) => Command::Completions(arguments),
        (Some(OwnCommand::Man(arguments)), _) => Command::Man(arguments),
        (None, terraform) => {
            if terraform.is_empty() && words.len() > 1 {
                return Err(EarlyExit::usage("no command given", "see `tflock --help`"));
            }
            if terraform.is_empty() && argv.chdir.is_none() {
                return Err(EarlyExit::Help(
                    definition.clone().render_help().to_string(),
                ));
            }
            let first = terraform
                .first()
                .map(OsString::as_os_str)
                .unwrap_or_default();
            if let Some(ours) = misplaced::command_similar_to(first, &definition) {
                let first = first.to_string_lossy();
                return Err(EarlyExit::usage(
                    format!("neither tflock nor terraform has a command `{first}`"),
                    format!("did you mean `{ours}`? see `tflock --help`"),
                ));
            }
            Command::Terraform(terraform)
        }
    };
    if matches.value_source("shared") == Some(ValueSource::CommandLine) && !is_plan(&command) {
        return Err(EarlyExit::usage(
            "`--shared` is for `plan` alone: all other commands take the lock",
            "leave out `--shared`; see `tflock --help`",
        ));
    }
    Ok(Invocation {
        options: cli.options,
        chdir: argv.chdir.map(PathBuf::from),
        no_color: argv.no_color,
        typed: argv.typed,
        command,
    })
}

/// Whether it is terraform's `plan`. As for terraform, empty words before it are none.
fn is_plan(command: &Command) -> bool {
    let Command::Terraform(words) = command else {
        return false;
    };
    words.iter().find(|word| !word.is_empty()) == Some(&OsString::from("plan"))
}

/// A tflock option typed after terraform's command, where terraform would refuse it.
#[must_use]
pub fn misplaced_option(command: &[OsString]) -> Option<Misplaced> {
    misplaced::misplaced_option(command, &definition())
}

fn definition() -> clap::Command {
    Cli::command()
        .disable_help_flag(true)
        .disable_version_flag(true)
        .after_help(help::WHOLE.below())
}

/// Ignores variables that are set but empty, as terraform does: CI systems leave a variable out that way.
fn without_empty_variables(definition: clap::Command) -> clap::Command {
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

/// Parses a command line that belongs to terraform as a whole, as when tflock is called `terraform`.
///
/// # Errors
/// When a `TFLOCK_` variable is invalid.
pub fn parse_as_terraform(arguments: Vec<OsString>) -> Result<Invocation, EarlyExit> {
    // Any command will do: only the variables are read.
    let mut invocation = parse(vec!["version".into()])?;
    let (chdir, arguments) = split_chdir(arguments);
    invocation.typed = Typed::new(Vec::new(), arguments.clone());
    invocation.chdir = chdir;
    invocation.command = Command::Terraform(arguments);
    Ok(invocation)
}

/// Splits off terraform's `-chdir`, which comes before everything else.
#[must_use]
pub fn split_chdir(mut arguments: Vec<OsString>) -> (Option<PathBuf>, Vec<OsString>) {
    let first = arguments.first().and_then(|word| word.to_str());
    let directory = first.and_then(|word| word.strip_prefix("-chdir="));
    let directory = directory.filter(|directory| !directory.is_empty());
    let chdir = directory.map(PathBuf::from);
    if chdir.is_some() {
        arguments.remove(0);
    }
    (chdir, arguments)
}

#[cfg(test)]
mod tests;
