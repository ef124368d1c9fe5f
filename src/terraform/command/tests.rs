use std::os::unix::ffi::OsStringExt;

use super::*;
use crate::environment::environment_of;
use crate::terraform::real_terraform;
use proptest::prelude::*;

fn arguments(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn classified(words: &[&str], variables: &[(&str, &str)]) -> Result<Classified, CommandError> {
    classify(&arguments(words), &environment_of(variables))
}

fn locking(words: &[&str], variables: &[(&str, &str)]) -> LockingCommand {
    match classified(words, variables) {
        Ok(Classified::Locking(command)) => command,
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn every_locking_command_is_known_with_its_operation() {
    for (words, operation) in [
        (&["plan"][..], "OperationTypePlan"),
        (&["apply"], "OperationTypeApply"),
        (&["destroy"], "OperationTypeApply"),
        (&["refresh"], "OperationTypeRefresh"),
        (&["import", "a.b", "id"], "OperationTypeInvalid"),
        (&["taint", "a.b"], "taint"),
        (&["untaint", "a.b"], "untaint"),
        (&["state", "mv", "a.b", "a.c"], "state-mv"),
        (&["state", "rm", "a.b"], "state-rm"),
        (&["state", "push", "x"], "state-push"),
        (
            &["state", "replace-provider", "a", "b"],
            "state-replace-provider",
        ),
    ] {
        let command = locking(words, &[]);
        assert_eq!(command.operation, operation, "{words:?}");
        let reads = command.effect == Effect::ReadsState;
        assert_eq!(reads, words == ["plan"], "{words:?}");
        assert_eq!(command.lock, LockSwitch::Take);
    }
}

#[test]
fn commands_that_take_no_lock_or_lock_for_themselves_are_passed_through() {
    for words in [
        &[][..],
        &["init"],
        &["console"],
        &["workspace", "new", "x"],
        &["workspace", "delete", "x"],
        &["state"],
        &["state", "list"],
        &["state", "mvx", "a"],
        &["state", "-lock=false", "mv"],
        &["state", "", "mv"],
        &["state mv"],
        &["planx"],
        &["output"],
        &["-chdir=x"],
        &["--", "plan"],
    ] {
        assert_eq!(
            classified(words, &[]),
            Ok(Classified::PassThrough),
            "{words:?}"
        );
    }
}

#[test]
fn help_version_and_completion_are_passed_through() {
    for words in [
        &["plan", "-help"][..],
        &["plan", "-var", "-h"],
        &["--help", "plan"],
        &["plan", "-version"],
        &["plan", "--", "-v"],
        &["apply", "-var", "--version"],
        &["plan", "-install-autocomplete"],
    ] {
        assert_eq!(
            classified(words, &[]),
            Ok(Classified::PassThrough),
            "{words:?}"
        );
    }
    for variables in [
        [("COMP_LINE", "terraform pl")],
        [("TF_CLI_ARGS_plan", "-help")],
        [("TF_CLI_ARGS", "-version")],
    ] {
        assert_eq!(
            classified(&["plan"], &variables),
            Ok(Classified::PassThrough),
            "{variables:?}"
        );
    }
    assert!(matches!(
        classified(&["plan", "--", "-help"], &[]),
        Ok(Classified::Locking(_))
    ));
    assert!(matches!(
        classified(&["plan"], &[("COMP_LINE", "")]),
        Ok(Classified::Locking(_))
    ));
}

#[test]
fn invalid_command_lines_are_passed_through() {
    let directory = tempfile::tempdir().unwrap();
    for words in [
        &["plan", "-lock=maybe"][..],
        &["plan", "-lock="],
        &["plan", "-input=2"],
        &["plan", "---lock"],
        &["plan", "-=x"],
        &["plan", "-out"],
        &["-foo", "plan"],
        &["-lock=false", "plan"],
    ] {
        assert_eq!(
            classified(words, &[]),
            Ok(Classified::PassThrough),
            "{words:?}"
        );
        let output = real_terraform::run(directory.path(), words, &[]);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
    }
}

#[test]
fn the_lock_switch_is_a_switch() {
    for (word, expected) in [
        ("-lock=false", LockSwitch::Skip),
        ("--lock=F", LockSwitch::Skip),
        ("-lock=0", LockSwitch::Skip),
        ("-lock", LockSwitch::Take),
        ("-lock=true", LockSwitch::Take),
    ] {
        assert_eq!(locking(&["plan", word], &[]).lock, expected, "{word}");
    }
    assert_eq!(
        locking(&["apply", "-lock", "false"], &[]).lock,
        LockSwitch::Take
    );
    assert_eq!(
        locking(&["apply", "x", "-lock=false"], &[]).lock,
        LockSwitch::Take
    );
    assert_eq!(
        locking(&["plan", "-var", "-lock=false"], &[]).lock,
        LockSwitch::Take
    );
}

/// The flags of terraform 1.11.4 and OpenTofu 1.10 that take the next argument as their value.
const WITH_A_VALUE: [&str; 19] = [
    "backup",
    "backup-out",
    "config",
    "deprecation",
    "exclude",
    "exclude-file",
    "generate-config-out",
    "invoke",
    "json-into",
    "lock-timeout",
    "out",
    "parallelism",
    "replace",
    "state",
    "state-out",
    "target",
    "target-file",
    "var",
    "var-file",
];

const COMMANDS: [&str; 11] = [
    "plan",
    "apply",
    "destroy",
    "refresh",
    "import",
    "taint",
    "untaint",
    "state mv",
    "state rm",
    "state push",
    "state replace-provider",
];

#[test]
fn a_flag_counts_behind_every_flag_with_a_value_and_not_as_that_value() {
    for (name, flag) in COMMANDS
        .iter()
        .flat_map(|name| WITH_A_VALUE.map(|flag| (name, flag)))
    {
        for dashes in ["-", "--"] {
            let flag = format!("{dashes}{flag}");
            let is_timeout = flag.ends_with("lock-timeout");
            // A word that would end the flags, and one that would be a flag.
            for value in if is_timeout {
                ["1s"; 2]
            } else {
                ["x", "-lock=true"]
            } {
                let mut call: Vec<&str> = name.split(' ').collect();
                call.extend(["-lock=false", &flag, value, "-lock-timeout", "7s"]);
                let command = locking(&call, &[]);
                assert_eq!(command.lock, LockSwitch::Skip, "{call:?}");
                let timeout = Some(Duration::from_secs(7));
                assert_eq!(command.lock_timeout, timeout, "{call:?}");
            }
        }
    }
}

#[test]
fn terraform_lists_no_other_flag_with_a_value() {
    let directory = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for name in COMMANDS {
        let mut call: Vec<&str> = name.split(' ').collect();
        call.push("-help");
        let help = real_terraform::run(directory.path(), &call, &[]);
        let help = String::from_utf8(help.stdout).unwrap();
        // `  -out=path …`, `  -var 'foo=bar' …`, `  -lock=false …`, `  -json …`
        for line in help.lines().filter_map(|line| line.strip_prefix("  -")) {
            let end = line.find(['=', ' ', ',']).unwrap_or(line.len());
            let (flag, rest) = line.split_at(end);
            let is_switch = ["=true", "=false"].iter().any(|one| rest.starts_with(one));
            let has_value = rest.starts_with(" '") || rest.starts_with('=') && !is_switch;
            if !rest.starts_with(',') {
                assert_eq!(WITH_A_VALUE.contains(&flag), has_value, "{name} -{line}");
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn real_arguments_beat_the_general_variable_which_beats_the_specific_one() {
    let specific = (
        "TF_CLI_ARGS_state_replace_provider",
        "-lock-timeout=1s -lock=false",
    );
    let general = ("TF_CLI_ARGS", "-lock-timeout=2s");
    let call = ["state", "replace-provider", "a", "b"];
    let command = locking(&call, &[specific]);
    assert_eq!(command.lock_timeout, Some(Duration::from_secs(1)));
    let command = locking(&call, &[specific, general]);
    assert_eq!(command.lock_timeout, Some(Duration::from_secs(2)));
    let call = [
        "state",
        "replace-provider",
        "-lock-timeout",
        "3s",
        "-lock",
        "a",
        "b",
    ];
    let command = locking(&call, &[specific, general]);
    assert_eq!(command.lock_timeout, Some(Duration::from_secs(3)));
    assert_eq!(command.lock, LockSwitch::Take);
}

#[test]
fn a_lock_timeout_without_unit_is_an_error_that_says_so() {
    for words in [
        &["plan", "-lock-timeout=10"][..],
        &["plan", "-lock-timeout", "10", "-lock-timeout=10s"],
    ] {
        let error = classified(words, &[]).unwrap_err();
        let CommandError::LockTimeout { source } = &error else {
            panic!("{error:?}")
        };
        assert!(source.to_string().contains("`10s`"), "{source}");
    }
}

#[test]
fn a_variable_that_cannot_be_split_is_an_error_that_names_it() {
    let error = classified(&["plan"], &[("TF_CLI_ARGS_plan", "-var 'a=b")]).unwrap_err();
    assert!(error.to_string().contains("`TF_CLI_ARGS_plan`"), "{error}");
    let other_command = classified(&["plan"], &[("TF_CLI_ARGS_apply", "-var 'a=b")]);
    assert!(matches!(other_command, Ok(Classified::Locking(_))));
}

#[test]
fn the_state_file_is_the_one_that_is_written() {
    let path = |words: &[&str]| locking(words, &[]).state_path;
    assert_eq!(path(&["apply", "-state=a"]), Some("a".into()));
    assert_eq!(
        path(&["apply", "-state-out", "b", "-state=a"]),
        Some("b".into())
    );
    assert_eq!(path(&["apply", "-state=a", "-state="]), None);
    assert_eq!(path(&["apply"]), None);
}

#[test]
fn state_commands_work_on_their_file_instead_of_the_backend() {
    let command = locking(&["state", "mv", "-state=a", "-state-out=b", "x", "y"], &[]);
    assert_eq!(command.state_path, Some("a".into()));
    assert_eq!(command.state_scope, StateFlagScope::InsteadOfBackend);
    assert_eq!(locking(&["state", "push", "x"], &[]).state_path, None);
    assert_eq!(
        locking(&["taint", "x"], &[]).state_scope,
        StateFlagScope::LocalBackend
    );
}

#[test]
fn only_apply_has_a_plan_file() {
    let plan = |words: &[&str], variables: &[(&str, &str)]| locking(words, variables).plan_file;
    assert_eq!(
        plan(&["apply", "-auto-approve", "p"], &[]),
        Some("p".into())
    );
    assert_eq!(plan(&["apply", "--", "-p"], &[]), Some("-p".into()));
    assert_eq!(plan(&["apply", "-var", "a=b"], &[]), None);
    assert_eq!(
        plan(&["apply", "-json"], &[("TF_CLI_ARGS_apply", "p")]),
        Some("p".into())
    );
    assert_eq!(plan(&["import", "a.b", "id"], &[]), None);
}

#[test]
fn input_is_refused_by_flag_and_by_variable() {
    let input = |words: &[&str], variables: &[(&str, &str)]| locking(words, variables).input;
    assert_eq!(input(&["apply"], &[]), Input::Allowed);
    assert_eq!(input(&["apply", "-input=false"], &[]), Input::Disabled);
    assert_eq!(
        input(&["apply", "-input=false", "-input"], &[]),
        Input::Allowed
    );
    assert_eq!(
        input(&["apply", "-input=true"], &[("TF_INPUT", "0")]),
        Input::Disabled
    );
    assert_eq!(
        input(&["apply"], &[("TF_INPUT", "nonsense")]),
        Input::Allowed
    );
}

#[test]
fn with_the_lock_held_the_only_lock_flag_follows_the_command() {
    let held = |words: &[&str]| locking(words, &[]).arguments_with_lock_held();
    assert_eq!(
        held(&[
            "state",
            "mv",
            "-lock=true",
            "-lock-timeout=5s",
            "a",
            "-lock"
        ]),
        arguments(&[
            "state",
            "mv",
            "-lock=false",
            "-lock-timeout=5s",
            "a",
            "-lock"
        ])
    );
    assert_eq!(held(&["", "plan"]), arguments(&["", "plan", "-lock=false"]));
    let command = locking(&["plan", "-out=x"], &[("TF_CLI_ARGS", "-lock=true -json")]);
    assert_eq!(
        command.arguments_with_lock_held(),
        arguments(&["plan", "-lock=false", "-out=x"])
    );
    assert_eq!(command.variables_with_flag_inserted(), []);
}

#[test]
fn a_timeout_for_the_childs_own_lock_is_in_whole_seconds_and_one_to_type_as_it_is() {
    let apply = locking(&["apply", "-lock-timeout=5s", "-auto-approve"], &[]);
    for (milliseconds, for_child, typed) in [
        (0, "-lock-timeout=0s", "-lock-timeout=0s"),
        (1, "-lock-timeout=1s", "-lock-timeout=1ms"),
        (2000, "-lock-timeout=2s", "-lock-timeout=2s"),
        (2500, "-lock-timeout=3s", "-lock-timeout=2.5s"),
    ] {
        let timeout = Duration::from_millis(milliseconds);
        let found = apply.arguments_with_lock_timeout(timeout);
        assert_eq!(found, arguments(&["apply", for_child, "-auto-approve"]));
        let found = apply.typed_with_lock_timeout(timeout);
        assert_eq!(found, arguments(&["apply", typed, "-auto-approve"]));
    }
}

#[test]
fn variables_that_end_the_flags_are_moved_into_the_arguments() {
    let variables = [
        ("TF_CLI_ARGS_apply", "-lock=true saved.plan"),
        ("TF_CLI_ARGS", "-json"),
    ];
    let command = locking(&["apply"], &variables);
    assert_eq!(
        command.arguments_with_lock_held(),
        arguments(&["apply", "-lock=false", "saved.plan", "-json"])
    );
    let emptied = |name: &str| (OsString::from(name), OsString::new());
    assert_eq!(
        command.variables_with_flag_inserted(),
        [emptied("TF_CLI_ARGS_apply"), emptied("TF_CLI_ARGS")]
    );
}

#[test]
fn terraform_takes_no_lock_with_the_lock_held() {
    let directory = tempfile::tempdir().unwrap();
    // A directory in place of the lock's file makes locking fail.
    std::fs::create_dir(directory.path().join(".terraform.tfstate.lock.info")).unwrap();
    std::fs::write(
        directory.path().join("main.tf"),
        "output \"x\" { value = 1 }",
    )
    .unwrap();
    for variables in [
        &[][..],
        &[
            ("TF_CLI_ARGS", "-lock=true"),
            ("TF_CLI_ARGS_plan", "-no-color -lock"),
        ],
        &[("TF_CLI_ARGS_plan", "-lock=true -out")],
    ] {
        let call: &[&str] = if variables.len() == 1 {
            &["plan", "saved"]
        } else {
            &["plan", "-lock"]
        };
        let locks = real_terraform::run(directory.path(), call, variables);
        assert_eq!(locks.status.code(), Some(1), "{variables:?}");
        let command = locking(call, variables);
        let held = command.arguments_with_lock_held();
        let held: Vec<&str> = held
            .iter()
            .map(|argument| argument.to_str().unwrap())
            .collect();
        let changed = command.variables_with_flag_inserted();
        let mut environment = variables.to_vec();
        environment.extend(
            changed
                .iter()
                .map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap())),
        );
        let output = real_terraform::run(directory.path(), &held, &environment);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{variables:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

proptest! {
    #[test]
    fn arguments_that_are_not_utf8_are_preserved(
        words in prop::collection::vec(prop::collection::vec(1..=255_u8, 0..6), 0..6)
    ) {
        let mut call = arguments(&["apply"]);
        call.extend(words.into_iter().map(OsString::from_vec));
        if let Ok(Classified::Locking(command)) = classify(&call, &|_| None) {
            let mut held = command.arguments_with_lock_held();
            prop_assert_eq!(held.remove(1), OsString::from("-lock=false"));
            prop_assert_eq!(held, call);
        }
    }
}
