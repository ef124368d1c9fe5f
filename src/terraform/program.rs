//! Where the program to run is: the one that was named, else `terraform`, else `tofu`.
//!
//! Never finds tflock itself again: with a link or copy of it called `terraform` on PATH it would call itself for ever.
//! Never starts anything.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::environment::{Environment, non_empty};
use crate::text::quoted_for_shell;

/// The programs that are looked for where none was named.
pub const NAMES: [&str; 2] = ["terraform", "tofu"];

/// Which of these programs `path` names, whatever directory it is in.
#[must_use]
pub fn known_name(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?;
    NAMES.into_iter().find(|known| name == OsStr::new(known))
}

/// Why there is no program to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// There is none of that name.
    #[error("`{}` was not found", .name.display())]
    NotFound {
        /// The path or name that was looked for.
        name: OsString,
    },
    /// There is one, and this user may not execute it.
    #[error("`{}` is not executable", .path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// The path that was named is tflock itself.
    #[error("`{}` is tflock itself", .path.display())]
    Itself {
        /// The file.
        path: PathBuf,
    },
}

impl ProgramError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotFound { .. } => {
                "install terraform or OpenTofu, or name the program with `--terraform PATH`"
                    .to_owned()
            }
            Self::NotExecutable { path } if path.is_dir() => {
                "it is a directory: name the program in it".to_owned()
            }
            Self::NotExecutable { path } => {
                let path = path.to_string_lossy();
                format!("run `chmod +x {}`", quoted_for_shell(&path))
            }
            Self::Itself { .. } => "name the real program with `--terraform PATH`".to_owned(),
        }
    }
}

/// Who is asking, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The running executable.
    pub executable: &'a Path,
    /// The directory that relative paths are relative to: that of the call, not that of `-chdir`.
    pub directory: &'a Path,
}

/// The program to run, as an absolute path if `caller.directory` is one.
///
/// `named` is what `--terraform` says: a path if there is a slash in it, else a name to be looked up on PATH.
///
/// # Errors
///
/// When there is none, or none that may be executed.
pub fn find_program(
    named: Option<&OsStr>,
    environment: Environment<'_>,
    caller: Caller<'_>,
) -> Result<PathBuf, ProgramError> {
    if let Some(name) = named.filter(|name| is_path(name)) {
        return at_path(&caller.directory.join(name), caller);
    }
    let search_path = non_empty(environment, "PATH");
    let search_path = search_path.as_deref();
    if let Some(name) = named {
        return on_search_path(name, search_path, caller);
    }
    let mut failure = None;
    for name in NAMES {
        match on_search_path(OsStr::new(name), search_path, caller) {
            Ok(program) => return Ok(program),
            // What was found and cannot be run says more than what was not found.
            Err(error @ ProgramError::NotExecutable { .. }) => {
                failure.get_or_insert(error);
            }
            Err(_) => {}
        }
    }
    Err(failure.unwrap_or_else(|| ProgramError::NotFound {
        name: NAMES[0].into(),
    }))
}

/// Whether the first program of that name in `search_path` is tflock itself.
#[must_use]
pub fn is_first_on_search_path(name: &OsStr, search_path: &OsStr, caller: Caller<'_>) -> bool {
    std::env::split_paths(search_path)
        .map(|directory| candidate(&caller.directory.join(directory).join(name), caller))
        .find(|candidate| !matches!(candidate, Candidate::Missing | Candidate::NotExecutable))
        .is_some_and(|candidate| matches!(candidate, Candidate::Itself))
}

fn is_path(name: &OsStr) -> bool {
    name.as_encoded_bytes().contains(&b'/')
}

fn at_path(path: &Path, caller: Caller<'_>) -> Result<PathBuf, ProgramError> {
    let path = path.to_owned();
    match candidate(&path, caller) {
        Candidate::Missing => Err(ProgramError::NotFound { name: path.into() }),
        Candidate::NotExecutable => Err(ProgramError::NotExecutable { path }),
        Candidate::Itself => Err(ProgramError::Itself { path }),
        Candidate::Usable => Ok(path),
    }
}

/// The first usable program of that name; an empty entry of PATH means the current directory.
fn on_search_path(
    name: &OsStr,
    search_path: Option<&OsStr>,
    caller: Caller<'_>,
) -> Result<PathBuf, ProgramError> {
    let mut not_executable = None;
    for directory in search_path.into_iter().flat_map(std::env::split_paths) {
        let path = caller.directory.join(directory).join(name);
        match candidate(&path, caller) {
            Candidate::Usable => return Ok(path),
            Candidate::NotExecutable => {
                not_executable.get_or_insert(path);
            }
            Candidate::Missing | Candidate::Itself => {}
        }
    }
    Err(match not_executable {
        Some(path) => ProgramError::NotExecutable { path },
        None => ProgramError::NotFound {
            name: name.to_owned(),
        },
    })
}

enum Candidate {
    Missing,
    NotExecutable,
    Itself,
    Usable,
}

fn candidate(path: &Path, caller: Caller<'_>) -> Candidate {
    let Ok(metadata) = path.metadata() else {
        return Candidate::Missing;
    };
    if !metadata.is_file() || access(path, AccessFlags::X_OK).is_err() {
        return Candidate::NotExecutable;
    }
    match is_same_program(path, caller.executable) {
        Ok(true) => Candidate::Itself,
        // What cannot be read cannot be a copy that this user made of the running program.
        Ok(false) | Err(_) => Candidate::Usable,
    }
}

/// Whether two files are one, or copies of one another.
fn is_same_program(one: &Path, other: &Path) -> io::Result<bool> {
    let (of_one, of_other) = (one.metadata()?, other.metadata()?);
    if (of_one.dev(), of_one.ino()) == (of_other.dev(), of_other.ino()) {
        return Ok(true);
    }
    if of_one.len() != of_other.len() {
        return Ok(false);
    }
    let mut one = BufReader::new(File::open(one)?).bytes();
    let mut other = BufReader::new(File::open(other)?).bytes();
    loop {
        match (one.next().transpose()?, other.next().transpose()?) {
            (None, None) => return Ok(true),
            (a, b) if a != b => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        /// A directory with tflock in `bin`.
        fn new() -> Self {
            let place = Self {
                directory: tempfile::tempdir().unwrap(),
            };
            place.program("bin/tflock", "tflock");
            place
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
        let place = Place::new();
        let tofu = place.program("first/tofu", "tofu");
        assert_eq!(place.find(None), Ok(tofu));
        let terraform = place.program("second/terraform", "terraform");
        assert_eq!(place.find(None), Ok(terraform));
    }

    #[test]
    fn a_name_is_looked_up_and_a_path_is_taken() {
        let place = Place::new();
        let named = place.program("second/terraform-1.5", "terraform");
        assert_eq!(place.find(Some("terraform-1.5")), Ok(named.clone()));
        assert_eq!(place.find(Some("second/terraform-1.5")), Ok(named.clone()));
        assert_eq!(place.find(Some(named.to_str().unwrap())), Ok(named));
    }

    #[test]
    fn links_to_and_copies_of_tflock_are_skipped() {
        let place = Place::new();
        std::fs::create_dir_all(place.path("first")).unwrap();
        std::os::unix::fs::symlink(place.path("bin/tflock"), place.path("first/terraform"))
            .unwrap();
        assert_eq!(
            place.find(None),
            Err(ProgramError::NotFound {
                name: "terraform".into()
            })
        );
        let real = place.program("second/terraform", "TFLOCK");
        assert_eq!(place.find(None), Ok(real.clone()));
        std::fs::remove_file(place.path("first/terraform")).unwrap();
        place.program("first/terraform", "tflock");
        assert_eq!(place.find(None), Ok(real));
    }

    #[test]
    fn a_path_that_is_tflock_itself_is_an_error() {
        let place = Place::new();
        let error = place.find(Some("./bin/tflock")).unwrap_err();
        assert!(matches!(error, ProgramError::Itself { .. }), "{error}");
    }

    #[test]
    fn without_path_not_even_the_current_directory_is_searched() {
        let place = Place::new();
        place.program("terraform", "terraform");
        let executable = place.path("bin/tflock");
        let caller = Caller {
            executable: &executable,
            directory: place.directory.path(),
        };
        for path in [None, Some(OsString::new())] {
            let found = find_program(None, &|_| path.clone(), caller);
            assert!(matches!(found, Err(ProgramError::NotFound { .. })));
        }
    }

    #[test]
    fn what_may_not_be_executed_is_told_from_what_is_not_there() {
        let place = Place::new();
        assert_eq!(
            place.find(Some("./x")),
            Err(ProgramError::NotFound {
                name: place.path("./x").into()
            })
        );
        assert_eq!(
            place.find(Some("x")),
            Err(ProgramError::NotFound { name: "x".into() })
        );
        let path = place.file("first/terraform", "terraform", 0o644);
        assert_eq!(place.find(None), Err(ProgramError::NotExecutable { path }));
        std::fs::create_dir_all(place.path("first/tofu")).unwrap();
        assert!(matches!(
            place.find(Some("tofu")),
            Err(ProgramError::NotExecutable { .. })
        ));
        let executable = place.program("second/terraform", "terraform");
        assert_eq!(place.find(None), Ok(executable));
    }
}
