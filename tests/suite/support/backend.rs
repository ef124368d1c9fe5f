//! The remote state of a test: an S3, a DynamoDB, a table, and the backend block that names them.

use super::dynamodb::{Dynamodb, Table};
use super::s3::{BUCKET, S3};

/// How terraform is told to lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    DynamodbTable,
    Lockfile,
    Both,
    None,
}

impl LockMode {
    /// The modes in which plain terraform locks at all.
    pub const LOCKING: [Self; 3] = [Self::DynamodbTable, Self::Lockfile, Self::Both];

    fn uses_table(self) -> bool {
        matches!(self, Self::DynamodbTable | Self::Both)
    }

    fn uses_lockfile(self) -> bool {
        matches!(self, Self::Lockfile | Self::Both)
    }
}

/// Engines for one test only.
#[derive(Debug)]
pub struct Remote {
    pub s3: S3,
    pub dynamodb: Dynamodb,
    pub table: Table,
}

/// The key of the state that [`Remote::backend`] names.
pub const STATE_KEY: &str = "prod/app.tfstate";
/// The key of its lock file.
pub const LOCK_KEY: &str = "prod/app.tfstate.tflock";
/// Its `LockID` in DynamoDB: the bucket is [`BUCKET`].
pub const LOCK_ID: &str = "states/prod/app.tfstate";

impl Remote {
    /// Both engines and an empty table.
    pub fn start() -> Self {
        let dynamodb = Dynamodb::start();
        Self {
            s3: S3::start(),
            table: dynamodb.create_table_in_case("locks"),
            dynamodb,
        }
    }

    /// A backend for [`STATE_KEY`] that locks in that way.
    pub fn backend(&self, mode: LockMode) -> S3Backend {
        S3Backend {
            bucket: BUCKET.to_owned(),
            key: STATE_KEY.to_owned(),
            s3_url: self.s3.url().to_owned(),
            dynamodb_url: self.dynamodb.url().to_owned(),
            table: TableName::Of(self.table.clone()),
            mode,
            settings: Vec::new(),
        }
    }

    /// What is locked right now, in both stores.
    pub fn locks(&self) -> Vec<String> {
        let mut locks = self.table.locks();
        locks.extend(self.s3.locks());
        locks
    }
}

#[derive(Debug, Clone)]
enum TableName {
    Of(Table),
    Other(String),
}

/// A `backend "s3"` block.
#[derive(Debug, Clone)]
pub struct S3Backend {
    bucket: String,
    key: String,
    s3_url: String,
    dynamodb_url: String,
    table: TableName,
    mode: LockMode,
    settings: Vec<(String, String)>,
}

impl S3Backend {
    /// The same with another state key.
    pub fn key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// The same with another way to S3, such as a proxy.
    pub fn s3_url(mut self, url: impl Into<String>) -> Self {
        self.s3_url = url.into();
        self
    }

    /// The same with another way to DynamoDB, such as a proxy.
    pub fn dynamodb_url(mut self, url: impl Into<String>) -> Self {
        self.dynamodb_url = url.into();
        self
    }

    /// The same with another table.
    pub fn table(mut self, name: &str) -> Self {
        self.table = TableName::Other(name.to_owned());
        self
    }

    /// The same with one more attribute, whose value is HCL: `"\"environments\""`, `"true"`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The block.
    pub fn hcl(&self) -> String {
        let mut lines = vec![
            format!("bucket = {:?}", self.bucket),
            format!("key = {:?}", self.key),
            "region = \"us-east-1\"".to_owned(),
            format!(
                "endpoints = {{ s3 = {:?}, dynamodb = {:?} }}",
                self.s3_url, self.dynamodb_url
            ),
        ];
        for option in [
            "use_path_style",
            "skip_credentials_validation",
            "skip_requesting_account_id",
            "skip_metadata_api_check",
            "skip_region_validation",
        ] {
            lines.push(format!("{option} = true"));
        }
        if self.mode.uses_table() {
            let name = match &self.table {
                TableName::Of(table) => table.name(),
                TableName::Other(name) => name.as_str(),
            };
            lines.push(format!("dynamodb_table = {name:?}"));
        }
        if self.mode.uses_lockfile() {
            lines.push("use_lockfile = true".to_owned());
        }
        for (name, value) in &self.settings {
            lines.push(format!("{name} = {value}"));
        }
        format!("backend \"s3\" {{\n    {}\n  }}", lines.join("\n    "))
    }
}
