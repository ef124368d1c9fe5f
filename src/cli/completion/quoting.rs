//! Words as they stand on a command line. bash and PowerShell insert a candidate as it is, so that a file or an address in a
//! stranger's checkout could run a program; the other shells quote it themselves.

/// The word that somebody means by what is typed of it so far.
pub(super) fn meant(typed: &str) -> String {
    let mut word = String::new();
    let mut letters = typed.trim_start_matches(['\'', '"']).chars();
    while let Some(letter) = letters.next() {
        word.extend(if letter == '\\' {
            letters.next()
        } else {
            Some(letter)
        });
    }
    word
}

/// What to insert for `word` in place of what is typed of it.
pub(super) fn inserted(word: &str, shell: &str, typed: &str) -> Option<String> {
    match shell {
        "bash" if is_within_quotes(typed) => (!word.contains('\'')).then(|| word.to_owned()),
        "bash" => Some(escaped(word)),
        "powershell" if word.chars().all(is_plain) => Some(word.to_owned()),
        "powershell" => Some(format!("'{}'", word.replace('\'', "''"))),
        _ => Some(word.to_owned()),
    }
}

/// bash does not tell of the quote before a word. A double quote that nothing escapes can only be inside of single ones.
fn is_within_quotes(typed: &str) -> bool {
    let mut before = ' ';
    typed.chars().any(|letter| {
        let is_bare = letter == '"' && before != '\\';
        before = letter;
        is_bare
    })
}

fn escaped(word: &str) -> String {
    let mut text = String::new();
    for letter in word.chars() {
        if !is_plain(letter) {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric() || "-_./=:@%+,~".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "a.b[\"$(id)\"]";

    #[test]
    fn what_is_typed_is_understood_with_and_without_quotes() {
        for typed in [r#"a.b[\"c"#, r#"'a.b["c"#, r#"a.b\[\"c"#, r#"a.b["c"#] {
            assert_eq!(meant(typed), r#"a.b["c"#, "{typed}");
        }
        assert_eq!(meant("a\\"), "a");
    }

    #[test]
    fn nothing_that_is_inserted_can_run_a_program() {
        for (shell, typed, expected) in [
            ("bash", "a.", Some(r#"a.b\[\"\$\(id\)\"\]"#)),
            ("bash", "a.b[", Some(r#"a.b\[\"\$\(id\)\"\]"#)),
            ("bash", r#"a.b\[\""#, Some(r#"a.b\[\"\$\(id\)\"\]"#)),
            // Between single quotes.
            ("bash", r#"a.b[""#, Some(ADDRESS)),
            ("powershell", "", Some(r#"'a.b["$(id)"]'"#)),
            ("zsh", "", Some(ADDRESS)),
        ] {
            let inserted = inserted(ADDRESS, shell, typed);
            assert_eq!(inserted.as_deref(), expected, "{shell} {typed}");
        }
        assert_eq!(inserted("it's", "bash", "\""), None);
        assert_eq!(inserted("it's", "powershell", "").unwrap(), "'it''s'");
        assert_eq!(inserted("-target=", "bash", "").unwrap(), "-target=");
    }
}
