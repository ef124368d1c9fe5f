//! How long a lock that has become free stays unused while somebody waits for it.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::sample::{Sample, figure};
use super::table::{Row, Verdict};
use crate::support::backend::{LockMode, Remote, STATE_KEY};
use crate::support::configuration::Configuration;
use crate::support::process::Running;
use crate::support::proxy::{Delay, Exchange, Outcome, Proxy};
use crate::support::s3::BUCKET;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

const ROUND_TRIPS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(30),
    Duration::from_millis(100),
];
/// Waiters of either kind at each round trip.
const WAITERS: usize = 10;
/// How long a lock stays held after the waiter has begun to wait, in milliseconds.
const HELD_FOR: std::ops::Range<u64> = 3_000..20_000;
/// The longest that anything here may take: starting all waiters, holding, terraform's longest pause.
const LIMIT: Duration = Duration::from_mins(4);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lock {
    Item,
    Object,
}

const LOCKS: [Lock; 2] = [Lock::Item, Lock::Object];

impl Lock {
    fn mode(self) -> LockMode {
        match self {
            Self::Item => LockMode::DynamodbTable,
            Self::Object => LockMode::Lockfile,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Object => "lock file",
        }
    }
}

/// What a waiter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Terraform,
    Tflock,
}

pub fn measure() -> Vec<Row> {
    let remote = Remote::start();
    let ways = LOCKS
        .into_iter()
        .flat_map(|lock| ROUND_TRIPS.map(|time| (lock, time)));
    let networks: Vec<_> = ways
        .map(|(lock, round_trip)| Network::start(&remote, lock, round_trip))
        .collect();
    let stores = &remote;
    let removals = thread::scope(|scope| {
        let mut removals = Vec::new();
        for pair in 0..WAITERS {
            for network in &networks {
                // The same for both of a pair, so that neither is luckier.
                let held_for = random_within(HELD_FOR);
                for kind in [Kind::Terraform, Kind::Tflock] {
                    let waiter = network.start_waiter(stores, kind, pair);
                    let removal = scope.spawn(move || waiter.outlive(stores, held_for));
                    removals.push((network, kind, removal));
                }
            }
        }
        let removals = removals.into_iter().map(|(network, kind, removal)| {
            let removal = removal.join().expect("a waiter gets its lock");
            (network, kind, removal)
        });
        removals.collect::<Vec<_>>()
    });
    let mut samples: HashMap<(Lock, Duration, Kind), Sample> = HashMap::new();
    for (network, kind, removal) in removals {
        let way = (network.lock, network.round_trip, kind);
        let sample = samples.entry(way).or_default();
        sample.add(network.hand_over(&removal).as_secs_f64());
    }
    let row = |network: &Network| {
        let (lock, round_trip) = (network.lock, network.round_trip);
        let [terraform, tflock] =
            [Kind::Terraform, Kind::Tflock].map(|kind| &samples[&(lock, round_trip, kind)]);
        let shown = |sample: &Sample| {
            let worst = figure(sample.worst());
            format!("{}, worst {worst} s", sample.shown("s"))
        };
        let title = format!("{}, {} ms round trip", lock.name(), round_trip.as_millis());
        Row::of(title)
            .terraform(shown(terraform))
            .tflock(shown(tflock))
            .budget(
                "median at most 0.5 s",
                Verdict::of_at_most(tflock.median(), 0.5),
            )
    };
    networks.iter().map(row).collect()
}

/// The way to the stores, and an initialised directory whose workspaces are locked one by one.
struct Network {
    lock: Lock,
    round_trip: Duration,
    workspace: Workspace,
    key: String,
    /// Before the store of the lock.
    store: Proxy,
    store_started: Instant,
    /// Before the other one.
    _other: Proxy,
}

impl Network {
    fn start(remote: &Remote, lock: Lock, round_trip: Duration) -> Self {
        let store_started = Instant::now();
        let s3 = Proxy::before(remote.s3.url());
        let dynamodb = Proxy::before(remote.dynamodb.url());
        let key = format!("{lock:?}-{}-{STATE_KEY}", round_trip.as_millis());
        let backend = remote
            .backend(lock.mode())
            .key(&key)
            .s3_url(s3.url())
            .dynamodb_url(dynamodb.url());
        let configuration = Configuration::with_backend(&backend).resource("one", "1");
        let workspace = Workspace::with(&configuration);
        workspace.init();
        workspace
            .terraform(["apply", "-auto-approve"])
            .run()
            .succeeded();
        s3.set_delay(Delay::round_trip(round_trip));
        dynamodb.set_delay(Delay::round_trip(round_trip));
        let (store, other) = match lock {
            Lock::Item => (dynamodb, s3),
            Lock::Object => (s3, dynamodb),
        };
        Self {
            lock,
            round_trip,
            workspace,
            key,
            store,
            store_started,
            _other: other,
        }
    }

    /// Locks a workspace of its own for the waiter, starts it, and returns when it has been refused.
    fn start_waiter(&self, remote: &Remote, kind: Kind, pair: usize) -> Waiter {
        let name = format!("{kind:?}-{pair}");
        let state_path = format!("env:/{name}/{}", self.key);
        // terraform would otherwise create the workspace first, under the very lock that is held.
        let state = remote.s3.object(&self.key).expect("the default state");
        remote.s3.put(&state_path, state.body);
        let lock_id = format!("{BUCKET}/{state_path}");
        let info = json!({
            "ID": "62d1ec43-aa57-55e6-d9b5-0461699f1699",
            "Operation": "OperationTypeApply",
            "Info": "",
            "Who": "ana@laptop",
            "Version": "1.11.4",
            "Created": "2026-01-01T00:00:00Z",
            "Path": lock_id,
        });
        let place = match self.lock {
            Lock::Item => {
                remote.table.put_lock(&lock_id, &info);
                lock_id
            }
            Lock::Object => {
                let object = format!("{state_path}.tflock");
                remote.s3.put(&object, info.to_string());
                object
            }
        };
        let plan = match kind {
            Kind::Terraform => {
                self.workspace
                    .terraform(["plan", "-input=false", "-lock-timeout=5m"])
            }
            Kind::Tflock => self.workspace.tflock(["plan", "-input=false"]),
        };
        let running = plan.env("TF_WORKSPACE", name).within(LIMIT).start();
        wait_until("a waiter to be refused", || {
            let log = self.store.log();
            log.iter()
                .any(|one| self.is_put(one, &place) && is_refused(one))
        });
        Waiter {
            running,
            lock: self.lock,
            place,
        }
    }

    /// Whether it is an attempt to take that lock.
    fn is_put(&self, one: &Exchange, place: &str) -> bool {
        match self.lock {
            Lock::Item => one.action == "PutItem" && one.request.contains(place),
            // Colons may be sent as they are or as `%3A`.
            Lock::Object => {
                one.action.starts_with("PUT ")
                    && one
                        .action
                        .replace("%3A", ":")
                        .ends_with(&format!("/{place}"))
            }
        }
    }

    /// From the removal until the waiter was answered that its item is written.
    fn hand_over(&self, removal: &Removal) -> Duration {
        let log = self.store.log();
        let taken = log
            .iter()
            .find(|one| self.is_put(one, &removal.place) && is_done(one));
        let taken = taken.expect("a waiter that succeeded has taken its lock");
        let answered = self.store_started + taken.at + self.round_trip;
        answered.saturating_duration_since(removal.at)
    }
}

fn is_refused(one: &Exchange) -> bool {
    matches!(one.outcome, Outcome::Answered(400 | 412))
}

fn is_done(one: &Exchange) -> bool {
    one.outcome == Outcome::Answered(200)
}

struct Waiter {
    running: Running,
    lock: Lock,
    /// The key of the item, or of the object.
    place: String,
}

struct Removal {
    place: String,
    at: Instant,
}

impl Waiter {
    /// Removes the lock after that time, and waits for the end of the waiter.
    fn outlive(self, remote: &Remote, held_for: Duration) -> Removal {
        thread::sleep(held_for);
        let at = Instant::now();
        match self.lock {
            Lock::Item => {
                remote.table.delete(&self.place);
            }
            Lock::Object => remote.s3.remove(&self.place),
        }
        self.running.wait().succeeded();
        Removal {
            place: self.place,
            at,
        }
    }
}

fn random_within(milliseconds: std::ops::Range<u64>) -> Duration {
    let random = getrandom::u64().expect("randomness");
    let length = milliseconds.end - milliseconds.start;
    Duration::from_millis(milliseconds.start + random % length)
}
