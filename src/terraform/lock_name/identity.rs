//! What distinguishes the states of a shared backend, by type.
//!
//! Only the attributes named here become part of a lock's name; never a user, password, token or query. Leaving out
//! something that rarely differs can make two states share a lock, which is safe; the opposite would not be.

use super::LockNameError;
use super::postgres;
use crate::terraform::backend::{Attributes, Backend};
use crate::terraform::workspace::Workspace;
use crate::text::Address;

/// The identity of a workspace's state: the backend type, its distinguishing attributes, the workspace.
pub(super) fn of(backend: &Backend, workspace: &Workspace) -> Result<String, LockNameError> {
    let this = Identity {
        type_name: backend.type_name(),
        attributes: backend.attributes(),
    };
    let workspace = workspace.as_str().to_owned();
    let parts = match this.type_name {
        "azurerm" => vec![
            this.needed("storage_account_name")?,
            this.needed("container_name")?,
            this.needed("key")?,
            workspace,
        ],
        "consul" => {
            let address = address(&this.needed("address")?);
            vec![address.host, this.needed("path")?, workspace]
        }
        "cos" | "oss" => vec![
            this.needed("bucket")?,
            this.or_default("prefix", "")?,
            this.or_default("key", "terraform.tfstate")?,
            workspace,
        ],
        "gcs" => vec![
            this.needed("bucket")?,
            this.or_default("prefix", "")?,
            workspace,
        ],
        // The http backend has only the default workspace.
        "http" => {
            let address = address(&this.needed("address")?);
            vec![address.host, address.path]
        }
        "kubernetes" => vec![
            address(&this.or_default("host", "")?).host,
            this.or_default("namespace", "default")?,
            this.needed("secret_suffix")?,
            workspace,
        ],
        "oci" => vec![
            this.needed("namespace")?,
            this.needed("bucket")?,
            this.or_default("key", "terraform.tfstate")?,
            workspace,
        ],
        "pg" => {
            let database = postgres::database(&this.needed("conn_str")?);
            let database = database.ok_or_else(|| LockNameError::IncompleteAttribute {
                type_name: this.type_name.to_owned(),
                name: "conn_str",
                lacks: "host and database",
            })?;
            let schema = this.or_default("schema_name", "terraform_remote_state")?;
            vec![database.host, database.name, schema, workspace]
        }
        "remote" | "cloud" => {
            let hostname = this.or_default("hostname", "app.terraform.io")?;
            let organization = this.needed("organization")?;
            vec![
                hostname.to_ascii_lowercase(),
                organization,
                this.remote_workspace(workspace)?,
            ]
        }
        _ => {
            return Err(LockNameError::UnknownBackend {
                type_name: this.type_name.to_owned(),
            });
        }
    };
    // A `cloud` block and the `remote` backend reach the same workspaces.
    let mut name = match this.type_name {
        "remote" => "cloud".to_owned(),
        other => other.to_owned(),
    };
    for part in parts {
        let part = part.trim_matches('/');
        if !part.is_empty() {
            name.push('/');
            name.push_str(part);
        }
    }
    Ok(name)
}

/// A host is the same in capitals, and with the default port of its scheme.
fn address(url: &str) -> Address {
    let address = Address::of(url);
    let host = address.host.to_ascii_lowercase();
    let port = match address.scheme.to_ascii_lowercase().as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    Address {
        host: host.strip_suffix(port).unwrap_or(&host).to_owned(),
        ..address
    }
}

struct Identity<'a> {
    type_name: &'a str,
    attributes: Attributes<'a>,
}

impl Identity<'_> {
    fn needed(&self, name: &'static str) -> Result<String, LockNameError> {
        let value = self.attributes.text(name)?;
        value.ok_or_else(|| LockNameError::MissingAttribute {
            type_name: self.type_name.to_owned(),
            name,
        })
    }

    fn or_default(&self, name: &'static str, default: &str) -> Result<String, LockNameError> {
        let value = self.attributes.text(name)?;
        Ok(value.unwrap_or_else(|| default.to_owned()))
    }

    /// The name on the server: `workspaces.name`, `workspaces.prefix` plus the selected workspace, or the selected one
    /// alone.
    fn remote_workspace(&self, selected: String) -> Result<String, LockNameError> {
        let Some(workspaces) = self.attributes.object("workspaces")? else {
            return Ok(selected);
        };
        if let Some(name) = workspaces.text("name")? {
            return Ok(name);
        }
        let prefix = workspaces.text("prefix")?;
        Ok(prefix.unwrap_or_default() + &selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn name(type_name: &str, config: Value, workspace: &str) -> Result<String, LockNameError> {
        of(
            &Backend::of_json(type_name, config),
            &Workspace::new(workspace),
        )
    }

    #[test]
    fn every_backend_type_has_a_readable_name() {
        for (type_name, config, expected) in [
            (
                "azurerm",
                json!({"storage_account_name": "acc", "container_name": "c", "key": "prod.tfstate"}),
                "azurerm/acc/c/prod.tfstate/stg",
            ),
            (
                "consul",
                json!({"address": "https://Consul.example:8500/", "path": "tf/app"}),
                "consul/consul.example:8500/tf/app/stg",
            ),
            (
                "cos",
                json!({"bucket": "b", "prefix": "p", "key": null}),
                "cos/b/p/terraform.tfstate/stg",
            ),
            ("oss", json!({"bucket": "b", "key": "k"}), "oss/b/k/stg"),
            (
                "gcs",
                json!({"bucket": "b", "prefix": "/a/b/"}),
                "gcs/b/a/b/stg",
            ),
            ("gcs", json!({"bucket": "b", "prefix": null}), "gcs/b/stg"),
            (
                "http",
                json!({"address": "https://user:hunter2@Host:8443/state/App/?token=hunter2"}),
                "http/host:8443/state/App",
            ),
            (
                "http",
                json!({"address": "http://host:80/state"}),
                "http/host/state",
            ),
            (
                "http",
                json!({"address": "HTTPS://host:443/state"}),
                "http/host/state",
            ),
            (
                "http",
                json!({"address": "https://host:80/state"}),
                "http/host:80/state",
            ),
            (
                "kubernetes",
                json!({"secret_suffix": "app", "namespace": null}),
                "kubernetes/default/app/stg",
            ),
            (
                "kubernetes",
                json!({"secret_suffix": "app", "namespace": "n", "host": "https://k8s:6443"}),
                "kubernetes/k8s:6443/n/app/stg",
            ),
            (
                "oci",
                json!({"namespace": "n", "bucket": "b", "key": "k"}),
                "oci/n/b/k/stg",
            ),
            (
                "pg",
                json!({"conn_str": "postgres://u:hunter2@db.example/tf", "schema_name": null}),
                "pg/db.example:5432/tf/terraform_remote_state/stg",
            ),
            (
                "cloud",
                json!({"hostname": null, "organization": "o", "workspaces": {"name": "app"}}),
                "cloud/app.terraform.io/o/app",
            ),
            (
                "remote",
                json!({"hostname": "TFE.example", "organization": "o", "workspaces": {"name": null, "prefix": "app-"}}),
                "cloud/tfe.example/o/app-stg",
            ),
            (
                "cloud",
                json!({"organization": "o", "workspaces": {"name": null, "tags": ["x"]}}),
                "cloud/app.terraform.io/o/stg",
            ),
        ] {
            assert_eq!(
                name(type_name, config, "stg").as_deref(),
                Ok(expected),
                "{type_name}"
            );
        }
    }

    #[test]
    fn settings_from_the_environment_are_an_error_with_a_hint() {
        for (type_name, config, attribute) in [
            ("http", json!({"address": null}), "address"),
            ("gcs", json!({"bucket": ""}), "bucket"),
            ("pg", json!({"conn_str": null}), "conn_str"),
            ("consul", json!({"path": "x", "address": null}), "address"),
            ("cloud", json!({"organization": null}), "organization"),
        ] {
            let error = name(type_name, config, "default").unwrap_err();
            let expected = LockNameError::MissingAttribute {
                type_name: type_name.to_owned(),
                name: attribute,
            };
            assert_eq!(error, expected);
            assert!(error.hint().contains("`--lock-id`"));
        }
    }

    #[test]
    fn an_unknown_type_has_no_name() {
        for type_name in ["inmem", "local", "etcdv3", "new"] {
            let error = name(type_name, json!({"address": "x"}), "default").unwrap_err();
            assert!(
                matches!(error, LockNameError::UnknownBackend { .. }),
                "{type_name}"
            );
        }
    }

    #[test]
    fn a_connection_string_without_a_server_is_an_error_that_hides_it() {
        let config = json!({"conn_str": "user=u password=hunter2"});
        let error = name("pg", config, "default").unwrap_err();
        assert!(matches!(error, LockNameError::IncompleteAttribute { .. }));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
