//! What the integration tests and the benches use: engines, faults, terraform directories, processes
//! and terminals.
//!
//! Everything here is hermetic: it listens on loopback only, writes to temporary directories only, and ends
//! only processes that it started itself. It must never depend on tflock's internals.

#![allow(
    dead_code,
    reason = "the suite and each bench use a part of it, and every one of them compiles the whole"
)]

pub mod backend;
pub mod beside;
pub mod configuration;
pub mod dynamodb;
pub mod fake_terraform;
pub mod http;
pub mod http_state;
pub mod initialised;
pub mod installed;
pub mod limits;
pub mod lock_table;
pub mod mid_run;
pub mod namespaces;
pub mod odd_server;
pub mod pages;
pub mod passed_over;
pub mod picture;
pub mod process;
pub mod processes;
pub mod proxy;
pub mod pty;
#[path = "../../../src/terraform/real_terraform/on_path.rs"]
mod real_terraform;
pub mod recorded;
pub mod s3;
pub mod scene;
pub mod server;
pub mod tls;
pub mod waiting;
pub mod words;
pub mod workspace;
