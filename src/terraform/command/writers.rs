//! Commands that write a state and do not take its lock, or not all of the time: `init` that migrates, `workspace delete`,
//! `workspace new -state`.

use std::ffi::OsString;

use super::flags::{End, parse_switch, scan};
use super::{ARGUMENTS_FOR_ALL, asks_for_help_or_version, variable_of, words};
use crate::environment::{Environment, non_empty};
use crate::terraform::workspace::Workspace;

/// A call of such a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateWriter {
    /// It copies the state of the recorded backend to another one.
    Migration,
    /// It deletes the state of that workspace.
    Deletion(Workspace),
    /// It puts a state into that new workspace.
    Creation(Workspace),
}

impl StateWriter {
    /// The command's words.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Migration => "init",
            Self::Deletion(_) => "workspace delete",
            Self::Creation(_) => "workspace new",
        }
    }
}

/// The writer that these arguments call, without a global `-chdir`. What terraform would refuse is none.
#[must_use]
pub fn state_writer(arguments: &[OsString], environment: Environment<'_>) -> Option<StateWriter> {
    if asks_for_help_or_version(arguments) || non_empty(environment, "COMP_LINE").is_some() {
        return None;
    }
    let begin = arguments.iter().position(|argument| !argument.is_empty())?;
    let word = |index: usize| arguments.get(begin + index).and_then(|word| word.to_str());
    let (command, length) = match (word(0)?, word(1)) {
        ("init", _) => ("init", 1),
        ("workspace" | "env", Some("delete")) => ("workspace delete", 2),
        ("workspace" | "env", Some("new")) => ("workspace new", 2),
        _ => return None,
    };
    let mut merged = Vec::new();
    for variable in [variable_of(command), ARGUMENTS_FOR_ALL.to_owned()] {
        if let Some(line) = non_empty(environment, &variable) {
            merged.extend(words::split(&line)?);
        }
    }
    merged.extend_from_slice(&arguments[begin + length..]);
    if asks_for_help_or_version(&merged) {
        return None;
    }
    let (flags, end) = scan(&merged);
    let is_on = |name: &str| {
        let mut given = flags.iter().filter(|flag| flag.name == name.as_bytes());
        given
            .next_back()
            .is_some_and(|flag| flag.value.map_or(Some(true), parse_switch) == Some(true))
    };
    let named = || match end {
        End::AtPositional(at) => merged.get(at)?.to_str().map(Workspace::new),
        End::OfArguments | End::AtError => None,
    };
    match command {
        "init" if is_on("migrate-state") || is_on("force-copy") => Some(StateWriter::Migration),
        "workspace delete" => Some(StateWriter::Deletion(named()?)),
        "workspace new" if flags.iter().any(|flag| flag.name == b"state") => {
            Some(StateWriter::Creation(named()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::environment_of;

    fn of(line: &str, variables: &[(&str, &str)]) -> Option<StateWriter> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        state_writer(&words, &environment_of(variables))
    }

    #[test]
    fn what_writes_a_state_is_told_from_what_does_not() {
        let stg = || Workspace::new("stg");
        for line in [
            "init -migrate-state",
            "init -input=false --force-copy=true -no-color",
        ] {
            assert_eq!(of(line, &[]), Some(StateWriter::Migration), "{line}");
        }
        for line in ["workspace delete stg", "env delete -force -lock=false stg"] {
            assert_eq!(of(line, &[]), Some(StateWriter::Deletion(stg())), "{line}");
        }
        for line in ["workspace new -state=x stg", "workspace new -state x stg"] {
            assert_eq!(of(line, &[]), Some(StateWriter::Creation(stg())), "{line}");
        }
        for line in [
            "init",
            "init -reconfigure",
            "init -migrate-state=false",
            "init -migrate-state -help",
            "workspace delete",
            "workspace new stg",
            "workspace select stg",
            "fmt -migrate-state",
        ] {
            assert_eq!(of(line, &[]), None, "{line}");
        }
        let variable = [("TF_CLI_ARGS_init", "-migrate-state")];
        assert_eq!(of("init", &variable), Some(StateWriter::Migration));
        assert_eq!(of("init -migrate-state", &[("COMP_LINE", "x")]), None);
    }
}
