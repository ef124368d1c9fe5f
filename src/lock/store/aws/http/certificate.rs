//! The parts of a root certificate that Go's verifier checks and webpki does not: whether it may sign, and its validity.
//! The input is not trusted: what cannot be read is not a certificate.

use chrono::NaiveDateTime;
use rustls::pki_types::UnixTime;

/// DER tags (X.690).
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const EXTENSIONS: u8 = 0xA3;

/// Encoded object identifiers (RFC 5280, 4.2.1).
const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x25];
const ANY_PURPOSE: &[u8] = &[0x55, 0x1D, 0x25, 0x00];
const SERVER_AUTH: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// `keyCertSign` in the first byte of a key usage.
const CERT_SIGN: u8 = 0x04;

/// The parts of a certificate (RFC 5280, 4.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Not before and not after, in seconds since 1970.
    validity: (i64, i64),
    is_version_3: bool,
    /// Basic constraints, if any.
    is_authority: Option<bool>,
    /// Key usage, if any.
    may_sign: Option<bool>,
    serves: bool,
}

impl Certificate {
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let mut certificate = Der(Der(der).take(SEQUENCE)?);
        let mut signed = Der(certificate.take(SEQUENCE)?);
        let version = signed.take_if(VERSION);
        let is_version_3 = version.is_some_and(|version| version.last() == Some(&2));
        signed.take(INTEGER)?;
        // Signature algorithm and issuer.
        signed.take(SEQUENCE)?;
        signed.take(SEQUENCE)?;
        let mut validity = Der(signed.take(SEQUENCE)?);
        let mut read = Self {
            validity: (validity.time()?, validity.time()?),
            is_version_3,
            is_authority: None,
            may_sign: None,
            serves: true,
        };
        // Subject and public key; then unique identifiers of both, which are obsolete.
        signed.take(SEQUENCE)?;
        signed.take(SEQUENCE)?;
        while let Some((tag, content)) = signed.next() {
            if tag == EXTENSIONS {
                let mut extensions = Der(Der(content).take(SEQUENCE)?);
                while let Some((_, extension)) = extensions.next() {
                    read.extend(Der(extension))?;
                }
            }
        }
        Some(read)
    }

    fn extend(&mut self, mut extension: Der<'_>) -> Option<()> {
        let name = extension.take(OBJECT_IDENTIFIER)?;
        extension.take_if(BOOLEAN);
        let mut value = Der(extension.take(OCTET_STRING)?);
        match name {
            BASIC_CONSTRAINTS => {
                let authority = Der(value.take(SEQUENCE)?).take_if(BOOLEAN);
                self.is_authority = Some(authority.is_some_and(|value| value != [0]));
            }
            KEY_USAGE => {
                // The first byte is the number of unused bits.
                let bits = value.take(BIT_STRING)?.get(1).copied().unwrap_or_default();
                self.may_sign = Some(bits & CERT_SIGN != 0);
            }
            EXTENDED_KEY_USAGE => {
                let mut purposes = Der(value.take(SEQUENCE)?);
                self.serves = false;
                while let Some((_, purpose)) = purposes.next() {
                    self.serves |= [ANY_PURPOSE, SERVER_AUTH].contains(&purpose);
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Whether Go accepts it as the issuer of another (`Certificate.CheckSignatureFrom` of `crypto/x509`).
    pub(super) fn may_issue(&self) -> bool {
        let is_authority = self.is_authority.unwrap_or(!self.is_version_3);
        is_authority && self.may_sign.unwrap_or(true)
    }

    /// Whether its purpose is servers, or any (`checkChainForKeyUsage`).
    pub(super) fn serves(&self) -> bool {
        self.serves
    }

    /// Whether it is valid at that time, both ends included.
    pub(super) fn is_valid_at(&self, now: UnixTime) -> bool {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        (self.validity.0..=self.validity.1).contains(&now)
    }
}

/// The unread rest of a DER encoding.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element's tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&short, rest) = rest.split_first()?;
        let (length, rest) = match short {
            ..=0x7F => (usize::from(short), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7F))?;
                let length = bytes
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.next()?;
        (found == tag).then_some(content)
    }

    fn take_if(&mut self, tag: u8) -> Option<&'a [u8]> {
        let is_next = self.0.first() == Some(&tag);
        is_next.then(|| self.take(tag)).flatten()
    }

    fn time(&mut self) -> Option<i64> {
        let (tag, content) = self.next()?;
        let text = str::from_utf8(content).ok()?;
        let text = match tag {
            GENERALIZED_TIME => text.to_owned(),
            // RFC 5280, 4.1.2.5.1.
            UTC_TIME if *text.as_bytes().first()? >= b'5' => format!("19{text}"),
            UTC_TIME => format!("20{text}"),
            _ => return None,
        };
        let time = NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok()?;
        Some(time.and_utc().timestamp())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose as Purpose, IsCa};
    use rcgen::{KeyPair, KeyUsagePurpose, date_time_ymd};

    use super::*;

    fn der(params: &CertificateParams) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn read(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut params);
        Certificate::read(&der(&params)).unwrap()
    }

    #[test]
    fn only_an_authority_that_may_sign_may_issue() {
        let authority = IsCa::Ca(BasicConstraints::Unconstrained);
        for (is_ca, usages, may_issue) in [
            (authority, vec![], true),
            (authority, vec![KeyUsagePurpose::KeyCertSign], true),
            (authority, vec![KeyUsagePurpose::DigitalSignature], false),
            (IsCa::ExplicitNoCa, vec![], false),
            (IsCa::NoCa, vec![], false),
        ] {
            let certificate = read(|params| {
                params.is_ca = is_ca;
                params.key_usages.clone_from(&usages);
            });
            assert_eq!(certificate.may_issue(), may_issue, "{is_ca:?} {usages:?}");
        }
    }

    #[test]
    fn a_purpose_if_any_must_include_servers() {
        for (purposes, serves) in [
            (vec![], true),
            (vec![Purpose::Any], true),
            (vec![Purpose::ClientAuth, Purpose::ServerAuth], true),
            (vec![Purpose::ClientAuth], false),
        ] {
            let certificate = read(|params| params.extended_key_usages.clone_from(&purposes));
            assert_eq!(certificate.serves(), serves, "{purposes:?}");
        }
    }

    #[test]
    fn both_ends_of_the_validity_are_included() {
        // One in each of the two encodings of a time.
        let certificate = read(|params| {
            params.not_before = date_time_ymd(1999, 12, 31);
            params.not_after = date_time_ymd(2050, 1, 1);
        });
        for (seconds, valid) in [
            (946_598_399, false),
            (946_598_400, true),
            (2_524_608_000, true),
            (2_524_608_001, false),
        ] {
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
            assert_eq!(certificate.is_valid_at(now), valid, "{seconds}");
        }
    }

    #[test]
    fn a_truncated_or_altered_certificate_is_read_or_refused_but_never_panics() {
        let whole = der(&CertificateParams::new(["localhost".to_owned()]).unwrap());
        for length in 0..whole.len() {
            assert_eq!(Certificate::read(&whole[..length]), None, "{length}");
        }
        for index in 0..whole.len() {
            for byte in [0, 0x7F, 0x80, 0x83, 0xFF] {
                let mut changed = whole.clone();
                changed[index] = byte;
                let _ = Certificate::read(&changed);
            }
        }
    }
}
