//! The integration suite: tflock as users run it, against real engines and the real terraform.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails, and says where"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests start programs, and run with the PATH of whoever runs them"
)]

mod support;

mod bad_input;
mod completions;
mod conformance;
mod credentials;
mod crowd;
mod doctor;
mod documentation;
mod events;
mod exec;
mod faults;
mod force_unlock;
mod heartbeats;
mod history;
mod holds;
mod list;
mod local_files;
mod locking_runs;
mod manual;
mod moving;
mod other_tools;
mod pass_through;
mod pictures;
mod plain_terraform;
mod release_mine;
mod s3_objects;
mod shared;
mod signals;
mod status;
mod store_contract;
mod support_works;
mod tls;
mod unread;
mod waiting;
mod which_lock;
