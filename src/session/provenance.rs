//! The origin of a run, for its record: the CI run, or the checkout that the configuration is in.

use std::path::Path;

use crate::ci;
use crate::environment::Environment;
use crate::lock::record::Origin;
use crate::system::checkout::checkout_of;

/// The origin of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Provenance {
    /// The address of the CI run.
    pub(super) run_url: Option<String>,
    /// Everything else; `None` if nothing is known.
    pub(super) origin: Option<Origin>,
}

/// The CI run that this process is part of, if any.
#[must_use]
pub fn of_ci_run(environment: Environment<'_>) -> Option<Origin> {
    ci::run(environment).and_then(|_| of_this_run(Path::new(""), environment).origin)
}

/// The origin of this run, whose configuration is in `directory`.
pub(super) fn of_this_run(directory: &Path, environment: Environment<'_>) -> Provenance {
    if let Some(run) = ci::run(environment) {
        return Provenance {
            run_url: run.url,
            origin: Some(Origin {
                system: Some(run.system),
                run_id: run.id,
                actor: run.actor,
                repository: run.repository,
                branch: run.branch,
                commit: run.commit,
            }),
        };
    }
    let origin = checkout_of(directory).map(|checkout| Origin {
        branch: checkout.branch,
        commit: checkout.commit,
        ..Origin::default()
    });
    Provenance {
        run_url: None,
        origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_a_ci_run_is_its_system_and_of_any_other_run_its_checkout() {
        let checkout = tempfile::tempdir().unwrap();
        let git = checkout.path().join(".git");
        std::fs::create_dir(&git).unwrap();
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let outside = of_this_run(checkout.path(), &|_| None);
        let branch = outside.origin.and_then(|origin| origin.branch);
        assert_eq!((outside.run_url, branch.as_deref()), (None, Some("main")));
        let in_ci = of_this_run(checkout.path(), &|name| {
            (name == "GITHUB_RUN_ID").then(|| "42".into())
        });
        let expected = Origin {
            system: Some("GitHub Actions".into()),
            run_id: Some("42".into()),
            ..Origin::default()
        };
        assert_eq!(in_ci.origin, Some(expected));
        let nowhere = of_this_run(Path::new("/nowhere"), &|_| None);
        assert_eq!(nowhere, Provenance::default());
    }
}
