//! `tflock create-table`: the DynamoDB table for locks, after asking.

use anyhow::Context as _;

use crate::cli::CreateTableArguments;
use crate::context::{Context, block_on};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::Store as _;
use crate::lock::store::dynamodb::{Creation, TAGS};
use crate::resolve::{self, LockRequest};
use crate::session::Outcome;
use crate::ui::Reply;

/// Creates the table that this directory's backend, or `--table`, names.
///
/// # Errors
/// It names none, it is not confirmed, or it cannot be created.
pub fn run(context: &Context, arguments: &CreateTableArguments) -> anyhow::Result<Outcome> {
    block_on(create(context, arguments)).context("starting the runtime")?
}

async fn create(context: &Context, arguments: &CreateTableArguments) -> anyhow::Result<Outcome> {
    let directory = context.working_directory();
    let request = LockRequest::new(&context.options, &directory);
    let resolved = resolve::find(request).await?;
    let examined = request.examined(&resolved).await?;
    let Some(item) = examined.and_then(|examined| examined.item) else {
        return Err(Failure::new(
            exit_code::CONFIGURATION,
            "no table is named: the backend has no `dynamodb_table`",
        )
        .hint("name it: `tflock --table terraform-locks create-table`")
        .into());
    };
    let table = item.table().to_owned();
    let place = item.place();
    if !arguments.yes {
        let tags: Vec<String> = TAGS
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let rows = [
            ("key", "LockID (String)".to_owned()),
            ("billing", "on demand".to_owned()),
            ("deletion", "protected".to_owned()),
            ("recovery", "no point-in-time recovery".to_owned()),
            ("tags", tags.join(", ")),
        ];
        context
            .ui
            .subject(&format!("about to create {place}"), &rows);
        if !context.ui.can_ask() {
            return Err(Failure::new(
                exit_code::REFUSED,
                "cannot ask for confirmation: no terminal",
            )
            .hint("run it at a terminal, or confirm with `--yes`")
            .into());
        }
        if context.ui.confirm("Create this table?") == Reply::No {
            return Err(
                Failure::new(exit_code::REFUSED, "not confirmed: nothing was created")
                    .hint("type `y` to create it")
                    .into(),
            );
        }
    }
    let created = item.create_table(&context.machine()).await;
    match created.map_err(Failure::of_check)? {
        Creation::Created => {
            context
                .ui
                .notice(&format!("created `{table}`; it is active"));
            Ok(Outcome::Exit(0))
        }
        Creation::Exists => Err(Failure::new(
            exit_code::REFUSED,
            format!("the table `{table}` exists already; it was left alone"),
        )
        .hint(format!(
            "check whether it can keep locks with `{}`",
            context.command_line("doctor")
        ))
        .into()),
    }
}
