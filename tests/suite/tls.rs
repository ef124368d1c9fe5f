//! Secure connections: the authority that a run is told to trust is trusted, and no other.

mod as_terraform;

use std::fs;

use serde_json::{Value, json};

use crate::support::backend::Remote;
use crate::support::process::{Finished, Invocation};
use crate::support::proxy::Proxy;
use crate::support::recorded::s3_workspace;
use crate::support::tls::TlsEndpoint;
use crate::support::workspace::Workspace;

/// A store that is reached by TLS only, and what arrives there.
struct Secure {
    remote: Remote,
    proxy: Proxy,
    endpoint: TlsEndpoint,
    store: Store,
}

#[derive(Clone, Copy)]
enum Store {
    Dynamodb,
    S3,
}

impl Store {
    const BOTH: [Self; 2] = [Self::Dynamodb, Self::S3];
}

impl Secure {
    fn start(store: Store) -> Self {
        let remote = Remote::start();
        let proxy = Proxy::before(match store {
            Store::Dynamodb => remote.dynamodb.url(),
            Store::S3 => remote.s3.url(),
        });
        Self {
            endpoint: TlsEndpoint::before(&proxy.url()),
            proxy,
            remote,
            store,
        }
    }

    /// A directory whose backend locks there, with these settings besides.
    fn workspace(&self, settings: Value) -> Workspace {
        let mut config = settings;
        config["region"] = json!("eu-west-1");
        match self.store {
            Store::Dynamodb => {
                config["dynamodb_table"] = json!(self.remote.table.name());
                config["endpoints"] = json!({ "dynamodb": self.endpoint.url() });
            }
            Store::S3 => {
                config["use_lockfile"] = json!(true);
                config["endpoints"] = json!({ "s3": self.endpoint.url() });
            }
        }
        s3_workspace(&config)
    }

    /// How often the lock was written and removed.
    fn writes(&self) -> usize {
        match self.store {
            Store::Dynamodb => self.proxy.count("PutItem") + self.proxy.count("DeleteItem"),
            Store::S3 => self.proxy.count("PUT *.tflock") + self.proxy.count("DELETE *.tflock"),
        }
    }

    /// Fails unless the run took its lock and gave it back, without a word.
    #[track_caller]
    fn assert_locked_and_unlocked(&self, run: Finished) {
        let run = run.succeeded();
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
        assert_eq!(self.writes(), 2);
        assert_eq!(self.proxy.connections(), 1, "one connection for both");
        assert_eq!(self.remote.locks(), Vec::<String>::new());
    }
}

fn exec(workspace: &Workspace) -> Invocation {
    workspace.tflock(["exec", "--", "true"])
}

#[test]
fn the_authority_of_the_environment_is_trusted() {
    for store in Store::BOTH {
        let secure = Secure::start(store);
        let workspace = secure.workspace(json!({}));
        let run = exec(&workspace).env("AWS_CA_BUNDLE", secure.endpoint.ca_file());
        secure.assert_locked_and_unlocked(run.run());
    }
}

#[test]
fn the_authority_of_the_profile_is_trusted() {
    let secure = Secure::start(Store::Dynamodb);
    let workspace = secure.workspace(json!({}));
    let directory = workspace.home().join(".aws");
    fs::create_dir(&directory).unwrap();
    let bundle = secure.endpoint.ca_file();
    let config = format!("[default]\nca_bundle = {}\n", bundle.display());
    fs::write(directory.join("config"), config).unwrap();
    secure.assert_locked_and_unlocked(exec(&workspace).run());
}

#[test]
fn the_authority_of_the_backend_is_trusted_whatever_the_environment_says() {
    for store in Store::BOTH {
        let secure = Secure::start(store);
        let workspace = secure.workspace(json!({ "custom_ca_bundle": "certificates/ca.pem" }));
        fs::create_dir(workspace.file("certificates")).unwrap();
        fs::copy(
            secure.endpoint.ca_file(),
            workspace.file("certificates/ca.pem"),
        )
        .unwrap();
        let another = TlsEndpoint::before("http://127.0.0.1:9");
        let run = exec(&workspace).env("AWS_CA_BUNDLE", another.ca_file());
        secure.assert_locked_and_unlocked(run.run());
    }
}

#[test]
fn whoever_is_not_vouched_for_by_the_backend_s_authority_is_refused_and_told_nothing() {
    for store in Store::BOTH {
        let secure = Secure::start(store);
        let another = TlsEndpoint::before("http://127.0.0.1:9");
        let workspace = secure.workspace(json!({ "custom_ca_bundle": another.ca_file() }));
        let run = exec(&workspace).env("SSL_CERT_FILE", secure.endpoint.ca_file());
        let refused = run.run();
        // Both authorities bear the same name.
        assert_refused(&secure, refused, "BadSignature");
    }
}

#[test]
fn the_machine_s_own_authorities_are_trusted_where_no_other_is_named() {
    for store in Store::BOTH {
        let secure = Secure::start(store);
        let workspace = secure.workspace(json!({}));
        let run = exec(&workspace).env("SSL_CERT_FILE", secure.endpoint.ca_file());
        secure.assert_locked_and_unlocked(run.run());
    }
}

#[test]
fn the_machine_s_own_authorities_do_not_include_that_of_a_test() {
    for store in Store::BOTH {
        let secure = Secure::start(store);
        let refused = exec(&secure.workspace(json!({}))).run();
        assert_refused(&secure, refused, "UnknownIssuer");
    }
}

/// It is one error, and nothing is said of a lock that may be left.
#[track_caller]
fn assert_refused(secure: &Secure, refused: Finished, reason: &str) {
    let refused = refused.ended_with(69);
    let (error, hint) = refused.stderr.split_once('\n').unwrap();
    assert!(error.starts_with("error: "), "{refused}");
    let end = format!("failed: invalid peer certificate: {reason}");
    assert!(error.ends_with(&end), "{refused}");
    assert_eq!(
        hint,
        "hint: set the backend's `custom_ca_bundle` or AWS_CA_BUNDLE to the server's certificate \
         authority\n"
    );
    assert_eq!(secure.proxy.actions(), Vec::<String>::new());
    assert_eq!(secure.remote.locks(), Vec::<String>::new());
}

#[test]
fn what_is_no_certificate_among_the_authorities_is_passed_over() {
    let secure = Secure::start(Store::Dynamodb);
    let workspace = secure.workspace(json!({ "custom_ca_bundle": "bundle.pem" }));
    let authority = fs::read_to_string(secure.endpoint.ca_file()).unwrap();
    let bundle = [
        "# what this is\n",
        &certificate("bm9uc2Vuc2U="),
        &certificate("** no base64 **"),
        &authority,
        "-----BEGIN CERTIFICATE-----\nMIIB",
    ];
    workspace.write("bundle.pem", &bundle.concat());
    secure.assert_locked_and_unlocked(exec(&workspace).run());
}

#[test]
fn authorities_of_whom_none_is_a_certificate_are_refused() {
    let secure = Secure::start(Store::Dynamodb);
    let workspace = secure.workspace(json!({ "custom_ca_bundle": "bundle.pem" }));
    workspace.write("bundle.pem", &certificate("bm9uc2Vuc2U="));
    exec(&workspace)
        .run()
        .ended_with(78)
        .with_stderr("bundle.pem` has no PEM certificate\n");
}

fn certificate(base64: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}
