//! Which lock a run takes: found out by looking at all stores in the middle of the run.

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
