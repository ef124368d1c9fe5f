//! The help of each of our commands: only the options that it uses, and two examples.

use clap::{Arg, Command};

/// The global options that one of our commands uses, by ID, what else is to be said of it, and its examples.
pub(super) struct Used {
    command: &'static str,
    options: &'static [&'static str],
    pub(super) notes: &'static str,
    pub(super) examples: [&'static str; 2],
}

const USED: [Used; 11] = [
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
        notes: "",
        examples: [
            "tflock exec -- ./deploy.sh",
            "tflock --wait 1h exec --dir network --dir app -- make migrate",
        ],
    },
    Used {
        command: "status",
        options: &[
            "store", "table", "lock_id", "wait", "no_input", "quiet", "verbose",
        ],
        notes: "",
        examples: [
            "tflock status",
            "tflock -chdir=environments/prod status --json --exit-code",
        ],
    },
    Used {
        command: "force-unlock",
        options: &["store", "table", "lock_id", "no_input", "quiet", "verbose"],
        notes: "terraform's `-force` works like `--yes`; `-no-color` is accepted too.",
        examples: [
            "tflock force-unlock",
            "tflock force-unlock -force 4db125df-d950-b194-cf41-df3ed13f0cf1",
        ],
    },
    Used {
        command: "hold",
        options: &[
            "store", "table", "lock_id", "wait", "reason", "no_input", "quiet", "verbose",
        ],
        notes: "Prints the lock ID. Your runs on this machine work under the hold, one at a time; others need `--hold LOCK_ID` or TFLOCK_HOLD.",
        examples: [
            "tflock --reason 'database migration' hold --for 2h",
            "tflock hold",
        ],
    },
    Used {
        command: "release",
        options: &[
            "store", "table", "lock_id", "hold", "wait", "no_input", "quiet", "verbose",
        ],
        notes: "Your own hold, one whose ID you give, and what a dead run of yours has left are released at once; for another's hold it asks. `--mine` is for the last step of a CI job: it looks at all your runs on this machine.",
        examples: ["tflock release", "tflock release --mine"],
    },
    Used {
        command: "history",
        options: &["store", "table", "lock_id", "quiet", "verbose"],
        notes: "TFLOCK_HISTORY=off keeps runs from writing it.",
        examples: ["tflock history", "tflock history --json -n 5"],
    },
    Used {
        command: "list",
        options: &["store", "table", "quiet", "verbose"],
        notes: "Needs `dynamodb:Scan` on the table, or `s3:ListBucket` on the bucket, which no other command does.",
        examples: ["tflock list", "tflock --table terraform-locks list --json"],
    },
    Used {
        command: "doctor",
        options: &["store", "table", "lock_id", "no_input", "quiet", "verbose"],
        notes: "Changes nothing; asks before it tries conditional writes with an object of its own, and before it repairs a digest.\nExit codes: 0 no faults, 69 unreachable, 76 a stale lock, 77 not permitted, 78 configuration.",
        examples: [
            "tflock doctor",
            "tflock -chdir=environments/prod doctor --json",
        ],
    },
    Used {
        command: "create-table",
        options: &["table", "no_input", "quiet", "verbose"],
        notes: "",
        examples: [
            "tflock create-table",
            "tflock --table terraform-locks create-table --yes",
        ],
    },
    Used {
        command: "man",
        options: &[],
        notes: "Without a directory it prints tflock(1). Sections 1 and 7 have pages.",
        examples: ["tflock man | man -l -", "tflock man ./man"],
    },
    Used {
        command: "completions",
        options: &[],
        notes: "",
        examples: [
            "tflock completions bash > ~/.local/share/bash-completion/completions/tflock",
            "tflock completions fish > ~/.config/fish/completions/tflock.fish",
        ],
    },
];

/// What is said of all of tflock.
pub(super) const WHOLE: Used = Used {
    command: "tflock",
    options: &[],
    notes: "Everything after the terraform command is terraform's own; `-chdir=DIR` goes before it.\n\
            TFLOCK_S3_HEARTBEAT=auto|on|off: whether S3 lock objects are renewed once a minute; auto: on Amazon's own endpoints; \
            on: your server honours If-Match on writes.\n\
            TFLOCK_HISTORY=off: keep no history of who held the lock.\n\
            Exit codes: terraform's own, or 64 usage, 69 store unreachable, 70 a bug, 73 not released, 75 the lock is held, \
            76 lock lost, 77 refused, 78 configuration, 126/127 no terraform.",
    examples: [
        "tflock apply",
        "tflock --wait 1h --reason 'rotating the database password' apply -target=module.db",
    ],
};

impl Used {
    /// What stands below the options.
    pub(super) fn below(&self) -> String {
        let examples = self.examples.map(|line| format!("\n  {line}")).concat();
        let notes = match self.notes {
            "" => String::new(),
            notes => format!("{notes}\n\n"),
        };
        format!("{notes}Examples:{examples}")
    }
}

/// What is to be said of that command of ours.
pub(super) fn about(name: &str) -> Option<&'static Used> {
    USED.iter().find(|used| used.command == name)
}

/// The help of `name`, if it is one of our commands.
pub(super) fn of_command(name: &str, definition: Command) -> Option<String> {
    Some(command(name, definition)?.render_help().to_string())
}

/// The command `name`, if it is one of ours, with the options that it uses.
pub(super) fn command(name: &str, definition: Command) -> Option<Command> {
    let used = about(name)?;
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
            command.args(&options).after_help(used.below())
        });
    definition.build();
    definition.find_subcommand(name).cloned()
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
