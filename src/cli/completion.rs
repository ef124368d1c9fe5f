//! Completion scripts: tflock's options and commands, and terraform's commands beside them.

use clap::{Arg, Command, ValueHint};
use clap_complete::Shell;

/// terraform's commands and what they are for, after `terraform -help` of 1.11.
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

/// Commands that terraform or OpenTofu have, and that are not worth completing.
const FURTHER: [&str; 7] = [
    "cloud",
    "force-unlock",
    "internal-plugin",
    "policy",
    "push",
    "query",
    "rpcapi",
];

/// Whether terraform or OpenTofu have a command of that name.
pub(super) fn is_terraforms(name: &str) -> bool {
    let known = TERRAFORM_COMMANDS.iter().map(|(known, _)| known);
    known.chain(&FURTHER).any(|known| *known == name)
}

/// Commands of terraform's commands.
const NESTED: [(&str, &[&str]); 4] = [
    ("metadata", &["functions"]),
    ("providers", &["lock", "mirror", "schema"]),
    (
        "state",
        &[
            "identities",
            "list",
            "mv",
            "pull",
            "push",
            "replace-provider",
            "rm",
            "show",
        ],
    ),
    ("workspace", &["delete", "list", "new", "select", "show"]),
];

/// The script that completes tflock's command line in `shell`.
#[must_use]
pub fn completion_script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "tflock", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

pub(super) fn definition() -> Command {
    TERRAFORM_COMMANDS
        .into_iter()
        .fold(own_definition(), |definition, (name, about)| {
            definition.subcommand(terraform_command(name).about(about))
        })
}

/// Our options are global to our own commands only: behind a command of terraform's they would go to terraform,
/// which does not know them.
fn own_definition() -> Command {
    let definition = super::definition();
    let globals: Vec<Arg> = definition
        .get_arguments()
        .filter(|argument| argument.is_global_set())
        .map(|argument| argument.clone().global(false))
        .collect();
    definition
        .mut_args(|argument| argument.global(false))
        .mut_subcommands(|command| command.args(&globals))
}

fn terraform_command(name: &'static str) -> Command {
    let nested = NESTED
        .iter()
        .find(|(parent, _)| *parent == name)
        .map_or(&[] as &[&str], |(_, nested)| nested);
    let command = Command::new(name).disable_help_flag(true);
    if nested.is_empty() {
        return command.arg(rest());
    }
    nested
        .iter()
        .fold(command.disable_help_subcommand(true), |command, name| {
            command.subcommand(Command::new(*name).disable_help_flag(true).arg(rest()))
        })
}

/// terraform's own arguments, of which files are the ones worth completing.
fn rest() -> Arg {
    Arg::new("arguments")
        .num_args(0..)
        .allow_hyphen_values(true)
        .trailing_var_arg(true)
        .value_hint(ValueHint::AnyPath)
}
