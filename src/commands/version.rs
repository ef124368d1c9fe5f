//! `tflock --version`: our version, and then what `terraform version` prints, because tools look for that.

use crate::child::Command;
use crate::context::Context;
use crate::session::Outcome;
use crate::ui;

/// Prints the version and becomes `terraform version`.
///
/// # Errors
/// When stdout does not take it.
pub fn run(context: &Context) -> anyhow::Result<Outcome> {
    ui::print(concat!("tflock ", env!("CARGO_PKG_VERSION"), "\n"))?;
    if let Ok(program) = context.terraform() {
        let mut command = Command::new(program);
        command.arguments = context.with_chdir(vec!["version".into()]);
        // What cannot be executed has no version; ours was asked for, and was told.
        let _ = context.exec_program(&command);
    }
    Ok(Outcome::Exit(0))
}
