use super::*;

fn words(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

#[test]
fn clap_accepts_the_definition() {
    definition().debug_assert();
}

#[test]
fn everything_after_the_command_goes_to_terraform() {
    let invocation = parse(words("--wait 5s -chdir=dir plan --wait=1 -v -chdir=x")).unwrap();
    assert_eq!(invocation.chdir, Some(PathBuf::from("dir")));
    let Command::Terraform(arguments) = invocation.command else {
        panic!("{invocation:?}");
    };
    assert_eq!(arguments, words("plan --wait=1 -v -chdir=x"));
}

#[test]
fn global_options_of_terraform_are_passed_through() {
    for line in ["-version", "-help", "-h", "-v", "-install-autocomplete"] {
        let Command::Terraform(arguments) = parse(words(line)).unwrap().command else {
            panic!("{line}");
        };
        assert_eq!(arguments, words(line));
    }
}

#[test]
fn called_as_terraform_no_word_is_read_as_ours() {
    for line in [
        "--version",
        "status",
        "--wait 5s plan",
        "force-unlock -force 7",
        "-chdir=",
    ] {
        let Command::Terraform(arguments) = parse_as_terraform(words(line)).unwrap().command else {
            panic!("{line}");
        };
        assert_eq!(arguments, words(line));
    }
    let invocation = parse_as_terraform(words("-chdir=dir plan -chdir=x")).unwrap();
    assert_eq!(invocation.chdir, Some(PathBuf::from("dir")));
}

#[test]
fn help_and_version_are_tflocks() {
    for line in ["", "--help", "status --help", "force-unlock -help"] {
        let exit = parse(words(line)).unwrap_err();
        assert!(matches!(exit, EarlyExit::Help(_)), "{line}: {exit:?}");
    }
    let command = parse(words("-v --version")).unwrap().command;
    assert!(matches!(command, Command::Version), "{command:?}");
}

#[test]
fn invalid_command_lines_are_usage_errors() {
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
        let EarlyExit::UsageError(error) = parse(words(line)).unwrap_err() else {
            panic!("{line}");
        };
        assert_eq!(error.exit_code, 64, "{line}");
        assert!(error.hint.is_some(), "{error:?}");
    }
}

#[test]
fn force_unlock_accepts_terraforms_syntax() {
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
        let invocation = parse(words(&format!("force-unlock {line}"))).unwrap();
        let Command::ForceUnlock(arguments) = invocation.command else {
            panic!("{line}");
        };
        assert_eq!(arguments.id.as_deref(), id, "{line}");
        assert_eq!((arguments.yes, arguments.force), (yes, force), "{line}");
        assert_eq!(invocation.no_color, no_color, "{line}");
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
