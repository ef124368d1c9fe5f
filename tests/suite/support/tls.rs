//! A loopback TLS endpoint in front of a plain engine, with certificates that nothing else knows. It must never be
//! reachable without them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::http;
use super::server::{Server, loopback_listener};

/// A running endpoint. It stops when this is dropped.
#[derive(Debug)]
pub struct TlsEndpoint {
    port: u16,
    directory: TempDir,
    _server: Server,
}

/// What a server shows, and what its clients are told to trust.
#[derive(Debug)]
pub struct Certificates {
    /// PEM.
    pub bundle: String,
    /// The server's own, and what leads from it to an authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// Of the server's own.
    pub key: KeyPair,
}

impl TlsEndpoint {
    /// TLS in front of the engine (or the proxy) at that `http://` URL.
    pub fn before(url: &str) -> Self {
        Self::with(certificates(), url)
    }

    /// The same with these certificates.
    pub fn with(certificates: Certificates, url: &str) -> Self {
        let upstream = http::authority(url).to_owned();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let Certificates { bundle, chain, key } = certificates;
        fs::write(directory.path().join("ca.pem"), bundle).expect("the CA is written");
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default protocol versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the key belongs to the certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (listener, address) = loopback_listener();
        let server = Server::start("tls", listener, |listener| async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(acceptor.clone(), client, upstream.clone()));
            }
        });
        Self {
            port: address.port(),
            directory,
            _server: server,
        }
    }

    /// The URL by name; the certificate is for `localhost` and 127.0.0.1.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The URL by address.
    pub fn url_by_address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate authority as PEM, for `custom_ca_bundle` or `AWS_CA_BUNDLE`.
    pub fn ca_file(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Carries one connection. Clients that do not trust the certificate end it, which is not our failure.
async fn relay(acceptor: TlsAcceptor, client: TcpStream, upstream: String) {
    // Best effort: without it a test is slower and nothing else.
    let _ = client.set_nodelay(true);
    let Ok(mut client) = acceptor.accept(client).await else {
        return;
    };
    let Ok(mut engine) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = engine.set_nodelay(true);
    let _ = copy_bidirectional(&mut client, &mut engine).await;
}

/// An authority, and a leaf that it signed.
fn certificates() -> Certificates {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let name = "certificate authority of one test";
    authority.distinguished_name.push(DnType::CommonName, name);
    let authority_certificate = authority
        .self_signed(&authority_key)
        .expect("a CA certificate");

    let key = KeyPair::generate().expect("a key");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut leaf = CertificateParams::new(names).expect("names for a certificate");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let issuer = Issuer::new(authority, authority_key);
    let leaf = leaf.signed_by(&key, &issuer).expect("a signed certificate");
    Certificates {
        bundle: authority_certificate.pem(),
        chain: vec![leaf.der().clone()],
        key,
    }
}
