//! What tflock wrote, without what differs between runs and terminals.

/// The text with times, ages, holders and lock IDs replaced by their names: `<time>`, `<age>`, `<who>`, `<ID>`.
pub fn without_changing_parts(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| {
        let line = replace_between(line, "held by  ", " (", "<who>");
        let line = replace_between(&line, "  Who:       ", "\n", "<who>");
        let line = replace_between(&line, "  Created:   ", "\n", "<time>");
        let line = replace_between(&line, "waiting for ", " (", "<who>");
        let line = replace_between(&line, "since ", ")", "<time>");
        let line = replace_between(&line, "last heartbeat ", " ago", "<age>");
        without_ids(&line)
    });
    lines.collect()
}

/// Replaces what is between two texts, if both are there.
fn replace_between(line: &str, before: &str, after: &str, name: &str) -> String {
    let Some((head, rest)) = line.split_once(before) else {
        return line.to_owned();
    };
    match rest.split_once(after) {
        Some((_, tail)) => format!("{head}{before}{name}{after}{tail}"),
        None => line.to_owned(),
    }
}

fn without_ids(line: &str) -> String {
    let separators = |character: char| !character.is_ascii_alphanumeric() && character != '-';
    let mut changed = line.to_owned();
    for word in line.split(separators).filter(|word| is_id(word)) {
        changed = changed.replace(word, "<ID>");
    }
    changed
}

/// Terraform's form of a lock ID: 16 bytes in hexadecimal, grouped 8-4-4-4-12.
fn is_id(word: &str) -> bool {
    let groups: Vec<usize> = word.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12]
        && word
            .chars()
            .all(|one| one.is_ascii_hexdigit() || one == '-')
}

/// These lines as one text, each with its line end.
pub fn text_of(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// What a terminal showed, as text: without colours and cursor movements, with plain line ends.
pub fn without_escapes(shown: &str) -> String {
    let mut text = String::new();
    let mut rest = shown.chars();
    while let Some(character) = rest.next() {
        match character {
            // A control sequence: `ESC [`, parameters, one letter.
            '\u{1b}' => {
                rest.find(char::is_ascii_alphabetic);
            }
            '\r' => {}
            other => text.push(other),
        }
    }
    text
}
