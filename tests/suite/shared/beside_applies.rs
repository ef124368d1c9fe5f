//! What happens to the state while the real terraform plans without a lock.

use std::thread;

use serde_json::json;

use crate::support::backend::{LOCK_ID, LockMode, Remote, STATE_KEY};
use crate::support::beside::beside;
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::Script;
use crate::support::mid_run::{look_during, stopping_script};
use crate::support::process::Finished;
use crate::support::proxy::Proxy;
use crate::support::waiting::{wait_for_file, wait_until};
use crate::support::workspace::Workspace;

const MODES: [LockMode; 4] = [
    LockMode::DynamodbTable,
    LockMode::Lockfile,
    LockMode::Both,
    LockMode::None,
];

const CHANGED: &str = "error: the plan is outdated: the state has changed since it started\n\
                       hint: plan again with `tflock --shared plan -input=false -no-color`\n";

/// Ana has applied a state; Ben plans it with the real terraform, behind a proxy that stops it before it reads the state.
struct Scene {
    mode: LockMode,
    remote: Remote,
    ana: Workspace,
    ben: Workspace,
    proxy: Proxy,
}

impl Scene {
    fn new(mode: LockMode) -> Self {
        let remote = Remote::start();
        let proxy = Proxy::before(remote.s3.url());
        let directory = |backend| {
            let configuration = Configuration::with_backend(&backend).resource("one", "1");
            let workspace = Workspace::with(&configuration);
            workspace.init();
            workspace
        };
        let ana = directory(remote.backend(mode));
        let ben = directory(remote.backend(mode).s3_url(proxy.url()));
        ana.terraform(["apply", "-auto-approve"]).run().succeeded();
        Self {
            mode,
            remote,
            ana,
            ben,
            proxy,
        }
    }

    /// Ben's plan, with something that happens while it runs.
    #[track_caller]
    fn plan_while(&self, meanwhile: impl FnOnce()) -> Finished {
        let get = format!("GET /states/{STATE_KEY}");
        let gate = self.proxy.on(&get).hold();
        let plan = ["--shared", "plan", "-input=false", "-no-color"];
        let running = self.ben.tflock(plan).start();
        gate.wait_until_reached();
        meanwhile();
        gate.open();
        running.wait()
    }

    fn configure_ana(&self, configuration: impl FnOnce(Configuration) -> Configuration) {
        let backend = self.remote.backend(self.mode);
        let whole = configuration(Configuration::with_backend(&backend));
        self.ana.configure(&whole);
    }

    fn apply(&self) -> Finished {
        self.ana.terraform(["apply", "-auto-approve"]).run()
    }
}

/// For each way of locking, on separate engines.
fn for_each(modes: &[LockMode], fact: impl Fn(&Scene) + Sync) {
    let fact = &fact;
    thread::scope(|scope| {
        for mode in modes {
            beside(scope, move || fact(&Scene::new(*mode)));
        }
    });
}

#[test]
fn a_plan_beside_nobody_is_as_good_as_any() {
    for_each(&MODES, |scene| {
        let planned = scene.plan_while(|| {
            assert_eq!(scene.remote.locks(), Vec::<String>::new());
        });
        let planned = planned.succeeded().with_stdout("No changes");
        assert_eq!(planned.stderr, "", "{:?}", scene.mode);
    });
}

#[test]
fn an_apply_that_starts_in_the_middle_is_not_kept_waiting_and_makes_the_plan_outdated() {
    for_each(&LockMode::LOCKING, |scene| {
        scene.configure_ana(|whole| whole.resource("one", "1").waiting_resource("slow"));
        let mut apply = None;
        let planned = scene.plan_while(|| {
            let running = scene.ana.terraform(["apply", "-auto-approve"]).start();
            scene.ana.wait_until_started();
            apply = Some(running);
        });
        let who = "has locked the state since it started";
        let planned = planned
            .ended_with(76)
            .with_stderr("error: the plan is outdated: ")
            .with_stderr("(OperationTypeApply)")
            .with_stderr(who);
        planned
            .with_stderr(
                "plan again with `tflock --shared plan -input=false -no-color`, which waits",
            )
            .with_stderr("see `tflock status`");
        scene.ana.let_go();
        apply.expect("an apply").wait().succeeded();
    });
}

#[test]
fn an_apply_that_ends_in_the_middle_makes_the_plan_outdated() {
    for_each(&MODES, |scene| {
        scene.configure_ana(|whole| whole.resource("one", "2"));
        let planned = scene.plan_while(|| {
            scene.apply().succeeded();
        });
        let planned = planned.ended_with(76);
        assert_eq!(planned.stderr, CHANGED, "{:?}", scene.mode);
    });
}

#[test]
fn an_apply_that_changes_nothing_leaves_the_plan_as_good_as_it_was() {
    for_each(&MODES, |scene| {
        let planned = scene.plan_while(|| {
            scene.apply().succeeded().with_stdout("0 added, 0 changed");
        });
        assert_eq!(planned.succeeded().stderr, "", "{:?}", scene.mode);
    });
}

#[test]
fn a_state_rewritten_with_equal_content_leaves_the_plan_as_good_as_it_was() {
    for_each(&MODES, |scene| {
        let planned = scene.plan_while(|| {
            let state = scene.remote.s3.object(STATE_KEY).expect("a state");
            scene.remote.s3.put(STATE_KEY, state.body);
            let digest = format!("{LOCK_ID}-md5");
            if let Some(item) = scene.remote.table.item(&digest) {
                scene.remote.table.put(&item);
            }
        });
        assert_eq!(planned.succeeded().stderr, "", "{:?}", scene.mode);
    });
}

#[test]
fn a_plan_that_locks_the_state_meanwhile_does_no_harm() {
    for_each(&LockMode::LOCKING, |scene| {
        let plan = json!({
            "ID": "4db125df-d950-b194-cf41-df3ed13f0cf1", "Operation": "OperationTypePlan", "Info": "",
            "Who": "ana@laptop", "Version": "1.11.4", "Created": "2026-01-02T03:04:05.6Z", "Path": LOCK_ID,
        });
        let planned = scene.plan_while(|| {
            scene.remote.table.put_lock(LOCK_ID, &plan);
            let lock = format!("{STATE_KEY}.tflock");
            scene.remote.s3.put(&lock, plan.to_string());
        });
        assert_eq!(planned.succeeded().stderr, "", "{:?}", scene.mode);
    });
}

#[test]
fn a_plan_waits_while_somebody_holds_the_lock() {
    for_each(&LockMode::LOCKING, |scene| {
        scene.configure_ana(|whole| whole.resource("one", "2").waiting_resource("slow"));
        let apply = scene.ana.terraform(["apply", "-auto-approve"]);
        let (waiting, applied) = look_during(&scene.ana, apply, |_| {
            let refused = scene.ben.tflock(["--wait", "0", "--shared", "plan"]).run();
            refused
                .ended_with(75)
                .with_stderr("Error acquiring the state lock")
                .with_stderr("Operation: OperationTypeApply")
                .with_stderr("hint: wait longer with `tflock --shared --wait 1h plan`");
            let plan = ["--shared", "plan", "-no-color"];
            let mut waiting = scene.ben.tflock(plan).start();
            waiting.wait_for_output("is locked, waiting for it");
            waiting
        });
        applied.succeeded();
        let planned = waiting.wait().succeeded();
        let planned = planned.with_stderr("tflock: the lock is free, going on\n");
        // What was applied while it waited is what it has planned on.
        planned.with_stdout("~ input");
        assert_eq!(scene.remote.locks(), Vec::<String>::new());
    });
}

#[test]
fn a_local_state_is_compared_too() {
    let configuration = |value| Configuration::without_backend().resource("one", value);
    let workspace = Workspace::with(&configuration("1"));
    let apply = ["apply", "-auto-approve"];
    workspace.terraform(apply).run().succeeded();
    let fake = stopping_script().install(workspace.home().join("fake"));
    let plan_while = |meanwhile: &dyn Fn()| {
        let plan = workspace.tflock(["--shared", "plan", "-input=false", "-no-color"]);
        let plan = plan.first_on_path(fake.directory());
        look_during(&workspace, plan, |_| meanwhile()).1
    };
    plan_while(&|| {}).succeeded();
    let state = workspace.read("terraform.tfstate");
    plan_while(&|| workspace.write("terraform.tfstate", &state)).succeeded();
    plan_while(&|| {
        workspace.terraform(apply).run().succeeded();
    })
    .succeeded();
    let changed = plan_while(&|| {
        workspace.configure(&configuration("2"));
        workspace.terraform(apply).run().succeeded();
    });
    assert_eq!(changed.ended_with(76).stderr, CHANGED);
    assert_eq!(fake.calls().len(), 4);
}

#[test]
fn an_apply_on_a_local_state_that_starts_in_the_middle_makes_the_plan_outdated() {
    let workspace = Workspace::with(&Configuration::without_backend().waiting_resource("slow"));
    let fake = Script::new()
        .touch("planning")
        .wait_for("planned")
        .install(workspace.home().join("fake"));
    let plan = workspace.tflock(["--shared", "plan"]);
    let plan = plan.first_on_path(fake.directory()).start();
    wait_for_file(workspace.file("planning"));
    let apply = workspace.terraform(["apply", "-auto-approve"]);
    let (planned, applied) = look_during(&workspace, apply, |_| {
        workspace.write("planned", "");
        plan.wait()
    });
    let planned = planned.ended_with(76).with_stderr("(OperationTypeApply)");
    planned.with_stderr("has locked the state since it started");
    applied.succeeded();
}

#[test]
fn twenty_plans_at_once_keep_nobody_waiting() {
    let remote = Remote::start();
    let backend = remote.backend(LockMode::DynamodbTable);
    let configuration = Configuration::with_backend(&backend).resource("one", "1");
    let workspace = Workspace::with(&configuration);
    workspace.init();
    let fake = stopping_script().install(workspace.home().join("fake"));
    let start = || {
        let plan = workspace.tflock(["--shared", "plan"]);
        plan.first_on_path(fake.directory()).start()
    };
    let plans: Vec<_> = (0..20).map(|_| start()).collect();
    wait_until("twenty plans at once", || fake.calls().len() == 20);
    let apply = workspace.terraform(["apply", "-auto-approve", "-lock-timeout=0s"]);
    apply.run().succeeded().with_stdout("1 added");
    workspace.let_go();
    for plan in plans {
        plan.wait()
            .ended_with(76)
            .with_stderr("the state has changed since");
    }
    assert_eq!(remote.locks(), Vec::<String>::new());
}
