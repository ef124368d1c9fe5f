//! Credentials from the machine if no setting provides any: the container's endpoint or the instance's metadata.

use std::net::{IpAddr, Ipv6Addr};

use super::choice::Resolving;
use super::{Container, IdentityError, InstanceMetadata, Source};
use crate::lock::store::aws::profile::Profile;

impl Resolving<'_> {
    /// The source if no setting provides credentials.
    pub(super) fn of_surroundings(&self) -> Result<Source, IdentityError> {
        match self.container()? {
            Some(container) => Ok(container),
            None => self.instance_metadata(),
        }
    }

    pub(super) fn container(&self) -> Result<Option<Source>, IdentityError> {
        let variables = &self.settings.variables;
        let url = if let Some(path) = variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            format!("http://169.254.170.2{path}")
        } else if let Some(url) = variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            if !may_be_asked(url) {
                return Err(IdentityError::ForeignContainer);
            }
            url.to_owned()
        } else {
            return Ok(None);
        };
        let authorization = variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        let file = variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        Ok(Some(Source::Container(Container {
            url,
            authorization: authorization.map(str::to_owned),
            authorization_file: file.map(|file| self.settings.path(file)),
        })))
    }

    pub(super) fn instance_metadata(&self) -> Result<Source, IdentityError> {
        let Self { settings, .. } = self;
        let variables = &settings.variables;
        let is_true = |name: &str| {
            variables
                .get(name)
                .map(|value| value.eq_ignore_ascii_case("true"))
        };
        let is_off = settings
            .skip_metadata
            .or_else(|| is_true("AWS_EC2_METADATA_DISABLED"));
        if is_off == Some(true) {
            return Err(IdentityError::Nothing);
        }
        let of_profile = |key: &str| self.current.and_then(|profile| profile.text(key));
        let endpoint = settings
            .metadata_endpoint
            .as_deref()
            .or_else(|| variables.first(&["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_METADATA_URL"]))
            .or_else(|| of_profile("ec2_metadata_service_endpoint"));
        let mode = settings
            .metadata_endpoint_mode
            .as_deref()
            .or_else(|| variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"))
            .or_else(|| of_profile("ec2_metadata_service_endpoint_mode"));
        let by_mode = match mode.map(str::to_ascii_lowercase).as_deref() {
            None | Some("ipv4") => "http://169.254.169.254",
            Some("ipv6") => "http://[fd00:ec2::254]",
            Some(_) => {
                return Err(IdentityError::MetadataMode {
                    mode: mode.unwrap_or_default().to_owned(),
                });
            }
        };
        let second_only = is_true("AWS_EC2_METADATA_V1_DISABLED").or_else(|| {
            let switch = |profile: &Profile| profile.switch("ec2_metadata_v1_disabled");
            self.current.and_then(switch)
        });
        Ok(Source::InstanceMetadata(InstanceMetadata {
            endpoint: endpoint.unwrap_or(by_mode).to_owned(),
            first_version: second_only != Some(true),
        }))
    }
}

/// Whether a container's endpoint is on this machine, is one of Amazon's addresses for it, or uses TLS.
pub(super) fn may_be_asked(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() || scheme != "http" {
        return !host.is_empty();
    }
    let for_containers = |address: IpAddr| match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || [[169, 254, 170, 2], [169, 254, 170, 23]].contains(&address.octets())
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)
        }
    };
    if let Ok(address) = host.parse() {
        return for_containers(address);
    }
    let resolved = std::net::ToSocketAddrs::to_socket_addrs(&(host, 80));
    resolved.is_ok_and(|mut all| all.all(|address| for_containers(address.ip())))
}
