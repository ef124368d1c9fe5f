//! The proxy of a request, by Go's rules (`golang.org/x/net/http/httpproxy`), with the backend's settings first
//! (`HTTPTransportOptions` in `internal/config/config.go` of aws-sdk-go-base).

use std::net::IpAddr;

use super::settings::{AwsSettings, Variables};

/// The proxies of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    http: Option<String>,
    https: Option<String>,
    exceptions: Vec<Exception>,
    /// Whether this is a CGI program, whose `HTTP_PROXY` is a header that anyone can send.
    is_cgi: bool,
}

/// Hosts to reach without a proxy.
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

    /// The proxies for `http` and for `https`.
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
mod tests {
    use super::*;

    fn direct(no_proxy: &str, host: &str, port: &str) -> bool {
        let proxies = Proxies {
            exceptions: exceptions_of(no_proxy),
            ..Proxies::default()
        };
        !proxies.apply_to(host, port)
    }

    #[test]
    fn this_machine_is_reached_without_a_proxy() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
            assert!(direct("", host, "80"), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "a"] {
            assert!(!direct("", host, "80"), "{host}");
        }
    }

    #[test]
    fn exceptions_follow_gos_rules() {
        for (exceptions, host, port, is_direct) in [
            ("*", "a.b", "80", true),
            ("x, * ,y", "a.b", "80", true),
            ("b.c", "a.b.c", "80", true),
            ("b.c", "b.c", "80", true),
            ("b.c", "ab.c", "80", false),
            (".b.c", "a.b.c", "80", true),
            (".b.c", "b.c", "80", false),
            ("*.b.c", "b.c", "80", false),
            ("*.b.c", "a.b.c", "80", true),
            ("B.C", "A.b.c", "80", true),
            ("b.c:8000", "b.c", "8000", true),
            ("b.c:8000", "b.c", "80", false),
            ("10.0.0.0/8", "10.1.2.3", "80", true),
            ("10.0.0.0/8", "11.1.2.3", "80", false),
            ("10.0.0.0/8", "a.b", "80", false),
            ("10.0.0.1", "10.0.0.1", "80", true),
            ("10.0.0.1:81", "10.0.0.1", "80", false),
            ("fd00::/16", "fd00::5", "80", true),
            ("[fd00::5]:80", "fd00::5", "80", true),
            ("fd00::5", "[fd00::5]", "80", true),
            ("0.1", "10.0.0.1", "80", false),
            (":80,,", "a", "80", false),
        ] {
            assert_eq!(
                direct(exceptions, host, port),
                is_direct,
                "{exceptions} {host}:{port}"
            );
        }
    }

    #[test]
    fn the_backend_beats_the_environment() {
        let environment = |name: &str| {
            let value = match name {
                "http_proxy" => "plain:1",
                "HTTPS_PROXY" => "http://secure",
                "NO_PROXY" => "a",
                _ => return None,
            };
            Some(value.into())
        };
        let mut settings = AwsSettings {
            variables: Variables::of(&environment),
            ..AwsSettings::default()
        };
        let both = |settings: &AwsSettings| {
            Proxies::of(settings)
                .both()
                .map(|one| one.map(str::to_owned))
        };
        let expected = [
            Some("http://plain:1".to_owned()),
            Some("http://secure".to_owned()),
        ];
        assert_eq!(both(&settings), expected);
        settings.http_proxy = Some(String::new());
        assert_eq!(both(&settings), [None, Some("http://secure".to_owned())]);
        settings.https_proxy = Some(String::new());
        assert_eq!(both(&settings), [None, None]);
        settings.no_proxy = Some("b".to_owned());
        let proxies = Proxies::of(&settings);
        assert!(proxies.apply_to("a", "80") && !proxies.apply_to("b", "80"));
        settings.variables = Variables::default();
        settings.http_proxy = Some("x".to_owned());
        settings.https_proxy = None;
        assert_eq!(
            both(&settings),
            [Some("http://x".to_owned()), Some("http://x".to_owned())]
        );
    }
}
