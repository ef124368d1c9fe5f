//! Reduces addresses to what may be shown, recorded and used in names: without user, password, query and fragment, each of
//! which may contain a secret.

use std::fmt;

/// The harmless parts of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Without `://`; empty if there is none.
    pub scheme: String,
    /// Host and port.
    pub host: String,
    /// Without its leading slash.
    pub path: String,
}

impl Address {
    /// The harmless parts of a URL, with or without a scheme. In an invalid one (a slash in its password), everything before
    /// the last `@` counts as user and password.
    #[must_use]
    pub fn of(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let bare = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = split(bare);
        let (host, path) = match (has_port_or_none(authority), bare.rsplit_once('@')) {
            (true, _) => (authority, path),
            (false, Some((_, behind))) => split(behind),
            (false, None) => (authority.split(':').next().unwrap_or_default(), path),
        };
        Self {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
        }
    }
}

/// Host and port, and the path.
fn split(bare: &str) -> (&str, &str) {
    let (authority, path) = bare.split_once('/').unwrap_or((bare, ""));
    let host = authority.rsplit_once('@');
    (host.map_or(authority, |(_, host)| host), path)
}

fn has_port_or_none(host: &str) -> bool {
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    let port = behind.split_once(':').map_or("", |(_, port)| port);
    port.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, path } = self;
        if !scheme.is_empty() {
            write!(formatter, "{scheme}://")?;
        }
        write!(formatter, "{host}/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_user_password_query_or_fragment() {
        for (url, shown) in [
            ("https://ci.example/job/1", "https://ci.example/job/1"),
            ("https://ci.example", "https://ci.example/"),
            ("ci.example:8080/job", "ci.example:8080/job"),
            (
                "https://ci.example/job/1?token=secret",
                "https://ci.example/job/1",
            ),
            ("https://ci.example?token=secret", "https://ci.example/"),
            (
                "https://ci.example/job/1#secret",
                "https://ci.example/job/1",
            ),
            ("https://secret@ci.example/job", "https://ci.example/job"),
            (
                "https://user:secret@ci.example:8443/",
                "https://ci.example:8443/",
            ),
            (
                "https://user:sec@ret@ci.example/job",
                "https://ci.example/job",
            ),
            (
                "https://user:sec/ret@ci.example/job",
                "https://ci.example/job",
            ),
            ("https://user:sec?ret@ci.example/job", "https://user/"),
            ("user:secret@ci.example", "ci.example/"),
            ("https://user:secret", "https://user/"),
            ("https://[::1]:80/a?secret", "https://[::1]:80/a"),
            ("https://user:secret@[::1]/a", "https://[::1]/a"),
            (
                "https://ci.example/@team/job@2",
                "https://ci.example/@team/job@2",
            ),
            ("", "/"),
        ] {
            let address = Address::of(url).to_string();
            assert_eq!(address, shown, "{url}");
            assert!(!address.contains("sec"), "{url}");
        }
    }
}
