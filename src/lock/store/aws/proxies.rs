//! The proxy of a request, by Go's rules (`golang.org/x/net/http/httpproxy`), with the backend's settings first
//! (`HTTPTransportOptions` in `internal/config/config.go` of aws-sdk-go-base).

use std::net::IpAddr;

use super::settings::{AwsSettings, Variables};

#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    http: Option<String>,
    https: Option<String>,
    exceptions: Vec<Exception>,
    /// Whether this is a CGI program, whose `HTTP_PROXY` is a header that anyone can send.
    is_cgi: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    All,
    Network {
        address: IpAddr,
        prefix: u32,
    },
    Address {
        address: IpAddr,
        port: Option<String>,
    },
    Domain {
        suffix: String,
        itself: bool,
        port: Option<String>,
    },
}

impl Proxies {
    /// The proxies of the environment alone.
    pub(super) fn of_environment(variables: &Variables) -> Self {
        let of = |names: &[&str]| variables.first(names).map(with_scheme);
        let exceptions = variables.first(&["NO_PROXY", "no_proxy"]);
        Self {
            http: of(&["HTTP_PROXY", "http_proxy"]),
            https: of(&["HTTPS_PROXY", "https_proxy"]),
            exceptions: exceptions.map(exceptions_of).unwrap_or_default(),
            is_cgi: variables.get("REQUEST_METHOD").is_some(),
        }
    }

    /// The proxies of the backend, with the environment's as default.
    pub(super) fn of(settings: &AwsSettings) -> Self {
        let mut proxies = Self::of_environment(&settings.variables);
        let recorded = |proxy: &String| Some(with_scheme(proxy)).filter(|_| !proxy.is_empty());
        if let Some(proxy) = &settings.http_proxy {
            proxies.http = recorded(proxy);
            // terraform keeps this behaviour of its first versions.
            if proxies.https.is_none() {
                proxies.https = recorded(proxy);
            }
        }
        if let Some(proxy) = &settings.https_proxy {
            proxies.https = recorded(proxy);
        }
        if let Some(hosts) = settings
            .no_proxy
            .as_deref()
            .filter(|hosts| !hosts.is_empty())
        {
            proxies.exceptions = exceptions_of(hosts);
        }
        proxies
    }

    pub(super) fn both(&self) -> [Option<&str>; 2] {
        let http = self.http.as_deref().filter(|_| !self.is_cgi);
        [http, self.https.as_deref()]
    }

    /// Whether a request to that host uses the proxy of its scheme, if there is one.
    pub(super) fn apply_to(&self, host: &str, port: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = host.to_lowercase();
        if host == "localhost" {
            return false;
        }
        let address: Option<IpAddr> = host.parse().ok();
        if address.is_some_and(|address| address.to_canonical().is_loopback()) {
            return false;
        }
        let mut exceptions = self.exceptions.iter();
        !exceptions.any(|exception| exception.matches(&host, port, address))
    }
}

/// `host:port` means an `http` proxy.
fn with_scheme(proxy: &str) -> String {
    if proxy.contains("://") {
        proxy.to_owned()
    } else {
        format!("http://{proxy}")
    }
}

fn exceptions_of(hosts: &str) -> Vec<Exception> {
    let mut exceptions = Vec::new();
    for host in hosts.split(',') {
        let host = host.trim().to_lowercase();
        match Exception::of(&host) {
            Some(Exception::All) => return vec![Exception::All],
            found => exceptions.extend(found),
        }
    }
    exceptions
}

impl Exception {
    fn of(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((address, prefix)) = text.split_once('/')
            && let (Ok(address), Ok(prefix)) = (address.parse(), prefix.parse())
        {
            return Some(Self::Network { address, prefix });
        }
        let (host, port) = host_and_port(text);
        if let Ok(address) = host.parse() {
            return Some(Self::Address { address, port });
        }
        let host = host
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        let itself = !host.starts_with('.');
        let dot = if itself { "." } else { "" };
        Some(Self::Domain {
            suffix: format!("{dot}{host}"),
            itself,
            port,
        })
    }

    fn matches(&self, host: &str, port: &str, address: Option<IpAddr>) -> bool {
        let is_port = |wanted: &Option<String>| wanted.as_ref().is_none_or(|wanted| wanted == port);
        match self {
            Self::All => true,
            Self::Network {
                address: network,
                prefix,
            } => address.is_some_and(|address| is_within(address, *network, *prefix)),
            Self::Address {
                address: wanted,
                port,
            } => {
                address.is_some_and(|address| address.to_canonical() == wanted.to_canonical())
                    && is_port(port)
            }
            Self::Domain {
                suffix,
                itself,
                port,
            } => {
                address.is_none()
                    && (host.ends_with(suffix.as_str()) || (*itself && host == &suffix[1..]))
                    && is_port(port)
            }
        }
    }
}

/// Splits host and port like `net.SplitHostPort`; what that rejects is all host.
fn host_and_port(text: &str) -> (&str, Option<String>) {
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once("]:") {
            Some((host, port)) => (host, Some(port.to_owned())),
            None => (text, None),
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => {
            (host, Some(port.to_owned()).filter(|port| !port.is_empty()))
        }
        _ => (text, None),
    }
}

fn is_within(address: IpAddr, network: IpAddr, prefix: u32) -> bool {
    let same = |address: u128, network: u128, bits: u32| {
        prefix <= bits && (prefix == 0 || (address ^ network) >> (bits - prefix) == 0)
    };
    match (address.to_canonical(), network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            same(address.to_bits().into(), network.to_bits().into(), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            same(address.to_bits(), network.to_bits(), 128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
