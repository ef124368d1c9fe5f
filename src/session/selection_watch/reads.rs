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
pub(super) const QUIET: Duration = Duration::from_millis(400);

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
pub(super) enum Reading {
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
    pub(super) fn reading(&self, worker: Worker) -> Reading {
        match worker {
            Worker::Program => self.by_program(),
            Worker::Script => {
                let is_read = self.workspaces > 0 || (!self.has_workspace_file && self.records > 0);
                if is_read {
                    Reading::ReadUnlessMoreWithin(QUIET)
                } else {
                    Reading::Unread
                }
            }
            Worker::Unknown | Worker::Ended => Reading::Unread,
        }
    }

    fn by_program(&self) -> Reading {
        if self.of_record && self.records == 0 {
            return Reading::Unread;
        }
        let others = self.records - u32::from(self.of_record);
        if !self.of_workspace {
            return Reading::ReadUnlessMoreWithin(QUIET);
        }
        if self.has_workspace_file {
            return match self.workspaces {
                count if count >= 2 * (1 + others) => Reading::Read,
                1 if others == 0 => Reading::ReadUnlessMoreWithin(SECOND_READING),
                _ => Reading::Unread,
            };
        }
        if self.lists > 2 * others {
            Reading::ReadUnlessMoreWithin(QUIET)
        } else {
            Reading::Unread
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What terraform has read after the reads in `letters` (see above), in a directory with or without a record and a workspace file.
    fn after(letters: &str, of_record: bool, has_workspace_file: bool, worker: Worker) -> Reading {
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
        reads.reading(worker)
    }

    const QUIETLY: Reading = Reading::ReadUnlessMoreWithin(QUIET);

    #[test]
    fn each_terraform_command_is_recognised_when_it_has_read_what_decides() {
        let program = Worker::Program;
        for (letters, expected) in [
            ("L", Reading::Unread),
            ("LR", Reading::Unread),
            ("LREL", Reading::ReadUnlessMoreWithin(SECOND_READING)),
            ("LRELE", Reading::Read),
        ] {
            assert_eq!(after(letters, true, true, program), expected, "{letters}");
        }
        for (letters, expected) in [
            ("L", Reading::Unread),
            ("LR", Reading::Unread),
            ("LRL", QUIETLY),
        ] {
            assert_eq!(after(letters, true, false, program), expected, "{letters}");
        }
        assert_eq!(after("LELE", false, true, program), Reading::Read);
        assert_eq!(after("L", false, false, program), QUIETLY);
    }

    #[test]
    fn a_concurrent_workspace_select_is_not_taken_for_the_child() {
        let program = Worker::Program;
        assert_eq!(
            after("LR ELREL".replace(' ', "").as_str(), true, true, program),
            Reading::Unread
        );
        assert_eq!(after("LRELRELELE", true, true, program), Reading::Read);
        assert_eq!(after("LRLRL", true, false, program), Reading::Unread);
        assert_eq!(after("LRLRLLL", true, false, program), QUIETLY);
    }

    #[test]
    fn reads_do_not_count_while_no_process_can_be_terraform() {
        assert_eq!(after("LRELE", true, true, Worker::Unknown), Reading::Unread);
        assert_eq!(after("E", true, true, Worker::Script), QUIETLY);
        assert_eq!(after("", true, true, Worker::Script), Reading::Unread);
    }
}
