//! The CI run that we are part of, from the variables that each system documents.
//!
//! Everyone who sees the lock reads it. CI addresses often contain a user, a password or a token: those are left out, and
//! nothing else of the environment is used.

use std::fmt::Write as _;

use crate::environment::Environment;
use crate::text::Address;

/// What a run's CI system says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CiRun {
    /// The system's name.
    pub system: String,
    /// The run's address, without user, password and query.
    pub url: Option<String>,
    /// The run's ID in that system; the same in each of its jobs if the system has a name for all of them.
    pub id: Option<String>,
    /// Who started it.
    pub actor: Option<String>,
    /// The repository, or its address without secrets.
    pub repository: Option<String>,
    /// The branch or tag.
    pub branch: Option<String>,
    /// The commit.
    pub commit: Option<String>,
}

/// The longest value that is used, in characters: an S3 object has 2 kB for all of them.
const LONGEST: usize = 120;
/// The longest address that is used.
const LONGEST_ADDRESS: usize = 400;

/// The variables of one system. A value is made of the first template whose variables, in braces, are all set.
struct System {
    name: &'static str,
    /// The variables that identify the system: one of them is set in every run.
    markers: &'static [&'static str],
    url: &'static [&'static str],
    id: &'static [&'static str],
    actor: &'static [&'static str],
    repository: &'static [&'static str],
    branch: &'static [&'static str],
    commit: &'static [&'static str],
}

/// The systems, those first that run inside others. Each row is from the system's own page on its variables.
const SYSTEMS: [System; 12] = [
    // runatlantis.io/docs/custom-workflows, "Native environment variables". Steps that are not `run` have the first alone.
    System {
        name: "Atlantis",
        markers: &["ATLANTIS_TERRAFORM_VERSION"],
        url: &["{PULL_URL}"],
        id: &["{PULL_NUM}"],
        actor: &["{USER_NAME}", "{PULL_AUTHOR}"],
        repository: &["{BASE_REPO_OWNER}/{BASE_REPO_NAME}"],
        branch: &["{HEAD_BRANCH_NAME}"],
        commit: &["{HEAD_COMMIT}"],
    },
    // docs.spacelift.io/concepts/configuration/environment, "Computed values".
    System {
        name: "Spacelift",
        markers: &["TF_VAR_spacelift_run_id"],
        url: &[
            "https://{TF_VAR_spacelift_account_name}.app.spacelift.io/stack/{TF_VAR_spacelift_stack_id}/run/{TF_VAR_spacelift_run_id}",
        ],
        id: &["{TF_VAR_spacelift_run_id}"],
        actor: &[],
        repository: &["{TF_VAR_spacelift_repository}"],
        branch: &["{TF_VAR_spacelift_commit_branch}"],
        commit: &["{TF_VAR_spacelift_commit_sha}"],
    },
    // developer.hashicorp.com/terraform/cloud-docs/run/run-environment. It does not say which host this is.
    System {
        name: "HCP Terraform",
        markers: &["TFC_RUN_ID"],
        url: &[],
        id: &["{TFC_RUN_ID}"],
        actor: &[],
        repository: &["{TFC_WORKSPACE_SLUG}", "{TFC_WORKSPACE_NAME}"],
        branch: &["{TFC_CONFIGURATION_VERSION_GIT_BRANCH}"],
        commit: &["{TFC_CONFIGURATION_VERSION_GIT_COMMIT_SHA}"],
    },
    // docs.github.com, "Variables reference"; Gitea and Forgejo set the same.
    System {
        name: "GitHub Actions",
        markers: &["GITHUB_RUN_ID"],
        url: &["{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"],
        id: &["{GITHUB_RUN_ID}"],
        actor: &["{GITHUB_TRIGGERING_ACTOR}", "{GITHUB_ACTOR}"],
        repository: &["{GITHUB_REPOSITORY}"],
        branch: &["{GITHUB_HEAD_REF}", "{GITHUB_REF_NAME}"],
        commit: &["{GITHUB_SHA}"],
    },
    // docs.gitlab.com/ci/variables/predefined_variables.
    System {
        name: "GitLab CI",
        markers: &["GITLAB_CI", "CI_JOB_URL"],
        url: &["{CI_JOB_URL}", "{CI_PIPELINE_URL}"],
        id: &["{CI_PIPELINE_ID}"],
        actor: &["{GITLAB_USER_LOGIN}"],
        repository: &["{CI_PROJECT_PATH}"],
        branch: &["{CI_COMMIT_REF_NAME}"],
        commit: &["{CI_COMMIT_SHA}"],
    },
    // learn.microsoft.com, "Use predefined variables".
    System {
        name: "Azure Pipelines",
        markers: &["TF_BUILD", "BUILD_BUILDID"],
        url: &[
            "{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
        ],
        id: &["{BUILD_BUILDID}"],
        actor: &["{BUILD_REQUESTEDFOR}"],
        repository: &["{BUILD_REPOSITORY_NAME}"],
        branch: &["{BUILD_SOURCEBRANCHNAME}"],
        commit: &["{BUILD_SOURCEVERSION}"],
    },
    // support.atlassian.com, "Variables and secrets".
    System {
        name: "Bitbucket Pipelines",
        markers: &["BITBUCKET_BUILD_NUMBER"],
        url: &["{BITBUCKET_GIT_HTTP_ORIGIN}/pipelines/results/{BITBUCKET_BUILD_NUMBER}"],
        id: &["{BITBUCKET_PIPELINE_UUID}", "{BITBUCKET_BUILD_NUMBER}"],
        actor: &["{BITBUCKET_STEP_TRIGGERER_UUID}"],
        repository: &["{BITBUCKET_REPO_FULL_NAME}"],
        branch: &["{BITBUCKET_BRANCH}", "{BITBUCKET_TAG}"],
        commit: &["{BITBUCKET_COMMIT}"],
    },
    // buildkite.com/docs/pipelines/configure/environment-variables.
    System {
        name: "Buildkite",
        markers: &["BUILDKITE_BUILD_ID", "BUILDKITE_BUILD_URL"],
        url: &["{BUILDKITE_BUILD_URL}"],
        id: &["{BUILDKITE_BUILD_ID}"],
        actor: &["{BUILDKITE_BUILD_CREATOR}"],
        repository: &["{BUILDKITE_REPO}"],
        branch: &["{BUILDKITE_BRANCH}"],
        commit: &["{BUILDKITE_COMMIT}"],
    },
    // circleci.com/docs/reference/variables.
    System {
        name: "CircleCI",
        markers: &["CIRCLECI", "CIRCLE_BUILD_URL"],
        url: &["{CIRCLE_BUILD_URL}"],
        id: &["{CIRCLE_WORKFLOW_ID}"],
        actor: &["{CIRCLE_USERNAME}"],
        repository: &[
            "{CIRCLE_PROJECT_USERNAME}/{CIRCLE_PROJECT_REPONAME}",
            "{CIRCLE_REPOSITORY_URL}",
        ],
        branch: &["{CIRCLE_BRANCH}", "{CIRCLE_TAG}"],
        commit: &["{CIRCLE_SHA1}"],
    },
    // docs.travis-ci.com/user/environment-variables.
    System {
        name: "Travis CI",
        markers: &["TRAVIS_BUILD_ID", "TRAVIS_BUILD_WEB_URL"],
        url: &["{TRAVIS_BUILD_WEB_URL}"],
        id: &["{TRAVIS_BUILD_ID}"],
        actor: &[],
        repository: &["{TRAVIS_REPO_SLUG}"],
        branch: &["{TRAVIS_BRANCH}"],
        commit: &["{TRAVIS_COMMIT}"],
    },
    // docs.aws.amazon.com/codebuild, "Environment variables in build environments".
    System {
        name: "CodeBuild",
        markers: &["CODEBUILD_BUILD_ID"],
        url: &["{CODEBUILD_PUBLIC_BUILD_URL}"],
        id: &["{CODEBUILD_BUILD_ID}"],
        actor: &["{CODEBUILD_INITIATOR}"],
        repository: &["{CODEBUILD_SOURCE_REPO_URL}"],
        branch: &["{CODEBUILD_WEBHOOK_HEAD_REF}"],
        commit: &["{CODEBUILD_RESOLVED_SOURCE_VERSION}"],
    },
    // jenkins.io/doc/book/pipeline/jenkinsfile, and the Git plugin's. Last: others set BUILD_URL too.
    System {
        name: "Jenkins",
        markers: &["JENKINS_URL", "BUILD_URL"],
        url: &["{BUILD_URL}"],
        id: &["{BUILD_TAG}"],
        actor: &["{CHANGE_AUTHOR}"],
        repository: &["{GIT_URL}"],
        branch: &["{CHANGE_BRANCH}", "{BRANCH_NAME}", "{GIT_BRANCH}"],
        commit: &["{GIT_COMMIT}"],
    },
];

/// The CI run that we are part of; `None` outside the systems that we know.
#[must_use]
pub fn run(environment: Environment<'_>) -> Option<CiRun> {
    let is_set = |name: &&str| value(environment, name).is_some();
    let system = SYSTEMS
        .iter()
        .find(|system| system.markers.iter().any(is_set))?;
    let text = |templates: &[&str]| {
        let filled = filled(environment, templates, ToOwned::to_owned)?;
        Some(filled.chars().take(LONGEST).collect())
    };
    let repository = filled(environment, system.repository, ToOwned::to_owned);
    let repository = repository.map(|text| Address::of(&text).to_string());
    Some(CiRun {
        system: system.name.to_owned(),
        url: address(environment, system.url),
        id: text(system.id),
        actor: text(system.actor),
        repository: repository
            .map(|text| text.trim_end_matches('/').chars().take(LONGEST).collect()),
        branch: text(system.branch),
        commit: text(system.commit),
    })
}

fn value(environment: Environment<'_>, name: &str) -> Option<String> {
    let value = environment(name)?.into_string().ok()?;
    (!value.is_empty()).then_some(value)
}

/// The first of `templates` whose variables are all set, filled in with their values as `shown` makes them.
fn filled(
    environment: Environment<'_>,
    templates: &[&str],
    shown: impl Fn(&str) -> String,
) -> Option<String> {
    let fill = |template: &&str| {
        let mut text = String::new();
        let mut rest = *template;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}')?;
            let _ = write!(text, "{before}{}", shown(&value(environment, name)?));
            rest = after;
        }
        text.push_str(rest);
        Some(text)
    };
    templates.iter().find_map(fill)
}

/// An address without its secrets. A query is kept only if it is the system's own and has digits only.
fn address(environment: Environment<'_>, templates: &[&str]) -> Option<String> {
    templates.iter().find_map(|template| {
        let (bare, query) = template.split_once('?').unwrap_or((template, ""));
        let bare = filled(environment, &[bare], ToOwned::to_owned)?;
        let digits = |value: &str| value.chars().filter(char::is_ascii_digit).collect();
        let query = filled(environment, &[query], digits)?;
        let address = Address::of(&bare).to_string();
        let address = if query.is_empty() {
            address
        } else {
            format!("{address}?{query}")
        };
        (address.len() <= LONGEST_ADDRESS).then_some(address)
    })
}

#[cfg(test)]
mod tests;
