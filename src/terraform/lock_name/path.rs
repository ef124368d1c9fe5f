//! Paths: joined as Go joins bucket keys, and resolved as the operating system resolves files.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Go's `path.Join`: skips empty elements and cleans the result.
pub(super) fn join<const N: usize>(elements: [&str; N]) -> String {
    let present: Vec<&str> = elements
        .into_iter()
        .filter(|element| !element.is_empty())
        .collect();
    if present.is_empty() {
        return String::new();
    }
    clean(&present.join("/"))
}

/// Go's `path.Clean`, on the text alone: no double slashes, no `.`, and no `..` after a name.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => match kept.last() {
                Some(&last) if last != ".." => {
                    kept.pop();
                }
                _ if rooted => {}
                _ => kept.push(".."),
            },
            name => kept.push(name),
        }
    }
    match (rooted, kept.is_empty()) {
        (true, _) => format!("/{}", kept.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => kept.join("/"),
    }
}

/// The canonical path of a file that may not exist yet: resolves links as far as the path exists, and keeps the rest as
/// written.
pub(super) fn resolve(path: &Path) -> PathBuf {
    // As many links as Linux follows.
    let mut links = 40;
    let mut known = path.to_owned();
    let mut beyond: Vec<OsString> = Vec::new();
    let mut resolved = loop {
        if let Ok(resolved) = known.canonicalize() {
            break resolved;
        }
        // A link whose target does not exist yet is that target: terraform creates it there.
        if links > 0
            && let (Ok(target), Some(above)) = (known.read_link(), known.parent())
        {
            links -= 1;
            known = above.join(target);
            continue;
        }
        let Some(last) = known.components().next_back() else {
            break PathBuf::new();
        };
        beyond.push(last.as_os_str().to_owned());
        if !known.pop() {
            break PathBuf::new();
        }
    };
    for element in beyond.into_iter().rev() {
        match Path::new(&element).components().next() {
            Some(Component::ParentDir) => {
                resolved.pop();
            }
            Some(Component::CurDir) | None => {}
            Some(_) => resolved.push(element),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_joined_as_go_joins_them() {
        for (elements, expected) in [
            (["env:", "stg", "a/b"], "env:/stg/a/b"),
            (["", "stg", "a"], "stg/a"),
            (["a/", "/stg/", "/b"], "a/stg/b"),
            (["/a", "..", "b"], "/b"),
            (["a", "..", "../b"], "../b"),
            (["..", "..", "b"], "../../b"),
            (["../..", "a/../..", "b"], "../../../b"),
            (["/", "..", "b"], "/b"),
            ([".", "", ""], "."),
            (["", "", ""], ""),
        ] {
            assert_eq!(join(elements), expected, "{elements:?}");
        }
    }

    #[test]
    fn a_missing_file_is_resolved_as_far_as_its_path_exists() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(".", real.join("link")).unwrap();
        let written = directory.path().join("link/./no/such/../terraform.tfstate");
        assert_eq!(resolve(&written), real.join("no/terraform.tfstate"));
    }

    #[test]
    fn a_linked_state_is_the_file_it_points_to() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::fs::write(real.join("state"), "").unwrap();
        std::os::unix::fs::symlink("state", real.join("link")).unwrap();
        assert_eq!(resolve(&real.join("link")), real.join("state"));
    }

    #[test]
    fn a_link_that_leads_to_nothing_yet_is_what_will_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("inner")).unwrap();
        for (link, target) in [("inner/one", "../state"), ("two", "inner/one")] {
            std::os::unix::fs::symlink(target, real.join(link)).unwrap();
            assert_eq!(resolve(&real.join(link)), real.join("state"), "{link}");
        }
        std::os::unix::fs::symlink("circle", real.join("circle")).unwrap();
        assert_eq!(resolve(&real.join("circle")), real.join("circle"));
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(path in "(/|\\.|\\.\\.|a|b){0,12}") {
            let once = clean(&path);
            prop_assert_eq!(clean(&once), once);
        }
    }
}
