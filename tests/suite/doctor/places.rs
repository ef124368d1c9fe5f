//! Local locks, and backends whose lock is terraform's alone.

use nix::errno::Errno;
use nix::libc;

use super::Found;
use crate::local_files::refused_calls::failing;
use crate::support::configuration::Configuration;
use crate::support::http_state::HttpState;
use crate::support::workspace::Workspace;

#[test]
fn a_directory_that_can_keep_locks_is_left_as_it_was() {
    let workspace = Workspace::with(&Configuration::without_backend());
    let found = Found::by(&workspace, 0);
    found.has("local directory", "ok", "can keep locks", "");
    found.has("lock", "ok", "is free", "");
    let left = crate::support::scene::local_locks(&workspace);
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_directory_without_locks_is_told() {
    let workspace = Workspace::with(&Configuration::without_backend());
    let doctor = workspace.tflock(["doctor", "--json"]);
    let doctor = failing(doctor, libc::SYS_flock, Errno::EOPNOTSUPP);
    let found = Found::of(doctor.run(), 78);
    found.only_fault(
        "local directory",
        "cannot lock files",
        "set TFLOCK_LOCAL_DIR to a writable directory that supports file locks",
    );
}

#[test]
fn a_place_that_is_none_is_told() {
    let workspace = Workspace::with(&Configuration::without_backend());
    let doctor = workspace.tflock(["doctor", "--json"]);
    let found = Found::of(doctor.env("TFLOCK_LOCAL_DIR", "relative").run(), 78);
    found.only_fault(
        "local directory",
        "not an absolute path",
        "TFLOCK_LOCAL_DIR",
    );
}

#[test]
fn a_lock_that_only_terraform_knows_is_told_to_be_so() {
    let server = HttpState::start();
    let workspace = Workspace::with(&Configuration::with_backend_block(&server.backend()));
    workspace.init();
    let found = Found::by(&workspace, 0);
    found.has("lock", "skipped", "only terraform can tell", "");
    found.has("configuration", "ok", "backend `http`", "");
}
