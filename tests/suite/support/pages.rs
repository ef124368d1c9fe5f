//! The commands of README.md and docs/, as they stand there.

use std::fs;
use std::path::Path;

/// A fenced block of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its page, from the root of the checkout.
    pub page: String,
    /// The heading that it stands under.
    pub heading: String,
    pub language: String,
    pub text: String,
    /// Why no test runs it: `<!-- not run: … -->` in the line before it.
    pub not_run: Option<String>,
}

/// The pages with commands for users and for those who change tflock.
pub fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for directory in ["", "docs/"] {
        let entries = fs::read_dir(root.join(directory)).expect("a directory");
        for entry in entries {
            let name = entry.expect("an entry").file_name();
            let name = name.into_string().expect("a name in UTF-8");
            if Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "md")
            {
                pages.push(format!("{directory}{name}"));
            }
        }
    }
    pages.sort();
    pages
}

/// All fenced blocks of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(path).expect("a page");
    let mut blocks = Vec::new();
    let (mut heading, mut before) = (String::new(), "");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            let mark = before.strip_prefix("<!-- not run: ");
            blocks.push(Block {
                page: page.to_owned(),
                heading: heading.clone(),
                language: language.to_owned(),
                text: inside.flat_map(|line| [line, "\n"]).collect(),
                not_run: mark.map(|reason| reason.trim_end_matches(" -->").to_owned()),
            });
        } else if line.starts_with('#') {
            line.trim_start_matches('#').trim().clone_into(&mut heading);
        }
        before = line;
    }
    blocks
}

/// The blocks of that language under a heading.
pub fn recipes(page: &str, heading: &str, language: &str) -> Vec<String> {
    let blocks = blocks(page).into_iter();
    let wanted = blocks.filter(|block| block.heading == heading && block.language == language);
    wanted.map(|block| block.text).collect()
}

/// The only one.
#[track_caller]
pub fn recipe(page: &str, heading: &str, language: &str) -> String {
    let recipes = recipes(page, heading, language);
    let [recipe] = &recipes[..] else {
        panic!("{page}: not one recipe for {heading}: {recipes:?}");
    };
    recipe.clone()
}
