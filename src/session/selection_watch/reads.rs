//! Tells from the reads of the selection's files whether terraform has read what decides.
//!
//! What terraform 1.11.4 reads according to strace, with R for the record, E for the workspace file and L for the list of
//! files in its directory: `plan`, `apply` and `refresh` L R E L E L; `taint` and `import` L R E L E; `state rm` L R E L E E;
//! `apply PLANFILE` E L E L; `workspace select` E L R L, and then it writes; `version` nothing. Minutes can pass between R and
//! the first E (an STS that does not answer), but only terraform's own work lies between the two E, of which the second
//! decides. The kernel does not report an E if the file is missing; it does report an L.

use std::time::Duration;

use crate::child::Worker;
use crate::resolve::SelectionFiles;
use crate::system::file_watch::Touch;

/// How long after a read the same file may be read again.
const QUIET: Duration = Duration::from_millis(400);

/// How long it may take from the first read of the workspace to the second one, which every known terraform does.
const SECOND_READING: Duration = Duration::from_secs(10);

/// Counts the reads so far, by any process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reads {
    /// Whether terraform reads the record, and the workspace file.
    of_record: bool,
    of_workspace: bool,
    has_workspace_file: bool,
    records: u32,
    workspaces: u32,
    lists: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Unread,
    Read,
    ReadUnlessMoreWithin(Duration),
}

impl Reads {
    pub(super) fn of(paths: &SelectionFiles) -> Self {
        Self {
            of_record: paths.reads_record && paths.record().exists(),
            of_workspace: paths.reads_workspace,
            has_workspace_file: paths.workspace().exists(),
            records: 0,
            workspaces: 0,
            lists: 0,
        }
    }

    /// Counts a read if the worker may have done it; returns whether that file decides.
    pub(super) fn note(&mut self, touch: &Touch, worker: Worker) -> bool {
        if !matches!(worker, Worker::Program | Worker::Script) {
            return false;
        }
        // Reads before that of the record do not decide.
        let is_begun = !self.of_record || self.records > 0 || worker == Worker::Script;
        match touch {
            Touch::Read(name) if name == SelectionFiles::RECORD => self.records += 1,
            Touch::Read(name) if name == SelectionFiles::WORKSPACE && is_begun => {
                self.workspaces += 1;
            }
            Touch::Listed if is_begun => {
                self.lists += 1;
                return false;
            }
            Touch::Read(_) | Touch::Listed | Touch::Changed => return false,
        }
        true
    }

    /// What the reads so far mean, given the process that works under the lock.
    pub(super) fn standing(&self, worker: Worker) -> Standing {
        match worker {
            Worker::Program => self.by_program(),
            Worker::Script => {
                let is_read = self.workspaces > 0 || (!self.has_workspace_file && self.records > 0);
                if is_read {
                    Standing::ReadUnlessMoreWithin(QUIET)
                } else {
                    Standing::Unread
                }
            }
            Worker::Unknown | Worker::Ended => Standing::Unread,
        }
    }

    fn by_program(&self) -> Standing {
        if self.of_record && self.records == 0 {
            return Standing::Unread;
        }
        let others = self.records - u32::from(self.of_record);
        if !self.of_workspace {
            return Standing::ReadUnlessMoreWithin(QUIET);
        }
        if self.has_workspace_file {
            return match self.workspaces {
                count if count >= 2 * (1 + others) => Standing::Read,
                1 if others == 0 => Standing::ReadUnlessMoreWithin(SECOND_READING),
                _ => Standing::Unread,
            };
        }
        if self.lists > 2 * others {
            Standing::ReadUnlessMoreWithin(QUIET)
        } else {
            Standing::Unread
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standing after the reads in `letters` (see above), in a directory with or without a record and a workspace file.
    fn after(letters: &str, of_record: bool, has_workspace_file: bool, worker: Worker) -> Standing {
        let mut reads = Reads {
            of_record,
            of_workspace: true,
            has_workspace_file,
            records: 0,
            workspaces: 0,
            lists: 0,
        };
        for letter in letters.chars() {
            let touch = match letter {
                'R' => Touch::Read(SelectionFiles::RECORD.into()),
                'E' => Touch::Read(SelectionFiles::WORKSPACE.into()),
                _ => Touch::Listed,
            };
            reads.note(&touch, worker);
        }
        reads.standing(worker)
    }

    const QUIETLY: Standing = Standing::ReadUnlessMoreWithin(QUIET);

    #[test]
    fn each_terraform_command_is_recognised_when_it_has_read_what_decides() {
        let program = Worker::Program;
        for (letters, expected) in [
            ("L", Standing::Unread),
            ("LR", Standing::Unread),
            ("LREL", Standing::ReadUnlessMoreWithin(SECOND_READING)),
            ("LRELE", Standing::Read),
        ] {
            assert_eq!(after(letters, true, true, program), expected, "{letters}");
        }
        for (letters, expected) in [
            ("L", Standing::Unread),
            ("LR", Standing::Unread),
            ("LRL", QUIETLY),
        ] {
            assert_eq!(after(letters, true, false, program), expected, "{letters}");
        }
        assert_eq!(after("LELE", false, true, program), Standing::Read);
        assert_eq!(after("L", false, false, program), QUIETLY);
    }

    #[test]
    fn a_concurrent_workspace_select_is_not_taken_for_the_child() {
        let program = Worker::Program;
        assert_eq!(
            after("LR ELREL".replace(' ', "").as_str(), true, true, program),
            Standing::Unread
        );
        assert_eq!(after("LRELRELELE", true, true, program), Standing::Read);
        assert_eq!(after("LRLRL", true, false, program), Standing::Unread);
        assert_eq!(after("LRLRLLL", true, false, program), QUIETLY);
    }

    #[test]
    fn reads_do_not_count_while_no_process_can_be_terraform() {
        assert_eq!(
            after("LRELE", true, true, Worker::Unknown),
            Standing::Unread
        );
        assert_eq!(after("E", true, true, Worker::Script), QUIETLY);
        assert_eq!(after("", true, true, Worker::Script), Standing::Unread);
    }
}
