//! Files of others: saved plans, `~/.aws`, traces of runs.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use tflock::lock::store::aws::{AwsAccess, AwsSettings};
use tflock::system::process::ProcessIdentity;
use tflock::system::run_file::{Run, RunFile, traces_of};
use tflock::terraform::plan_file::read_plan_file;
use tflock::text::printable;

use crate::{assert_printable, fuzz};

/// A plan of terraform 1.11.4 for a local backend.
const PLAN: &[u8] = include_bytes!("corpus/local.plan");

#[test]
fn saved_plans() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan");
    fuzz(&[PLAN, b"{\"serial\":1}", b"PK\x05\x06"], |input| {
        std::fs::write(&path, input).unwrap();
        if let Err(error) = read_plan_file(&path) {
            assert_printable(&printable(&error.to_string()));
        }
    });
}

const CONFIG: &str = "[default]\nregion = eu-west-1\nsource_profile = b\nrole_arn = arn:aws:iam::1:role/x\n\
    services = s\n[profile b]\naws_access_key_id = a\naws_secret_access_key = s\nca_bundle =\n[services s]\ns3 =\n  \
    endpoint_url = http://s3\n[sso-session t]\nsso_region = x\n# comment\n; another\n[profile \"q r\"]\n\
    sso_session = t\nsso_account_id = 1\nsso_role_name = r\n";

#[test]
fn aws_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    fuzz(
        &[CONFIG.as_bytes(), b"[default]\r\nregion=x\r\n"],
        |input| {
            std::fs::write(&file, input).unwrap();
            let settings = AwsSettings {
                shared_config_files: Some(vec![file.clone()]),
                shared_credentials_files: Some(vec![file.clone()]),
                directory: directory.path().to_owned(),
                ..AwsSettings::default()
            };
            // Credentials are not asked for: nothing that the file names is started.
            if let Err(error) = runtime.block_on(AwsAccess::load(settings)) {
                assert_printable(&printable(&error.to_string()));
            }
        },
    );
}

#[test]
fn run_files() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let id = "4db125df-d950-b194-cf41-df3ed13f0cf1";
    let run = Run::of_this_process(id, &[directory.path().to_owned()]).unwrap();
    let file = RunFile::create(directory.path(), run).unwrap();
    let path = file.path().to_owned();
    let written = std::fs::read(&path).unwrap();
    drop(file);
    let claimed = ProcessIdentity::of(std::process::id()).unwrap();
    fuzz(&[&written, b"{}"], |input| {
        std::fs::write(&path, input).unwrap();
        let _ = traces_of(directory.path(), id, claimed);
    });
}
