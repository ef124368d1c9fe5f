//! Locks of backends that tflock does not support: where they are, and how to find out more.
//!
//! Of a backend's configuration, only what names the state is shown: the rest can be secret.

use super::backend::Backend;
use super::lock_name::shared_lock_name;
use super::workspace::Workspace;

/// A lock whose state only terraform or a client of the service can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLock {
    /// The type of the backend.
    pub backend: String,
    /// Where it is, for people.
    pub place: String,
    /// How to find out more.
    pub advice: String,
}

/// terraform's own lock of the state of `workspace`.
#[must_use]
pub fn own_lock(backend: &Backend, workspace: &Workspace) -> OwnLock {
    let type_name = backend.type_name();
    let state = shared_lock_name(backend, workspace)
        .map_or_else(|_| workspace.to_string(), |name| name.as_str().to_owned());
    let what = match type_name {
        "http" => "a lock of the HTTP server",
        "gcs" => "an object beside the state in Google Cloud Storage",
        "azurerm" => "a lease of the state's blob",
        "consul" => "a lock in Consul",
        "pg" => "an advisory lock in PostgreSQL",
        "kubernetes" => "a lease in Kubernetes",
        "oss" => "a row of the backend's Tablestore table",
        "cos" => "an object beside the state in Tencent Cloud Object Storage",
        "remote" | "cloud" => "the lock of the workspace in HCP Terraform",
        "inmem" => "in the memory of a running terraform",
        _ => "terraform's own",
    };
    OwnLock {
        backend: type_name.to_owned(),
        place: format!("{what}, for `{state}`"),
        advice: advice(backend, workspace),
    }
}

/// terraform tells when it fails to lock; the service's own client can look.
fn advice(backend: &Backend, workspace: &Workspace) -> String {
    const BY_FAILING: &str =
        "`tflock --wait 0 plan` fails if it is held, and most backends then say by whom";
    let text = |name| backend.attributes().text(name).ok().flatten();
    let looking = match backend.type_name() {
        // <prefix>/<workspace>.tflock: `lockFile` in `internal/backend/remote-state/gcs/backend_state.go`.
        "gcs" => text("bucket").map(|bucket| {
            let prefix = text("prefix").map_or_else(String::new, |prefix| {
                format!("{}/", prefix.trim_matches('/'))
            });
            format!("the object `gs://{bucket}/{prefix}{workspace}.tflock` says by whom")
        }),
        // `lockInfoSuffix` in `internal/backend/remote-state/consul/client.go`; a workspace is behind `-env:`.
        "consul" => text("path").map(|path| {
            let path = if workspace.is_default() {
                path
            } else {
                format!("{path}-env:{workspace}")
            };
            format!("the key `{path}/.lockinfo` says by whom")
        }),
        // `leaseName` in `internal/backend/remote-state/kubernetes/client.go`.
        "kubernetes" => text("secret_suffix")
            .map(|suffix| format!("the lease `lock-tfstate-{workspace}-{suffix}` says by whom")),
        "azurerm" => {
            text("key").map(|_| "the blob's metadata `terraformlockid` says by whom".to_owned())
        }
        "remote" | "cloud" => Some("the workspace's page in the browser says by whom".to_owned()),
        _ => None,
    };
    looking.map_or_else(
        || BY_FAILING.to_owned(),
        |looking| format!("{BY_FAILING}; {looking}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lock(type_name: &str, config: Value, workspace: &str) -> OwnLock {
        own_lock(
            &Backend::of_json(type_name, config),
            &Workspace::new(workspace),
        )
    }

    #[test]
    fn each_lock_is_described_by_kind_and_place() {
        let gcs = lock("gcs", json!({ "bucket": "acme", "prefix": "net/" }), "stg");
        assert!(gcs.place.contains("Google Cloud Storage"), "{gcs:?}");
        assert!(gcs.advice.contains("`gs://acme/net/stg.tflock`"), "{gcs:?}");
        let consul = lock("consul", json!({ "path": "a/b" }), "stg");
        assert!(
            consul.advice.contains("`a/b-env:stg/.lockinfo`"),
            "{consul:?}"
        );
        let kubernetes = lock("kubernetes", json!({ "secret_suffix": "app" }), "default");
        assert!(
            kubernetes.advice.contains("`lock-tfstate-default-app`"),
            "{kubernetes:?}"
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let address = "https://user:hunter2@git.example/state?token=hunter2";
        let http = lock(
            "http",
            json!({ "address": address, "password": "hunter2" }),
            "default",
        );
        assert!(http.place.contains("git.example/state"), "{http:?}");
        let postgres = lock(
            "pg",
            json!({ "conn_str": "postgres://u:hunter2@h/d" }),
            "default",
        );
        for lock in [http, postgres] {
            assert!(!format!("{lock:?}").contains("hunter2"), "{lock:?}");
        }
    }

    #[test]
    fn an_unknown_backend_has_a_lock_too() {
        let unknown = lock("artifactory", json!({}), "stg");
        assert_eq!(unknown.place, "terraform's own, for `stg`");
        assert!(unknown.advice.contains("`tflock --wait 0 plan`"));
    }
}
