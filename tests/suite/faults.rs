//! Requests and answers that are lost, cut off, late, repeated or refused: a run ends as if they had not been.
//!
//! Many runs at once, each with a lock and a proxy of its own before one engine.

mod answers;
mod clocks;
mod dynamodb;
mod objects;
mod reads;
mod release;
mod silence;
mod stragglers;
mod with_terraform;

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::dynamodb::{Dynamodb, Table};
use crate::support::process::{Finished, Invocation, Running};
use crate::support::proxy::{Exchange, Fault, Outcome, Proxy};
use crate::support::recorded::s3_workspace;
use crate::support::s3::S3;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

/// Counts that it runs, waits to be let go, and ends with the code that it is given.
const CHILD: &str = "\
echo ran >>\"$1.runs\"
while [ ! -e \"$1.go\" ] && [ -e child.sh ]; do sleep 0.2; done
exit \"${2:-0}\"
";

/// Everything that may pass; each is used up by one request.
fn passing_faults() -> [Fault; 11] {
    let moment = Duration::from_millis(100);
    [
        Fault::DropRequest,
        Fault::DropReply,
        Fault::TruncateReply,
        Fault::Reset,
        Fault::Hang(moment),
        Fault::HangReply(moment),
        Fault::Straggle(moment),
        Fault::Throttled,
        Fault::Conflict,
        Fault::InternalError,
        Fault::Unavailable,
    ]
}

/// How many runs are tried at once: the ten seconds for taking a lock pass on a busy machine as well.
const AT_ONCE: usize = 6;

/// Each of these faults once, and three times in a row, some of them at the same time.
fn once_and_three_times(
    faults: impl IntoIterator<Item = Fault>,
    run: impl Fn(&Fault, usize) + Sync,
) {
    let run = &run;
    let each: Vec<_> = faults
        .into_iter()
        .flat_map(|fault| [1, 3].map(|times| (fault.clone(), times)))
        .collect();
    let next = Mutex::new(each.into_iter());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((fault, times)) = take() {
                    let name = format!("{fault:?}, {times} times");
                    let thread = thread::Builder::new().name(name.clone());
                    let tried = thread.spawn_scoped(scope, move || run(&fault, times));
                    let tried = tried.expect("a thread").join();
                    assert!(tried.is_ok(), "{name}");
                }
            });
        }
    });
}

/// A store for many runs, and the directory in which they run.
struct Ground {
    engine: Engine,
    workspace: Workspace,
}

enum Engine {
    Table { dynamodb: Dynamodb, table: Table },
    Bucket(S3),
}

impl Ground {
    fn with_table() -> Self {
        let dynamodb = Dynamodb::start();
        let table = dynamodb.create_table("faults");
        let workspace = Workspace::new()
            .env("AWS_REGION", "us-east-1")
            .env("TFLOCK_TABLE", table.name());
        Self::new(Engine::Table { dynamodb, table }, workspace)
    }

    fn with_bucket() -> Self {
        let workspace = s3_workspace(&json!({ "region": "us-east-1", "use_lockfile": true }));
        Self::new(Engine::Bucket(S3::start()), workspace)
    }

    fn new(engine: Engine, workspace: Workspace) -> Self {
        workspace.write("child.sh", CHILD);
        Self { engine, workspace }
    }

    /// A lock of that name behind a proxy of its own.
    fn lock(&self, name: &str) -> Lock<'_> {
        let url = match &self.engine {
            Engine::Table { dynamodb, .. } => dynamodb.url(),
            Engine::Bucket(s3) => s3.url(),
        };
        Lock {
            ground: self,
            name: name.to_owned(),
            proxy: Proxy::before(url),
        }
    }
}

/// One lock, and its way to the engine.
struct Lock<'a> {
    ground: &'a Ground,
    name: String,
    proxy: Proxy,
}

impl Lock<'_> {
    /// What names the lock in the store.
    fn key(&self) -> String {
        match self.ground.engine {
            Engine::Table { .. } => self.name.clone(),
            Engine::Bucket(_) => format!("{}.tflock", self.name),
        }
    }

    /// tflock for this lock.
    fn tflock<const N: usize>(&self, arguments: [&str; N]) -> Invocation {
        let variable = match self.ground.engine {
            Engine::Table { .. } => "AWS_ENDPOINT_URL_DYNAMODB",
            Engine::Bucket(_) => "AWS_ENDPOINT_URL_S3",
        };
        self.ground
            .workspace
            .tflock(arguments)
            .env("TFLOCK_LOCK_ID", self.key())
            .env(variable, self.proxy.url())
    }

    /// A run with these options whose child waits to be let go, and ends with 0.
    fn run<const N: usize>(&self, options: [&str; N]) -> Invocation {
        self.run_ending_with(0, options)
    }

    fn run_ending_with<const N: usize>(&self, code: i32, options: [&str; N]) -> Invocation {
        self.tflock(options)
            .args(["exec", "--", "sh", "child.sh", &self.name])
            .arg(code.to_string())
    }

    /// Starts it and waits for its child.
    #[track_caller]
    fn start(&self, run: Invocation) -> Running {
        let mut running = run.start();
        wait_until("the start of the child", || {
            self.children() > 0 || !running.is_running()
        });
        assert_eq!(self.children(), 1, "{running}{:#?}", self.proxy.log());
        running
    }

    /// How many children have run.
    fn children(&self) -> usize {
        let file = self.ground.workspace.file(format!("{}.runs", self.name));
        fs::read_to_string(file).unwrap_or_default().lines().count()
    }

    fn let_go(&self) {
        self.ground
            .workspace
            .write(&format!("{}.go", self.name), "");
    }

    /// Whether anything stands in the store.
    fn is_held(&self) -> bool {
        match &self.ground.engine {
            Engine::Table { table, .. } => table.item(&self.name).is_some(),
            Engine::Bucket(s3) => s3.object(&self.key()).is_some(),
        }
    }

    /// How many requests were spoiled.
    fn spoiled(&self) -> usize {
        let log = self.proxy.log();
        log.iter().filter(|one| one.fault.is_some()).count()
    }

    /// The last request of that action.
    fn last(&self, action: &str) -> Option<Exchange> {
        let mut log = self.proxy.log();
        log.retain(|one| one.action == action);
        log.pop()
    }

    /// Spoils that many renewals, and waits for one that succeeds.
    #[track_caller]
    fn spoil_renewals(&self, running: &mut Running, times: usize, fault: &Fault) {
        let before = self.spoiled();
        self.proxy.on("PutItem").times(times, fault);
        wait_until("a renewal after all that failed", || {
            let last = self.last("PutItem").map(|put| put.outcome);
            let renewed = last == Some(Outcome::Answered(200));
            (self.spoiled() == before + times && renewed) || !running.is_running()
        });
    }
}

/// What came of a run, without the word of why it takes long: a busy machine is what that is for.
fn whatever_took_long(mut finished: Finished) -> Finished {
    let is_about_time = |line: &str| {
        line.starts_with("warning: the lock is not released yet: ")
            || line.ends_with("; trying again")
    };
    finished.stderr = finished
        .stderr
        .split_inclusive('\n')
        .filter(|line| !is_about_time(line.trim_end()))
        .collect();
    finished
}
