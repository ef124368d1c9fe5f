//! Where tflock keeps what is this user's own: by the XDG Base Directory Specification.

use std::path::PathBuf;

use crate::environment::Environment;

/// The state directory of this user; `None` where no variable names a place.
#[must_use]
pub fn of_this_user(environment: Environment<'_>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        environment(name)
            .map(PathBuf::from)
            // Relative values are to be ignored.
            .filter(|directory| directory.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|directory| directory.join("tflock"))
}

/// Where the runs of this user leave their traces.
#[must_use]
pub fn runs(environment: Environment<'_>) -> Option<PathBuf> {
    of_this_user(environment).map(|directory| directory.join("runs"))
}
