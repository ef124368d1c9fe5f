use std::ffi::OsString;

use super::*;

fn run_with(variables: &[(&str, &str)]) -> Option<CiRun> {
    run(&|wanted| {
        variables
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| OsString::from(value))
    })
}

fn url_with(variables: &[(&str, &str)]) -> Option<String> {
    run_with(variables)?.url
}

#[test]
fn outside_of_ci_there_is_no_run() {
    assert_eq!(run_with(&[("CI", "true"), ("GITHUB_RUN_ID", "")]), None);
}

/// The variables as the system's page has them; then name, URL, ID, actor, repository, branch and commit.
type Row<'a> = (&'a [(&'a str, &'a str)], [&'a str; 7]);

const SHA: &str = "1f0c5d2a9b7e4c3d8f6a0b1c2d3e4f5a6b7c8d9e";

const ROWS: [Row<'_>; 12] = [
    (
        &[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "team/infra"),
            ("GITHUB_RUN_ID", "42"),
            ("GITHUB_ACTOR", "ana"),
            ("GITHUB_REF_NAME", "main"),
            ("GITHUB_HEAD_REF", ""),
            ("GITHUB_SHA", SHA),
        ],
        [
            "GitHub Actions",
            "https://github.com/team/infra/actions/runs/42",
            "42",
            "ana",
            "team/infra",
            "main",
            SHA,
        ],
    ),
    (
        &[
            ("GITLAB_CI", "true"),
            ("CI_JOB_URL", "https://gitlab.example/team/infra/-/jobs/7"),
            ("CI_PIPELINE_ID", "77"),
            ("GITLAB_USER_LOGIN", "ana"),
            ("CI_PROJECT_PATH", "team/infra"),
            ("CI_COMMIT_REF_NAME", "main"),
            ("CI_COMMIT_SHA", SHA),
        ],
        [
            "GitLab CI",
            "https://gitlab.example/team/infra/-/jobs/7",
            "77",
            "ana",
            "team/infra",
            "main",
            SHA,
        ],
    ),
    (
        &[
            ("JENKINS_URL", "https://ci.example/"),
            ("BUILD_URL", "https://ci.example/job/infra/15/"),
            ("BUILD_TAG", "jenkins-infra-15"),
            ("CHANGE_AUTHOR", "ana"),
            ("GIT_URL", "https://ana:secret@git.example/team/infra.git"),
            ("GIT_BRANCH", "origin/main"),
            ("GIT_COMMIT", SHA),
        ],
        [
            "Jenkins",
            "https://ci.example/job/infra/15/",
            "jenkins-infra-15",
            "ana",
            "https://git.example/team/infra.git",
            "origin/main",
            SHA,
        ],
    ),
    (
        &[
            ("CIRCLECI", "true"),
            ("CIRCLE_BUILD_URL", "https://circleci.com/gh/team/infra/9"),
            ("CIRCLE_WORKFLOW_ID", "e2a1"),
            ("CIRCLE_USERNAME", "ana"),
            ("CIRCLE_PROJECT_USERNAME", "team"),
            ("CIRCLE_PROJECT_REPONAME", "infra"),
            ("CIRCLE_BRANCH", "main"),
            ("CIRCLE_SHA1", SHA),
        ],
        [
            "CircleCI",
            "https://circleci.com/gh/team/infra/9",
            "e2a1",
            "ana",
            "team/infra",
            "main",
            SHA,
        ],
    ),
    (
        &[
            ("BUILDKITE", "true"),
            (
                "BUILDKITE_BUILD_URL",
                "https://buildkite.com/team/infra/builds/5",
            ),
            ("BUILDKITE_BUILD_ID", "0188"),
            ("BUILDKITE_BUILD_CREATOR", "Ana"),
            ("BUILDKITE_REPO", "git@github.com:team/infra.git"),
            ("BUILDKITE_BRANCH", "main"),
            ("BUILDKITE_COMMIT", SHA),
        ],
        [
            "Buildkite",
            "https://buildkite.com/team/infra/builds/5",
            "0188",
            "Ana",
            "github.com:team/infra.git",
            "main",
            SHA,
        ],
    ),
    (
        &[
            ("TF_BUILD", "True"),
            (
                "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI",
                "https://dev.azure.com/team/",
            ),
            ("SYSTEM_TEAMPROJECT", "infra"),
            ("BUILD_BUILDID", "5"),
            ("BUILD_REQUESTEDFOR", "Ana"),
            ("BUILD_REPOSITORY_NAME", "infra"),
            ("BUILD_SOURCEBRANCHNAME", "main"),
            ("BUILD_SOURCEVERSION", SHA),
        ],
        [
            "Azure Pipelines",
            "https://dev.azure.com/team/infra/_build/results?buildId=5",
            "5",
            "Ana",
            "infra",
            "main",
            SHA,
        ],
    ),
    (
        &[
            (
                "BITBUCKET_GIT_HTTP_ORIGIN",
                "https://bitbucket.org/team/infra",
            ),
            ("BITBUCKET_BUILD_NUMBER", "7"),
            ("BITBUCKET_PIPELINE_UUID", "{a1}"),
            ("BITBUCKET_STEP_TRIGGERER_UUID", "{b2}"),
            ("BITBUCKET_REPO_FULL_NAME", "team/infra"),
            ("BITBUCKET_BRANCH", "main"),
            ("BITBUCKET_COMMIT", SHA),
        ],
        [
            "Bitbucket Pipelines",
            "https://bitbucket.org/team/infra/pipelines/results/7",
            "{a1}",
            "{b2}",
            "team/infra",
            "main",
            SHA,
        ],
    ),
    (
        &[
            ("CODEBUILD_BUILD_ID", "infra:8a"),
            (
                "CODEBUILD_PUBLIC_BUILD_URL",
                "https://eu-west-1.codebuild.aws.amazon.com/b/8a",
            ),
            ("CODEBUILD_INITIATOR", "ana"),
            (
                "CODEBUILD_SOURCE_REPO_URL",
                "https://token@github.com/team/infra.git",
            ),
            ("CODEBUILD_WEBHOOK_HEAD_REF", "refs/heads/main"),
            ("CODEBUILD_RESOLVED_SOURCE_VERSION", SHA),
        ],
        [
            "CodeBuild",
            "https://eu-west-1.codebuild.aws.amazon.com/b/8a",
            "infra:8a",
            "ana",
            "https://github.com/team/infra.git",
            "refs/heads/main",
            SHA,
        ],
    ),
    (
        &[
            ("ATLANTIS_TERRAFORM_VERSION", "1.11.4"),
            ("PULL_URL", "https://github.com/team/infra/pull/12"),
            ("PULL_NUM", "12"),
            ("USER_NAME", "ana"),
            ("PULL_AUTHOR", "bob"),
            ("BASE_REPO_OWNER", "team"),
            ("BASE_REPO_NAME", "infra"),
            ("HEAD_BRANCH_NAME", "rotate"),
            ("HEAD_COMMIT", SHA),
        ],
        [
            "Atlantis",
            "https://github.com/team/infra/pull/12",
            "12",
            "ana",
            "team/infra",
            "rotate",
            SHA,
        ],
    ),
    (
        &[
            ("TF_VAR_spacelift_account_name", "team"),
            ("TF_VAR_spacelift_stack_id", "prod"),
            ("TF_VAR_spacelift_run_id", "01JK"),
            ("TF_VAR_spacelift_repository", "team/infra"),
            ("TF_VAR_spacelift_commit_branch", "main"),
            ("TF_VAR_spacelift_commit_sha", SHA),
        ],
        [
            "Spacelift",
            "https://team.app.spacelift.io/stack/prod/run/01JK",
            "01JK",
            "",
            "team/infra",
            "main",
            SHA,
        ],
    ),
    (
        &[
            ("TFC_RUN_ID", "run-CKuwsxMGgMd4W7Ui"),
            ("TFC_WORKSPACE_SLUG", "team/prod"),
            ("TFC_CONFIGURATION_VERSION_GIT_BRANCH", "main"),
            ("TFC_CONFIGURATION_VERSION_GIT_COMMIT_SHA", SHA),
        ],
        [
            "HCP Terraform",
            "",
            "run-CKuwsxMGgMd4W7Ui",
            "",
            "team/prod",
            "main",
            SHA,
        ],
    ),
    (
        &[
            (
                "TRAVIS_BUILD_WEB_URL",
                "https://app.travis-ci.com/team/infra/builds/3",
            ),
            ("TRAVIS_BUILD_ID", "3"),
            ("TRAVIS_REPO_SLUG", "team/infra"),
            ("TRAVIS_BRANCH", "main"),
            ("TRAVIS_COMMIT", SHA),
        ],
        [
            "Travis CI",
            "https://app.travis-ci.com/team/infra/builds/3",
            "3",
            "",
            "team/infra",
            "main",
            SHA,
        ],
    ),
];

#[test]
fn each_system_is_recognised_by_its_documented_variables() {
    for (variables, [system, url, id, actor, repository, branch, commit]) in ROWS {
        let value = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let expected = CiRun {
            system: system.to_owned(),
            url: value(url),
            id: value(id),
            actor: value(actor),
            repository: value(repository),
            branch: value(branch),
            commit: value(commit),
        };
        assert_eq!(run_with(variables), Some(expected));
    }
    assert_eq!(ROWS.len(), SYSTEMS.len());
}

#[test]
fn what_runs_inside_of_another_system_is_told_first() {
    let variables = [
        ("GITHUB_RUN_ID", "42"),
        ("BUILD_URL", "https://ci.example/job/1"),
        ("ATLANTIS_TERRAFORM_VERSION", "1.11.4"),
    ];
    assert_eq!(run_with(&variables).unwrap().system, "Atlantis");
    assert_eq!(run_with(&variables[..2]).unwrap().system, "GitHub Actions");
}

#[test]
fn a_value_is_cut_where_it_would_not_fit_into_a_record() {
    let long = "x".repeat(5_000);
    let variables = [
        ("GITHUB_RUN_ID", "42"),
        ("GITHUB_ACTOR", long.as_str()),
        ("GITHUB_SERVER_URL", long.as_str()),
        ("GITHUB_REPOSITORY", "team/infra"),
    ];
    let run = run_with(&variables).unwrap();
    assert_eq!(run.actor.map(|actor| actor.len()), Some(LONGEST));
    assert_eq!(run.url, None);
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
            github("https://x-access-token:secret@git.example", "team/infra"),
            "https://git.example/team/infra/actions/runs/42",
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
        let run = url_with(&variables);
        assert_eq!(run.as_deref(), Some(address), "{variables:?}");
    }
}
