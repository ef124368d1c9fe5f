//! The syntax of `~/.aws/config` and `~/.aws/credentials`, as Go's SDK reads it.
//!
//! Lenient on purpose: what it does not understand it skips silently, as terraform does, because a file that terraform
//! reads must never keep tflock from its lock. Source: `internal/ini` of aws-sdk-go-v2.

use std::collections::BTreeMap;

/// Sections by name. The type in front of a name is part of it: `profile dev`, `sso-session corp`.
pub(super) type Sections = BTreeMap<String, Section>;

/// The properties of one section by name; names are in lower case.
pub(super) type Section = BTreeMap<String, Property>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Property {
    /// Its value; empty if it has nested properties.
    pub(super) value: String,
    /// The indented properties below an empty one.
    pub(super) nested: BTreeMap<String, String>,
    /// Its line, counted from 1.
    pub(super) line: usize,
}

enum Line<'a> {
    Section(String),
    Property(String, &'a str),
    /// An indented property, including text that would be a comment elsewhere.
    Nested(String, &'a str),
    Continuation(&'a str),
}

pub(super) fn parse(text: &str) -> Sections {
    let mut sections = Sections::new();
    let mut section: Option<String> = None;
    let mut property: Option<String> = None;
    for (text, number) in text.split('\n').zip(1..) {
        let Some(line) = Line::of(text) else { continue };
        if let Line::Section(name) = line {
            sections.entry(name.clone()).or_default();
            // A section without a name gets no properties, like the lines before the first one.
            section = Some(name).filter(|name| !name.is_empty());
            property = None;
            continue;
        }
        let Some(properties) = section.as_ref().and_then(|name| sections.get_mut(name)) else {
            continue;
        };
        let parent = property.as_ref().and_then(|name| properties.get_mut(name));
        let (name, value) = match (line, parent) {
            (Line::Continuation(text), Some(parent)) => {
                if !parent.value.is_empty() {
                    parent.value = format!("{}\n{text}", parent.value);
                }
                continue;
            }
            (Line::Nested(name, value), Some(parent)) if parent.value.is_empty() => {
                parent.nested.insert(name, value.to_owned());
                continue;
            }
            (Line::Nested(name, value), _) => (name, without_comment(value).trim()),
            (Line::Property(name, value), _) => (name, value),
            (Line::Continuation(_) | Line::Section(_), _) => continue,
        };
        let fresh = Property {
            value: value.to_owned(),
            nested: BTreeMap::new(),
            line: number,
        };
        properties.insert(name.clone(), fresh);
        property = Some(name);
    }
    sections
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let unindented = line.trim_start_matches([' ', '\t']);
        if line.trim().is_empty() || unindented.starts_with(['#', ';']) {
            return None;
        }
        if let Some(name) = section_name(line) {
            return Some(Self::Section(name));
        }
        if line.starts_with([' ', '\t']) {
            return Some(match name_and_value(unindented) {
                Some((name, value)) => Self::Nested(name, value),
                None => Self::Continuation(unindented),
            });
        }
        let (name, value) = name_and_value(without_comment(line))?;
        Some(Self::Property(name, value))
    }
}

/// `[ type  name ] # comment` as `type name`.
fn section_name(line: &str) -> Option<String> {
    let text = line.split(['#', ';']).next().unwrap_or_default().trim();
    let inside = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    Some(match inside.split_once([' ', '\t']) {
        Some((kind, name)) => format!("{kind} {}", name.trim_start_matches([' ', '\t'])),
        None => inside.to_owned(),
    })
}

/// A `#` or `;` starts a comment only after a blank: a secret may contain either.
fn without_comment(text: &str) -> &str {
    [" #", " ;", "\t#", "\t;"]
        .into_iter()
        .fold(text, |text, mark| {
            text.split_once(mark).map_or(text, |(before, _)| before)
        })
}

/// Go accepts a colon as the separator if it comes first.
fn name_and_value(text: &str) -> Option<(String, &str)> {
    let (name, value) = text.split_once(['=', ':'])?;
    Some((name.trim().to_lowercase(), unquoted(value.trim())))
}

fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every property as `section.name=value`, nested ones as `section.name.inner=value`.
    fn flat(text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for (section, properties) in parse(text) {
            for (name, property) in properties {
                let Property { value, nested, .. } = property;
                lines.push(format!("{section}.{name}={value}"));
                let nested = nested.into_iter();
                lines.extend(
                    nested.map(|(inner, value)| format!("{section}.{name}.{inner}={value}")),
                );
            }
        }
        lines
    }

    #[test]
    fn section_names_are_parsed_as_by_go() {
        for (line, name) in [
            ("[default]", "default"),
            ("  [ profile\t  dev ]  # mine", "profile dev"),
            ("[profile my dev (old)]", "profile my dev (old)"),
            ("[profile \"dev\"]; x", "profile \"dev\""),
            ("[sso-session corp]", "sso-session corp"),
            ("[é]\r", "é"),
        ] {
            assert_eq!(section_name(line).as_deref(), Some(name), "{line}");
        }
        assert_eq!(section_name("[open"), None);
        assert_eq!(section_name("a = [b]"), None);
    }

    #[test]
    fn properties_are_read_in_all_spellings() {
        let text = "stray = 1\nno sign\n[a]\nAWS_Key = x # c\nhash = x#y\ncolon: v=w\nquoted = \" b \"\n\
                    empty =\nnot a property\ntwice = 1\ntwice = 2\r\n\n# c\n ; c\n";
        let expected = [
            "a.aws_key=x",
            "a.colon=v=w",
            "a.empty=",
            "a.hash=x#y",
            "a.quoted= b ",
            "a.twice=2",
        ];
        assert_eq!(flat(text), expected);
    }

    #[test]
    fn indented_properties_nest_only_below_an_empty_one() {
        let text = "[a]\n  first = 1 # c\n\tsecond = 2\ns3 =\n  max = 3 # kept\n  region: x\nlast = 4\n  more\n";
        let expected = [
            "a.first=1",
            "a.last=4\nmore",
            "a.s3=",
            "a.s3.max=3 # kept",
            "a.s3.region=x",
            "a.second=2",
        ];
        assert_eq!(flat(text), expected);
    }

    #[test]
    fn a_section_can_be_continued() {
        assert_eq!(flat("[a]\nx=1\n[b]\n[a]\ny=2\n"), ["a.x=1", "a.y=2"]);
    }

    #[test]
    fn lines_are_counted() {
        assert_eq!(parse("\n[a]\n\nx = 1\n")["a"]["x"].line, 4);
    }
}
