//! What taking and giving back an uncontended lock adds to a `plan`, over round trips of several lengths.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sample::{Sample, figure};
use super::table::{Row, Verdict};
use super::timing::{interleaved, milliseconds, timed};
use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::process::Invocation;
use crate::support::proxy::{Delay, Proxy};
use crate::support::workspace::Workspace;

/// Round trips in milliseconds, and how many rounds each is measured.
const ROUND_TRIPS: [(u64, usize); 3] = [(0, 30), (30, 15), (100, 11)];
/// The same for what is shown at one round trip only.
const ONE_ROUND_TRIP: (u64, usize) = (100, 7);

/// What is locked, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// The default workspace, by an item.
    Item,
    /// The default workspace, by an object in S3.
    Object,
    /// A workspace of another name, by an item. tflock first makes sure that it is there.
    ItemOfWorkspace,
}

pub fn measure() -> Vec<Row> {
    let item = Contest::start(Subject::Item);
    let mut rows = Vec::new();
    for (round_trip, rounds) in ROUND_TRIPS {
        rows.extend(item.at(Duration::from_millis(round_trip), rounds));
    }
    let (round_trip, rounds) = ONE_ROUND_TRIP;
    let contests = [Subject::Object, Subject::ItemOfWorkspace].map(Contest::start);
    for contest in &contests {
        rows.extend(contest.at(Duration::from_millis(round_trip), rounds));
    }
    rows.extend(item.requests());
    rows.extend(contests.iter().flat_map(Contest::requests));
    rows
}

/// An initialised directory, and the stores behind their proxies.
struct Contest {
    subject: Subject,
    workspace: Workspace,
    s3: Proxy,
    dynamodb: Proxy,
    _remote: Remote,
}

impl Contest {
    fn start(subject: Subject) -> Self {
        let remote = Remote::start();
        let s3 = Proxy::before(remote.s3.url());
        let dynamodb = Proxy::before(remote.dynamodb.url());
        let mode = match subject {
            Subject::Object => LockMode::Lockfile,
            Subject::Item | Subject::ItemOfWorkspace => LockMode::DynamodbTable,
        };
        let backend = remote
            .backend(mode)
            .s3_url(s3.url())
            .dynamodb_url(dynamodb.url());
        let configuration = Configuration::with_backend(&backend).resource("one", "1");
        let mut workspace = Workspace::with(&configuration);
        workspace.init();
        if subject == Subject::ItemOfWorkspace {
            let new = workspace.terraform(["workspace", "new", "stg"]);
            new.run().succeeded();
            workspace = workspace.env("TF_WORKSPACE", "stg");
        }
        let apply = workspace.terraform(["apply", "-auto-approve"]);
        apply.run().succeeded();
        Self {
            subject,
            workspace,
            s3,
            dynamodb,
            _remote: remote,
        }
    }

    fn set_round_trip(&self, time: Duration) {
        self.s3.set_delay(Delay::round_trip(time));
        self.dynamodb.set_delay(Delay::round_trip(time));
    }

    /// Without a lock, with terraform's, with tflock's.
    fn plans(&self) -> [Invocation; 3] {
        let plan = ["plan", "-input=false"];
        [
            self.workspace
                .terraform(["plan", "-input=false", "-lock=false"]),
            self.workspace.terraform(plan),
            self.workspace.tflock(plan),
        ]
    }

    fn time(&self, contestant: usize) -> f64 {
        let [without, terraform, tflock] = self.plans();
        timed(match contestant {
            0 => without,
            1 => terraform,
            _ => tflock,
        })
    }

    fn at(&self, round_trip: Duration, rounds: usize) -> [Row; 2] {
        self.set_round_trip(round_trip);
        let samples = interleaved(
            rounds,
            [&|| self.time(0), &|| self.time(1), &|| self.time(2)],
        );
        let [without, terraform, tflock] = &samples;
        let at = format!("at {} ms round trip", round_trip.as_millis());
        let plan = self.plan();
        let [terraforms_cost, own_cost] =
            [terraform, tflock].map(|with| with.median() - without.median());
        let shown = |with: &Sample| cost(with, without, round_trip);
        [
            Row::of(format!("{plan} {at}"))
                .without(without.shown("ms"))
                .terraform(terraform.shown("ms"))
                .tflock(tflock.shown("ms")),
            Row::of("  cost of the lock")
                .terraform(shown(terraform))
                .tflock(shown(tflock))
                .budget(
                    "below terraform's",
                    Verdict::of_at_most(own_cost, terraforms_cost),
                ),
        ]
    }

    fn plan(&self) -> &'static str {
        match self.subject {
            Subject::Item => "plan",
            Subject::Object => "plan, lock file",
            Subject::ItemOfWorkspace => "plan, workspace",
        }
    }

    fn requests(&self) -> [Row; 3] {
        self.set_round_trip(Duration::ZERO);
        let asked = self.plans().map(|plan| self.requests_of(plan));
        let row = |what: &str, shown: &dyn Fn(&Requests) -> String| {
            let [without, terraform, tflock] = asked.each_ref().map(shown);
            Row::of(format!("{}: {what}", self.plan()))
                .without(without)
                .terraform(terraform)
                .tflock(tflock)
        };
        let [without, _, tflock] = &asked;
        [
            row("DynamoDB requests", &|asked| listed(&asked.dynamodb)),
            row("S3 requests", &|asked| listed(&asked.s3)),
            row("all requests (connections)", &|asked| {
                format!("{} ({})", asked.total(), asked.connections)
            })
            .budget(
                "2 requests for the lock",
                Verdict::of_at_most(tflock.total() - without.total(), 2.0),
            ),
        ]
    }

    fn requests_of(&self, plan: Invocation) -> Requests {
        self.s3.clear_log();
        self.dynamodb.clear_log();
        let connections = || self.s3.connections() + self.dynamodb.connections();
        let before = connections();
        timed(plan);
        // S3's actions are a method and a path; the paths are many.
        let methods = self.s3.actions().into_iter().map(|action| {
            let method = action.split(' ').next();
            method.unwrap_or_default().to_owned()
        });
        Requests {
            s3: counted(methods),
            dynamodb: counted(self.dynamodb.actions()),
            connections: connections() - before,
        }
    }
}

/// The cost of a lock in milliseconds and in round trips.
fn cost(with: &Sample, without: &Sample, round_trip: Duration) -> String {
    let cost = with.median() - without.median();
    let spread = with.minus(without).quartiles();
    let text = format!("{} ms {spread}", figure(cost));
    if round_trip.is_zero() {
        return text;
    }
    let round_trips = cost / milliseconds(round_trip);
    format!("{text} = {round_trips:.2} RT")
}

/// How often each action was asked of the stores, and over how many connections.
struct Requests {
    s3: BTreeMap<String, u32>,
    dynamodb: BTreeMap<String, u32>,
    connections: usize,
}

impl Requests {
    fn total(&self) -> f64 {
        let counts = self.s3.values().chain(self.dynamodb.values());
        f64::from(counts.sum::<u32>())
    }
}

fn counted(actions: impl IntoIterator<Item = String>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for action in actions {
        *counts.entry(action).or_default() += 1;
    }
    counts
}

fn listed(counts: &BTreeMap<String, u32>) -> String {
    let listed = counts
        .iter()
        .map(|(action, count)| format!("{count} {action}"));
    listed.collect::<Vec<_>>().join(", ")
}
