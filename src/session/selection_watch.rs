//! Watches whether the selection (backend record and workspace) changes before terraform has read it. A change after that
//! does not matter.
//!
//! The kernel reports that the files are read, but not by which process. So whenever they are, we look at the process that
//! works under the lock, and discount what other commands in the same directory read (a `workspace select` in another
//! terminal). As long as such a command is at work, no quiet time counts as the end of our child's reading.

mod reads;
mod strangers;

use std::future::{Future, pending};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use self::reads::{QUIET, Reading, Reads};
use crate::child::Worker;
use crate::resolve::{Selected, SelectionFiles};
use crate::system::file_watch::{FileWatch, Touch};

/// The longest time until terraform has read the selection, if the kernel does not tell. Only `TF_WORKSPACE` could pin the
/// workspace, and every program that terraform starts in other directories would inherit it.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

type Look = Pin<Box<dyn Future<Output = Option<bool>>>>;

/// Watches the selection.
pub(super) struct SelectionWatch {
    /// Reads the selection again.
    read_again: Box<dyn Fn() -> Look>,
    /// Where terraform works.
    directory: PathBuf,
    /// `None` if the files cannot be watched.
    files: Option<FileWatch>,
    reads: Reads,
    started: Instant,
    look: Option<Look>,
    /// Whether something may have changed since that look began.
    look_again: bool,
    /// What happened during that look, our own reads included.
    meanwhile: Vec<Touch>,
    change: Change,
    has_met_program: bool,
    settles_at: Option<Instant>,
    is_settled: bool,
}

/// Whether the selection is known to have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// So early that whatever was started may have read it.
    Early,
    /// Later, and no process was seen to read it since.
    Late,
}

/// What has happened.
pub(super) enum Noticed {
    Touched(Vec<Touch>),
    Looked(Option<bool>),
    Time,
}

/// What that means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Nothing,
    /// terraform has read the selection that is locked.
    Settled,
    /// terraform may work on another one.
    Changed,
}

impl SelectionWatch {
    /// Starts to watch. Call before the last check of the selection.
    pub(super) fn new(selected: Selected) -> Self {
        let paths = selected.files();
        let read_again = move || -> Look {
            let selected = selected.clone();
            Box::pin(async move { selected.is_unchanged().await })
        };
        Self::over(&paths, Box::new(read_again))
    }

    fn over(paths: &SelectionFiles, read_again: Box<dyn Fn() -> Look>) -> Self {
        let files = FileWatch::start(&paths.directory, &paths.data_directory).ok();
        Self {
            read_again,
            directory: paths.directory.clone(),
            files: files.filter(|_| paths.can_be_watched()),
            reads: Reads::of(paths),
            started: Instant::now(),
            look: None,
            look_again: false,
            meanwhile: Vec::new(),
            change: Change::None,
            has_met_program: false,
            settles_at: None,
            is_settled: false,
        }
    }

    /// Call when the child is about to be started: all reads so far were by others.
    pub(super) fn begin(&mut self) {
        self.started = Instant::now();
        match &mut self.files {
            Some(files) => {
                if files.so_far().contains(&Touch::Changed) {
                    self.look();
                }
            }
            None => self.settles_at = Some(self.started + SETTLED_AFTER),
        }
    }

    /// One look at a time: an abandoned one would go on reading, and its reads be mistaken for terraform's.
    fn look(&mut self) {
        self.look = Some((self.read_again)());
    }

    /// Waits for the next event; for ever once settled. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Noticed {
        if self.is_settled {
            pending::<()>().await;
        }
        let looked = async {
            match &mut self.look {
                Some(look) => look.await,
                None => pending().await,
            }
        };
        let touched = async {
            match &mut self.files {
                Some(files) => files.next().await,
                None => pending().await,
            }
        };
        let time = async {
            match self.settles_at {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            touched = touched => Noticed::Touched(touched.unwrap_or_else(|_| vec![Touch::Changed])),
            looked = looked => {
                self.look = None;
                Noticed::Looked(looked)
            }
            () = time => Noticed::Time,
        }
    }

    /// Judges an event; `worker` looks at the process that works under the lock.
    pub(super) fn take_in(&mut self, noticed: Noticed, worker: impl FnOnce() -> Worker) -> Verdict {
        match noticed {
            Noticed::Touched(touches) => self.touched(&touches, worker()),
            Noticed::Looked(is_unchanged) => self.looked(is_unchanged, worker()),
            Noticed::Time if self.files.is_none() && self.look.is_none() => {
                self.settles_at = None;
                self.look();
                Verdict::Nothing
            }
            // It decides, and sets another time if need be.
            Noticed::Time if self.look.is_some() => {
                self.settles_at = None;
                Verdict::Nothing
            }
            Noticed::Time if strangers::are_selecting(&self.directory, std::process::id()) => {
                self.settles_at = Some(Instant::now() + QUIET);
                Verdict::Nothing
            }
            Noticed::Time => {
                self.settles_at = None;
                // What a stranger did before it ended may not have been told yet.
                let files = self.files.iter_mut();
                let touches: Vec<Touch> = files.flat_map(FileWatch::so_far).collect();
                if !touches.is_empty() {
                    return self.touched(&touches, worker());
                }
                match self.change {
                    Change::None => self.settle(),
                    Change::Early => self.changed(),
                    Change::Late => Verdict::Nothing,
                }
            }
        }
    }

    fn touched(&mut self, touches: &[Touch], worker: Worker) -> Verdict {
        self.has_met_program |= worker == Worker::Program;
        for touch in touches {
            match touch {
                Touch::Changed if self.look.is_none() => self.look(),
                touch if self.look.is_some() => {
                    self.look_again |= *touch == Touch::Changed;
                    self.meanwhile.push(touch.clone());
                }
                touch => {
                    let counts = self.reads.note(touch, worker);
                    if counts && self.change != Change::None {
                        return self.changed();
                    }
                    // Whatever was done after that may be told together with it.
                    if counts && self.reads.reading(worker) == Reading::Read {
                        return self.settle();
                    }
                }
            }
        }
        if self.look.is_some() || self.change != Change::None {
            return Verdict::Nothing;
        }
        match self.reads.reading(worker) {
            Reading::Unread => {
                self.settles_at = None;
                Verdict::Nothing
            }
            Reading::Read => self.settle(),
            Reading::ReadUnlessMoreWithin(limit) => {
                self.settles_at = Some(Instant::now() + limit);
                Verdict::Nothing
            }
        }
    }

    fn looked(&mut self, is_unchanged: Option<bool>, worker: Worker) -> Verdict {
        self.has_met_program |= worker == Worker::Program;
        if std::mem::take(&mut self.look_again) {
            let touches = self.touches_during_look();
            let since = touches.iter().rposition(|touch| *touch == Touch::Changed);
            // Whoever read something before the last change has read what is no more.
            self.meanwhile = touches[since.map_or(0, |at| at + 1)..].to_vec();
            self.look();
            return Verdict::Nothing;
        }
        if self.files.is_none() {
            return match is_unchanged {
                Some(false) => self.changed(),
                _ => self.settle(),
            };
        }
        let touches = self.touches_during_look();
        self.note(is_unchanged);
        if self.change == Change::Early {
            self.settles_at = Some(self.started + SETTLED_AFTER);
        }
        if self.change != Change::None && worker == Worker::Program {
            return self.changed();
        }
        self.touched(&touches, worker)
    }

    /// What others have done during the look that is over. Its own reads look like any others: the first of each kind is left
    /// out, because those after a change must not be missed.
    fn touches_during_look(&mut self) -> Vec<Touch> {
        let mut touches = std::mem::take(&mut self.meanwhile);
        touches.extend(self.files.iter_mut().flat_map(FileWatch::so_far));
        for own in [
            Touch::Read(SelectionFiles::RECORD.into()),
            Touch::Read(SelectionFiles::WORKSPACE.into()),
            Touch::Listed,
        ] {
            if let Some(at) = touches.iter().position(|touch| *touch == own) {
                touches.remove(at);
            }
        }
        touches
    }

    fn changed(&mut self) -> Verdict {
        self.is_settled = true;
        Verdict::Changed
    }

    fn settle(&mut self) -> Verdict {
        self.is_settled = true;
        self.files = None;
        Verdict::Settled
    }

    /// Whether the child, which has ended, may have worked on another selection.
    pub(super) async fn has_changed_at_end(&mut self) -> bool {
        if self.is_settled {
            return false;
        }
        let may_have_changed = match &mut self.files {
            Some(files) => self.look.is_some() || files.so_far().contains(&Touch::Changed),
            None => true,
        };
        if may_have_changed {
            let is_unchanged = (self.read_again)().await;
            self.note(is_unchanged);
        }
        match self.change {
            Change::None => false,
            Change::Early => true,
            Change::Late => self.files.is_none() || self.has_met_program,
        }
    }

    fn note(&mut self, is_unchanged: Option<bool>) {
        self.change = match is_unchanged {
            Some(false) if self.started.elapsed() < SETTLED_AFTER => Change::Early,
            // It was early, and has not been undone.
            Some(false) if self.change == Change::Early => Change::Early,
            Some(false) => Change::Late,
            Some(true) | None => Change::None,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A directory with a record and a file of the workspace, watched by the kernel or not, that is no more as it was when it is
    /// read again.
    fn watch(directory: &Path, by_kernel: bool) -> SelectionWatch {
        let paths = SelectionFiles {
            directory: directory.to_owned(),
            data_directory: directory.join("data"),
            reads_record: true,
            reads_workspace: true,
        };
        std::fs::create_dir(&paths.data_directory).unwrap();
        for file in [paths.record(), paths.workspace()] {
            std::fs::write(file, "{}").unwrap();
        }
        let mut watch = SelectionWatch::over(&paths, Box::new(|| Box::pin(async { Some(false) })));
        if !by_kernel {
            watch.files = None;
        }
        watch.begin();
        watch
    }

    fn told(watch: &mut SelectionWatch, letters: &str, worker: Worker) -> Verdict {
        let touches = letters.chars().map(|letter| match letter {
            'R' => Touch::Read(SelectionFiles::RECORD.into()),
            'E' => Touch::Read(SelectionFiles::WORKSPACE.into()),
            'L' => Touch::Listed,
            _ => Touch::Changed,
        });
        watch.take_in(Noticed::Touched(touches.collect()), || worker)
    }

    #[tokio::test]
    async fn a_change_counts_until_all_is_read_though_both_are_told_at_once() {
        for (letters, at_once, after_a_look) in [
            ("LRELE!", Verdict::Settled, None),
            ("LRE!LE", Verdict::Nothing, Some(Verdict::Changed)),
            ("!LRELE", Verdict::Nothing, Some(Verdict::Changed)),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let mut watch = watch(directory.path(), true);
            let verdict = told(&mut watch, letters, Worker::Program);
            assert_eq!(verdict, at_once, "{letters}");
            if let Some(expected) = after_a_look {
                let Noticed::Looked(looked) = watch.next().await else {
                    panic!("it was not read again");
                };
                let verdict = watch.take_in(Noticed::Looked(looked), || Worker::Program);
                assert_eq!(verdict, expected, "{letters}");
            }
        }
    }

    /// Makes its looks read the files as the real ones do, and find them changed or not. Returns the workspace file.
    fn look_for_real(watch: &mut SelectionWatch, directory: &Path, is_unchanged: bool) -> PathBuf {
        let data = directory.join("data");
        let listed = directory.to_owned();
        let [record, workspace] =
            [SelectionFiles::RECORD, SelectionFiles::WORKSPACE].map(|name| data.join(name));
        let paths = [record, workspace.clone()];
        watch.read_again = Box::new(move || {
            std::fs::read_dir(&listed).unwrap().count();
            for path in &paths {
                std::fs::read(path).unwrap();
            }
            Box::pin(async move { Some(is_unchanged) })
        });
        workspace
    }

    #[tokio::test]
    async fn changes_in_quick_succession_do_not_make_our_own_reading_somebody_else_s() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = watch(directory.path(), true);
        let workspace = look_for_real(&mut watch, directory.path(), true);
        assert_eq!(told(&mut watch, "LR", Worker::Program), Verdict::Nothing);
        for _ in 0..3 {
            std::fs::write(&workspace, "{}").unwrap();
            let noticed = watch.next().await;
            let verdict = watch.take_in(noticed, || Worker::Program);
            assert_eq!(verdict, Verdict::Nothing);
        }
        while watch.look.is_some() {
            let noticed = watch.next().await;
            let verdict = watch.take_in(noticed, || Worker::Program);
            assert_eq!(verdict, Verdict::Nothing);
        }
        assert_eq!(told(&mut watch, "ELE", Worker::Program), Verdict::Settled);
    }

    #[tokio::test]
    async fn whoever_reads_during_a_look_that_is_repeated_is_not_missed() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = watch(directory.path(), true);
        let workspace = look_for_real(&mut watch, directory.path(), false);
        for change in ["x", "y"] {
            std::fs::write(&workspace, change).unwrap();
            if change == "y" {
                std::fs::read(&workspace).unwrap();
            }
            let noticed = watch.next().await;
            let verdict = watch.take_in(noticed, || Worker::Script);
            assert_eq!(verdict, Verdict::Nothing);
        }
        assert!(watch.look_again);
        let verdict = loop {
            let noticed = watch.next().await;
            match watch.take_in(noticed, || Worker::Script) {
                Verdict::Nothing if watch.look.is_some() => {}
                verdict => break verdict,
            }
        };
        assert_eq!(verdict, Verdict::Changed);
    }

    #[track_caller]
    fn settles_in(watch: &SelectionWatch, before: Instant, expected: Duration) {
        let due = watch.settles_at.expect("a time");
        let range = before + expected..=Instant::now() + expected;
        assert!(range.contains(&due), "{due:?} is not in {range:?}");
    }

    #[tokio::test]
    async fn a_time_that_is_over_settles_nothing_while_a_change_is_looked_at_or_not_yet_told() {
        for is_told in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let mut watch = watch(directory.path(), true);
            let workspace = directory
                .path()
                .join("data")
                .join(SelectionFiles::WORKSPACE);
            assert_eq!(told(&mut watch, "E", Worker::Script), Verdict::Nothing);
            std::fs::write(workspace, "stg").unwrap();
            if is_told {
                assert_eq!(told(&mut watch, "!", Worker::Script), Verdict::Nothing);
            }
            let verdict = watch.take_in(Noticed::Time, || Worker::Script);
            assert_eq!(verdict, Verdict::Nothing);
            assert!(watch.look.is_some() && !watch.is_settled, "{is_told}");
        }
    }

    #[tokio::test]
    async fn where_the_kernel_tells_nothing_it_is_read_again_two_seconds_after_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let before = Instant::now();
        let mut watch = watch(directory.path(), false);
        settles_in(&watch, before, Duration::from_secs(2));
        let verdict = watch.take_in(Noticed::Time, || Worker::Unknown);
        assert_eq!(verdict, Verdict::Nothing);
        assert!(matches!(watch.next().await, Noticed::Looked(Some(false))));
        let looked = watch.take_in(Noticed::Looked(Some(false)), || Worker::Unknown);
        assert_eq!(looked, Verdict::Changed);
    }

    #[tokio::test]
    async fn a_second_reading_is_waited_for_ten_seconds_and_one_of_a_script_for_less_than_one() {
        for (letters, worker, expected) in [
            ("LREL", Worker::Program, Duration::from_secs(10)),
            ("E", Worker::Script, Duration::from_millis(400)),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let mut watch = watch(directory.path(), true);
            let before = Instant::now();
            assert_eq!(told(&mut watch, letters, worker), Verdict::Nothing);
            settles_in(&watch, before, expected);
            let verdict = watch.take_in(Noticed::Time, || worker);
            assert_eq!(verdict, Verdict::Settled);
        }
    }
}
