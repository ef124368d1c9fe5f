use super::*;
use crate::terraform::real_terraform;
use proptest::prelude::*;
use std::io::Write as _;

fn msgpack(value: &rmpv::Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}

/// Reads a plan file with this `tfplan` entry.
fn read_with(entry: &[u8]) -> Result<Option<PlannedBackend>, PlanFileError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("saved.plan");
    let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
    archive
        .start_file("tfplan", zip::write::SimpleFileOptions::default())
        .unwrap();
    archive.write_all(entry).unwrap();
    archive.finish().unwrap();
    read_plan_file(&path)
}

fn read_content(content: &[u8]) -> Result<Option<PlannedBackend>, PlanFileError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("saved.plan");
    std::fs::write(&path, content).unwrap();
    read_plan_file(&path)
}

fn plan_for(type_name: &str, config: Vec<u8>) -> message::Plan {
    message::Plan {
        version: PLAN_VERSION,
        backend: Some(message::Backend {
            type_name: type_name.to_owned(),
            config: Some(message::DynamicValue { msgpack: config }),
        }),
        terraform_version: "1.11.4".to_owned(),
        state_store: None,
    }
}

#[test]
fn the_backend_is_read_from_a_plan_of_the_real_terraform() {
    let directory = tempfile::tempdir().unwrap();
    let configuration = "terraform {\n  backend \"local\" {\n    path = \"sub/x.tfstate\"\n  }\n}\noutput \"x\" {\n  value = 1\n}\n";
    std::fs::write(directory.path().join("main.tf"), configuration).unwrap();
    real_terraform::succeed(directory.path(), &["init"]);
    real_terraform::succeed(directory.path(), &["plan", "-out=saved.plan"]);
    let planned = read_plan_file(&directory.path().join("saved.plan"))
        .unwrap()
        .unwrap();
    let local = planned.backend.local().unwrap().unwrap();
    assert_eq!(local.path, Some("sub/x.tfstate".into()));
    assert_eq!(local.workspace_directory, None);
    assert!(planned.recorded_version.unwrap().starts_with("1."));
}

#[test]
fn a_configuration_is_read_as_the_record_would_have_it() {
    let config = rmpv::Value::Map(vec![
        ("bucket".into(), "b".into()),
        ("key".into(), "k".into()),
        ("use_lockfile".into(), true.into()),
        (
            "assume_role_duration_seconds".into(),
            rmpv::Value::from(900),
        ),
        ("role_arn".into(), "arn:role".into()),
        ("region".into(), rmpv::Value::Nil),
        ("profile".into(), rmpv::Value::Ext(0, vec![0])),
        (
            "shared_config_files".into(),
            rmpv::Value::Array(vec!["f".into()]),
        ),
        (
            "endpoints".into(),
            rmpv::Value::Map(vec![("s3".into(), "http://s3".into())]),
        ),
    ]);
    let plan = plan_for("s3", msgpack(&config));
    let planned = read_with(&plan.encode_to_vec()).unwrap().unwrap();
    let s3 = planned.backend.s3().unwrap().unwrap();
    assert_eq!((s3.bucket.as_str(), s3.key.as_str()), ("b", "k"));
    assert_eq!((s3.region, s3.profile), (None, None));
    assert!(s3.use_lockfile);
    let role = s3.assume_role.unwrap();
    assert_eq!(role.duration, Some(std::time::Duration::from_mins(15)));
    assert_eq!(s3.shared_config_files, Some(vec!["f".to_owned()]));
    assert_eq!(s3.endpoints.s3.as_deref(), Some("http://s3"));
}

#[test]
fn other_files_are_no_plan() {
    let directory = tempfile::tempdir().unwrap();
    assert!(
        read_plan_file(&directory.path().join("missing"))
            .unwrap()
            .is_none()
    );
    assert!(read_plan_file(directory.path()).unwrap().is_none());
    for content in [
        &b""[..],
        b"PK",
        b"text",
        b"{",
        br#"{"remote_plan_format":1,"run_id":"run-x"}"#,
    ] {
        assert!(read_content(content).unwrap().is_none(), "{content:?}");
    }
}

#[test]
fn an_encrypted_plan_is_an_error_with_a_hint() {
    let content = br#"{"meta":{},"encrypted_data":"aGk=","encryption_version":"v0"}"#;
    let error = read_content(content).unwrap_err();
    assert!(matches!(error, PlanFileError::Encrypted { .. }));
    assert!(error.hint().contains("`--lock-id`"));
}

#[test]
fn an_unsupported_or_malformed_plan_is_an_error() {
    let other_version = message::Plan {
        version: 4,
        ..Default::default()
    };
    let no_backend = message::Plan {
        version: PLAN_VERSION,
        ..Default::default()
    };
    let store = message::Plan {
        state_store: Some(message::StateStore {
            type_name: "aws_s3".to_owned(),
        }),
        ..no_backend.clone()
    };
    let strange = plan_for("s3", msgpack(&"text".into()));
    for (entry, expected) in [
        (other_version.encode_to_vec(), "format 4"),
        (no_backend.encode_to_vec(), "no readable backend"),
        (store.encode_to_vec(), "state store `aws_s3`"),
        (strange.encode_to_vec(), "no readable backend configuration"),
        (vec![0xff; 9], "no readable entry `tfplan`"),
    ] {
        let error = read_with(&entry).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().contains("`--lock-id`"));
    }
    let error = read_content(b"PK\x03\x04 cut off").unwrap_err();
    assert!(error.to_string().contains("no readable archive"), "{error}");
}

proptest! {
    #[test]
    fn no_plan_makes_it_panic(entry in prop::collection::vec(any::<u8>(), 0..200)) {
        let plan = plan_for("s3", entry.clone());
        let _ = read_with(&plan.encode_to_vec());
        let _ = read_with(&entry);
    }
}
