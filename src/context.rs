//! What every command works with: the options, the directory, the UI, and the command lines that hints tell people to
//! type.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::child::{Command, replace_by};
use crate::cli::{Invocation, Options, StoreChoice, Typed};
use crate::environment::{non_empty, variable};
use crate::exit_code;
use crate::failure::{Failure, force_unlock_words};
use crate::lock::host::Machine;
use crate::lock::record::LockId;
use crate::shim::{self, CalledAs, Link};
use crate::state_directory;
use crate::terraform::program::{
    Caller, ProgramError, find_program, is_first_on_search_path, is_script_of_tflock,
};
use crate::text::quoted_for_shell;
use crate::ui::{Notifications, Prompts, Ui, Verbosity};

/// What every command works with.
#[derive(Clone)]
pub struct Context {
    /// tflock's own options.
    pub options: Options,
    /// Its messages.
    pub ui: Ui,
    /// The directory that tflock was started in.
    pub directory: PathBuf,
    /// terraform's `-chdir`.
    pub chdir: Option<PathBuf>,
    /// The program that tflock was called as, through a link of that name.
    pub called_as: Option<CalledAs>,
    /// The command line as typed, for hints.
    pub typed: Typed,
}

impl Context {
    /// The context of an invocation.
    ///
    /// # Errors
    /// When the current directory is gone.
    pub fn new(invocation: &Invocation, called_as: Option<CalledAs>) -> Result<Self, Failure> {
        let options = invocation.options.clone();
        let verbosity = match (options.quiet, options.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        let prompts = if options.no_input {
            Prompts::Disabled
        } else {
            Prompts::Allowed
        };
        let no_color =
            invocation.no_color || variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let directory = std::env::current_dir().map_err(|error| {
            Failure::new(
                exit_code::CONFIGURATION,
                format!("the current directory cannot be used: {error}"),
            )
            .hint("change to a directory that exists")
        })?;
        Ok(Self {
            options,
            ui: Ui::new(verbosity, prompts, no_color).with_notifications(notifications()),
            directory,
            chdir: invocation.chdir.clone(),
            called_as,
            typed: invocation.typed.clone(),
        })
    }

    /// This machine, as the lock protocol sees it.
    #[must_use]
    pub fn machine(&self) -> Machine {
        Machine {
            runs: state_directory::runs(&variable),
        }
    }

    /// Where terraform works: the `-chdir` directory, else the current one.
    #[must_use]
    pub fn working_directory(&self) -> PathBuf {
        match &self.chdir {
            Some(chdir) => self.directory.join(chdir),
            None => self.directory.clone(),
        }
    }

    /// The terraform to run.
    ///
    /// # Errors
    /// When there is none.
    pub fn terraform(&self) -> Result<PathBuf, Failure> {
        let chosen = self.options.terraform.as_ref().map(|path| path.as_os_str());
        let program = self.with_caller(|caller| {
            let named = match self.called_as.map(|called| OsStr::new(called.name)) {
                // Outside the `exec`, that name meant tflock, too.
                Some(name) if is_first_on_search_path(name, &search_path_outside(), caller) => {
                    chosen.or(Some(name))
                }
                Some(name) => Some(name),
                None => chosen,
            };
            find_program(named, &variable, caller)
        });
        let program = program?;
        if script_depth() >= DEEPEST && is_script_of_tflock(&program) {
            return Err(ProgramError::Circle { path: program }.into());
        }
        Ok(program)
    }

    /// Whether PATH has a program of that name other than tflock.
    #[must_use]
    pub fn finds(&self, name: &str) -> bool {
        self.with_caller(|caller| find_program(Some(OsStr::new(name)), &variable, caller).is_ok())
    }

    fn with_caller<T>(&self, look: impl FnOnce(Caller<'_>) -> T) -> T {
        let executable = std::env::current_exe().unwrap_or_default();
        look(Caller {
            executable: &executable,
            directory: &self.directory,
        })
    }

    /// Whether tflock was called through its shim, by a program inside of an `exec`.
    #[must_use]
    pub fn is_shim(&self) -> bool {
        self.called_as
            .is_some_and(|called| called.link == Link::Shim)
    }

    /// The variables to change for the child: as the shim, PATH without the shim.
    fn shim_variables(&self) -> Vec<(OsString, OsString)> {
        let path = variable("PATH").filter(|_| self.is_shim());
        path.map(|path| ("PATH".into(), shim::path_without(&path)))
            .into_iter()
            .collect()
    }

    /// The variables to change for that terraform. A script that calls tflock also gets the number of such calls so far,
    /// because the two could call each other forever.
    #[must_use]
    pub fn variables_of(&self, program: &Path) -> Vec<(OsString, OsString)> {
        let mut variables = self.shim_variables();
        if is_script_of_tflock(program) {
            let depth = (script_depth() + 1).to_string();
            variables.push((SCRIPT_DEPTH.into(), depth.into()));
        }
        variables
    }

    /// Replaces this process by that program, after the messages are written. Returns only on failure.
    #[must_use]
    pub fn exec_program(&self, command: &Command) -> Failure {
        self.ui.settle();
        replace_by(command).into()
    }

    /// A tflock command line for the same lock: the options that chose it, then `words`.
    #[must_use]
    pub fn command_line(&self, words: &str) -> String {
        let options = &self.options;
        let chdir = self.chdir.as_ref().map(|directory| {
            let directory = directory.to_string_lossy();
            format!("-chdir={}", quoted_for_shell(&directory))
        });
        let with_value = |option: &str, value: Option<&str>| {
            value.map(|value| format!("{option} {}", quoted_for_shell(value)))
        };
        let parts = [
            Some("tflock".to_owned()),
            chdir,
            with_value("--store", options.store.name()),
            with_value("--table", options.table.as_deref()),
            with_value("--lock-id", options.lock_id.as_deref()),
            Some(words.to_owned()),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The typed command line with a longer wait.
    #[must_use]
    pub fn typed_waiting_longer(&self) -> String {
        self.command_line(&self.typed.waiting_longer())
    }

    /// The typed command line again.
    #[must_use]
    pub fn typed_again(&self) -> String {
        self.command_line(&self.typed.again())
    }

    /// The typed command line with another command.
    #[must_use]
    pub fn typed_with(&self, command: &[OsString]) -> String {
        self.command_line(&self.typed.with_command(command))
    }

    /// The command line that removes the lock with that ID.
    #[must_use]
    pub fn force_unlock_line(&self, id: Option<&LockId>) -> String {
        self.command_line(&force_unlock_words(id))
    }

    /// A copy of this context that addresses the lock of `directory`, as seen from where terraform works.
    #[must_use]
    pub fn in_directory(&self, directory: &Path) -> Self {
        let chdir = self.chdir.as_deref().unwrap_or(Path::new(""));
        let chdir = chdir.join(directory);
        let is_here = chdir.components().all(|part| part == Component::CurDir);
        Self {
            chdir: (!is_here).then_some(chdir),
            ..self.clone()
        }
    }

    /// A copy of this context that addresses the local lock `name`.
    #[must_use]
    pub fn for_local_lock(&self, name: &str) -> Self {
        let mut context = self.clone();
        context.options.store = StoreChoice::Local;
        context.options.lock_id = Some(name.to_owned());
        context
    }

    /// terraform's arguments with `-chdir` in front.
    #[must_use]
    pub fn with_chdir(&self, arguments: Vec<OsString>) -> Vec<OsString> {
        let chdir = self.chdir.as_ref().map(|directory| {
            let mut option = OsString::from("-chdir=");
            option.push(directory);
            option
        });
        chdir.into_iter().chain(arguments).collect()
    }
}

/// The variable that counts how many scripts that call tflock are running inside one another.
const SCRIPT_DEPTH: &str = "TFLOCK_SCRIPT_DEPTH";
/// Fewer are not a loop: a script may call tflock with another terraform.
const DEEPEST: u32 = 4;

fn script_depth() -> u32 {
    let depth = variable(SCRIPT_DEPTH);
    depth
        .and_then(|depth| depth.to_str()?.parse().ok())
        .unwrap_or(0)
}

fn notifications() -> Notifications {
    let [program, term] = ["TERM_PROGRAM", "TERM"].map(|name| {
        let value = variable(name).unwrap_or_default();
        value.to_string_lossy().into_owned()
    });
    Notifications::of(&program, &term)
}

fn search_path_outside() -> OsString {
    let path = non_empty(&variable, "PATH").unwrap_or_default();
    shim::path_without(&path)
}

/// Runs on a current-thread runtime: the child must be started by the thread that lives as long as the process. Threads
/// that hang in a system call at the end are left behind.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}
