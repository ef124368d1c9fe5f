//! The real terraform's whole life cycle on the engines of the tests.

use nix::sys::signal::Signal;

use crate::support::backend::{LOCK_ID, LOCK_KEY, LockMode, Remote, STATE_KEY};
use crate::support::configuration::Configuration;
use crate::support::s3::Object;
use crate::support::tls::TlsEndpoint;
use crate::support::workspace::Workspace;

#[test]
fn terraform_lives_on_the_engines_with_a_lock_table() {
    terraform_lives_on_the_engines(LockMode::DynamodbTable);
}

#[test]
fn terraform_lives_on_the_engines_with_a_lock_file() {
    terraform_lives_on_the_engines(LockMode::Lockfile);
}

#[test]
fn terraform_lives_on_the_engines_with_both_locks() {
    terraform_lives_on_the_engines(LockMode::Both);
}

/// init, apply, a plan against the held lock, a second workspace, destroy.
fn terraform_lives_on_the_engines(mode: LockMode) {
    let remote = Remote::start();
    let configuration = Configuration::with_backend(&remote.backend(mode));
    let ana = Workspace::with(&configuration.waiting_resource("slow"));
    let ben = ana.colleague();
    for checkout in [&ana, &ben] {
        let init = checkout.terraform(["init", "-input=false"]);
        init.run().succeeded();
    }
    assert_eq!(remote.locks(), Vec::<String>::new());

    let apply = ana.terraform(["apply", "-auto-approve"]).start();
    ana.wait_until_started();
    assert_held_as_the_mode_says(&remote, mode);
    ben.terraform(["plan", "-input=false"])
        .run()
        .ended_with(1)
        .with_stderr("Error acquiring the state lock")
        .with_stderr("OperationTypeApply");
    ana.let_go();
    apply.wait().succeeded().with_stdout("1 added");
    assert_eq!(remote.locks(), Vec::<String>::new());
    ben.terraform(["plan", "-detailed-exitcode"])
        .run()
        .succeeded();

    ana.terraform(["workspace", "new", "stg"]).run().succeeded();
    ana.terraform(["apply", "-auto-approve"]).run().succeeded();
    assert!(remote.s3.object(&format!("env:/stg/{STATE_KEY}")).is_some());
    ben.terraform(["workspace", "list"])
        .run()
        .succeeded()
        .with_stdout("stg");
    ana.terraform(["destroy", "-auto-approve"])
        .run()
        .succeeded();
    ana.terraform(["workspace", "select", "default"])
        .run()
        .succeeded();
    ana.terraform(["workspace", "delete", "stg"])
        .run()
        .succeeded();
    ana.terraform(["destroy", "-auto-approve"])
        .run()
        .succeeded()
        .with_stdout("1 destroyed");
    assert_eq!(remote.locks(), Vec::<String>::new());
    assert_eq!(remote.s3.keys(), [STATE_KEY]);
}

fn assert_held_as_the_mode_says(remote: &Remote, mode: LockMode) {
    let item = remote.table.lock_info(LOCK_ID);
    let object = remote.s3.object(LOCK_KEY);
    let holders = [item, object.as_ref().map(Object::json)];
    let expected = match mode {
        LockMode::DynamodbTable => [true, false],
        LockMode::Lockfile => [false, true],
        LockMode::Both => [true, true],
        LockMode::None => [false, false],
    };
    assert_eq!(holders.each_ref().map(Option::is_some), expected);
    for holder in holders.into_iter().flatten() {
        assert_eq!(holder["Operation"], "OperationTypeApply");
    }
    if let Some(object) = object {
        assert_eq!(object.content_type.as_deref(), Some("application/json"));
        let checked = object.checksums.contains_key("x-amz-checksum-sha256");
        assert!(checked, "terraform sends SHA-256: {object:?}");
    }
}

#[test]
fn without_a_lock_mode_terraform_locks_nothing() {
    let remote = Remote::start();
    let configuration = Configuration::with_backend(&remote.backend(LockMode::None));
    let workspace = Workspace::with(&configuration.waiting_resource("slow"));
    workspace.init();
    let apply = workspace.terraform(["apply", "-auto-approve"]).start();
    workspace.wait_until_started();
    assert_held_as_the_mode_says(&remote, LockMode::None);
    workspace.let_go();
    apply.wait().succeeded();
}

#[test]
fn an_interrupted_terraform_gives_its_lock_back() {
    let remote = Remote::start();
    let configuration = Configuration::with_backend(&remote.backend(LockMode::DynamodbTable));
    let workspace = Workspace::with(&configuration.waiting_resource("slow"));
    workspace.init();
    let mut apply = workspace.terraform(["apply", "-auto-approve"]).start();
    workspace.wait_until_started();
    assert_eq!(remote.locks(), [LOCK_ID]);
    apply.signal(Signal::SIGINT);
    apply.wait_for_output("Interrupt received");
    workspace.let_go();
    apply.wait().ended_with(1);
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn terraform_reaches_the_engines_by_tls_with_the_authority_only() {
    let remote = Remote::start();
    let s3 = TlsEndpoint::before(remote.s3.url());
    let dynamodb = TlsEndpoint::before(remote.dynamodb.url());
    let backend = remote
        .backend(LockMode::DynamodbTable)
        .s3_url(s3.url())
        .dynamodb_url(dynamodb.url_by_address())
        .setting("max_retries", "1");
    let configuration = Configuration::with_backend(&backend).resource("one", "1");

    let stranger = Workspace::with(&configuration);
    stranger
        .terraform(["init", "-input=false"])
        .run()
        .ended_with(1)
        .with_stderr("certificate signed by unknown authority");

    let bundle = tempfile::tempdir().expect("a temporary directory");
    let bundle = bundle.path().join("both.pem");
    let authorities = [s3.ca_file(), dynamodb.ca_file()];
    let authorities = authorities.map(|file| std::fs::read_to_string(file).expect("a PEM file"));
    std::fs::create_dir_all(bundle.parent().expect("a parent")).expect("a directory");
    std::fs::write(&bundle, authorities.concat()).expect("a bundle");
    let friend = Workspace::with(&configuration).env("AWS_CA_BUNDLE", bundle.display().to_string());
    friend.init();
    friend
        .terraform(["apply", "-auto-approve"])
        .run()
        .succeeded()
        .with_stdout("1 added");
}

#[test]
fn a_directory_that_is_made_like_an_initialised_one_is_what_terraform_makes() {
    for mode in [LockMode::DynamodbTable, LockMode::Both] {
        let [first, second] = [(); 2].map(|()| {
            let remote = Remote::start();
            let configuration = Configuration::with_backend(&remote.backend(mode));
            let workspace = Workspace::with(&configuration);
            workspace.init();
            (workspace, remote)
        });
        for (workspace, _remote) in [first, second] {
            let data = workspace.file(".terraform");
            let look = || {
                let entries = std::fs::read_dir(&data).expect("a directory");
                let names: Vec<_> = entries
                    .map(|entry| entry.expect("an entry").file_name())
                    .collect();
                let record = workspace.read(".terraform/terraform.tfstate");
                let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
                (names, record)
            };
            let made = look();
            std::fs::remove_dir_all(&data).expect("a directory");
            workspace
                .terraform(["init", "-input=false"])
                .run()
                .succeeded();
            assert_eq!(made, look(), "{mode:?}");
        }
    }
}
