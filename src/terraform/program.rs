//! Finds the program to run: the named one, else `terraform`, else `tofu`.
//!
//! Never finds tflock itself: through a link or copy called `terraform` on PATH it would call itself forever. Never
//! starts anything.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::environment::{Environment, non_empty};
use crate::text::quoted_for_shell;

/// The programs to look for if none was named.
pub const NAMES: [&str; 2] = ["terraform", "tofu"];

/// The known program that `path` names, in whatever directory.
#[must_use]
pub fn known_name(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?;
    NAMES.into_iter().find(|known| name == OsStr::new(known))
}

/// Why there is no program to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// There is no program of that name.
    #[error("`{}` was not found", .name.display())]
    NotFound {
        /// The path or name.
        name: OsString,
    },
    /// It exists, but this user may not execute it.
    #[error("`{}` is not executable", .path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// A script that calls tflock, which runs that script.
    #[error("`{}` is a script that calls tflock, which runs that script again, in a circle", .path.display())]
    Circle {
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
            Self::Itself { .. } | Self::Circle { .. } => {
                "name the real program with `--terraform PATH`".to_owned()
            }
        }
    }
}

/// The calling program and its directory.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The running executable.
    pub executable: &'a Path,
    /// The base of relative paths: the directory of the call, not that of `-chdir`.
    pub directory: &'a Path,
}

/// Finds the program to run, as an absolute path if `caller.directory` is one.
///
/// `named` is the value of `--terraform`: a path if it contains a slash, else a name to look up on PATH.
///
/// # Errors
///
/// There is none, or none that may be executed.
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
            // "Not executable" says more than "not found".
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

/// Whether a program is a script in which the word `tflock` stands: one that may call us again.
#[must_use]
pub fn is_script_of_tflock(program: &Path) -> bool {
    const LARGEST: u64 = 256 * 1024;
    const WORD: &[u8] = b"tflock";
    let Ok(mut file) = File::open(program) else {
        return false;
    };
    let mut start = [0; 2];
    if file.read_exact(&mut start).is_err() || start != *b"#!" {
        return false;
    }
    let mut text = start.to_vec();
    let rest = file.take(LARGEST - 2).read_to_end(&mut text);
    if rest.is_err() {
        return false;
    }
    let is_part_of_a_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let at = text.windows(WORD.len()).enumerate();
    at.filter(|(_, window)| *window == WORD).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let behind = text.get(at + WORD.len());
        ![before, behind]
            .into_iter()
            .flatten()
            .any(|byte| is_part_of_a_word(*byte))
    })
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
        // An unreadable file cannot be a copy of the running program.
        Ok(false) | Err(_) => Candidate::Usable,
    }
}

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
mod tests;
