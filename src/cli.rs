//! The command line: what clap parses, and the grammar that clap cannot express.
//!
//! clap's types stay in here; everybody else sees [`Request`].

mod argv;
mod completion;
mod help;
mod misplaced;
mod options;
mod typed;
mod usage_error;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use completion::{Typing, VARIABLE as COMPLETION_VARIABLE, completion_script};
pub use misplaced::Misplaced;
pub use options::{Expiry, Options, StoreChoice};
pub use typed::Typed;

use crate::environment;
use crate::exit_code;
use crate::failure::Failure;

/// Runs terraform under its own state lock.
///
/// Use tflock wherever you would type terraform: commands that write or read the state under a lock run under
/// that lock, all others are handed to terraform as they are.
#[derive(Debug, Parser)]
#[command(
    name = "tflock",
    disable_help_subcommand = true,
    override_usage = "tflock [OPTIONS] <terraform command> [terraform arguments…]\n       \
                      tflock [OPTIONS] exec -- <program> [arguments…]\n       \
                      tflock [OPTIONS] status [--json] [--exit-code]\n       \
                      tflock [OPTIONS] force-unlock [LOCK_ID] [--force] [--yes]\n       \
                      tflock completions <bash|zsh|fish|powershell|elvish>",
    after_help = "Examples:\n  tflock apply\n  \
                  tflock --wait 1h --reason 'rotating the database password' apply -target=module.db\n\n\
                  Everything after the terraform command is terraform's own; `-chdir=DIR` may stand before it.\n\
                  Exit codes: terraform's own, or 64 usage, 69 store unreachable, 70 a bug, 73 not released,\n\
                  75 locked by somebody else, 76 lock lost, 77 refused, 78 configuration, 126/127 no terraform."
)]
struct Cli {
    #[command(flatten)]
    options: Options,

    /// Print help
    // clap's own would take `-h`, which is terraform's.
    #[arg(long, action = clap::ArgAction::HelpShort, global = true)]
    help: Option<bool>,

    /// Print the version, and that of terraform
    #[arg(long)]
    version: bool,

    #[command(subcommand)]
    command: Option<OwnCommand>,
}

#[derive(Debug, Subcommand)]
enum OwnCommand {
    /// Hold the lock round any program
    Exec(ExecArguments),
    /// Show who holds the lock, and whether they are alive
    Status(StatusArguments),
    /// Remove the lock of a holder that is dead, after asking
    ForceUnlock(ForceUnlockArguments),
    /// Print the completion script for a shell
    Completions(CompletionsArguments),
}

/// `exec`.
#[derive(Debug, Args)]
pub struct ExecArguments {
    /// The program, and its arguments
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
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Exit with 0 if the lock is free, 75 if it is held, 76 if it is stale
    #[arg(long)]
    pub exit_code: bool,
}

/// `force-unlock`.
#[derive(Debug, Args)]
pub struct ForceUnlockArguments {
    /// Remove only the lock with this ID
    #[arg(value_name = "LOCK_ID")]
    pub id: Option<String>,
    /// Remove it although its holder is alive
    #[arg(long)]
    pub force: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
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
pub struct Request {
    /// tflock's own options, from the command line or the environment.
    pub options: Options,
    /// terraform's `-chdir`.
    pub chdir: Option<PathBuf>,
    /// terraform's `-no-color`, given to a command of ours.
    pub no_color: bool,
    /// The command line, for hints.
    pub typed: Typed,
    /// The command.
    pub command: Command,
}

/// The command of a request.
#[derive(Debug)]
pub enum Command {
    /// terraform's command line, from its command on.
    Terraform(Vec<OsString>),
    /// `exec`.
    Exec(ExecArguments),
    /// `status`.
    Status(StatusArguments),
    /// `force-unlock`.
    ForceUnlock(ForceUnlockArguments),
    /// `completions`.
    Completions(CompletionsArguments),
    /// `--version`.
    Version,
}

/// A command line that asks for nothing that could be done.
#[derive(Debug)]
pub enum Answer {
    /// The help that was asked for.
    Help(String),
    /// What is wrong with it.
    Mistake(Failure),
}

impl Answer {
    fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Mistake(Failure::new(exit_code::USAGE, message).hint(hint))
    }

    /// The help that was asked for, be it of `command`, or the mistake that clap found in `words`.
    fn of_clap(
        error: &clap::Error,
        words: &[OsString],
        definition: &clap::Command,
        command: &str,
    ) -> Self {
        if error.use_stderr() {
            let mistake = usage_error::in_words(error, words, definition);
            return Self::usage(mistake.message, mistake.hint);
        }
        let help = help::of_command(command, definition.clone());
        Self::Help(help.unwrap_or_else(|| error.render().to_string()))
    }
}

/// Reads a command line (without the program's name) and the environment's `TFLOCK_` variables.
///
/// # Errors
/// What there is to print instead of doing anything.
pub fn parse(arguments: Vec<OsString>) -> Result<Request, Answer> {
    let definition = with_variables_that_are_set(definition());
    let argv = argv::split(arguments, &definition)
        .map_err(|message| Answer::usage(message, "see `tflock --help`"))?;
    let words: Vec<OsString> = std::iter::once(OsString::from("tflock"))
        .chain(argv.own)
        .collect();
    let (mut cli, matches) = definition
        .clone()
        .try_get_matches_from(&words)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)))
        .map_err(|error| {
            let command = argv.typed.command_name();
            Answer::of_clap(&error, &words, &definition, command)
        })?;
    // A variable is for every run on the machine, an option for this one.
    if cli.options.quiet && cli.options.verbose {
        let is_option = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        match (is_option("quiet"), is_option("verbose")) {
            (true, false) => cli.options.verbose = false,
            (false, true) => cli.options.quiet = false,
            _ => {
                return Err(Answer::usage(
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
        (Some(OwnCommand::Completions(arguments)), _) => Command::Completions(arguments),
        (None, terraform) => {
            if terraform.is_empty() && words.len() > 1 {
                return Err(Answer::usage("there is no command", "see `tflock --help`"));
            }
            if terraform.is_empty() && argv.chdir.is_none() {
                return Err(Answer::Help(definition.clone().render_help().to_string()));
            }
            let first = terraform
                .first()
                .map(OsString::as_os_str)
                .unwrap_or_default();
            if let Some(ours) = misplaced::command_like(first, &definition) {
                let first = first.to_string_lossy();
                return Err(Answer::usage(
                    format!("neither tflock nor terraform has a command `{first}`"),
                    format!("did you mean `{ours}`? see `tflock --help`"),
                ));
            }
            Command::Terraform(terraform)
        }
    };
    Ok(Request {
        options: cli.options,
        chdir: argv.chdir.map(PathBuf::from),
        no_color: argv.no_color,
        typed: argv.typed,
        command,
    })
}

/// An option of tflock's behind terraform's command, where terraform would refuse it.
#[must_use]
pub fn option_behind(command: &[OsString]) -> Option<Misplaced> {
    misplaced::option_behind(command, &definition())
}

fn definition() -> clap::Command {
    Cli::command()
        .disable_help_flag(true)
        .disable_version_flag(true)
}

/// A variable that is set to nothing counts as not set, as with terraform's: it is how CI systems leave one out.
fn with_variables_that_are_set(definition: clap::Command) -> clap::Command {
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

/// Reads a command line that is terraform's altogether.
///
/// # Errors
/// When the environment's `TFLOCK_` variables are wrong.
pub fn parse_terraforms(arguments: Vec<OsString>) -> Result<Request, Answer> {
    // Any command will do to read the variables.
    let mut request = parse(vec!["version".into()])?;
    let (chdir, arguments) = split_chdir(arguments);
    request.typed = Typed::new(Vec::new(), arguments.clone());
    request.chdir = chdir;
    request.command = Command::Terraform(arguments);
    Ok(request)
}

/// terraform's `-chdir`, which stands before everything else, and the rest.
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
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn everything_after_the_command_is_terraform_s() {
        let request = parse(words("--wait 5s -chdir=dir plan --wait=1 -v -chdir=x")).unwrap();
        assert_eq!(request.chdir, Some(PathBuf::from("dir")));
        let Command::Terraform(arguments) = request.command else {
            panic!("{request:?}");
        };
        assert_eq!(arguments, words("plan --wait=1 -v -chdir=x"));
    }

    #[test]
    fn terraform_s_own_global_options_are_passed_on() {
        for line in ["-version", "-help", "-h", "-v", "-install-autocomplete"] {
            let Command::Terraform(arguments) = parse(words(line)).unwrap().command else {
                panic!("{line}");
            };
            assert_eq!(arguments, words(line));
        }
    }

    #[test]
    fn nothing_is_our_own_in_a_command_line_of_terraform_s() {
        for line in [
            "--version",
            "status",
            "--wait 5s plan",
            "force-unlock -force 7",
            "-chdir=",
        ] {
            let Command::Terraform(arguments) = parse_terraforms(words(line)).unwrap().command
            else {
                panic!("{line}");
            };
            assert_eq!(arguments, words(line));
        }
        let request = parse_terraforms(words("-chdir=dir plan -chdir=x")).unwrap();
        assert_eq!(request.chdir, Some(PathBuf::from("dir")));
    }

    #[test]
    fn help_and_version_are_our_own() {
        for line in ["", "--help", "status --help", "force-unlock -help"] {
            let answer = parse(words(line)).unwrap_err();
            assert!(matches!(answer, Answer::Help(_)), "{line}: {answer:?}");
        }
        let command = parse(words("-v --version")).unwrap().command;
        assert!(matches!(command, Command::Version), "{command:?}");
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for line in [
            "--bogus plan",
            "--wait 10 plan",
            "--wait",
            "--store disk plan",
            "status --jsn",
            "-chdir= plan",
            "-chdir plan",
            "-chdir=a -chdir=b plan",
            "exec",
            "completions tcsh",
            "--expire-after 5 plan",
            "--wait 5s",
            "statsu",
            "force-unlock -force=maybe 7",
            "force-unlock -chdir=a 7",
            "force-unlock 7 8",
        ] {
            let Answer::Mistake(mistake) = parse(words(line)).unwrap_err() else {
                panic!("{line}");
            };
            assert_eq!(mistake.exit_code, 64, "{line}");
            assert!(mistake.hint.is_some(), "{mistake:?}");
        }
    }

    #[test]
    fn terraform_s_grammar_of_force_unlock_is_understood() {
        for (line, id, yes, force, no_color) in [
            ("-force abc", Some("abc"), true, false, false),
            ("-no-color -force abc", Some("abc"), true, false, true),
            (
                "-force=true -no-color=0 abc",
                Some("abc"),
                true,
                false,
                false,
            ),
            ("-force=F abc", Some("abc"), false, false, false),
            ("abc -force", Some("abc"), true, false, false),
            ("--force abc", Some("abc"), false, true, false),
            ("-force -- --yes", Some("--yes"), true, false, false),
            ("-- -force", Some("-force"), false, false, false),
            ("-force", None, true, false, false),
        ] {
            let request = parse(words(&format!("force-unlock {line}"))).unwrap();
            let Command::ForceUnlock(arguments) = request.command else {
                panic!("{line}");
            };
            assert_eq!(arguments.id.as_deref(), id, "{line}");
            assert_eq!((arguments.yes, arguments.force), (yes, force), "{line}");
            assert_eq!(request.no_color, no_color, "{line}");
        }
    }

    #[test]
    fn exec_takes_any_program_with_its_options() {
        for line in ["exec -- make -j2 --help", "exec make -j2 --help"] {
            let Command::Exec(arguments) = parse(words(line)).unwrap().command else {
                panic!();
            };
            assert_eq!(arguments.program, words("make -j2 --help"));
        }
    }
}
