//! Writes a file with all of its changes in it, each switched on by its number.
//!
//! Comments mark where each site begins and ends, so that a site that the compiler refuses can be told by its message.

use std::fmt::Write as _;
use std::path::Path;

use crate::changes::{Form, Site};

/// A site whose changes have the numbers from `first` on.
#[derive(Debug, Clone)]
pub struct Numbered {
    pub site: Site,
    pub first: u32,
}

/// `text` with the `sites`, which are in the order of their places, outer ones first.
pub fn render(text: &str, sites: &[Numbered]) -> String {
    let mut rest = sites;
    let mut out = String::with_capacity(2 * text.len());
    part(text, 0, text.len(), &mut rest, &mut out);
    out
}

fn part(text: &str, mut at: usize, end: usize, rest: &mut &[Numbered], out: &mut String) {
    while let Some((next, others)) = rest.split_first() {
        let range = next.site.range.clone();
        if range.end > end || range.start >= end && !range.is_empty() {
            break;
        }
        *rest = others;
        out.push_str(&text[at..range.start]);
        let first = next.first;
        write!(out, "/*{first}<*/").expect("a string");
        match next.site.form {
            Form::Value => {
                out.push('(');
                for (number, change) in (first..).zip(&next.site.changes) {
                    write!(out, "if {} {{ {} }} else ", on(number), change.text).expect("a string");
                }
                out.push_str("{ ");
                part(text, range.start, range.end, rest, out);
                out.push_str(" })");
            }
            Form::Statement => {
                write!(out, "if !{} {{ ", on(first)).expect("a string");
                part(text, range.start, range.end, rest, out);
                out.push_str(" }");
            }
            Form::Return => {
                for (number, change) in (first..).zip(&next.site.changes) {
                    write!(out, " if {} {{ return {}; }}", on(number), change.text)
                        .expect("a string");
                }
            }
            Form::Arm => write!(out, " if !{} ", on(first)).expect("a string"),
        }
        write!(out, "/*{first}>*/").expect("a string");
        at = range.end;
    }
    out.push_str(&text[at..end]);
}

fn on(number: u32) -> String {
    format!("crate::mutation_switch::on({number})")
}

/// The number of the innermost site around a place of a rendered file.
pub fn site_at(rendered: &str, at: usize) -> Option<u32> {
    let mut open = Vec::new();
    let mut from = 0;
    while let Some(found) = rendered[from..].find("/*").map(|found| from + found) {
        let mark = rendered[found + 2..].split("*/").next().unwrap_or_default();
        let number = |kind| {
            mark.strip_suffix(kind)
                .and_then(|digits: &str| digits.parse::<u32>().ok())
        };
        if found > at {
            break;
        }
        if let Some(number) = number('<') {
            open.push(number);
        } else if let Some(number) = number('>') {
            // A little after a site still belongs to it.
            if at > found + mark.len() + 4 {
                while open.pop().is_some_and(|one| one != number) {}
            }
        }
        from = found + 2;
    }
    open.pop()
}

/// What is added to the library: which change is on, and which were passed.
pub fn switch(count: usize, directory: &Path) -> String {
    let directory = directory.display().to_string();
    SWITCH
        .replace("COUNT", &(count + 1).to_string())
        .replace("DIRECTORY", &directory)
}

/// Only system calls and atomics: some of the code that asks runs between fork and exec, where nothing else is allowed.
const SWITCH: &str = r#"
/// Which change of mutation testing is on.
pub mod mutation_switch {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
    use nix::libc;

    const UNKNOWN: u32 = u32::MAX;
    const RECORD: u32 = u32::MAX - 1;
    static CURRENT: AtomicU32 = AtomicU32::new(UNKNOWN);
    static PASSED: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

    /// Whether the change with that number is on.
    #[inline(never)]
    pub fn on(number: u32) -> bool {
        let mut current = CURRENT.load(Relaxed);
        if current == UNKNOWN {
            current = read();
            CURRENT.store(current, Relaxed);
        }
        if current == RECORD {
            if !PASSED[number as usize].swap(true, Relaxed) {
                note(number);
            }
            return false;
        }
        current == number
    }

    fn read() -> u32 {
        // SAFETY: nothing changes the environment while it is read; the text ends with a zero.
        unsafe {
            let mut text: *const libc::c_char = libc::getenv(c"MUTATION_NUMBER".as_ptr());
            // The tests of the suite empty the environment.
            let mut buffer = [0_u8; 16];
            if text.is_null() {
                let file = libc::open(c"DIRECTORY/number".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
                if file < 0 {
                    return 0;
                }
                libc::read(file, buffer.as_mut_ptr().cast(), buffer.len() - 1);
                libc::close(file);
                text = buffer.as_ptr().cast();
            }
            if libc::strcmp(text, c"record".as_ptr()) == 0 {
                return RECORD;
            }
            libc::atoi(text) as u32
        }
    }

    fn note(number: u32) {
        // SAFETY: system calls on what lives long enough.
        unsafe {
            let mut path: *const libc::c_char = libc::getenv(c"MUTATION_PASSED".as_ptr());
            if path.is_null() {
                path = c"DIRECTORY/passed/by-suite".as_ptr();
            }
            let before = *libc::__errno_location();
            let file = libc::open(path, libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC, 0o600);
            if file >= 0 {
                let bytes = number.to_le_bytes();
                libc::write(file, bytes.as_ptr().cast(), bytes.len());
                libc::close(file);
            }
            *libc::__errno_location() = before;
        }
    }
}
"#;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::changes::in_file;

    #[test]
    fn every_change_stands_in_the_file_behind_its_number_and_is_found_by_its_place() {
        let text =
            "const MOST: u32 = 7;\nfn f(a: u32) -> bool {\n    g(a);\n    a < MOST && !h(a)\n}\n";
        let sites = in_file(text, &BTreeSet::from(["MOST".to_owned()])).expect("it parses");
        let mut next = 1;
        let number = |site: Site| {
            let first = next;
            next += u32::try_from(site.changes.len()).expect("a few");
            Numbered { site, first }
        };
        let sites: Vec<Numbered> = sites.into_iter().map(number).collect();
        let rendered = render(text, &sites);
        syn::parse_file(&rendered).expect("it parses as well");
        for (change, what) in [
            ("return true;", "f at once"),
            ("{ a < MOST || !h(a) }", "and"),
            ("{ a <= MOST }", "less"),
            ("{ MOST * 2 }", "a constant"),
            ("{ h(a) }", "not"),
            ("if !crate::mutation_switch::on", "a statement"),
        ] {
            let at = rendered
                .find(change)
                .unwrap_or_else(|| panic!("{what}: {rendered}"));
            assert!(site_at(&rendered, at).is_some(), "{what}");
        }
        for one in &sites {
            let at = rendered
                .find(&format!("on({})", one.first))
                .expect("its first change");
            assert_eq!(site_at(&rendered, at), Some(one.first));
        }
        assert_eq!(site_at(&rendered, 0), None);
    }
}
