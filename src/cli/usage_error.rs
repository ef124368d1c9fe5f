//! Rewords clap's errors: one sentence with literals in backticks, and a hint.
//!
//! clap blames the option even if the value came from its variable; this names the real source.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

pub(super) struct UsageError {
    pub message: String,
    pub hint: String,
}

/// Explains `error`. `words` are what clap parsed; `definition` maps options to their variables.
pub(super) fn explain(
    error: &clap::Error,
    words: &[OsString],
    definition: &clap::Command,
) -> UsageError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(" ")),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    let source = source_of(&argument, words, definition);
    let message = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("unknown option `{argument}`")
        }
        ErrorKind::UnknownArgument => format!("unexpected argument `{argument}`"),
        ErrorKind::InvalidValue if value.is_empty() => format!("{source} needs a value"),
        ErrorKind::InvalidValue => {
            let possible = quoted(error.get(ContextKind::ValidValue));
            format!("the value `{value}` of {source} is not one of {possible}")
        }
        ErrorKind::TooManyValues => format!("{source} takes no value, but got `{value}`"),
        ErrorKind::ValueValidation => {
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            format!("the value of {source} cannot be used: {reason}")
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = argument.trim_end_matches('.');
            format!(
                "`{}` is missing",
                missing.trim_matches(['<', '>', '[', ']'])
            )
        }
        // The definition has no options that exclude each other.
        ErrorKind::ArgumentConflict => format!("{source} was given twice"),
        _ => one_line(error),
    };
    let suggested = text(ContextKind::SuggestedArg).or_else(|| text(ContextKind::SuggestedValue));
    let hint = match suggested {
        Some(suggested) => format!("did you mean `{suggested}`? see `tflock --help`"),
        None => "see `tflock --help`".to_owned(),
    };
    UsageError { message, hint }
}

/// The source of a value: its option, or the variable if the option was not given.
fn source_of(argument: &str, words: &[OsString], definition: &clap::Command) -> String {
    let name = argument.split([' ', '=']).next().unwrap_or_default();
    let option = definition
        .get_arguments()
        .find(|option| option.get_long() == name.strip_prefix("--"));
    let Some(option) = option else {
        return format!("`{}`", name.trim_matches(['<', '>', '[', ']', '.']));
    };
    let is_given = words.iter().filter_map(|word| word.to_str()).any(|word| {
        let with_value = word.strip_prefix(name);
        let short = option.get_short();
        with_value.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            || short.is_some_and(|short| {
                let letters = word.strip_prefix('-').unwrap_or_default();
                !letters.starts_with('-') && letters.contains(short)
            })
    });
    match option.get_env() {
        Some(variable) if !is_given => variable.display().to_string(),
        _ => format!("`{name}`"),
    }
}

fn quoted(values: Option<&ContextValue>) -> String {
    let values = match values {
        Some(ContextValue::Strings(values)) => values.as_slice(),
        _ => &[],
    };
    let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    quoted.join(", ")
}

/// clap's own sentence, without usage and tips.
fn one_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let first = rendered.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}
