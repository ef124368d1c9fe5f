//! Completion: the script for each shell, and the answers that the scripts ask for at every Tab.
//!
//! The scripts only ask `tflock` with [`VARIABLE`] set, so that all shells offer the same. What stands behind a command of
//! terraform's is terraform's to complete.

mod quoting;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;

use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};
use clap_complete::env::{EnvCompleter, Shells};

use super::{Shell, argv};

/// The variable that holds the name of the shell which asks.
pub const VARIABLE: &str = "TFLOCK_COMPLETE";

/// terraform's commands with their descriptions, from `terraform -help` of 1.11.
const TERRAFORM_COMMANDS: [(&str, &str); 26] = [
    ("apply", "Create or update infrastructure"),
    (
        "console",
        "Try Terraform expressions at an interactive prompt",
    ),
    ("destroy", "Destroy previously created infrastructure"),
    ("env", "Workspace management, by its old name"),
    ("fmt", "Reformat the configuration in the standard style"),
    ("get", "Install or upgrade remote modules"),
    (
        "graph",
        "Generate a Graphviz graph of the steps in an operation",
    ),
    (
        "import",
        "Associate existing infrastructure with a resource",
    ),
    ("init", "Prepare the working directory for other commands"),
    ("login", "Obtain and save credentials for a remote host"),
    (
        "logout",
        "Remove locally stored credentials for a remote host",
    ),
    ("metadata", "Metadata related commands"),
    (
        "modules",
        "Show all declared modules in a working directory",
    ),
    ("output", "Show output values from the root module"),
    ("plan", "Show changes required by the current configuration"),
    (
        "providers",
        "Show the providers required for this configuration",
    ),
    ("refresh", "Update the state to match remote systems"),
    ("show", "Show the current state or a saved plan"),
    ("stacks", "Manage stacks"),
    ("state", "Advanced state management"),
    ("taint", "Mark a resource instance as not fully functional"),
    ("test", "Execute integration tests for modules"),
    (
        "untaint",
        "Remove the tainted state from a resource instance",
    ),
    ("validate", "Check whether the configuration is valid"),
    ("version", "Show the Terraform version"),
    ("workspace", "Workspace management"),
];

/// Commands of terraform or OpenTofu that are not worth completing.
const UNCOMPLETED_COMMANDS: [&str; 7] = [
    "cloud",
    "force-unlock",
    "internal-plugin",
    "policy",
    "push",
    "query",
    "rpcapi",
];

/// Whether terraform or OpenTofu has a command of that name.
pub(super) fn is_terraform_command(name: &str) -> bool {
    let known = TERRAFORM_COMMANDS.iter().map(|(known, _)| known);
    known
        .chain(&UNCOMPLETED_COMMANDS)
        .any(|known| *known == name)
}

/// The script that completes tflock's command line in `shell`.
///
/// # Errors
/// None that a script written to memory could meet.
pub fn completion_script(shell: Shell) -> io::Result<String> {
    let mut script = Vec::new();
    completer(shell.name())?.write_registration(
        VARIABLE,
        "tflock",
        "tflock",
        "tflock",
        &mut script,
    )?;
    if shell == Shell::Zsh {
        script.extend_from_slice(ZSH_AUTOLOADED);
    }
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// As a function that zsh loads at the first Tab, the file has to complete as well, not only register what does.
const ZSH_AUTOLOADED: &[u8] =
    b"if [[ \"$funcstack[1]\" == _tflock ]]; then\n    _clap_dynamic_completer_tflock\nfi\n";

fn completer(shell: &str) -> io::Result<&'static dyn EnvCompleter> {
    const SHELLS: Shells<'static> = Shells::builtins();
    let mut shells = SHELLS.0.iter();
    let known = shells.find(|known| known.is(shell));
    known
        .copied()
        .ok_or_else(|| io::Error::other("an unknown shell"))
}

/// A command line that is being typed.
pub struct Typing {
    /// All of its words; the first is the program.
    words: Vec<OsString>,
    /// The one to complete.
    index: usize,
}

impl Typing {
    /// As the scripts tell it: behind `--`, the number of the word beside it where that is not the last.
    #[must_use]
    pub fn new(arguments: Vec<OsString>, index: Option<usize>) -> Self {
        let words: Vec<OsString> = match arguments.split_first() {
            Some((first, rest)) if first == "--" => rest.to_vec(),
            _ => arguments,
        };
        let index = index.unwrap_or_else(|| words.len().saturating_sub(1));
        Self { words, index }
    }

    /// The words between the program and the one to complete.
    #[must_use]
    pub fn before(&self) -> &[OsString] {
        self.words.get(1..self.index).unwrap_or_default()
    }

    /// terraform's command and what follows it, without the word to complete; empty if the word is one of ours.
    #[must_use]
    pub fn terraforms(&self) -> Vec<OsString> {
        let argv = argv::split(self.before().to_vec(), &super::definition());
        argv.map_or_else(|_| Vec::new(), |argv| argv.terraform)
    }

    /// What `shell` is to offer, in its own format. `words` knows the words of each kind, given what the word to complete
    /// begins with.
    ///
    /// # Errors
    /// An unknown shell, or words that cannot be completed.
    pub fn candidates(
        &self,
        shell: &str,
        directory: &Path,
        words: impl Fn(Kind, &str) -> Vec<String> + Send + Sync + 'static,
    ) -> io::Result<Vec<u8>> {
        let place = Arc::new(Place {
            shell: shell.to_owned(),
            paths: PathCompleter::any().current_dir(directory),
            words: Box::new(words),
        });
        let mut offered = Vec::new();
        completer(shell)?.write_complete(
            &mut definition(&place),
            self.words.clone(),
            Some(directory),
            &mut offered,
        )?;
        Ok(offered)
    }
}

/// What a word is, if it is not one that is the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word behind a command of terraform's.
    Terraforms,
    /// The ID of the lock of this directory.
    Lock,
    /// The ID of a hold of this user's.
    Hold,
    /// A file or a directory.
    Path,
}

type Words = dyn Fn(Kind, &str) -> Vec<String> + Send + Sync;

/// Where a command line is typed.
struct Place {
    shell: String,
    paths: PathCompleter,
    words: Box<Words>,
}

impl Place {
    fn completer(self: &Arc<Self>, kind: Kind) -> ArgValueCompleter {
        let place = Arc::clone(self);
        ArgValueCompleter::new(move |typed: &OsStr| {
            place.candidates(kind, &typed.to_string_lossy())
        })
    }

    fn candidates(&self, kind: Kind, typed: &str) -> Vec<CompletionCandidate> {
        let meant = quoting::meant(typed);
        let mut words = (self.words)(kind, &meant);
        words.retain(|word| word.starts_with(&meant));
        if words.is_empty() && matches!(kind, Kind::Terraforms | Kind::Path) {
            words = self.paths_behind(&meant);
        }
        let inserted = words
            .iter()
            .filter_map(|word| quoting::inserted(word, &self.shell, typed));
        inserted.map(CompletionCandidate::new).collect()
    }

    /// The paths that a word begins, or the value of a flag.
    fn paths_behind(&self, typed: &str) -> Vec<String> {
        let (flag, value) = match typed.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => (format!("{flag}="), value),
            _ => (String::new(), typed),
        };
        let found = self.paths.complete(OsStr::new(value)).into_iter();
        found
            .map(|path| format!("{flag}{}", path.get_value().to_string_lossy()))
            .collect()
    }
}

fn definition(place: &Arc<Place>) -> Command {
    let argument = Arg::new("arguments")
        .num_args(0..)
        .allow_hyphen_values(true)
        .trailing_var_arg(true)
        .add(place.completer(Kind::Terraforms));
    TERRAFORM_COMMANDS
        .into_iter()
        .fold(own_definition(place), |definition, (name, about)| {
            let command = Command::new(name).about(about).disable_help_flag(true);
            definition.subcommand(command.arg(argument.clone()))
        })
}

fn with_completer(argument: Arg, place: &Arc<Place>) -> Arg {
    let kind = match (argument.get_id().as_str(), argument.get_value_hint()) {
        ("id", _) => Kind::Lock,
        ("hold", _) => Kind::Hold,
        (_, ValueHint::AnyPath | ValueHint::DirPath | ValueHint::FilePath) => Kind::Path,
        _ => return argument,
    };
    argument.add(place.completer(kind))
}

/// Our options are global only to our own commands: after a terraform command they would go to terraform, which does
/// not know them.
fn own_definition(place: &Arc<Place>) -> Command {
    let definition = super::definition().mut_args(|argument| with_completer(argument, place));
    let globals: Vec<Arg> = definition
        .get_arguments()
        .filter(|argument| argument.is_global_set())
        .map(|argument| argument.clone().global(false))
        .collect();
    definition
        .mut_args(|argument| argument.global(false))
        .mut_subcommands(|command| {
            let command = command.mut_args(|argument| with_completer(argument, place));
            command.args(&globals)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn offered(words: &[&str]) -> Vec<String> {
        let mut arguments = vec![OsString::from("--"), OsString::from("tflock")];
        arguments.extend(words.iter().map(OsString::from));
        let typing = Typing::new(arguments, None);
        let before = typing.terraforms();
        let words = move |kind, typed: &str| match kind {
            // Whatever is asked, so that it is offered.
            Kind::Terraforms => vec![format!("{typed}{before:?}")],
            Kind::Lock => vec!["a-lock".to_owned()],
            Kind::Hold => vec!["a-hold".to_owned()],
            Kind::Path => vec!["a-path".to_owned()],
        };
        let offered = typing.candidates("fish", Path::new("/"), words);
        let offered = String::from_utf8(offered.unwrap()).unwrap();
        offered
            .lines()
            .map(|line| line.split('\t').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_definition_is_sound() {
        let place = Place {
            shell: "fish".to_owned(),
            paths: PathCompleter::any(),
            words: Box::new(|_, _| Vec::new()),
        };
        definition(&Arc::new(place)).debug_assert();
    }

    #[test]
    fn our_options_have_their_values_and_commands() {
        assert_eq!(
            offered(&["--store", ""]),
            ["auto", "dynamodb", "s3", "local"]
        );
        assert_eq!(offered(&["--store=lo"]), ["--store=local"]);
        assert_eq!(offered(&["--w"]), ["--wait"]);
        assert_eq!(offered(&["sta"]), ["status", "stacks", "state"]);
        assert_eq!(offered(&["force-unlock", "--y"]), ["--yes"]);
        assert_eq!(offered(&["status", "--ta"]), ["--table"]);
        assert_eq!(offered(&["completions", "e"]), ["elvish"]);
    }

    #[test]
    fn behind_a_command_of_terraforms_its_words_are_asked_for_and_none_of_ours_offered() {
        assert_eq!(offered(&["plan", "-"]), [r#"-["plan"]"#]);
        assert_eq!(
            offered(&["--wait", "5s", "-chdir=x", "state", "mv", "--w"]),
            [r#"--w["state", "mv"]"#]
        );
        assert_eq!(
            offered(&["plan", "-target", "a", "--", ""]),
            [r#"["plan", "-target", "a", "--"]"#]
        );
    }

    #[test]
    fn ids_are_offered_where_they_are_wanted() {
        assert_eq!(offered(&["force-unlock", "--yes", "a"]), ["a-lock"]);
        assert_eq!(offered(&["release", "a"]), ["a-lock"]);
        assert_eq!(offered(&["--hold", "a"]), ["a-hold"]);
        assert_eq!(offered(&["status", "--hold=a"]), ["--hold=a-hold"]);
        assert_eq!(offered(&["--hold", "b"]), [""; 0]);
        assert_eq!(offered(&["exec", "--dir", "a"]), ["a-path"]);
        assert_eq!(offered(&["--terraform", "a"]), ["a-path"]);
    }

    #[test]
    fn where_terraform_knows_nothing_paths_are_offered() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("sub")).unwrap();
        for file in ["a.tfvars", "$(id) it"] {
            std::fs::write(directory.path().join(file), "").unwrap();
        }
        let offered = |shell: &str, word: &str| {
            let arguments = ["--", "tflock", "plan", word].map(OsString::from);
            let typing = Typing::new(arguments.to_vec(), None);
            let offered = typing.candidates(shell, directory.path(), |_, _| Vec::new());
            String::from_utf8(offered.unwrap()).unwrap()
        };
        assert_eq!(offered("fish", "a"), "a.tfvars\n");
        assert_eq!(offered("fish", "su"), "sub/\n");
        assert_eq!(offered("fish", "-var-file=a"), "-var-file=a.tfvars\n");
        let quoted = offered("powershell", "$");
        assert!(quoted.starts_with("'$(id) it'"), "{quoted}");
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        let none = |_, _: &str| Vec::new();
        for (arguments, index) in [
            (vec![], None),
            (vec!["--"], None),
            (vec!["--", "tflock"], Some(9)),
        ] {
            let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
            let typing = Typing::new(arguments, index);
            assert!(typing.before().is_empty());
            let _ = typing.candidates("zsh", Path::new("/"), none);
            assert!(typing.candidates("tcsh", Path::new("/"), none).is_err());
        }
    }
}
