//! The command line: what clap parses, and the grammar that clap cannot express.
//!
//! clap's types stay in here; callers see only [`Invocation`].

mod argv;
mod completion;
mod definition;
mod help;
mod manual;
mod misplaced;
mod options;
mod typed;
mod usage_error;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::FromArgMatches as _;
use clap::parser::ValueSource;

pub use completion::{Kind, Typing, VARIABLE as COMPLETION_VARIABLE, completion_script};
pub use definition::{
    Command, CompletionsArguments, CreateTableArguments, DoctorArguments, ExecArguments,
    ForceUnlockArguments, HistoryArguments, HoldArguments, ListArguments, ManArguments,
    ReleaseArguments, Shell, StatusArguments,
};
pub use manual::{Page, manual};
pub use misplaced::Misplaced;
pub use options::{Expiry, Options, StoreChoice};
pub use typed::Typed;

use self::definition::{Cli, definition, without_empty_variables};
use crate::exit_code;
use crate::failure::Failure;

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
        (Some(own), _) => own,
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
