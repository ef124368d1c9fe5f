//! The recipes of docs/other-tools.md, as they stand there, with programs that do with terraform what the real tools do.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use crate::signals::apply::Apply;
use crate::signals::console::Console;
use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::installed::is_installed;
use crate::support::pages;
use crate::support::process::Invocation;
use crate::support::scene::local_locks;
use crate::support::waiting::wait_for_file;
use crate::support::workspace::{Workspace, terraform_program};

/// The recipe of that language under a heading of the page.
#[track_caller]
fn recipe(heading: &str, language: &str) -> String {
    pages::recipe("docs/other-tools.md", heading, language)
}

/// Puts tflock and those programs on PATH, and runs a recipe.
pub struct Tools(PathBuf);

impl Tools {
    /// tflock alone.
    pub fn of(workspace: &Workspace) -> Self {
        let tools = workspace.home().join("tools");
        fs::create_dir(&tools).unwrap();
        symlink(env!("CARGO_BIN_EXE_tflock"), tools.join("tflock")).unwrap();
        Self(tools)
    }

    /// The same, with a program.
    fn with(self, name: &str, script: &str) -> Self {
        let program = self.0.join(name);
        fs::write(&program, script).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// A shell that carries out the recipe.
    pub fn run(&self, workspace: &Workspace, recipe: &str) -> Invocation {
        let shell = workspace.invocation("/bin/sh").args(["-ec", recipe]);
        shell.first_on_path(&self.0)
    }

    /// The same as one line, for a terminal.
    fn line(&self, recipe: &str) -> String {
        let path = self.0.display();
        format!("PATH={path}:$PATH; {}", recipe.trim().replace('\n', "; "))
    }
}

/// A version manager's `terraform`, or `tofu`.
fn as_terraform() -> String {
    format!("#!/bin/sh\nexec {} \"$@\"\n", terraform_program().display())
}

/// Terragrunt asks for the version, initialises each unit, and runs all of them at once in its own process group, with their
/// output in pipes. It sends an interrupt on to them after 15 s.
const TERRAGRUNT: &str = r#"#!/usr/bin/perl
use strict;
my $tf = $ENV{TG_TF_PATH};
"@ARGV[0..2]" eq 'run --all --' or die "unexpected: @ARGV";
splice @ARGV, 0, 3;
`$tf -version` =~ /^(Terraform|OpenTofu) v\d/m or die 'no version';
open STDOUT, '|-', "trap '' INT; cat" or die;
open STDERR, '>&', \*STDOUT or die;
my @children;
for my $unit (map { s/terragrunt\.hcl$//r } grep { -e } glob '{,*/}terragrunt.hcl') {
    my $child = fork // die;
    push @children, $child and next if $child;
    chdir $unit or die if $unit;
    -d '.terraform' or system($tf, 'init', '-input=false') == 0 or exit 1;
    exec($tf, @ARGV) or die;
}
$SIG{INT} = sub { alarm 1 };
$SIG{ALRM} = sub { kill INT => @children; open my $file, '>', 'forwarded' };
my $worst = 0;
for my $child (@children) {
    1 while waitpid($child, 0) < 0 and $!{EINTR};
    $worst = $? >> 8 if $? >> 8 > $worst;
}
exit $worst;
"#;

/// Becomes the program, with a session's keys.
const AWS_VAULT: &str = r#"#!/bin/sh
[ "$1 $3" = 'exec --' ] && shift 3
AWS_VAULT=production AWS_ACCESS_KEY_ID=session AWS_SECRET_ACCESS_KEY=secret AWS_SESSION_TOKEN=token exec "$@"
"#;

/// Reads its variables and masks them in the output, so that it stands between the program and the terminal.
const OP: &str = r#"#!/bin/sh
[ "$1 $3" = 'run --' ] || exit 2
set -a
. "./${2#--env-file=}"
set +a
shift 3
{ "$@"; echo $? >code; } | sed 's/secret/<concealed>/g'
exit "$(cat code)"
"#;

fn one_resource() -> Configuration {
    Configuration::without_backend().resource("one", "1")
}

/// Runs the recipe in a directory with one resource, which it creates; the lock is free then.
#[track_caller]
fn applies(heading: &str, change: impl FnOnce(&Workspace, Tools) -> Tools) -> Workspace {
    let workspace = Workspace::with(&one_resource());
    let tools = change(&workspace, Tools::of(&workspace));
    let run = tools.run(&workspace, &recipe(heading, "sh")).run();
    run.succeeded().with_stdout("Apply complete!");
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
    workspace
}

#[test]
fn opentofu_is_run_where_it_is_named() {
    applies("OpenTofu", |_, tools| {
        let tools = tools.with("tofu", &as_terraform());
        tools.with("terraform", "#!/bin/sh\nexit 9\n")
    });
}

#[test]
fn a_version_manager_is_run_as_terraform() {
    applies("Version managers", |_, tools| {
        tools.with("terraform", &as_terraform())
    });
}

#[test]
fn terragrunt_runs_its_units_at_once_each_under_a_lock_of_its_own() {
    let workspace = Workspace::new();
    let units = ["network", "app"];
    for unit in units {
        // Each is done only when both have begun.
        let configuration = one_resource().block(&format!(
            "resource \"terraform_data\" \"meeting\" {{\n  provisioner \"local-exec\" {{\n    command = \"touch \
             ../{unit}.met; until [ -e ../network.met ] && [ -e ../app.met ] || [ ! -e main.tf ]; do sleep 0.05; done; \
             ls $XDG_STATE_HOME/tflock/*.json >>../locks\"\n  }}\n}}"
        ));
        workspace.write(&format!("{unit}/main.tf"), &configuration.hcl());
        workspace.write(&format!("{unit}/terragrunt.hcl"), "");
    }
    let tools = Tools::of(&workspace).with("terragrunt", TERRAGRUNT);
    let run = tools.run(&workspace, &recipe("Terragrunt", "sh")).run();
    assert_eq!(run.succeeded().stdout.matches("Apply complete!").count(), 2);
    let locks: BTreeSet<String> = workspace.read("locks").lines().map(str::to_owned).collect();
    assert_eq!(locks.len(), units.len(), "{locks:?}");
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
}

#[test]
fn terragrunts_second_interrupt_does_not_reach_a_terraform_that_saves() {
    let apply = Apply::remote();
    let workspace = &apply.workspace;
    workspace.write("terragrunt.hcl", "");
    let tools = Tools::of(workspace).with("terragrunt", TERRAGRUNT);
    let console = Console::start(workspace, &tools.line(&recipe("Terragrunt", "sh")));
    apply.terraform();
    let saving = apply.hold_saving();
    console.terminal.press_ctrl_c();
    saving.wait_until_reached();
    wait_for_file(workspace.file("forwarded"));
    saving.open();
    apply.stopped_once(&console.finish(1));
}

#[test]
fn aws_vault_gives_its_keys_to_tflock_and_terraform() {
    let remote = Remote::start();
    let backend = remote.backend(LockMode::DynamodbTable);
    let workspace = Workspace::with(&Configuration::with_backend(&backend).resource("one", "1"));
    workspace.init();
    let tools = Tools::of(&workspace).with("aws-vault", AWS_VAULT);
    let run = tools.run(&workspace, &recipe("aws-vault", "sh")).run();
    run.succeeded().with_stdout("Apply complete!");
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn op_masks_what_passes_through_it() {
    let workspace = Workspace::with(&one_resource());
    workspace.write(
        "production.env",
        "TF_VAR_one=secret\nTFLOCK_REASON='a secret reason'\n",
    );
    let tools = Tools::of(&workspace).with("op", OP);
    let run = tools.run(&workspace, &recipe("1Password's op", "sh")).run();
    run.succeeded().with_stdout("Apply complete!");
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
}

#[test]
fn make_runs_the_rule() {
    if !is_installed("make") {
        return;
    }
    let workspace = Workspace::with(&one_resource());
    workspace.write("Makefile", &recipe("make", "make"));
    let run = Tools::of(&workspace).run(&workspace, "make apply").run();
    run.succeeded().with_stdout("Apply complete!");
}

#[test]
fn atlantis_runs_the_steps_of_its_workflow() {
    let workspace = Workspace::with(&one_resource());
    let tools = Tools::of(&workspace);
    let workflow = recipe("Atlantis", "yaml");
    let steps = workflow
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- run: "));
    let outputs = steps.map(|step| {
        let run = tools
            .run(&workspace, step)
            .env("PLANFILE", workspace.file("it's planned"));
        run.run().succeeded().stdout
    });
    let [planned, applied] = &outputs.collect::<Vec<_>>()[..] else {
        panic!("not two steps");
    };
    assert!(planned.contains("1 to add"), "{planned}");
    assert!(applied.contains("Apply complete!"), "{applied}");
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
}
