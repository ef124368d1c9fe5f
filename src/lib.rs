//! tflock: terraform under its own state lock.
//!
//! Arguments become a request (`cli`), the request finds its lock (`target`), and a session takes it, runs the
//! child and gives it back. `lock`, `child` and `terraform` know nothing of each other; `session` ties the first
//! two together and `target` the first and the last. `docs/architecture.md` has the picture and the rules.
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "tests start programs, and run with the PATH of whoever runs them"
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

use std::ffi::OsString;
use std::panic::{UnwindSafe, catch_unwind};

use nix::libc::SIGPIPE;

use self::child::{Inheritance, SignalNumber};
use self::cli::{Answer, COMPLETION_VARIABLE, Command};
use self::context::Context;
use self::failure::Failure;
use self::session::Outcome;
use self::shim::CalledAs;
use self::ui::NotPrinted;

/// Does what the command line asks for, whose first word is the name that we were called by, and says how to end.
#[must_use]
pub fn run(mut arguments: impl Iterator<Item = OsString> + UnwindSafe) -> Outcome {
    let outcome = reporting_bugs(|| {
        // A panic's words go the way of all others.
        std::panic::set_hook(Box::new(|panic| plain_ui().warning(&panic.to_string())));
        let zeroth = arguments.next();
        let arguments: Vec<OsString> = arguments.collect();
        if let Some(left) = Inheritance::of_this_process(zeroth.as_deref(), &arguments) {
            return session::bequest::carry_out(left);
        }
        let path = environment::variable("PATH");
        let called_as = shim::called_as(zeroth.as_deref(), path.as_deref());
        if let (Some(_), Some(zeroth)) = (called_as, zeroth) {
            // `killall terraform` means the real one, which it reaches by itself.
            child::rename_this_process(c"tflock", &zeroth);
        }
        carry_out(arguments, called_as)
    });
    plain_ui().settle();
    outcome
}

/// Turns a panic into an exit code. The panic itself has been reported by then, and a lock that was held has been
/// released.
fn reporting_bugs(work: impl FnOnce() -> Outcome + UnwindSafe) -> Outcome {
    catch_unwind(work).unwrap_or_else(|_| {
        plain_ui().failure(
            &Failure::new(exit_code::BUG, "this is a bug in tflock")
                .hint("please report it, with the lines above; `tflock status` shows the lock"),
        );
        Outcome::Exit(exit_code::BUG)
    })
}

/// For failures that come before the options are known.
fn plain_ui() -> ui::Ui {
    ui::Ui::new(ui::Verbosity::Normal, ui::Prompts::Refused, true)
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
    let request = if completing || called_as.is_some() {
        cli::parse_terraforms(arguments)
    } else {
        cli::parse(arguments)
    };
    let request = match request {
        Ok(request) => request,
        Err(answer) => {
            let printed = match answer {
                Answer::Help(text) => ui::print(&text).map_err(anyhow::Error::from),
                Answer::Mistake(mistake) => Err(mistake.into()),
            };
            return printed
                .map_or_else(|error| ended_by(error, &plain_ui()), |()| Outcome::Exit(0));
        }
    };
    let context = match Context::new(&request, called_as) {
        Ok(context) => context,
        Err(failure) => return ended_by(failure.into(), &plain_ui()),
    };
    let outcome = match request.command {
        Command::Terraform(arguments) => commands::terraform::run(&context, arguments),
        Command::Exec(arguments) => commands::exec::run(&context, &arguments),
        Command::Status(arguments) => commands::status::run(&context, &arguments),
        Command::ForceUnlock(arguments) => commands::force_unlock::run(&context, &arguments),
        Command::Completions(arguments) => commands::completions::run(&arguments),
        Command::Version => commands::version::run(&context),
    };
    outcome.unwrap_or_else(|error| ended_by(error, &context.ui))
}

/// How a run ends that failed, once that is said.
fn ended_by(error: anyhow::Error, ui: &ui::Ui) -> Outcome {
    let error = match error.downcast::<NotPrinted>() {
        // As any program ends whose reader has seen enough.
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

/// Tests run in the order of their names: this one is the first, because those that need terraform stand behind minutes
/// of others.
#[cfg(test)]
mod above_all {
    use crate::terraform::real_terraform;

    #[test]
    fn there_is_a_terraform_to_test_with() {
        real_terraform::program();
    }
}
