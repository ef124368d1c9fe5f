//! The lock object in S3: written the way terraform writes it, whatever the bucket requires.

mod as_terraform;
mod refusals;
mod servers;

use serde_json::{Value, json};

use crate::support::backend::LOCK_KEY;
use crate::support::process::Invocation;
use crate::support::proxy::{Exchange, Proxy};
use crate::support::recorded::s3_workspace;
use crate::support::s3::{S3, Sort};
use crate::support::workspace::Workspace;

/// A bucket behind a proxy.
struct Scene {
    s3: S3,
    proxy: Proxy,
}

/// The actions of the lock object, for the proxy.
const PUT: &str = "PUT *.tflock";
const GET: &str = "GET *.tflock";
const DELETE: &str = "DELETE *.tflock";

impl Scene {
    fn new() -> Self {
        Self::of_sort(Sort::default())
    }

    /// The same, with that kind of server.
    fn of_sort(sort: Sort) -> Self {
        let s3 = S3::of_sort(sort);
        let proxy = Proxy::before(s3.url());
        Self { s3, proxy }
    }

    /// A directory whose backend locks in the bucket, with these additional settings.
    fn workspace(&self, settings: Value) -> Workspace {
        let mut config = json!({
            "region": "us-east-1",
            "use_lockfile": true,
            "endpoints": { "s3": self.proxy.url() },
        });
        let Value::Object(settings) = settings else {
            panic!("not an object")
        };
        for (name, value) in settings {
            config[name] = value;
        }
        s3_workspace(&config)
    }

    /// The requests for the lock object with that method, in order.
    fn requests(&self, method: &str) -> Vec<Exchange> {
        let action = format!("{method} /states/{LOCK_KEY}");
        let mut log = self.proxy.log();
        log.retain(|exchange| exchange.action == action);
        log
    }
}

/// A run that takes the lock and releases it.
fn exec(workspace: &Workspace) -> Invocation {
    workspace.tflock(["exec", "--", "true"])
}
