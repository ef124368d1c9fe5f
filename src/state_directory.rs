//! Where tflock keeps this user's files, by the XDG Base Directory Specification.

use std::path::PathBuf;

use crate::environment::Environment;

/// The state directory of this user; `None` if no variable names one.
#[must_use]
pub fn of_this_user(environment: Environment<'_>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        environment(name)
            .map(PathBuf::from)
            // The specification says to ignore relative values.
            .filter(|directory| directory.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|directory| directory.join("tflock"))
}

/// The directory of this user's run files.
#[must_use]
pub fn runs(environment: Environment<'_>) -> Option<PathBuf> {
    of_this_user(environment).map(|directory| directory.join("runs"))
}
