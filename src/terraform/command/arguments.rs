//! The arguments and variables for the child, and the command line to type again.

use std::ffi::OsString;
use std::time::Duration;

use super::flags::{End, scan, without_flag};
use super::{ARGUMENTS_FOR_ALL, LockingCommand, variable_of};
use crate::terraform::duration::format_duration;

const WITHOUT_LOCK: &str = "-lock=false";

impl LockingCommand {
    /// The arguments for a child whose lock is already held: `-lock=false` right after the command, without the user's
    /// own `-lock`. Use it together with [`Self::variables_with_flag_inserted`].
    #[must_use]
    pub fn arguments_with_lock_held(&self) -> Vec<OsString> {
        self.with_flag("lock", WITHOUT_LOCK)
    }

    /// The arguments for a child that waits up to `timeout` for its own lock, rounded up to whole seconds, instead of
    /// the user's value. Use it together with [`Self::variables_with_flag_inserted`].
    #[must_use]
    pub fn arguments_with_lock_timeout(&self, timeout: Duration) -> Vec<OsString> {
        let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        let flag = format!("-lock-timeout={seconds}s");
        self.with_flag("lock-timeout", &flag)
    }

    /// The arguments with `flag` right after the command, without the user's own flag of that name.
    fn with_flag(&self, name: &str, flag: &str) -> Vec<OsString> {
        if self.inserts_more_than_flags() {
            let (_, real) = self.arguments.split_at(self.subcommand_end);
            self.followed_by(name, flag, &[&self.inserted, real].concat())
        } else {
            self.typed_with_flag(name, flag)
        }
    }

    /// The typed arguments with this `-lock-timeout` instead of their own, for hints.
    #[must_use]
    pub fn typed_with_lock_timeout(&self, timeout: Duration) -> Vec<OsString> {
        let flag = format!("-lock-timeout={}", format_duration(timeout));
        self.typed_with_flag("lock-timeout", &flag)
    }

    fn typed_with_flag(&self, name: &str, flag: &str) -> Vec<OsString> {
        let (_, real) = self.arguments.split_at(self.subcommand_end);
        self.followed_by(name, flag, real)
    }

    fn followed_by(&self, name: &str, flag: &str, following: &[OsString]) -> Vec<OsString> {
        let mut arguments = self.arguments[..self.subcommand_end].to_vec();
        arguments.push(OsString::from(flag));
        arguments.extend(without_flag(following, name));
        arguments
    }

    /// Variables to change for the same child. There are almost never any.
    ///
    /// Terraform inserts the words of `TF_CLI_ARGS…` before the real arguments. If they end the flags (a plan file, a
    /// `--`, a flag that lacks its value), a flag of ours after them would not be read as one. Such words move into the
    /// arguments, and the variables are emptied.
    #[must_use]
    pub fn variables_with_flag_inserted(&self) -> Vec<(OsString, OsString)> {
        if !self.inserts_more_than_flags() {
            return Vec::new();
        }
        self.argument_variables()
            .map(|variable| (OsString::from(variable), OsString::new()))
            .to_vec()
    }

    /// The variables whose words terraform inserts into this command.
    #[must_use]
    pub fn argument_variables(&self) -> [String; 2] {
        [variable_of(self.name), ARGUMENTS_FOR_ALL.to_owned()]
    }

    fn inserts_more_than_flags(&self) -> bool {
        scan(&self.inserted).1 != End::OfArguments
    }
}
