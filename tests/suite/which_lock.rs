//! Which lock a run takes: the tests look into all stores while it runs.

mod another_view;
mod by_options;
mod by_workspace;
mod committed;
mod elsewhere;
mod lock_tags;
mod lockfile;
mod new_workspaces;
mod plan_file;
mod selection_changed;
mod still_asked_for;
mod terraforms_own;
mod two_paths;
mod without_aws;
