//! The process environment and command line: the only place that reads them, except clap, which reads the variables of
//! tflock's options. Other modules receive the environment as an [`Environment`], so that tests can supply one.

use std::ffi::OsString;

/// Looks up an environment variable by name.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A variable of this process.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one reader")]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The command line of this process, program name first.
pub(crate) fn command_line() -> impl Iterator<Item = OsString> {
    std::env::args_os()
}

/// The value of a variable; an empty one counts as unset, as in terraform.
pub(crate) fn non_empty(environment: Environment<'_>, name: &str) -> Option<OsString> {
    environment(name).filter(|value| !value.is_empty())
}

/// An environment with exactly these variables, for tests.
#[cfg(test)]
pub(crate) fn environment_of<'a>(
    variables: &'a [(&'a str, &'a str)],
) -> impl Fn(&str) -> Option<OsString> + 'a {
    move |wanted| {
        variables
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| OsString::from(value))
    }
}
