//! What every command works with: the options, where it was called, where it speaks, and the command lines that it tells
//! people to type.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::child::{Command, replace_by};
use crate::cli::{Options, Request, StoreChoice, Typed};
use crate::environment::{non_empty, variable};
use crate::exit_code;
use crate::failure::{Failure, removal_words};
use crate::lock::host::Machine;
use crate::lock::record::LockId;
use crate::shim::{self, CalledAs, Link};
use crate::state_directory;
use crate::terraform::program::{Caller, find_program, is_first_on_search_path};
use crate::text::quoted_for_shell;
use crate::ui::{Prompts, Ui, Verbosity};

/// What every command works with.
#[derive(Clone)]
pub struct Context {
    /// tflock's own options.
    pub options: Options,
    /// Where it speaks.
    pub ui: Ui,
    /// Where it was called.
    pub directory: PathBuf,
    /// terraform's `-chdir`.
    pub chdir: Option<PathBuf>,
    /// The program that we are to be, if we were called by its name.
    pub called_as: Option<CalledAs>,
    /// The command line, for hints.
    pub typed: Typed,
}

impl Context {
    /// The context of a request.
    ///
    /// # Errors
    /// When the current directory is gone.
    pub fn new(request: &Request, called_as: Option<CalledAs>) -> Result<Self, Failure> {
        let options = request.options.clone();
        let verbosity = match (options.quiet, options.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        let prompts = if options.no_input {
            Prompts::Refused
        } else {
            Prompts::Allowed
        };
        let no_color =
            request.no_color || variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let directory = std::env::current_dir().map_err(|error| {
            Failure::new(
                exit_code::CONFIGURATION,
                format!("the current directory cannot be used: {error}"),
            )
            .hint("go to a directory that exists")
        })?;
        Ok(Self {
            options,
            ui: Ui::new(verbosity, prompts, no_color),
            directory,
            chdir: request.chdir.clone(),
            called_as,
            typed: request.typed.clone(),
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
        let program = self.as_caller(|caller| {
            let named = match self.called_as.map(|called| OsStr::new(called.name)) {
                // Outside of the `exec` that name would have meant tflock as well.
                Some(name) if is_first_on_search_path(name, &search_path_outside(), caller) => {
                    chosen.or(Some(name))
                }
                Some(name) => Some(name),
                None => chosen,
            };
            find_program(named, &variable, caller)
        });
        Ok(program?)
    }

    /// Whether there is a program of that name on PATH which is not tflock.
    #[must_use]
    pub fn finds(&self, name: &str) -> bool {
        self.as_caller(|caller| find_program(Some(OsStr::new(name)), &variable, caller).is_ok())
    }

    fn as_caller<T>(&self, look: impl FnOnce(Caller<'_>) -> T) -> T {
        let executable = std::env::current_exe().unwrap_or_default();
        look(Caller {
            executable: &executable,
            directory: &self.directory,
        })
    }

    /// Whether we were called through a link of ours, by a program inside of an `exec`.
    #[must_use]
    pub fn is_shim(&self) -> bool {
        self.called_as
            .is_some_and(|called| called.link == Link::Shim)
    }

    /// What a child of ours is to see of the environment: if we stand in for it, PATH as it was without us.
    #[must_use]
    pub fn shim_variables(&self) -> Vec<(OsString, OsString)> {
        let path = variable("PATH").filter(|_| self.is_shim());
        path.map(|path| ("PATH".into(), shim::path_without(&path)))
            .into_iter()
            .collect()
    }

    /// Becomes that program, once whoever reads has taken what was said. Returns only if that fails.
    #[must_use]
    pub fn become_program(&self, command: &Command) -> Failure {
        self.ui.settle();
        replace_by(command).into()
    }

    /// A command line of tflock's for the same lock: the options that chose it, and then `words`.
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

    /// The command line that was typed, waiting longer.
    #[must_use]
    pub fn typed_waiting_longer(&self) -> String {
        self.command_line(&self.typed.waiting_longer())
    }

    /// The command line that was typed, with other words for the command.
    #[must_use]
    pub fn typed_with(&self, command: &[OsString]) -> String {
        self.command_line(&self.typed.with_command(command))
    }

    /// The command line that removes the lock of that ID.
    #[must_use]
    pub fn removal_line(&self, id: Option<&LockId>) -> String {
        self.command_line(&removal_words(id))
    }

    /// The same for the lock of that name in the local store.
    #[must_use]
    pub fn naming_local(&self, name: &str) -> Self {
        let mut context = self.clone();
        context.options.store = StoreChoice::Local;
        context.options.lock_id = Some(name.to_owned());
        context
    }

    /// terraform's arguments with `-chdir` put back before them.
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

/// PATH as it was outside of every `exec`.
fn search_path_outside() -> OsString {
    let path = non_empty(&variable, "PATH").unwrap_or_default();
    shim::path_without(&path)
}

/// A current-thread runtime: the child must be started by the thread that lives as long as the process. Threads that hang
/// in the system at the end are not waited for.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}
