//! The process environment and command line: the one place that reads them, but for clap, which reads the variables of
//! tflock's options. All others are given the environment as [`Environment`], so that a test can say what is in it.

use std::ffi::OsString;

/// Looks an environment variable up by its name.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A variable of this process.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one reader")]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The words that this process was called by, the program's first.
pub(crate) fn command_line() -> impl Iterator<Item = OsString> {
    std::env::args_os()
}

/// The value of a variable that counts: terraform takes an empty one for none.
pub(crate) fn non_empty(environment: Environment<'_>, name: &str) -> Option<OsString> {
    environment(name).filter(|value| !value.is_empty())
}

/// An environment of exactly these variables, for tests.
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
