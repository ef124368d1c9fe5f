//! The web address of the CI run that this process is part of.

use crate::environment::Environment;

/// Variables that hold the whole address: GitLab, Buildkite, Circle, Travis, Jenkins and others.
const ADDRESSES: [&str; 5] = [
    "CI_JOB_URL",
    "BUILDKITE_BUILD_URL",
    "CIRCLE_BUILD_URL",
    "TRAVIS_BUILD_WEB_URL",
    "BUILD_URL",
];

/// The address of the CI run, if its variables tell it.
#[must_use]
pub fn run_url(environment: Environment<'_>) -> Option<String> {
    let text = |name: &str| {
        environment(name)
            .and_then(|value| value.into_string().ok())
            .filter(|value| !value.is_empty())
    };
    // GitHub, Gitea and Forgejo.
    if let (Some(server), Some(repository), Some(run)) = (
        text("GITHUB_SERVER_URL"),
        text("GITHUB_REPOSITORY"),
        text("GITHUB_RUN_ID"),
    ) {
        return Some(format!("{server}/{repository}/actions/runs/{run}"));
    }
    // Azure Pipelines.
    if let (Some(collection), Some(project), Some(build)) = (
        text("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"),
        text("SYSTEM_TEAMPROJECT"),
        text("BUILD_BUILDID"),
    ) {
        return Some(format!(
            "{collection}{project}/_build/results?buildId={build}"
        ));
    }
    // Bitbucket Pipelines.
    if let (Some(origin), Some(build)) = (
        text("BITBUCKET_GIT_HTTP_ORIGIN"),
        text("BITBUCKET_BUILD_NUMBER"),
    ) {
        return Some(format!("{origin}/pipelines/results/{build}"));
    }
    ADDRESSES.iter().find_map(|name| text(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn run_url_of(variables: &[(&str, &str)]) -> Option<String> {
        run_url(&|wanted| {
            variables
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn outside_of_ci_there_is_no_run() {
        assert_eq!(run_url_of(&[("CI", "true")]), None);
    }

    #[test]
    fn the_address_of_a_github_run_is_built_from_its_parts() {
        assert_eq!(
            run_url_of(&[
                ("GITHUB_SERVER_URL", "https://github.com"),
                ("GITHUB_REPOSITORY", "team/infra"),
                ("GITHUB_RUN_ID", "42"),
            ])
            .as_deref(),
            Some("https://github.com/team/infra/actions/runs/42")
        );
    }

    #[test]
    fn an_address_variable_is_taken_as_it_is() {
        assert_eq!(
            run_url_of(&[("CI_JOB_URL", "https://gitlab.example/job/1")]).as_deref(),
            Some("https://gitlab.example/job/1")
        );
    }
}
