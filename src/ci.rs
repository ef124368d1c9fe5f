//! Where the CI run that we are part of can be seen. Everybody who meets the lock reads it: addresses with a user, a
//! password or a token in them are common in CI, and all of that is left out.

use crate::environment::Environment;
use crate::text::Address;

/// Variables that hold the whole address: GitLab, Buildkite, Circle, Travis, Jenkins and others.
const ADDRESSES: [&str; 5] = [
    "CI_JOB_URL",
    "BUILDKITE_BUILD_URL",
    "CIRCLE_BUILD_URL",
    "TRAVIS_BUILD_WEB_URL",
    "BUILD_URL",
];

/// The address of the CI run, if this is one that says so, without user, password and query.
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
        let run = format!("{server}/{repository}/actions/runs/{run}");
        return Some(Address::of(&run).to_string());
    }
    // Azure Pipelines.
    if let (Some(collection), Some(project), Some(build)) = (
        text("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"),
        text("SYSTEM_TEAMPROJECT"),
        text("BUILD_BUILDID"),
    ) {
        let builds = Address::of(&format!("{collection}{project}/_build/results"));
        let build: String = build.chars().filter(char::is_ascii_digit).collect();
        return Some(format!("{builds}?buildId={build}"));
    }
    // Bitbucket Pipelines.
    if let (Some(origin), Some(build)) = (
        text("BITBUCKET_GIT_HTTP_ORIGIN"),
        text("BITBUCKET_BUILD_NUMBER"),
    ) {
        let run = format!("{origin}/pipelines/results/{build}");
        return Some(Address::of(&run).to_string());
    }
    let address = ADDRESSES.iter().find_map(|name| text(name))?;
    Some(Address::of(&address).to_string())
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
    fn a_run_s_address_is_what_the_system_says_without_its_secrets() {
        let github = |server, repository| {
            vec![
                ("GITHUB_SERVER_URL", server),
                ("GITHUB_REPOSITORY", repository),
                ("GITHUB_RUN_ID", "42"),
            ]
        };
        let azure = |collection, build| {
            vec![
                ("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI", collection),
                ("SYSTEM_TEAMPROJECT", "infra"),
                ("BUILD_BUILDID", build),
            ]
        };
        let bitbucket = |origin| {
            vec![
                ("BITBUCKET_GIT_HTTP_ORIGIN", origin),
                ("BITBUCKET_BUILD_NUMBER", "7"),
            ]
        };
        let mut rows = vec![
            (
                github("https://github.com", "team/infra"),
                "https://github.com/team/infra/actions/runs/42",
            ),
            (
                github("https://x-access-token:secret@git.example", "team/infra"),
                "https://git.example/team/infra/actions/runs/42",
            ),
            (
                azure("https://dev.azure.com/team/", "5"),
                "https://dev.azure.com/team/infra/_build/results?buildId=5",
            ),
            (
                azure("https://pat:secret@dev.azure.com/team/", "5&token=x"),
                "https://dev.azure.com/team/infra/_build/results?buildId=5",
            ),
            (
                bitbucket("https://x-token-auth:secret@bitbucket.org/team/infra"),
                "https://bitbucket.org/team/infra/pipelines/results/7",
            ),
        ];
        for name in [
            "CI_JOB_URL",
            "BUILDKITE_BUILD_URL",
            "CIRCLE_BUILD_URL",
            "TRAVIS_BUILD_WEB_URL",
            "BUILD_URL",
        ] {
            for url in [
                "https://ci.example/job/1",
                "https://user:secret@ci.example/job/1?private_token=secret#secret",
            ] {
                rows.push((vec![(name, url)], "https://ci.example/job/1"));
            }
        }
        for (variables, address) in rows {
            let run = run_url_of(&variables);
            assert_eq!(run.as_deref(), Some(address), "{variables:?}");
        }
    }
}
