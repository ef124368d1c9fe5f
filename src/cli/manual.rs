//! The manual, from the definitions that `--help` comes from: tflock(1), a page for each of our commands, and two tables in
//! section 7.

use std::io;

use clap_mangen::Man;
use roff::{Roff, bold, italic, roman};

use super::definition;
use super::help::{self, Used};
use crate::exit_code;

/// One page.
#[derive(Debug)]
pub struct Page {
    /// The name of its file.
    pub file: String,
    /// Its source.
    pub text: String,
}

/// Variables that are no option's.
const VARIABLES: [(&str, &str); 8] = [
    (
        "TFLOCK_HISTORY",
        "`off`: keep no history of who held the lock.",
    ),
    (
        "TFLOCK_LOCAL_DIR",
        "The directory for local locks, an absolute path, instead of the one below XDG_STATE_HOME.",
    ),
    (
        "TFLOCK_S3_HEARTBEAT",
        "Whether S3 lock objects are renewed once a minute: `auto` (on Amazon's own endpoints), `on` (this server honours \
         If-Match on writes; `tflock doctor` can tell), `off`.",
    ),
    (
        "TFLOCK_HELD",
        "Set by tflock for what it runs: the locks that are held around it. Not to be set by hand.",
    ),
    (
        "XDG_STATE_HOME",
        "Where local locks and traces of runs are kept, below `tflock`; `~/.local/state` by default.",
    ),
    ("NO_COLOR", "Not empty: no colour."),
    (
        "TF_DATA_DIR, TF_WORKSPACE, TF_CLI_ARGS, TF_CLI_ARGS_name",
        "As for terraform: they decide which state is locked, and how.",
    ),
    (
        "AWS_*",
        "As for terraform's S3 backend, by its rules: credentials, profile, region, endpoints.",
    ),
];

/// What is kept on this machine.
const FILES: [(&str, &str); 2] = [
    (
        "~/.local/state/tflock/",
        "Local locks, their queues and histories.",
    ),
    (
        "~/.local/state/tflock/runs/",
        "A file for each run and each hold of this user, by which a death is proven and an owner is known.",
    ),
];

/// All pages, tflock(1) first.
///
/// # Errors
/// None that is known of: pages are written to memory.
pub fn manual() -> io::Result<Vec<Page>> {
    let mut whole = definition();
    whole.build();
    let names: Vec<String> = whole
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let see_also: Vec<String> = names
        .iter()
        .map(|name| format!("tflock-{name}(1)"))
        .collect();
    let mut pages = vec![page_of(whole, &help::WHOLE, &see_also)?];
    for name in &names {
        if let (Some(command), Some(used)) = (help::command(name, definition()), help::about(name))
        {
            pages.push(page_of(command, used, &["tflock(1)".to_owned()])?);
        }
    }
    pages.push(exit_codes());
    pages.push(environment());
    Ok(pages)
}

fn page_of(command: clap::Command, used: &Used, see_also: &[String]) -> io::Result<Page> {
    let name = command
        .get_display_name()
        .unwrap_or(command.get_name())
        .to_owned();
    let is_whole = command.has_subcommands();
    let man = Man::new(command.subcommand_help_heading("COMMANDS"))
        .title(name.to_uppercase())
        .section("1")
        .source(concat!("tflock ", env!("CARGO_PKG_VERSION")))
        .manual("tflock");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    let mut roff = Roff::new();
    for note in used.notes.lines() {
        roff.control("PP", []).text([roman(note)]);
    }
    roff.control("SH", ["EXAMPLES"]);
    for example in used.examples {
        roff.control("PP", [])
            .control("RS", ["4"])
            .control("EX", []);
        roff.text([bold(example)]);
        roff.control("EE", []).control("RE", []);
    }
    roff.to_writer(&mut text)?;
    if is_whole {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_options_section(&mut text)?;
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman(
        "0, or a code of tflock's own, as tflock-exit-codes(7) lists them. A run under the lock ends as terraform does.",
    )]);
    if is_whole {
        roff.control("SH", ["FILES"]);
        table(&mut roff, &FILES);
    }
    see(&mut roff, see_also);
    roff.to_writer(&mut text)?;
    Ok(Page {
        file: format!("{name}.1"),
        text: String::from_utf8_lossy(&text).into_owned(),
    })
}

fn exit_codes() -> Page {
    let rows = exit_code::ALL
        .iter()
        .map(|(code, meaning)| (code.to_string(), *meaning));
    let mut roff = section_7("tflock-exit-codes", "how tflock ends");
    roff.text([roman(
        "terraform's own code is passed through unchanged, and if terraform dies of a signal, tflock dies of the same. \
         These are tflock's own; 1 and 2 are never among them.",
    )]);
    for (code, meaning) in rows {
        roff.control("TP", [])
            .text([bold(code)])
            .text([roman(meaning)]);
    }
    see(&mut roff, &["tflock(1)".to_owned()]);
    Page {
        file: "tflock-exit-codes.7".to_owned(),
        text: roff.to_roff(),
    }
}

fn environment() -> Page {
    let mut roff = section_7("tflock-environment", "variables that tflock reads");
    roff.text([roman(
        "An option on the command line counts more than its variable. A variable that is empty counts as one that is not set.",
    )]);
    let whole = definition();
    for option in whole.get_arguments() {
        let variable = option
            .get_env()
            .map(|name| name.to_string_lossy().into_owned());
        if let (Some(variable), Some(long), Some(help)) =
            (variable, option.get_long(), option.get_help())
        {
            roff.control("TP", []).text([bold(variable)]);
            roff.text([
                roman("As "),
                bold(format!("--{long}")),
                roman(format!(": {help}.")),
            ]);
        }
    }
    table(&mut roff, &VARIABLES);
    see(&mut roff, &["tflock(1)".to_owned()]);
    Page {
        file: "tflock-environment.7".to_owned(),
        text: roff.to_roff(),
    }
}

fn section_7(name: &str, about: &str) -> Roff {
    let mut roff = Roff::new();
    let title = name.to_uppercase();
    let source = concat!("tflock ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [title.as_str(), "7", "", source, "tflock"]);
    roff.control("SH", ["NAME"])
        .text([roman(format!("{name} - {about}"))]);
    roff.control("SH", ["DESCRIPTION"]);
    roff
}

fn table(roff: &mut Roff, rows: &[(&str, &str)]) {
    for (name, meaning) in rows {
        roff.control("TP", [])
            .text([bold(*name)])
            .text([roman(*meaning)]);
    }
}

fn see(roff: &mut Roff, others: &[String]) {
    let tables = [
        "tflock-exit-codes(7)",
        "tflock-environment(7)",
        "terraform(1)",
    ];
    let others = others.iter().map(String::as_str).chain(tables);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([italic(others.collect::<Vec<_>>().join(", "))]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Vec<Page> {
        manual().unwrap()
    }

    #[test]
    fn there_is_a_page_for_each_command_and_two_tables() {
        let files: Vec<String> = pages().into_iter().map(|page| page.file).collect();
        let whole = definition();
        let commands = whole
            .get_subcommands()
            .map(|one| format!("tflock-{}.1", one.get_name()));
        let expected: Vec<String> = std::iter::once("tflock.1".to_owned())
            .chain(commands)
            .chain([
                "tflock-exit-codes.7".to_owned(),
                "tflock-environment.7".to_owned(),
            ])
            .collect();
        assert_eq!(files, expected);
    }

    #[test]
    fn each_page_names_itself_and_shows_its_examples_before_its_options() {
        for page in pages() {
            let name = page.file.split('.').next().unwrap();
            let escaped = name.replace('-', "\\-");
            assert!(
                page.text.contains(&format!(".SH NAME\n{escaped} \\- ")),
                "{}",
                page.text
            );
            if page.file.ends_with(".1") {
                let examples = page.text.find(".SH EXAMPLES").unwrap();
                assert!(
                    page.text
                        .find(".SH OPTIONS")
                        .is_none_or(|options| examples < options)
                );
                assert!(page.text.contains(".SH \"EXIT STATUS\""), "{}", page.text);
            }
        }
    }

    #[test]
    fn every_exit_code_and_every_variable_of_an_option_is_explained() {
        let pages = pages();
        let text = |file: &str| {
            let page = pages.iter().find(|page| page.file == file);
            page.unwrap().text.replace("\\-", "-")
        };
        for (code, meaning) in exit_code::ALL {
            let row = format!("\\fB{code}\\fR\n{meaning}");
            assert!(text("tflock-exit-codes.7").contains(&row), "{row}");
        }
        for option in definition().get_arguments() {
            if let Some(variable) = option.get_env() {
                let name = format!("\\fB{}\\fR", variable.to_string_lossy());
                assert!(text("tflock-environment.7").contains(&name), "{name}");
            }
        }
    }
}
