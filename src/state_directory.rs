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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::environment_of;

    #[test]
    fn runs_of_one_user_meet_where_the_specification_says() {
        let default = Some("/home/ana/.local/state/tflock");
        for (variables, expected) in [
            (&[("HOME", "/home/ana")][..], default),
            (&[("XDG_STATE_HOME", "/state")], Some("/state/tflock")),
            (
                &[("XDG_STATE_HOME", "/state"), ("HOME", "/home/ana")],
                Some("/state/tflock"),
            ),
            (
                &[("XDG_STATE_HOME", "state"), ("HOME", "/home/ana")],
                default,
            ),
            (
                &[("XDG_STATE_HOME", "./state"), ("HOME", "/home/ana")],
                default,
            ),
            (&[("XDG_STATE_HOME", ""), ("HOME", "/home/ana")], default),
            (&[("XDG_STATE_HOME", "state")], None),
            (&[("XDG_STATE_HOME", "state"), ("HOME", "ana")], None),
            (&[("HOME", "")], None),
            (&[], None),
        ] {
            let environment = environment_of(variables);
            let found = of_this_user(&environment);
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
            let runs = expected.map(|found| PathBuf::from(found).join("runs"));
            assert_eq!(super::runs(&environment), runs, "{variables:?}");
        }
    }
}
