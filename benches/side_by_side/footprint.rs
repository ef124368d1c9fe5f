//! How much memory tflock takes while it holds a lock or waits for one, how large it is, and how fast it starts.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use serde_json::json;

use super::sample::figure;
use super::table::{Row, Verdict};
use super::timing::{interleaved, timed};
use crate::support::backend::Remote;
use crate::support::configuration::{Configuration, GO};
use crate::support::fake_terraform::Script;
use crate::support::process::Running;
use crate::support::proxy::Proxy;
use crate::support::tls::TlsEndpoint;
use crate::support::workspace::Workspace;

/// In megabytes.
const MEMORY_BUDGET: f64 = 25.0;
const BINARY_BUDGET: f64 = 15.0;
const STARTS: usize = 100;
/// Where systems keep the authorities that they trust, in one file.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

pub fn measure() -> Vec<Row> {
    let remote = Remote::start();
    let wires = [Wire::Plain, Wire::Tls];
    let subjects = wires.map(|wire| Doing::ALL.map(|doing| Subject::start(&remote, wire, doing)));
    let mut rows = Vec::new();
    for subject in subjects.into_iter().flatten() {
        rows.push(subject.memory());
        subject.let_go(&remote);
    }
    rows.extend([binary(), start()]);
    rows
}

/// How tflock reaches the table.
#[derive(Debug, Clone, Copy)]
enum Wire {
    Plain,
    /// With all authorities of this machine loaded, as for the real DynamoDB.
    Tls,
}

#[derive(Debug, Clone, Copy)]
enum Doing {
    Holding,
    Waiting,
}

impl Doing {
    const ALL: [Self; 2] = [Self::Holding, Self::Waiting];

    /// The writes after which memory is looked at: a holder's second one renews, after about ten seconds.
    fn writes(self) -> usize {
        match self {
            Self::Holding => 2,
            Self::Waiting => 10,
        }
    }
}

/// A tflock under observation.
struct Subject {
    what: String,
    doing: Doing,
    lock_id: String,
    running: Running,
    proxy: Proxy,
    workspace: Workspace,
    _tls: Option<TlsEndpoint>,
}

impl Subject {
    fn start(remote: &Remote, wire: Wire, doing: Doing) -> Self {
        let lock_id = format!("{doing:?}-{wire:?}");
        let proxy = Proxy::before(remote.dynamodb.url());
        let mut workspace =
            Workspace::with(&Configuration::without_backend()).env("AWS_REGION", "us-east-1");
        let tls = match wire {
            Wire::Plain => None,
            Wire::Tls => Some(TlsEndpoint::before(&proxy.url())),
        };
        let url = tls.as_ref().map_or_else(|| proxy.url(), TlsEndpoint::url);
        workspace = workspace.env("AWS_ENDPOINT_URL_DYNAMODB", url);
        let mut wire = "by HTTP".to_owned();
        if let Some(tls) = &tls {
            let (bundle, count) = trust_all_and(&tls.ca_file(), &workspace.home());
            workspace = workspace.env("SSL_CERT_FILE", bundle.display().to_string());
            wire = format!("by TLS with {count} authorities");
        }
        if let Doing::Waiting = doing {
            let holder =
                json!({ "ID": "somebody", "Operation": "OperationTypeApply", "Who": "ana" });
            remote.table.put_lock(&lock_id, &holder);
        }
        let terraform = Script::new().wait_for(GO).install(workspace.home());
        let running = workspace
            .tflock(["apply"])
            .env("TFLOCK_TERRAFORM", terraform.program())
            .env("TFLOCK_TABLE", remote.table.name())
            .env("TFLOCK_LOCK_ID", &lock_id)
            .start();
        Self {
            what: format!("memory while {doing:?}, {wire}").to_lowercase(),
            doing,
            lock_id,
            running,
            proxy,
            workspace,
            _tls: tls,
        }
    }

    fn memory(&self) -> Row {
        self.proxy.wait_for("PutItem", self.doing.writes());
        let peak = peak_memory(self.running.pid());
        Row::of(&self.what)
            .tflock(format!("{} MB", figure(peak)))
            .budget(
                &format!("at most {MEMORY_BUDGET} MB"),
                Verdict::of_at_most(peak, MEMORY_BUDGET),
            )
    }

    fn let_go(self, remote: &Remote) {
        if let Doing::Waiting = self.doing {
            remote.table.delete(&self.lock_id);
        }
        self.workspace.let_go();
        self.running.wait().succeeded();
    }
}

/// A bundle of this machine's authorities and the one in `own`, and how many they are.
fn trust_all_and(own: &Path, directory: &Path) -> (PathBuf, usize) {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let known = AUTHORITIES.iter().find_map(|path| read(Path::new(path)));
    let own = read(own).expect("the authority of the endpoint");
    let text = format!("{}\n{own}", known.unwrap_or_default());
    let bundle = directory.join("authorities.pem");
    fs::write(&bundle, &text).expect("a bundle");
    (bundle, text.matches("BEGIN CERTIFICATE").count())
}

/// The largest resident set that the process ever had, in megabytes.
fn peak_memory(process: Pid) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux has /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    let kibibytes: f64 = kibibytes.expect("VmHWM").parse().expect("a number");
    kibibytes * 1024.0 / 1e6
}

fn binary() -> Row {
    let size = fs::metadata(env!("CARGO_BIN_EXE_tflock")).expect("tflock was built");
    #[expect(clippy::cast_precision_loss, reason = "programs are far below 2^53")]
    let megabytes = size.len() as f64 / 1e6;
    Row::of("binary, with the profile of this bench")
        .tflock(format!("{} MB", figure(megabytes)))
        .budget(
            &format!("at most {BINARY_BUDGET} MB"),
            Verdict::of_at_most(megabytes, BINARY_BUDGET),
        )
}

fn start() -> Row {
    let workspace = Workspace::new();
    let [without, with] = interleaved(
        STARTS,
        [&|| timed(workspace.invocation("true")), &|| {
            timed(workspace.tflock(["--version"]))
        }],
    );
    Row::of("`true`, `tflock --version`")
        .without(without.shown("ms"))
        .tflock(with.shown("ms"))
}
