//! Whether a record still counts after the files have changed: compared with the real terraform.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::process::Status;
use crate::support::s3::S3;
use crate::support::workspace::Workspace;

/// A project: its files when it is initialised, options of `init`, and what is written or removed (`None`) afterwards.
struct Row {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    options: &'static [&'static str],
    after: &'static [(&'static str, Option<&'static str>)],
    goes_on: bool,
}

const fn row(name: &'static str, block: &'static [(&'static str, &'static str)]) -> Row {
    Row {
        name,
        files: block,
        options: &[],
        after: &[],
        goes_on: true,
    }
}

impl Row {
    const fn init(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    const fn then(mut self, after: &'static [(&'static str, Option<&'static str>)]) -> Self {
        self.after = after;
        self
    }

    const fn refused(mut self) -> Self {
        self.goes_on = false;
        self
    }
}

const LOCAL: &[(&str, &str)] = &[(
    "main.tf",
    "terraform {\n  backend \"local\" {\n    path = \"a\"\n  }\n}\n",
)];
const EMPTY: &[(&str, &str)] = &[("main.tf", "terraform {\n  backend \"local\" {}\n}\n")];
const OTHER: &str = "terraform {\n  backend \"local\" {\n    path = \"b\"\n  }\n}\n";
const OVERRIDDEN: &[(&str, &str)] = &[LOCAL[0], ("override.tf", OTHER)];
const OVERRIDDEN_BY_B: &[(&str, &str)] = &[LOCAL[0], ("b_override.tf", OTHER)];
/// `{s3}` is the address of the server.
const S3_BLOCK: &[(&str, &str)] = &[(
    "main.tf",
    "terraform {\n  backend \"s3\" {\n    bucket = \"states\"\n    \
    key = \"app\"\n    region = \"us-east-1\"\n    use_path_style = true\n    max_retries = 1\n    \
    skip_credentials_validation = true\n    skip_requesting_account_id = true\n    \
    endpoints = { s3 = \"{s3}\" }\n  }\n}\n",
)];
const S3_EMPTY: &[(&str, &str)] = &[("main.tf", "terraform {\n  backend \"s3\" {}\n}\n")];
const S3_OPTIONS: &[&str] = &[
    "-backend-config=bucket=states",
    "-backend-config=key=app",
    "-backend-config=region=us-east-1",
    "-backend-config=use_path_style=true",
    "-backend-config=skip_credentials_validation=true",
    "-backend-config=skip_requesting_account_id=true",
    "-backend-config=endpoints={s3=\"{s3}\"}",
];
const HTTP: &[(&str, &str)] = &[(
    "main.tf",
    "terraform {\n  backend \"http\" {\n    \
    address = \"http://127.0.0.1:9/x\"\n    retry_max = 0\n    skip_cert_verification = true\n  }\n}\n",
)];

const ROWS: &[Row] = &[
    row("unchanged", LOCAL),
    row("another path", LOCAL).then(&[("main.tf", Some(OTHER))]).refused(),
    row("no block", LOCAL).then(&[("main.tf", Some("\n"))]).refused(),
    row("no file", LOCAL).then(&[("main.tf", None), ("x.tf", Some("locals {}\n"))]).refused(),
    row("another type", LOCAL)
        .then(&[("main.tf", Some("terraform {\n  backend \"s3\" {}\n}\n"))])
        .refused(),
    row("cloud", LOCAL)
        .then(&[("main.tf", Some("terraform {\n  cloud {\n    organization = \"o\"\n  }\n}\n"))])
        .refused(),
    row("two blocks", LOCAL).then(&[("x.tf", Some(OTHER))]).refused(),
    row("an override file", LOCAL).then(&[("override.tf", Some(OTHER))]).refused(),
    row("another override file", LOCAL).then(&[("x_override.tf", Some(OTHER))]).refused(),
    row("an override in JSON", LOCAL)
        .then(&[("x_override.tf.json", Some(r#"{"terraform":{"backend":{"local":{"path":"b"}}}}"#))])
        .refused(),
    row("overridden from the first", OVERRIDDEN)
        .then(&[("main.tf", Some("terraform {\n  backend \"local\" {}\n}\n"))]),
    row("the last override counts", OVERRIDDEN_BY_B)
        .then(&[("a_override.tf", Some("terraform {\n  backend \"s3\" {}\n}\n"))]),
    row("the same in an override file", LOCAL).then(&[
        ("override.tf", Some("terraform {\n  backend \"local\" {\n    path = \"a\"\n  }\n}\n")),
        ("main.tf", Some(OTHER)),
    ]),
    row("in JSON", LOCAL).then(&[
        ("main.tf", None),
        ("main.tf.json", Some(r#"{"//":"x","terraform":{"//":"y","backend":{"local":{"//":"z","path":"a"}}}}"#)),
    ]),
    row("in JSON, another path", LOCAL)
        .then(&[
            ("main.tf", None),
            ("main.tf.json", Some(r#"{"terraform":{"backend":{"local":{"path":"b"}}}}"#)),
        ])
        .refused(),
    row("arrays in JSON", LOCAL).then(&[
        ("main.tf", None),
        ("main.tf.json", Some(r#"{"terraform":[{"backend":[{"local":[{"path":"a"}]}]}]}"#)),
    ]),
    row("escapes in JSON", &[(
        "main.tf.json", r#"{"terraform":{"backend":{"local":{"path":"\u0061\"\\\té"}}}}"#,
    )])
    .then(&[
        ("main.tf.json", None),
        ("main.tf", Some("terraform {\n  backend \"local\" {\n    path = \"a\\\"\\\\\\t\\u00e9\"\n  }\n}\n")),
    ]),
    row(
        "what is no template in JSON",
        &[("main.tf.json", r#"{"terraform":{"backend":{"local":{"path":"$${x}%%{y}"}}}}"#)],
    ),
    row("laid out anew", LOCAL).then(&[(
        "main.tf",
        Some("terraform {}\n/* backend */\nterraform {\n  # why\n  backend local {\n    path = (\"a\") // x\n  }\n}\n"),
    )]),
    row("a copy of an editor", LOCAL).then(&[("main.tf~", Some(OTHER)), (".x.tf", Some(OTHER))]),
    row("a directory below", LOCAL).then(&[("modules/x.tf", Some(OTHER))]),
    row("a file of OpenTofu's", LOCAL).then(&[("x.tofu", Some(OTHER))]),
    row("null written out", LOCAL).then(&[(
        "main.tf",
        Some("terraform {\n  backend \"local\" {\n    path = \"a\"\n    workspace_dir = null\n  }\n}\n"),
    )]),
    row("a setting more", LOCAL)
        .then(&[(
            "main.tf",
            Some("terraform {\n  backend \"local\" {\n    path = \"a\"\n    workspace_dir = \"w\"\n  }\n}\n"),
        )])
        .refused(),
    row("a heredoc", &[("main.tf", "terraform {\n  backend \"local\" {\n    path = <<EOT\na b\n  c\nEOT\n  }\n}\n")]),
    row("an indented heredoc", &[(
        "main.tf", "terraform {\n  backend \"local\" {\n    path = <<-EOT\n      a\n        b\n      EOT\n  }\n}\n",
    )])
    .then(&[(
        "main.tf", Some("terraform {\n  backend \"local\" {\n    path = \"a\\n  b\\n\"\n  }\n}\n"),
    )]),
    row("another heredoc", &[(
        "main.tf", "terraform {\n  backend \"local\" {\n    path = <<-EOT\n      a\n      EOT\n  }\n}\n",
    )])
    .then(&[(
        "main.tf", Some("terraform {\n  backend \"local\" {\n    path = <<-EOT\n      b\n      EOT\n  }\n}\n"),
    )])
    .refused(),
    row("a constant template", &[(
        "main.tf", "terraform {\n  backend \"local\" {\n    path = \"a${\"b\"}\"\n  }\n}\n",
    )]),
    row("a constant condition", &[(
        "main.tf", "terraform {\n  backend \"local\" {\n    path = true ? \"a\" : \"b\"\n  }\n}\n",
    )]),
    row("a number for a text", &[("main.tf", "terraform {\n  backend \"local\" {\n    path = 5\n  }\n}\n")]),
    row("a switch for a text", &[("main.tf", "terraform {\n  backend \"local\" {\n    path = true\n  }\n}\n")]),
    row("all by options", EMPTY).init(&["-backend-config=path=a"]),
    row("an option goes before", LOCAL).init(&["-backend-config=path=b"]),
    row("an option went before, another since", LOCAL)
        .init(&["-backend-config=path=b"])
        .then(&[("main.tf", Some("terraform {\n  backend \"local\" {\n    path = \"c\"\n  }\n}\n"))])
        .refused(),
    row("an option written down", EMPTY).init(&["-backend-config=path=b"]).then(&[("main.tf", Some(OTHER))]),
    row("an option goes before, beside another setting", &[(
        "main.tf", "terraform {\n  backend \"local\" {\n    path = \"a\\t\\\"é\"\n    workspace_dir = \"w\"\n  }\n}\n",
    )])
    .init(&["-backend-config=path=b"]),
    row("a file that is broken", LOCAL).then(&[("main.tf", Some("terraform {\n  backend \"local\" {\n"))]).refused(),
    row("S3, unchanged", S3_BLOCK),
    row("S3, all by options", S3_EMPTY).init(S3_OPTIONS),
    row("S3, an option goes before", S3_BLOCK).init(&["-backend-config=key=b", "-backend-config=max_retries=2"]),
    row("S3, an option goes before, and a table since", S3_BLOCK)
        .init(&["-backend-config=key=b"])
        .then(&[("x_override.tf", Some("terraform {\n  backend \"s3\" {\n    key = \"c\"\n  }\n}\n"))])
        .refused(),
    row("S3, another bucket", S3_EMPTY)
        .init(S3_OPTIONS)
        .then(&[("main.tf", Some("terraform {\n  backend \"s3\" {\n    bucket = \"other\"\n  }\n}\n"))])
        .refused(),
    row("S3, another endpoint", S3_EMPTY)
        .init(S3_OPTIONS)
        .then(&[(
            "main.tf",
            Some("terraform {\n  backend \"s3\" {\n    endpoints = { s3 = \"http://127.0.0.1:9\" }\n  }\n}\n"),
        )])
        .refused(),
    row("S3, an endpoint more", S3_EMPTY)
        .init(S3_OPTIONS)
        .then(&[(
            "main.tf",
            Some("terraform {\n  backend \"s3\" {\n    endpoints = { sts = \"http://127.0.0.1:9\" }\n  }\n}\n"),
        )])
        .refused(),
    row("S3, a table since", S3_EMPTY)
        .init(S3_OPTIONS)
        .then(&[("main.tf", Some("terraform {\n  backend \"s3\" {\n    dynamodb_table = \"t\"\n  }\n}\n"))])
        .refused(),
    row("S3, texts for numbers and switches", S3_BLOCK).then(&[("main.tf", Some(
        "terraform {\n  backend \"s3\" {\n    bucket = \"states\"\n    key = \"app\"\n    region = \"us-east-1\"\n    \
         use_path_style = \"true\"\n    max_retries = \"1\"\n    skip_credentials_validation = \"true\"\n    \
         skip_requesting_account_id = true\n    endpoints = { \"s3\" : \"{s3}\" }\n  }\n}\n",
    ))]),
    row("HTTP, unchanged", HTTP),
    row("HTTP, an option goes before", HTTP).init(&["-backend-config=retry_max=1"]),
    row("HTTP, another number", HTTP)
        .then(&[("main.tf", Some(
            "terraform {\n  backend \"http\" {\n    address = \"http://127.0.0.1:9/x\"\n    retry_max = 3\n    \
             skip_cert_verification = true\n  }\n}\n",
        ))])
        .refused(),
];

/// How many rows are tried at once.
const AT_ONCE: usize = 4;

#[test]
fn a_record_counts_where_terraform_counts_it() {
    let s3 = S3::start();
    let next = AtomicUsize::new(0);
    let failures: Vec<String> = thread::scope(|scope| {
        let tries: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let mut failures = Vec::new();
                    while let Some(row) = ROWS.get(next.fetch_add(1, Ordering::Relaxed)) {
                        failures.extend(compare(row, s3.url()).err());
                    }
                    failures
                })
            })
            .collect();
        tries
            .into_iter()
            .flat_map(|tried| tried.join().unwrap())
            .collect()
    });
    assert!(
        failures.is_empty(),
        "{} differ\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

fn compare(row: &Row, s3: &str) -> Result<(), String> {
    let workspace = Workspace::new();
    let filled = |text: &str| text.replace("{s3}", s3);
    for (name, text) in row.files {
        workspace.write(name, &filled(text));
    }
    let options: Vec<String> = row.options.iter().map(|option| filled(option)).collect();
    let init = workspace
        .terraform(["init", "-input=false", "-no-color"])
        .args(&options)
        .run();
    // The server of the HTTP backend is none, and its record is written all the same.
    let no_server = "connection refused";
    if init.status != Status::Code(0) && !init.stderr.contains(no_server) {
        return Err(format!("{}: {init}", row.name));
    }
    for (name, text) in row.after {
        match text {
            Some(text) => workspace.write(name, &filled(text)),
            None => fs::remove_file(workspace.file(name)).unwrap(),
        }
    }
    let plan = ["plan", "-input=false", "-no-color", "-lock=false"];
    let theirs = workspace.terraform(plan).run();
    let ours = workspace.tflock(["status"]).run();
    let goes_on = theirs.status == Status::Code(0) || theirs.stderr.contains(no_server);
    let we_go_on = match ours.status {
        Status::Code(0) => true,
        Status::Code(78) => false,
        _ => return Err(format!("{}: {ours}", row.name)),
    };
    if [goes_on, we_go_on] == [row.goes_on; 2] {
        return Ok(());
    }
    Err(format!(
        "{}: expected {}\nterraform {theirs}\ntflock {ours}",
        row.name, row.goes_on
    ))
}
