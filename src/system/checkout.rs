//! The branch and commit of the git checkout that a directory is in, read from git's own files.
//!
//! This delays the lock, so it does not start git and reads only a few small files. Whatever it does not expect (a ref
//! table, a huge `packed-refs`) counts as unknown, not as an error. A checkout may be a stranger's: only what looks like a
//! branch or a commit is used.

use std::path::{Component, Path, PathBuf};

use super::plain_file::{Link, read};

/// How many parent directories to search for a checkout.
const MOST_PARENTS: usize = 64;
/// The largest file with one line: `HEAD`, a ref, `.git` of a worktree.
const LARGEST_LINE: u64 = 4 * 1024;
/// The largest `packed-refs` that is searched: some ten thousand branches, and less than a millisecond.
const LARGEST_PACKED: u64 = 1024 * 1024;
/// The longest branch name that is used, in bytes.
const LONGEST_BRANCH: usize = 120;

/// What is checked out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkout {
    /// The branch; `None` for a detached HEAD.
    pub branch: Option<String>,
    /// The commit; `None` on a branch without one.
    pub commit: Option<String>,
}

/// The checkout that `directory`, an absolute path, is in; `None` if it is in none, or if that is unknown.
#[must_use]
pub fn checkout_of(directory: &Path) -> Option<Checkout> {
    let git = directory
        .ancestors()
        .take(MOST_PARENTS)
        .find_map(git_directory)?;
    let head = line(&git.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else {
        let commit = commit(&head)?;
        return Some(Checkout {
            branch: None,
            commit: Some(commit),
        });
    };
    let name = name.trim();
    let branch = name
        .strip_prefix("refs/heads/")
        .filter(|branch| is_branch(branch))?;
    // A worktree shares its branches with the repository.
    let common = line(&git.join("commondir")).map(|common| git.join(common));
    let places = [Some(git), common];
    let commit = places.iter().flatten().find_map(|place| {
        let loose = line(&place.join(name)).and_then(|line| commit(&line));
        loose.or_else(|| packed(place, name))
    });
    Some(Checkout {
        branch: Some(branch.to_owned()),
        commit,
    })
}

/// The `.git` of a checkout at `directory`: a directory, or a file that names it (worktrees, submodules).
fn git_directory(directory: &Path) -> Option<PathBuf> {
    let git = directory.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let named = line(&git)?;
    let named = named.strip_prefix("gitdir: ")?;
    Some(directory.join(named.trim()))
}

/// The first line of a small plain file.
fn line(path: &Path) -> Option<String> {
    let content = read(path, Link::Follow, LARGEST_LINE).ok()?;
    let text = String::from_utf8(content).ok()?;
    text.lines().next().map(ToOwned::to_owned)
}

fn packed(place: &Path, name: &str) -> Option<String> {
    let content = read(&place.join("packed-refs"), Link::Follow, LARGEST_PACKED).ok()?;
    let text = String::from_utf8_lossy(&content);
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, packed)| *packed == name)
        .and_then(|(hash, _)| commit(hash))
}

/// Whether this is a SHA-1 or SHA-256 in hexadecimal.
fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    let is_hash =
        matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned())
}

/// Git allows no `..` in a name; with ref tables, `HEAD` says `.invalid`.
fn is_branch(name: &str) -> bool {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(part) if !part.as_encoded_bytes().starts_with(b"."));
    !name.is_empty()
        && name.len() <= LONGEST_BRANCH
        && !name.chars().any(char::is_control)
        && Path::new(name).components().all(is_plain)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    fn git(directory: &Path, words: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=ana", "-c", "user.email=ana@example.org"])
            .args(["-c", "init.defaultBranch=main"])
            .args(words)
            .current_dir(directory)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", directory)
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn repository() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let repository = directory.path().join("repository");
        fs::create_dir_all(repository.join("environments/prod")).unwrap();
        git(&repository, &["init", "-q"]);
        (directory, repository)
    }

    fn on(branch: &str, commit: &str) -> Checkout {
        Checkout {
            branch: (!branch.is_empty()).then(|| branch.to_owned()),
            commit: (!commit.is_empty()).then(|| commit.to_owned()),
        }
    }

    #[test]
    fn branch_and_commit_are_the_same_as_git_s() {
        let (_directory, repository) = repository();
        let inside = repository.join("environments/prod");
        assert_eq!(
            checkout_of(&inside),
            Some(on("main", "")),
            "without a commit"
        );
        git(&repository, &["commit", "-q", "--allow-empty", "-m", "one"]);
        let first = git(&repository, &["rev-parse", "HEAD"]);
        assert_eq!(checkout_of(&inside), Some(on("main", &first)));
        git(&repository, &["checkout", "-q", "-b", "team/rotate"]);
        git(&repository, &["pack-refs", "--all"]);
        assert_eq!(
            checkout_of(&inside),
            Some(on("team/rotate", &first)),
            "packed"
        );
        git(&repository, &["commit", "-q", "--allow-empty", "-m", "two"]);
        let second = git(&repository, &["rev-parse", "HEAD"]);
        assert_eq!(checkout_of(&inside), Some(on("team/rotate", &second)));
        git(&repository, &["checkout", "-q", "--detach", &first]);
        assert_eq!(checkout_of(&inside), Some(on("", &first)), "detached");
        git(&repository, &["worktree", "add", "-q", "../other", "main"]);
        let other = repository.parent().unwrap().join("other");
        assert_eq!(checkout_of(&other), Some(on("main", &first)), "a worktree");
    }

    #[test]
    fn a_directory_without_a_usable_checkout_has_no_branch_or_commit() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let head = at.join(".git/HEAD");
        fs::create_dir(at.join(".git")).unwrap();
        assert_eq!(checkout_of(at), None);
        for text in [
            "",
            "garbage",
            "ref: ",
            "ref: refs/heads/",
            "ref: refs/heads/.invalid",
            "ref: refs/heads/../../../etc/passwd",
            "ref: /etc/passwd",
            "ref: refs/heads/a\u{1b}[2J",
        ] {
            fs::write(&head, text).unwrap();
            assert_eq!(checkout_of(at), None, "{text:?}");
        }
        fs::remove_file(&head).unwrap();
        nix::unistd::mkfifo(&head, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(checkout_of(at), None, "a pipe");
        fs::remove_dir_all(at.join(".git")).unwrap();
        fs::write(at.join(".git"), "gitdir: nowhere\n").unwrap();
        assert_eq!(checkout_of(at), None, "a worktree of nothing");
    }

    #[test]
    fn the_content_of_a_ref_is_used_only_if_it_is_a_commit() {
        let (_directory, repository) = repository();
        fs::create_dir_all(repository.join(".git/refs/heads")).unwrap();
        fs::write(repository.join(".git/refs/heads/main"), "secret\n").unwrap();
        assert_eq!(checkout_of(&repository), Some(on("main", "")));
    }
}
