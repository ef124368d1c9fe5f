//! Thirty real processes that want one lock, some of which are killed: no two children overlap, no run is passed
//! over, and nothing is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::backend::LockMode;
use crate::support::fake_terraform::FakeTerraform;
use crate::support::lock_table::LockTable;
use crate::support::process::{Invocation, Running, Status};
use crate::support::scene;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

const MEMBERS: u64 = 30;
/// Every third one is killed.
const VICTIMS: u64 = 10;
/// The seed of everything random here.
const SEED: u64 = 0x7466_6c6f_636b;

/// Increments a counter in a way that needs a lock, and then reports it. Once it has begun it cannot be
/// stopped: the child of a killed tflock goes on, and no other may begin before it has ended.
const CHILD: &str = "\
trap '' HUP INT TERM
touch \"began.$1\"
mkdir inside 2>/dev/null || echo \"$1\" >>met
count=$(cat counter)
sleep 0.03
echo $((count + 1)) >\"counter.$1\"
mv \"counter.$1\" counter
rmdir inside
echo \"$1\" >>reports
";

/// Numbers that look random, the same in each run (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    Never,
    /// This long after the crowd was started, whatever it is doing.
    After(Duration),
    /// This long after its child has begun.
    AfterBegin(Duration),
}

/// A directory, a scripted terraform, and what is locked.
struct Scene<'a> {
    workspace: &'a Workspace,
    fake: &'a FakeTerraform,
    locks: &'a dyn Fn() -> Vec<String>,
}

impl Scene<'_> {
    fn tflock<const N: usize>(&self, arguments: [&str; N]) -> Invocation {
        let run = self.workspace.tflock(arguments);
        run.first_on_path(self.fake.directory())
    }
}

struct Member {
    name: String,
    run: Running,
    kill: Kill,
    began: Option<Instant>,
}

impl Member {
    /// Whether it has ended; kills it if that is due.
    fn has_ended(&mut self, scene: &Scene<'_>, loose: Instant) -> bool {
        if !self.run.is_running() {
            return true;
        }
        let mark = scene.workspace.file(format!("began.{}", self.name));
        if self.began.is_none() && mark.exists() {
            self.began = Some(Instant::now());
        }
        let due = match self.kill {
            Kill::Never => false,
            Kill::After(time) => loose.elapsed() >= time,
            Kill::AfterBegin(time) => self.began.is_some_and(|began| began.elapsed() >= time),
        };
        if due {
            self.run.signal(Signal::SIGKILL);
        }
        false
    }
}

fn let_loose(scene: &Scene<'_>) -> Vec<Member> {
    let mut dice = Dice(SEED);
    let mut members: Vec<u64> = (0..MEMBERS).collect();
    for last in (1..members.len()).rev() {
        let other = dice.below(last as u64 + 1);
        members.swap(last, usize::try_from(other).expect("an index"));
    }
    let start = |(place, number)| {
        let name = format!("{number}");
        let milliseconds = |end: u64, dice: &mut Dice| Duration::from_millis(dice.below(end));
        let kill = match place {
            0..VICTIMS if place % 2 == 0 => Kill::After(milliseconds(2500, &mut dice)),
            0..VICTIMS => Kill::AfterBegin(milliseconds(40, &mut dice)),
            _ => Kill::Never,
        };
        let run = scene
            .tflock(["--wait", "50s", "exec", "--", "sh", "child.sh"])
            .arg(&name);
        Member {
            run: run.start(),
            name,
            kill,
            began: None,
        }
    };
    (0..).zip(members).map(start).collect()
}

#[test]
fn each_of_a_crowd_counts_once_although_a_third_of_it_is_killed() {
    let scene = LockTable::new();
    each_counts_once(&Scene {
        workspace: &scene.workspace,
        fake: &scene.fake,
        locks: &|| scene.table.locks(),
    });
}

#[test]
fn each_of_a_crowd_before_a_lock_file_in_s3_counts_once_although_a_third_of_it_is_killed() {
    let scene = scene::Scene::new(LockMode::Lockfile);
    each_counts_once(&Scene {
        workspace: &scene.workspace,
        fake: &scene.fake,
        locks: &|| scene.remote.s3.locks(),
    });
}

#[track_caller]
fn each_counts_once(scene: &Scene<'_>) {
    scene.workspace.write("child.sh", CHILD);
    scene.workspace.write("counter", "0\n");
    let loose = Instant::now();
    let mut crowd = let_loose(scene);
    wait_until("the end of the crowd", || {
        // All of them are looked at each time.
        let running = crowd
            .iter_mut()
            .filter_map(|member| (!member.has_ended(scene, loose)).then_some(()));
        running.count() == 0
    });

    let mut killed = Vec::new();
    let mut released = 0;
    for Member {
        name, run, kill, ..
    } in crowd
    {
        let ended = run.wait();
        match (kill, ended.status) {
            (_, Status::Code(0)) => {}
            (Kill::After(_) | Kill::AfterBegin(_), Status::Signal(Signal::SIGKILL)) => {
                killed.push(name);
            }
            _ => panic!("{name} ({kill:?}) {ended}"),
        }
        released += ended.stderr.matches("tflock was killed; ").count();
        assert!(!ended.stderr.contains("error:"), "{ended}");
        assert!(!ended.stderr.contains("warning:"), "{ended}");
    }
    assert!(killed.len() >= 3, "only {killed:?} were killed");
    assert!(released > 0, "{killed:?} had no lock");

    // Whoever was killed before it had a child has left its lock.
    scene.tflock(["exec", "--", "true"]).run().succeeded();
    assert_eq!((scene.locks)(), Vec::<String>::new());

    let lines = |file: &str| {
        let text = fs::read_to_string(scene.workspace.file(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines("met"), Vec::<String>::new(), "two at once");
    let mut reports = BTreeMap::<String, u32>::new();
    for name in lines("reports") {
        *reports.entry(name).or_default() += 1;
    }
    assert!(reports.values().all(|count| *count == 1), "{reports:?}");
    for number in 0..MEMBERS {
        let name = number.to_string();
        let survived = !killed.contains(&name);
        assert!(
            reports.contains_key(&name) || !survived,
            "{name} was passed over"
        );
    }
    assert_eq!(lines("counter"), [reports.len().to_string()], "{killed:?}");
}
