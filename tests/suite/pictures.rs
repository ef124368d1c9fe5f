//! The pictures of the README are what the program shows. `TFLOCK_DRAW=1 cargo test --locked --test suite pictures` draws them.

use std::fs;
use std::path::Path;

use crate::support::backend::{LOCK_ID, LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::picture::picture;
use crate::support::pty::{Size, Terminal};
use crate::support::waiting::wait_until;
use crate::support::words::without_changing_parts;
use crate::support::workspace::Workspace;

const COLUMNS: u16 = 92;
/// Names of users and machines can be long.
const WIDE: u16 = 200;

/// What differs from run to run, as it was on 27 November 2026.
const SAMPLES: [(&str, &str); 7] = [
    (
        "Created:   <time>",
        "Created:   2026-11-27 10:32:05 +0000 UTC (14 min ago)",
    ),
    (
        "waiting for <who> (",
        "waiting for ana@laptop [apply, 14 min] (",
    ),
    ("<who>", "ana@laptop"),
    ("is waiting: ana@laptop", "is waiting: carlos@desk"),
    ("<time>", "10:32, 14 min ago"),
    ("<age>", "4 s"),
    ("<ID>", "4db125df-d950-b194-cf41-df3ed13f0cf1"),
];

/// A state in S3, locked in DynamoDB by an apply that another checkout of it meets.
struct Scene {
    remote: Remote,
    holder: Workspace,
    colleague: Workspace,
}

impl Scene {
    fn new() -> Self {
        let remote = Remote::start();
        let backend = remote.backend(LockMode::DynamodbTable);
        let configuration = Configuration::with_backend(&backend).waiting_resource("one");
        let holder = Workspace::with(&configuration);
        let colleague = holder.colleague();
        holder.init();
        colleague.init();
        Self {
            remote,
            holder,
            colleague,
        }
    }

    fn terminal(&self, arguments: &[&str]) -> Terminal {
        let run = self.colleague.tflock([]).args(arguments);
        Terminal::start(
            run,
            Size {
                rows: 24,
                columns: WIDE,
            },
        )
    }

    /// What is shown up to the end of the first line with that text, as it was on the day of the samples.
    #[track_caller]
    fn shown(&self, terminal: &Terminal, text: &str) -> String {
        let whole_line = || {
            let output = terminal.output();
            let (before, rest) = output.split_once(text)?;
            let (line, _) = rest.split_once(['\r', '\n'])?;
            Some(format!("{before}{text}{line}"))
        };
        wait_until(text, || whole_line().is_some());
        let shown = whole_line().unwrap();
        // The sample stands for it.
        assert!(
            !shown.contains(" waiting for ") || shown.contains(" [apply, "),
            "{shown}"
        );
        let info = self.remote.table.lock_info(LOCK_ID).unwrap();
        let shown = shown.replace("\r\n", "\n");
        let shown = shown.replace(info["Who"].as_str().unwrap(), "<who>");
        let shown = shown.replace(info["Version"].as_str().unwrap(), "1.11.4");
        let shown =
            without_changing_parts(&shown).replace(self.remote.table.name(), "terraform-locks");
        let shown = (0..10).fold(shown, |shown, late| {
            shown.replace(&format!("({late} s of"), "(8 s of")
        });
        let samples = SAMPLES.iter();
        let shown = samples.fold(shown, |shown, (part, sample)| shown.replace(part, sample));
        shown.replace('\n', "\r\n")
    }
}

/// Compares `docs/pictures/NAME.svg` with what a command showed.
#[track_caller]
fn compare(name: &str, command: &str, shown: &str, title: &str) {
    let typed = format!("\x1b[2m$\x1b[m \x1b[1m{command}\x1b[m\r\n");
    let drawn = picture(&format!("{typed}{shown}"), COLUMNS, title);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/pictures/{name}.svg"));
    if std::env::var_os("TFLOCK_DRAW").is_some() {
        fs::write(&path, &drawn).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == drawn,
        "the program shows something else than {}: draw it anew\n{drawn}",
        path.display()
    );
    assert!(kept.len() < 40_000);
}

#[test]
fn a_second_terminal_waits_sees_who_holds_the_lock_or_gives_up_at_once() {
    let scene = Scene::new();
    let run = scene.holder.tflock(["apply", "-auto-approve"]);
    let run = run
        .env("TFLOCK_REASON", "rotating the database password")
        .start();
    scene.holder.wait_until_started();

    let mut waiting = scene.terminal(&["apply"]);
    let shown = scene.shown(&waiting, "\u{2801} waiting ");
    compare(
        "waiting",
        "tflock apply",
        &shown,
        "A run that waits for the lock and shows who holds it",
    );

    let status = scene.terminal(&["--no-input", "status"]);
    let shown = scene.shown(&status, "lock ID");
    compare(
        "status",
        "tflock status",
        &shown,
        "Who holds the lock, since when, why, and whether that run is alive",
    );

    let refused = scene.terminal(&["--wait", "0", "apply"]);
    let shown = scene.shown(&refused, "hint:");
    compare(
        "held",
        "tflock --wait 0 apply",
        &shown,
        "The lock is held: by whom, since when, why, and what to type next",
    );

    waiting.press_ctrl_c();
    waiting.wait();
    scene.holder.let_go();
    run.wait().succeeded();
}
