//! `tflock --version`: our version, then the output of `terraform version`, because tools parse that.

use crate::child::Command;
use crate::context::Context;
use crate::session::Outcome;
use crate::ui;

/// Prints the version, then execs `terraform version`.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(context: &Context) -> anyhow::Result<Outcome> {
    ui::print(concat!("tflock ", env!("CARGO_PKG_VERSION"), "\n"))?;
    if let Ok(program) = context.terraform() {
        let mut command = Command::new(program);
        command.arguments = context.with_chdir(vec!["version".into()]);
        // Without a terraform to execute, our own version was still printed.
        let _ = context.exec_program(&command);
    }
    Ok(Outcome::Exit(0))
}
