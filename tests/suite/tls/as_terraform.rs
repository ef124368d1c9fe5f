//! Whose certificates are accepted: those that the real terraform accepts beside us, and no others.

use std::thread;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use serde_json::json;

use crate::support::backend::STATE_KEY;
use crate::support::process::Status;
use crate::support::recorded::s3_workspace;
use crate::support::s3::{BUCKET, S3};
use crate::support::tls::{Certificates, TlsEndpoint};
use crate::support::workspace::Workspace;

/// One certificate in the making, for `localhost`.
struct Draft {
    params: CertificateParams,
    key: KeyPair,
}

fn draft(name: &str) -> Draft {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    Draft {
        params,
        key: KeyPair::generate().unwrap(),
    }
}

fn authority(name: &str) -> Draft {
    draft(name).with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
}

impl Draft {
    fn with(mut self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        change(&mut self.params);
        self
    }

    fn self_signed(&self) -> Certificate {
        self.params.self_signed(&self.key).unwrap()
    }

    fn signed_by(&self, issuer: &Self) -> Certificate {
        let issuer = Issuer::from_params(&issuer.params, &issuer.key);
        self.params.signed_by(&self.key, &issuer).unwrap()
    }

    /// The server that is its own authority, with its certificate as the bundle.
    fn itself(self) -> Certificates {
        let certificate = self.self_signed();
        self.shown([&certificate], &certificate)
    }

    /// The server of an authority that is the bundle.
    fn of(self, issuer: &Self) -> Certificates {
        let certificate = self.signed_by(issuer);
        self.shown([&certificate], &issuer.self_signed())
    }

    fn shown<const N: usize>(self, chain: [&Certificate; N], bundle: &Certificate) -> Certificates {
        Certificates {
            bundle: bundle.pem(),
            chain: chain.map(|certificate| certificate.der().clone()).into(),
            key: self.key,
        }
    }
}

fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
}

fn for_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

fn for_another_host(params: &mut CertificateParams) {
    params.subject_alt_names = CertificateParams::new(["elsewhere.example".to_owned()])
        .unwrap()
        .subject_alt_names;
}

fn by_an_intermediate() -> Certificates {
    let (root, between, server) = (authority("root"), authority("between"), draft("server"));
    let chain = [&server.signed_by(&between), &between.signed_by(&root)];
    let bundle = root.self_signed();
    server.shown(chain, &bundle)
}

fn pinned() -> Certificates {
    let server = draft("server");
    let certificate = server.signed_by(&authority("whoever"));
    server.shown([&certificate], &certificate)
}

fn of_another() -> Certificates {
    let server = authority("server");
    let certificate = server.self_signed();
    server.shown([&certificate], &authority("server").self_signed())
}

/// How a server shows itself, and whether terraform believes it.
type Row = (&'static str, fn() -> Certificates, bool);

const ROWS: &[Row] = &[
    ("of an authority", || draft("s").of(&authority("a")), true),
    ("by an intermediate", by_an_intermediate, true),
    ("its own authority", || authority("s").itself(), true),
    ("its own, and none", || draft("s").itself(), true),
    (
        "its own, may not sign",
        || {
            let usages = vec![KeyUsagePurpose::DigitalSignature];
            authority("s")
                .with(|params| params.key_usages = usages)
                .itself()
        },
        true,
    ),
    ("pinned, of an unknown authority", pinned, true),
    (
        "its own, of another name",
        || authority("s").with(for_another_host).itself(),
        false,
    ),
    (
        "its own, without names",
        || {
            authority("localhost")
                .with(|params| params.subject_alt_names.clear())
                .itself()
        },
        false,
    ),
    (
        "its own, expired",
        || authority("s").with(expired).itself(),
        false,
    ),
    (
        "its own, not yet valid",
        || {
            let later = date_time_ymd(2090, 1, 1);
            authority("s")
                .with(|params| params.not_before = later)
                .itself()
        },
        false,
    ),
    (
        "its own, for clients",
        || authority("s").with(for_clients).itself(),
        false,
    ),
    ("another's with the same name", of_another, false),
    (
        "of an authority, another name",
        || draft("s").with(for_another_host).of(&authority("a")),
        false,
    ),
    (
        "of an authority, expired",
        || draft("s").with(expired).of(&authority("a")),
        false,
    ),
    (
        "of an expired authority",
        || draft("s").of(&authority("a").with(expired)),
        false,
    ),
    (
        "of an authority for clients",
        || draft("s").of(&authority("a").with(for_clients)),
        false,
    ),
    (
        "of one that is no authority",
        || draft("s").of(&draft("a")),
        false,
    ),
    (
        "of one that may not sign",
        || {
            let usages = vec![KeyUsagePurpose::DigitalSignature];
            draft("s").of(&authority("a").with(|params| params.key_usages = usages))
        },
        false,
    ),
];

#[test]
fn a_server_is_believed_where_terraform_believes_it() {
    thread::scope(|scope| {
        let (first, second) = ROWS.split_at(ROWS.len() / 2);
        for rows in [first, second] {
            scope.spawn(|| rows.iter().for_each(check));
        }
    });
}

#[track_caller]
fn check((name, certificates, believed): &Row) {
    let s3 = S3::start();
    let endpoint = TlsEndpoint::with(certificates(), s3.url());
    let workspace = Workspace::new();
    let hcl = format!(
        "terraform {{\n  backend \"s3\" {{\n    bucket = {BUCKET:?}\n    key = {STATE_KEY:?}\n    \
         region = \"eu-west-1\"\n    use_lockfile = true\n    use_path_style = true\n    \
         skip_credentials_validation = true\n    skip_requesting_account_id = true\n    max_retries = 1\n    \
         custom_ca_bundle = \"{}\"\n    endpoints = {{ s3 = {:?} }}\n  }}\n}}\n",
        endpoint.ca_file().display(),
        endpoint.url()
    );
    workspace.write("main.tf", &hcl);
    let theirs = workspace.terraform(["init", "-input=false"]).run();
    let settings = json!({
        "region": "eu-west-1", "use_lockfile": true, "custom_ca_bundle": endpoint.ca_file(),
        "endpoints": { "s3": endpoint.url() },
    });
    let ours = s3_workspace(&settings).tflock(["status"]).run();
    let went_well = [&theirs, &ours].map(|run| run.status == Status::Code(0));
    assert_eq!(went_well, [*believed; 2], "{name}\n{theirs}\n{ours}");
    if !believed {
        ours.ended_with(69).with_stderr("invalid peer certificate");
    }
}
