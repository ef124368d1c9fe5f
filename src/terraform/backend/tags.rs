//! Tags of an object, as the header `x-amz-tagging` carries them: OpenTofu's `url.Values.Encode`
//! (`configurePutObjectTags` in `internal/backend/remote-state/s3/client.go`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The tags as a query string, sorted by name; `None` if there are none.
pub(super) fn encoded(tags: &BTreeMap<String, String>) -> Option<String> {
    let pairs: Vec<String> = tags
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

/// Go's `url.QueryEscape`: a blank becomes `+`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_encoded_as_go_encodes_a_query() {
        let tags = [
            ("owner", "ana & ben"),
            ("cost-center", "a/b=1"),
            ("ü", "~_.-"),
        ];
        let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            encoded(&tags.into()).as_deref(),
            Some("cost-center=a%2Fb%3D1&owner=ana+%26+ben&%C3%BC=~_.-")
        );
        assert_eq!(encoded(&BTreeMap::new()), None);
    }
}
