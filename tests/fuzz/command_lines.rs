//! Arguments and variables, as wrappers and CI systems put them together.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use tflock::ci;
use tflock::cli::{self, EarlyExit};
use tflock::terraform::command::classify;
use tflock::terraform::duration::parse_duration;
use tflock::text::{Address, quoted_for_shell};

use crate::fuzz;

fn words(input: &[u8]) -> Vec<OsString> {
    let words = input.split(|byte| *byte == b'\n');
    words
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect()
}

#[test]
fn our_grammar() {
    let samples: [&[u8]; 6] = [
        b"--wait\n1h\n--reason\nx y\napply\n-target=a",
        b"-chdir=d\nstatus\n--json\n--exit-code",
        b"force-unlock\n-force=true\n-no-color\n--\n-x",
        b"exec\n--dir\na\n--\nmake\n-j",
        b"--store=s3\n--table\nt\n--expire-after\nnever\nplan",
        b"completions\nzsh",
    ];
    fuzz(&samples, |input| {
        let words = words(input);
        let _ = cli::misplaced_option(&words);
        let _ = cli::split_chdir(words.clone());
        match cli::parse(words.clone()) {
            Ok(request) => drop(format!("{:?}", request.command)),
            Err(EarlyExit::Help(help)) => assert!(!help.is_empty()),
            Err(_) => {}
        }
        let _ = cli::parse_as_terraform(words);
    });
}

#[test]
fn terraform_s_grammar() {
    let samples: [&[u8]; 4] = [
        b"apply\n-lock-timeout=10s\n-lock=false\nsaved.plan",
        b"state\nmv\n-state=x\n-lock=0\na\nb",
        b"-lock=false -lock-timeout='1m30s' \"-x y\" \\z",
        b"workspace\nnew\n-state=f\nn",
    ];
    fuzz(&samples, |input| {
        let variable = OsString::from_vec(input.to_vec());
        let of_variable = |name: &str| (name == "TF_CLI_ARGS_apply").then(|| variable.clone());
        let _ = classify(&words(input), &|_| None);
        let _ = classify(&["apply".into()], &of_variable);
    });
}

#[test]
fn durations_addresses_and_quotes() {
    let samples: [&[u8]; 4] = [
        b"1h15m0.5s",
        b"https://user:secret@ci.example:80/a/b?c=d#e",
        b"it's $(x)",
        b"999999999h",
    ];
    fuzz(&samples, |input| {
        let text = String::from_utf8_lossy(input);
        let _ = parse_duration(&text);
        let _ = quoted_for_shell(&text);
        let _ = Address::of(&text).to_string();
        for name in [
            "CI_JOB_URL",
            "GITHUB_SERVER_URL",
            "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI",
        ] {
            let variable = |asked: &str| {
                (asked == name || !asked.contains("URL")).then(|| OsString::from(&*text))
            };
            let _ = ci::run(&variable);
        }
    });
}
