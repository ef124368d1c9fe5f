use super::*;
use std::os::unix::fs::PermissionsExt;

struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    /// A directory with tflock in `bin`.
    fn new() -> Self {
        let scene = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        scene.program("bin/tflock", "tflock");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn program(&self, name: &str, content: &str) -> PathBuf {
        self.file(name, content, 0o755)
    }

    fn find(&self, named: Option<&str>) -> Result<PathBuf, ProgramError> {
        let search_path =
            std::env::join_paths(["first", "second"].map(|name| self.path(name))).unwrap();
        find_program(
            named.map(OsStr::new),
            &|name| (name == "PATH").then(|| search_path.clone()),
            Caller {
                executable: &self.path("bin/tflock"),
                directory: self.directory.path(),
            },
        )
    }
}

#[test]
fn terraform_is_preferred_to_tofu() {
    let scene = Scene::new();
    let tofu = scene.program("first/tofu", "tofu");
    assert_eq!(scene.find(None), Ok(tofu));
    let terraform = scene.program("second/terraform", "terraform");
    assert_eq!(scene.find(None), Ok(terraform));
}

#[test]
fn a_name_is_looked_up_and_a_path_is_taken() {
    let scene = Scene::new();
    let named = scene.program("second/terraform-1.5", "terraform");
    assert_eq!(scene.find(Some("terraform-1.5")), Ok(named.clone()));
    assert_eq!(scene.find(Some("second/terraform-1.5")), Ok(named.clone()));
    assert_eq!(scene.find(Some(named.to_str().unwrap())), Ok(named));
}

#[test]
fn links_to_and_copies_of_tflock_are_skipped() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path("first")).unwrap();
    std::os::unix::fs::symlink(scene.path("bin/tflock"), scene.path("first/terraform")).unwrap();
    assert_eq!(
        scene.find(None),
        Err(ProgramError::NotFound {
            name: "terraform".into()
        })
    );
    let real = scene.program("second/terraform", "TFLOCK");
    assert_eq!(scene.find(None), Ok(real.clone()));
    std::fs::remove_file(scene.path("first/terraform")).unwrap();
    scene.program("first/terraform", "tflock");
    assert_eq!(scene.find(None), Ok(real));
}

#[test]
fn a_path_that_is_tflock_itself_is_an_error() {
    let scene = Scene::new();
    let error = scene.find(Some("./bin/tflock")).unwrap_err();
    assert!(matches!(error, ProgramError::Itself { .. }), "{error}");
}

#[test]
fn without_path_not_even_the_current_directory_is_searched() {
    let scene = Scene::new();
    scene.program("terraform", "terraform");
    let executable = scene.path("bin/tflock");
    let caller = Caller {
        executable: &executable,
        directory: scene.directory.path(),
    };
    for path in [None, Some(OsString::new())] {
        let found = find_program(None, &|_| path.clone(), caller);
        assert!(matches!(found, Err(ProgramError::NotFound { .. })));
    }
}

#[test]
fn not_executable_and_not_found_are_different_errors() {
    let scene = Scene::new();
    assert_eq!(
        scene.find(Some("./x")),
        Err(ProgramError::NotFound {
            name: scene.path("./x").into()
        })
    );
    assert_eq!(
        scene.find(Some("x")),
        Err(ProgramError::NotFound { name: "x".into() })
    );
    let path = scene.file("first/terraform", "terraform", 0o644);
    assert_eq!(scene.find(None), Err(ProgramError::NotExecutable { path }));
    std::fs::create_dir_all(scene.path("first/tofu")).unwrap();
    assert!(matches!(
        scene.find(Some("tofu")),
        Err(ProgramError::NotExecutable { .. })
    ));
    let executable = scene.program("second/terraform", "terraform");
    assert_eq!(scene.find(None), Ok(executable));
}

#[test]
fn only_a_script_that_calls_tflock_is_taken_for_one() {
    let scene = Scene::new();
    for (text, calls) in [
        ("#!/bin/sh\nexec tflock \"$@\"", true),
        ("#!/bin/sh\n/usr/bin/tflock apply\n", true),
        ("tflock", false),
        ("#!/bin/sh\ncd /tmp/tflock-test-1/x\n", false),
        ("#!/bin/sh\nTFLOCK_WAIT=1 mytflock\n", false),
    ] {
        let script = scene.program("first/terraform", text);
        assert_eq!(is_script_of_tflock(&script), calls, "{text}");
    }
}
