//! Verifies certificates as Go does (`Certificate.Verify` of `crypto/x509`), because terraform is written in Go. rustls'
//! own verifier treats self-signed certificates differently: it refuses a server certificate that is itself a root, and
//! accepts as issuer a root that must not sign others or has expired.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

use super::super::settings_error;
use super::certificate::Certificate;
use crate::lock::store::{StoreError, StoreErrorKind};

/// The trusted roots, and the TLS settings made from them for the first secure connection.
pub(super) struct Trust {
    /// Used instead of the machine's roots.
    bundle: Option<Vec<CertificateDer<'static>>>,
    config: OnceLock<Result<ClientConfig, Error>>,
}

impl Trust {
    /// Trusts the certificates of a bundle, or those of the machine.
    pub(super) fn new(bundle: Option<&Path>) -> Result<Self, StoreError> {
        Ok(Self {
            bundle: bundle.map(read_bundle).transpose()?,
            config: OnceLock::new(),
        })
    }

    /// The settings of a TLS connection with one of these protocols. The first call reads the machine's certificates.
    pub(super) fn config(&self, protocols: &[&[u8]]) -> Result<ClientConfig, Error> {
        let mut config = self.config.get_or_init(|| self.make()).clone()?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    fn make(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let verifier = match &self.bundle {
            Some(bundle) => Verifier::new(bundle, &provider),
            None => Verifier::new(&rustls_native_certs::load_native_certs().certs, &provider),
        };
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }
}

#[derive(Debug)]
struct Verifier {
    issuers: RootCertStore,
    /// The SHA-256 of each root: a server certificate that is one of them needs no issuer.
    roots: HashSet<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(roots: &[CertificateDer<'_>], provider: &Arc<CryptoProvider>) -> Self {
        let now = UnixTime::now();
        let issues = |root: &&CertificateDer<'_>| {
            Certificate::read(root)
                .is_some_and(|root| root.may_issue() && root.serves() && root.is_valid_at(now))
        };
        let mut issuers = RootCertStore::empty();
        issuers.add_parsable_certificates(
            roots
                .iter()
                .filter(issues)
                .map(|root| CertificateDer::from(root.as_ref())),
        );
        Self {
            issuers,
            roots: roots
                .iter()
                .map(|root| Sha256::digest(root).into())
                .collect(),
            provider: Arc::clone(provider),
        }
    }

    /// Checks a server certificate that is a root, as Go checks a chain of one.
    fn verify_root(root: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
        let root = Certificate::read(root).ok_or(CertificateError::BadEncoding)?;
        if !root.is_valid_at(now) {
            return Err(CertificateError::Expired);
        }
        if !root.serves() {
            return Err(CertificateError::InvalidPurpose);
        }
        Ok(())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let digest: [u8; 32] = Sha256::digest(end_entity).into();
        if self.roots.contains(&digest) {
            Self::verify_root(end_entity, now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.issuers,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        verify_server_name(&parsed, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// The certificates of a bundle. Like Go, skips silently whatever is not a certificate.
fn read_bundle(path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let unusable = |reason: String| {
        StoreError {
            remedy: Some(
                "set `custom_ca_bundle` in the backend or AWS_CA_BUNDLE to a PEM file with certificates"
                    .to_owned(),
            ),
            ..settings_error(
                StoreErrorKind::Unsuitable,
                format!("the CA bundle `{}` {reason}", path.display()),
            )
        }
    };
    let pem = std::fs::read(path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    let bundle: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .filter_map(Result::ok)
        .filter(|certificate| Certificate::read(certificate).is_some())
        .collect();
    if bundle.is_empty() {
        return Err(unusable("has no PEM certificate".to_owned()));
    }
    Ok(bundle)
}
