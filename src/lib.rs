//! tflock: terraform under its own state lock.
//!
//! The command line becomes an invocation (`cli`), which finds its lock (`resolve`); a session takes the lock, runs the
//! child and releases it. `lock`, `child` and `terraform` know nothing of each other: `session` ties the first two
//! together, `resolve` the first and the last. `docs/architecture.md` has the picture and the rules.
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "tests start programs, and use the caller's PATH"
    )
)]

pub mod child;
pub mod ci;
pub mod cli;
pub mod commands;
pub mod context;
pub mod environment;
pub mod exit_code;
pub mod failure;
pub mod lock;
pub mod resolve;
pub mod session;
pub mod shim;
pub mod state_directory;
pub mod system;
pub mod terraform;
pub mod text;
pub mod ui;

#[cfg(test)]
#[path = "../tests/simulation/mod.rs"]
pub mod simulation;

use std::ffi::OsString;
use std::panic::{UnwindSafe, catch_unwind};

use nix::libc::SIGPIPE;

use self::child::{Inheritance, SignalNumber};
use self::cli::{COMPLETION_VARIABLE, Command, EarlyExit};
use self::context::Context;
use self::failure::Failure;
use self::session::Outcome;
use self::shim::CalledAs;
use self::ui::NotPrinted;

/// Runs the command line, whose first word is the program's name, and says how to end.
#[must_use]
pub fn run(mut arguments: impl Iterator<Item = OsString> + UnwindSafe) -> Outcome {
    let outcome = reporting_bugs(|| {
        // Panic messages go through the same writer as everything else.
        std::panic::set_hook(Box::new(|panic| plain_ui().warning(&panic.to_string())));
        let zeroth = arguments.next();
        let arguments: Vec<OsString> = arguments.collect();
        if let Some(left) = Inheritance::of_this_process(zeroth.as_deref(), &arguments) {
            return session::bequest::carry_out(left);
        }
        let path = environment::variable("PATH");
        let called_as = shim::called_as(zeroth.as_deref(), path.as_deref());
        if let (Some(_), Some(zeroth)) = (called_as, zeroth) {
            // `killall terraform` is meant for the real one, which gets the signal itself.
            child::rename_this_process(c"tflock", &zeroth);
        }
        carry_out(arguments, called_as)
    });
    plain_ui().settle();
    outcome
}

/// Turns a panic into an exit code. By then the panic has been reported and a held lock released.
fn reporting_bugs(work: impl FnOnce() -> Outcome + UnwindSafe) -> Outcome {
    catch_unwind(work).unwrap_or_else(|_| {
        plain_ui().failure(
            &Failure::new(exit_code::BUG, "this is a bug in tflock")
                .hint("please report it, with the lines above; `tflock status` shows the lock"),
        );
        Outcome::Exit(exit_code::BUG)
    })
}

fn plain_ui() -> ui::Ui {
    ui::Ui::new(ui::Verbosity::Normal, ui::Prompts::Disabled, true)
}

fn carry_out(arguments: Vec<OsString>, called_as: Option<CalledAs>) -> Outcome {
    if called_as.is_none()
        && let Some(shell) = environment::non_empty(&environment::variable, COMPLETION_VARIABLE)
    {
        return commands::completions::answer(&shell, arguments);
    }
    // A shell that completes terraform's words asks terraform, in a way that no option of ours can be part of.
    let line = environment::variable("COMP_LINE");
    let completing = line.is_some_and(|line| !line.is_empty());
    let invocation = if completing || called_as.is_some() {
        cli::parse_as_terraform(arguments)
    } else {
        cli::parse(arguments)
    };
    let invocation = match invocation {
        Ok(invocation) => invocation,
        Err(exit) => {
            let printed = match exit {
                EarlyExit::Help(text) => ui::print(&text).map_err(anyhow::Error::from),
                EarlyExit::UsageError(error) => Err(error.into()),
            };
            return printed.map_or_else(
                |error| report_failure(error, &plain_ui()),
                |()| Outcome::Exit(0),
            );
        }
    };
    let context = match Context::new(&invocation, called_as) {
        Ok(context) => context,
        Err(failure) => return report_failure(failure.into(), &plain_ui()),
    };
    let outcome = match invocation.command {
        Command::Terraform(arguments) => commands::terraform::run(&context, arguments),
        Command::Exec(arguments) => commands::exec::run(&context, &arguments),
        Command::Status(arguments) => commands::status::run(&context, &arguments),
        Command::Hold(arguments) => commands::hold::run(&context, &arguments),
        Command::Release(arguments) => commands::release::run(&context, &arguments),
        Command::History(arguments) => commands::history::run(&context, &arguments),
        Command::List(arguments) => commands::list::run(&context, &arguments),
        Command::Doctor(arguments) => commands::doctor::run(&context, &arguments),
        Command::CreateTable(arguments) => commands::create_table::run(&context, &arguments),
        Command::ForceUnlock(arguments) => commands::force_unlock::run(&context, &arguments),
        Command::Completions(arguments) => commands::completions::run(&arguments),
        Command::Man(arguments) => commands::man::run(&arguments),
        Command::Version => commands::version::run(&context),
    };
    outcome.unwrap_or_else(|error| report_failure(error, &context.ui))
}

fn report_failure(error: anyhow::Error, ui: &ui::Ui) -> Outcome {
    let error = match error.downcast::<NotPrinted>() {
        // Like any program whose reader has gone away.
        Ok(NotPrinted::NoReader) => return Outcome::Signal(SignalNumber(SIGPIPE)),
        Ok(error) => Failure::new(exit_code::CONFIGURATION, error.to_string())
            .hint("free space there, or send the output somewhere else")
            .into(),
        Err(error) => error,
    };
    let failure = error.downcast::<Failure>().unwrap_or_else(|error| {
        Failure::new(exit_code::BUG, format!("{error:#}"))
            .hint("this should not happen: please report it, with what `--verbose` says")
    });
    ui.failure(&failure);
    Outcome::Exit(failure.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_has_an_exit_code_of_its_own() {
        let outcome = reporting_bugs(|| panic!("on purpose"));
        assert_eq!(outcome, Outcome::Exit(exit_code::BUG));
        assert_eq!(exit_code::BUG, 70);
        let outcome = reporting_bugs(|| Outcome::Exit(3));
        assert_eq!(outcome, Outcome::Exit(3));
    }
}

/// Tests run in the order of their names. This one comes first: without terraform, those that need it would fail only
/// after minutes of others.
#[cfg(test)]
mod a_prerequisite {
    use crate::terraform::real_terraform;

    #[test]
    fn there_is_a_terraform_to_test_with() {
        real_terraform::program();
    }
}
