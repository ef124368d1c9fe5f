//! Which of terraform's commands take the state lock, and what their arguments say about it.
//!
//! Never guesses: an invocation that does not clearly lock is passed through, so that terraform itself answers. Passing
//! through is always safe, since terraform then takes its own lock.

mod arguments;
mod flags;
mod known;
mod words;
mod writers;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use self::flags::parse_switch;
use self::flags::{End, scan};
use self::known::{Known, LOCKING};
pub use self::writers::{StateWriter, state_writer};
use super::duration::{DurationError, parse_duration};
use crate::environment::{Environment, non_empty};

/// The variable whose words are added to every command; each command also has its own, see [`variable_of`].
const ARGUMENTS_FOR_ALL: &str = "TF_CLI_ARGS";

/// What a terraform command line means for the state lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classified {
    /// It takes no lock, locks for itself (`init`, `workspace new`, `workspace delete`, `console`), or terraform will
    /// refuse it: run terraform unchanged.
    PassThrough,
    /// It runs under the state lock.
    Locking(LockingCommand),
}

/// Whether a command may change the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// `plan`: reads the state and never writes it.
    ReadsState,
    /// All others.
    WritesState,
}

/// The `-lock` flag; the default is to lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockSwitch {
    /// Take the lock.
    Take,
    /// `-lock=false`: take no lock.
    Skip,
}

/// Whether terraform may prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The default.
    Allowed,
    /// `-input=false`, or `TF_INPUT` set to false.
    Disabled,
}

/// What the file named by `-state` or `-state-out` means to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateFlagScope {
    /// It overrides the path of a local backend; any other backend ignores it.
    LocalBackend,
    /// The `state` commands work on that file instead of the backend, whatever its type.
    InsteadOfBackend,
}

/// A command line of a command that runs under the state lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockingCommand {
    /// The command's words, such as `state mv`.
    pub name: &'static str,
    /// The `Operation` that terraform writes into its lock info.
    pub operation: &'static str,
    /// Whether it may change the state.
    pub effect: Effect,
    /// `-lock`.
    pub lock: LockSwitch,
    /// `-lock-timeout`, if given; a negative one becomes zero, which means one attempt.
    pub lock_timeout: Option<Duration>,
    /// The state file named by the flags, as written: the one that will be written to.
    pub state_path: Option<PathBuf>,
    /// What `state_path` means.
    pub state_scope: StateFlagScope,
    /// The saved plan given to `apply`, as written; it may not exist.
    pub plan_file: Option<PathBuf>,
    /// `-input` and `TF_INPUT`.
    pub input: Input,
    /// The exit codes that mean success: 0, and with `-detailed-exitcode` also 2 (changes present).
    pub success_codes: &'static [u8],
    /// The arguments as given, and how many of them form the command's name.
    arguments: Vec<OsString>,
    subcommand_end: usize,
    /// The words of `TF_CLI_ARGS…`, which terraform inserts after the name.
    inserted: Vec<OsString>,
}

/// Why the arguments are invalid; terraform would refuse them as well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The value of `-lock-timeout` is not a duration.
    #[error("the value of `-lock-timeout` is not a duration")]
    LockTimeout {
        /// What is wrong with it.
        #[source]
        source: DurationError,
    },
    /// A `TF_CLI_ARGS…` variable has an unclosed quote or the like.
    #[error("`{variable}` cannot be split into arguments: it has an unclosed quote or parenthesis")]
    Unsplittable {
        /// The name of the variable.
        variable: String,
    },
}

impl CommandError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::LockTimeout { .. } => {
                "write it with its unit, as in `-lock-timeout=10s`".to_owned()
            }
            Self::Unsplittable { variable } => {
                format!("close the quote or parenthesis in `{variable}`, or unset it")
            }
        }
    }
}

/// Classifies a terraform command line: `arguments` without the program's name and without a global `-chdir`.
///
/// `TF_CLI_ARGS…` is merged in terraform's order: the command, the words of its own variable, those of `TF_CLI_ARGS`,
/// the real arguments. The last of repeated flags counts.
///
/// # Errors
///
/// `-lock-timeout` is not a duration, or a variable cannot be split into words.
pub fn classify(
    arguments: &[OsString],
    environment: Environment<'_>,
) -> Result<Classified, CommandError> {
    let completes = non_empty(environment, "COMP_LINE").is_some();
    if completes || asks_for_help_or_version(arguments) {
        return Ok(Classified::PassThrough);
    }
    let Some((known, subcommand_end)) = find_command(arguments) else {
        return Ok(Classified::PassThrough);
    };
    let mut inserted = Vec::new();
    for variable in [variable_of(known.name), ARGUMENTS_FOR_ALL.to_owned()] {
        if let Some(line) = non_empty(environment, &variable) {
            inserted.extend(words::split(&line).ok_or(CommandError::Unsplittable { variable })?);
        }
    }
    let merged = [&inserted, &arguments[subcommand_end..]].concat();
    if asks_for_help_or_version(&merged) {
        return Ok(Classified::PassThrough);
    }
    let (flags, end) = scan(&merged);
    let mut lock = LockSwitch::Take;
    let mut lock_timeout = None;
    let mut success_codes: &[u8] = &[0];
    let mut input = input_of(environment);
    let mut state_files = vec![None; known.state_flags.len()];
    for flag in &flags {
        let switch = flag.value.map_or(Some(true), parse_switch);
        match (flag.name, switch) {
            (b"lock" | b"input", None) => return Ok(Classified::PassThrough),
            (b"lock", Some(true)) => lock = LockSwitch::Take,
            (b"lock", Some(false)) => lock = LockSwitch::Skip,
            (b"detailed-exitcode", Some(true)) => success_codes = &[0, 2],
            (b"detailed-exitcode", Some(false)) => success_codes = &[0],
            (b"input", Some(false)) => input = Input::Disabled,
            (b"input", Some(true)) => input = input_of(environment),
            (b"lock-timeout", _) => {
                let text = flag.value.unwrap_or_default().to_string_lossy();
                let timeout =
                    parse_duration(&text).map_err(|source| CommandError::LockTimeout { source })?;
                lock_timeout = Some(timeout);
            }
            (name, _) => {
                let known_flag = known
                    .state_flags
                    .iter()
                    .position(|flag| flag.as_bytes() == name);
                if let Some(index) = known_flag {
                    state_files[index] = flag.value.filter(|value| !value.is_empty());
                }
            }
        }
    }
    let plan_file = match end {
        End::AtError => return Ok(Classified::PassThrough),
        End::AtPositional(begin) if known.name == "apply" => merged.get(begin).map(PathBuf::from),
        End::AtPositional(_) | End::OfArguments => None,
    };
    Ok(Classified::Locking(LockingCommand {
        name: known.name,
        operation: known.operation,
        effect: known.effect,
        lock,
        lock_timeout,
        state_path: state_files.iter().flatten().next().map(PathBuf::from),
        state_scope: known.scope,
        plan_file,
        input,
        success_codes,
        arguments: arguments.to_vec(),
        subcommand_end,
        inserted,
    }))
}

/// `TF_CLI_ARGS_state_replace_provider` for `state replace-provider`.
fn variable_of(command: &str) -> String {
    format!("{ARGUMENTS_FOR_ALL}_{}", command.replace([' ', '-'], "_"))
}

/// The locking command in these arguments, and the index after its last word.
///
/// As in `mitchellh/cli`, the command is the first word, extended by the words that directly follow. A flag before it
/// makes terraform refuse the command line.
fn find_command(arguments: &[OsString]) -> Option<(&'static Known, usize)> {
    let begin = arguments.iter().position(|argument| !argument.is_empty())?;
    LOCKING.iter().find_map(|known| {
        let end = begin + known.name.split(' ').count();
        let written = arguments.get(begin..end)?;
        let is_called = known
            .name
            .split(' ')
            .zip(written)
            .all(|(word, argument)| argument == word);
        is_called.then_some((known, end))
    })
}

/// Whether terraform would show help or version, or install completion, instead of running the command. Version flags
/// count everywhere, even as the value of another flag; the others only before a `--`.
fn asks_for_help_or_version(arguments: &[OsString]) -> bool {
    let shows_version = arguments
        .iter()
        .any(|argument| argument == "-v" || argument == "-version" || argument == "--version");
    shows_version
        || arguments
            .iter()
            .take_while(|argument| *argument != "--")
            .filter_map(|argument| argument.to_str())
            .any(|argument| {
                matches!(
                    argument,
                    "-h" | "-help"
                        | "--help"
                        | "-install-autocomplete"
                        | "--install-autocomplete"
                        | "-uninstall-autocomplete"
                        | "--uninstall-autocomplete"
                )
            })
}

/// `TF_INPUT` can turn prompts off even with `-input=true`; a value that is not a boolean is ignored.
fn input_of(environment: Environment<'_>) -> Input {
    match environment("TF_INPUT").as_deref().and_then(parse_switch) {
        Some(false) => Input::Disabled,
        Some(true) | None => Input::Allowed,
    }
}
