//! `tflock man`: the manual, on stdout or as files.

use std::fs;

use anyhow::Context as _;

use crate::cli::{ManArguments, manual};
use crate::exit_code;
use crate::failure::Failure;
use crate::session::Outcome;
use crate::text::printable;
use crate::ui;

/// Prints tflock(1), or writes all pages.
///
/// # Errors
/// When they cannot be written.
pub fn run(arguments: &ManArguments) -> anyhow::Result<Outcome> {
    let pages = manual().context("the manual")?;
    let Some(directory) = &arguments.directory else {
        let first = pages.first().map(|page| page.text.as_str());
        ui::print(first.unwrap_or_default())?;
        return Ok(Outcome::Exit(0));
    };
    let not_written = |error: std::io::Error, path: &std::path::Path| {
        let path = path.display().to_string();
        let message = format!("cannot write `{}`: {error}", printable(&path));
        Failure::new(exit_code::CONFIGURATION, message)
            .hint("name a directory that you can write: `tflock man ./man`")
    };
    fs::create_dir_all(directory).map_err(|error| not_written(error, directory))?;
    for page in pages {
        let path = directory.join(&page.file);
        fs::write(&path, page.text).map_err(|error| not_written(error, &path))?;
    }
    Ok(Outcome::Exit(0))
}
