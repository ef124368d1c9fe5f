//! The help of each of our commands: only the options that it uses, and two examples.

use clap::{Arg, Command};

/// The global options that one of our commands uses, by ID, and its examples.
struct Used {
    command: &'static str,
    options: &'static [&'static str],
    examples: &'static str,
}

const USED: [Used; 10] = [
    Used {
        command: "exec",
        options: &[
            "store",
            "table",
            "lock_id",
            "wait",
            "reason",
            "hold",
            "expire_after",
            "terraform",
            "on_event",
            "no_input",
            "quiet",
            "verbose",
        ],
        examples: "Examples:\n  tflock exec -- ./deploy.sh\n  \
                   tflock --wait 1h --reason 'database migration' exec -- make migrate",
    },
    Used {
        command: "status",
        options: &[
            "store", "table", "lock_id", "wait", "no_input", "quiet", "verbose",
        ],
        examples: "Examples:\n  tflock status\n  tflock -chdir=environments/prod status --json --exit-code",
    },
    Used {
        command: "force-unlock",
        options: &["store", "table", "lock_id", "no_input", "quiet", "verbose"],
        examples: "terraform's `-force` works like `--yes`; `-no-color` is accepted too.\n\n\
                   Examples:\n  tflock force-unlock\n  \
                   tflock force-unlock -force 4db125df-d950-b194-cf41-df3ed13f0cf1",
    },
    Used {
        command: "hold",
        options: &[
            "store", "table", "lock_id", "wait", "reason", "no_input", "quiet", "verbose",
        ],
        examples: "Prints the lock ID. Your runs on this machine work under the hold, one at a time; others \
                   need `--hold LOCK_ID` or TFLOCK_HOLD.\n\n\
                   Examples:\n  tflock --reason 'database migration' hold --for 2h\n  \
                   tflock hold",
    },
    Used {
        command: "release",
        options: &[
            "store", "table", "lock_id", "hold", "wait", "no_input", "quiet", "verbose",
        ],
        examples: "Your own hold, one whose ID you give, and what a dead run of yours has left are released at once; for \
                   another's hold it asks. `--mine` is for the last step of a CI job: it looks at all your runs on this machine.\n\n\
                   Examples:\n  tflock release\n  \
                   tflock release --mine",
    },
    Used {
        command: "history",
        options: &["store", "table", "lock_id", "quiet", "verbose"],
        examples: "TFLOCK_HISTORY=off keeps runs from writing it.\n\n\
                   Examples:\n  tflock history\n  \
                   tflock history --json -n 5",
    },
    Used {
        command: "list",
        options: &["store", "table", "quiet", "verbose"],
        examples: "Needs `dynamodb:Scan` on the table, or `s3:ListBucket` on the bucket, which no other command does.\n\n\
                   Examples:\n  tflock list\n  tflock --table terraform-locks list --json",
    },
    Used {
        command: "doctor",
        options: &["store", "table", "lock_id", "no_input", "quiet", "verbose"],
        examples: "Changes nothing; asks before it tries conditional writes with an object of its own, and before it mends a digest.\n\
                   Exit codes: 0 all is well, 69 unreachable, 76 a stale lock, 77 not permitted, 78 configuration.\n\n\
                   Examples:\n  tflock doctor\n  tflock -chdir=environments/prod doctor --json",
    },
    Used {
        command: "create-table",
        options: &["table", "no_input", "quiet", "verbose"],
        examples: "Examples:\n  tflock create-table\n  tflock --table terraform-locks create-table --yes",
    },
    Used {
        command: "completions",
        options: &[],
        examples: "Examples:\n  tflock completions bash > ~/.local/share/bash-completion/completions/tflock\n  \
                   tflock completions fish > ~/.config/fish/completions/tflock.fish",
    },
];

/// The help of `name`, if it is one of our commands.
pub(super) fn of_command(name: &str, definition: Command) -> Option<String> {
    let used = USED.iter().find(|used| used.command == name)?;
    let shown = |argument: &&Arg| {
        let id = argument.get_id().as_str();
        id == "help" || used.options.contains(&id)
    };
    let options: Vec<Arg> = definition
        .get_arguments()
        .filter(shown)
        .enumerate()
        // After the command's own options.
        .map(|(place, argument)| argument.clone().global(false).display_order(100 + place))
        .collect();
    let mut definition = definition
        .mut_args(|argument| argument.global(false))
        .mut_subcommand(name, |command| {
            command.args(&options).after_help(used.examples)
        });
    definition.build();
    let command = definition.find_subcommand_mut(name)?;
    Some(command.render_help().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::definition;
    use super::*;

    #[test]
    fn the_help_of_each_command_shows_its_options_and_two_examples() {
        for command in definition().get_subcommands() {
            let name = command.get_name();
            let help = of_command(name, definition()).unwrap();
            let (_, examples) = help.split_once("Examples:\n").unwrap();
            let calls = |line: &&str| line.trim().starts_with("tflock ") && line.contains(name);
            assert_eq!(examples.lines().filter(calls).count(), 2, "{help}");
            let takes_a_lock = help.contains("--reason");
            assert_eq!(takes_a_lock, ["exec", "hold"].contains(&name), "{help}");
            assert!(help.contains("--help"), "{help}");
        }
        let known = definition();
        for used in USED {
            for id in used.options {
                assert!(
                    known.get_arguments().any(|known| known.get_id() == id),
                    "{id}"
                );
            }
        }
        assert_eq!(of_command("plan", definition()), None);
    }
}
