use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn install(
    base: &Path,
    names: &[&str],
    executable: &Path,
    path: Option<&OsStr>,
) -> Result<OsString, FileError> {
    super::install(&[base.to_owned()], names, executable, path)
}

/// Installs the links in a new private directory, whatever the umask.
fn installed(names: &[&str], path: Option<&str>) -> (tempfile::TempDir, OsString) {
    let base = tempfile::tempdir().unwrap();
    let path = path.map(OsStr::new);
    let path = install(base.path(), names, Path::new("/bin/true"), path).unwrap();
    (base, path)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn each_name_gets_a_link_first_on_path() {
    let (base, path) = installed(&["terraform", "tofu"], Some("/a:/b c"));
    let place = base.path().join("shim");
    let expected = format!("{0}/terraform:{0}/tofu:/a:/b c", place.display());
    assert_eq!(path, OsString::from(expected));
    for name in ["terraform", "tofu"] {
        let link = std::fs::read_link(place.join(name).join(name)).unwrap();
        assert_eq!(link, Path::new("/bin/true"));
    }
}

#[test]
fn everything_created_is_private() {
    let above = tempfile::tempdir().unwrap();
    let base = above.path().join("state/tflock");
    install(&base, &["tofu"], Path::new("/bin/true"), None).unwrap();
    for made in ["state", "state/tflock", "state/tflock/shim/tofu"] {
        let mode = above.path().join(made).metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
}

#[test]
fn a_link_to_another_tflock_is_replaced_and_anything_beside_it_removed() {
    let (base, _) = installed(&["tofu"], None);
    let directory = base.path().join("shim/tofu");
    std::fs::write(directory.join("git"), "#!/bin/sh\n").unwrap();
    symlink("/bin/sh", directory.join("make")).unwrap();
    install(base.path(), &["tofu"], Path::new("/bin/false"), None).unwrap();
    let link = std::fs::read_link(directory.join("tofu")).unwrap();
    assert_eq!(link, Path::new("/bin/false"));
    assert_eq!(directory.read_dir().unwrap().count(), 1);
}

#[test]
fn a_directory_that_others_can_change_is_named_and_the_next_one_used() {
    let modes = [
        ("", 0o770),
        ("", 0o2770),
        ("shim", 0o777),
        ("shim/tofu", 0o770),
    ];
    for (open, mode) in modes {
        let (base, _) = installed(&["tofu"], None);
        let open = base.path().join(open);
        set_mode(&open, mode);
        let refused = install(base.path(), &["tofu"], Path::new("/bin/true"), None).unwrap_err();
        let open = open.display().to_string();
        assert!(
            refused.to_string().contains(open.trim_end_matches('/')),
            "{refused}"
        );

        let own = tempfile::tempdir().unwrap();
        let places = [base.path().to_owned(), own.path().to_owned()];
        let path = super::install(&places, &["tofu"], Path::new("/bin/true"), None).unwrap();
        assert_eq!(Path::new(&path), own.path().join("shim/tofu"));
    }
}

#[test]
fn a_link_instead_of_a_directory_is_refused_by_name() {
    let (base, _) = installed(&["tofu"], None);
    let place = base.path().join("shim");
    std::fs::rename(&place, base.path().join("elsewhere")).unwrap();
    symlink("elsewhere", &place).unwrap();
    let refused = install(base.path(), &["tofu"], Path::new("/bin/true"), None).unwrap_err();
    let expected = format!(
        "`{}` is a symbolic link, and links are not followed",
        place.display()
    );
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn a_parent_that_everyone_can_change_is_refused() {
    let above = tempfile::tempdir().unwrap();
    set_mode(above.path(), 0o777);
    let base = above.path().join("tflock");
    let refused = install(&base, &["tofu"], Path::new("/bin/true"), None);
    assert!(matches!(refused, Err(FileError::Unsafe { .. })));
    assert!(!base.exists());
}

#[test]
fn a_directory_that_cannot_be_part_of_path_is_refused() {
    let base = tempfile::Builder::new().prefix("a:b").tempdir().unwrap();
    let refused = install(base.path(), &["tofu"], Path::new("/bin/true"), None);
    assert!(refused.is_err());
}

#[test]
fn without_a_private_directory_there_is_no_shim() {
    let nothing = places(&|_| None);
    assert_eq!(nothing, Vec::<PathBuf>::new());
    assert!(super::install(&nothing, &["tofu"], Path::new("/bin/true"), None).is_err());
}

#[test]
fn programs_run_by_the_shim_see_the_original_path() {
    let (_base, path) = installed(&["terraform", "tofu"], Some("/a::/b c"));
    assert_eq!(path_without(&path), "/a::/b c");
}

#[test]
fn a_shim_is_recognised_by_its_name_and_path() {
    let (base, path) = installed(&["terraform"], Some("/a"));
    let called_as = |zeroth: &str, path: &OsStr| called_as(Some(OsStr::new(zeroth)), Some(path));
    let through = |name, link| Some(CalledAs { name, link });
    let terraform = through("terraform", Link::Shim);
    assert_eq!(called_as("terraform", &path), terraform);
    let link = base.path().join("shim/terraform/terraform");
    assert_eq!(
        called_as(link.to_str().unwrap(), OsStr::new("/a")),
        terraform
    );
    for other in ["tflock", "terraform-1.5", ""] {
        assert_eq!(called_as(other, &path), None, "{other}");
    }
    let users = through("terraform", Link::UsersOwn);
    assert_eq!(called_as("/bin/terraform", &path), users);
    assert_eq!(called_as("tofu", &path), through("tofu", Link::UsersOwn));

    let earlier = tempfile::tempdir().unwrap();
    std::fs::write(earlier.path().join("terraform"), "").unwrap();
    let mut later = earlier.path().as_os_str().to_owned();
    later.push(":");
    later.push(&path);
    assert_eq!(called_as("terraform", &later), users);
}
